"""Build the kernel library when it is not there yet (`make build`)."""

from __future__ import annotations

import sys

from runtime import kernels


def main() -> int:
    """Build for this CPU; without a C compiler say so and succeed: JIT will be used."""
    if kernels.is_built():
        print(f"kernels are built: {kernels.library_path().relative_to(kernels.ROOT)}")
        return 0
    if not kernels.compiler():
        print("warning: no C compiler found, kernels will be compiled in process", file=sys.stderr)
        return 0
    try:
        path = kernels.ensure_built()
    except kernels.KernelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"built {path.relative_to(kernels.ROOT)}, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
