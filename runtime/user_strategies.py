"""Which of the users' strategies the kernels of this process are compiled with.

They are chosen by name before the engine's kernels are imported, by whoever knows the settings: the
process that builds the library, or the one that compiles its kernels itself. The engine's registry
asks once, when it is imported; from then on the choice stands for the life of the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# numba's variable: where compiled kernels are kept between processes.
CACHE_VARIABLE = "NUMBA_CACHE_DIR"
_modules: list[str] = []
_read: list[bool] = []


class ChoiceError(RuntimeError):
    """The kernels of this process were compiled with other strategies before."""


def choose(modules: Sequence[str]) -> None:
    """Set the modules, in the order of their codes.

    Raises:
        ChoiceError: the registry has been imported with others.
    """
    if list(modules) == _modules:
        return
    if _read:
        raise ChoiceError(
            "kernels are compiled with other strategies in this process: "
            f"strategies={_modules} wanted={list(modules)}"
        )
    _modules[:] = modules
    # A cache on disk is keyed by sources alone; it must not hold kernels of a choice.
    os.environ.pop(CACHE_VARIABLE, None)


def chosen() -> tuple[str, ...]:
    """Return the modules, for the registry: no other can be chosen after this."""
    _read[:] = [True]
    return tuple(_modules)
