"""Build the kernel library when it is not there yet (`make build`).

The strategies that the configuration names are compiled in.
"""

from __future__ import annotations

import sys

from config.errors import ConfigError
from config.loader import load
from runtime import kernels

BAD_INPUT = 2


def main() -> int:
    """Build for this CPU; without a C compiler say so and succeed: JIT will be used."""
    try:
        strategies = load().signals.user_strategies
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    path = kernels.library_path(strategies=strategies)
    if kernels.is_built(strategies=strategies):
        print(f"kernels are built: {path.relative_to(kernels.ROOT)}")
        return 0
    if not kernels.compiler():
        print("warning: no C compiler found, kernels will be compiled in process", file=sys.stderr)
        return 0
    try:
        path = kernels.ensure_built(strategies=strategies)
    except kernels.KernelError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"built {path.relative_to(kernels.ROOT)}, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
