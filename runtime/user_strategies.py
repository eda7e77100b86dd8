"""Which of the users' strategies the kernels of this process are compiled with.

They are chosen by name before the engine's kernels are imported, by whoever knows the settings: the
process that builds the library, or the one that compiles its kernels itself. The engine's registry
asks once, when it is imported; from then on the choice stands for the life of the process.
"""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Sequence
from pathlib import Path

# numba's variable: where compiled kernels are kept between processes.
CACHE_VARIABLE = "NUMBA_CACHE_DIR"
ROOT = Path(__file__).resolve().parent.parent
REFUSED = 3  # exit code of a build whose strategies cannot be imported
_modules: list[str] = []
_read: list[bool] = []


class ChoiceError(RuntimeError):
    """The kernels of this process were compiled with other strategies before."""


class StrategyError(RuntimeError):
    """A strategy's file cannot be imported; the message is one line with file and line."""


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


def import_chosen() -> None:
    """Import the modules, so that an error in one of them is told as what it is.

    Raises:
        StrategyError: the import of one fails.
    """
    for module in _modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a user's file raises is an answer about that file
            raise StrategyError(_told(module, error)) from error


def _told(module: str, error: Exception) -> str:
    """Return one line: the module, the last place in the project, the error's first line."""
    places = [
        f"{Path(frame.filename).relative_to(ROOT)} line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(ROOT)
        and frame.filename != __file__
        and "site-packages" not in frame.filename
    ]
    if isinstance(error, SyntaxError) and error.filename:
        places.append(f"{error.filename} line {error.lineno}")
    place = f" {places[-1]}:" if places else ""
    words = (str(error).splitlines() or [""])[0]
    return f"strategy cannot be imported: {module}:{place} {type(error).__name__}: {words}"
