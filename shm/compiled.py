"""How a Python function becomes a kernel: one decorator for helpers, one for exported entries.

A kernel is a pure function over addresses and integers. `@kernel` compiles lazily when called from
tests or research and is inlined into its callers by LLVM; `@export` states the signature as well
and registers the function, so that `make build` puts it into the kernel library under its name.

With `NUMBA_DISABLE_JIT=1` both leave the function as plain Python: the views and loads of this
package then work on the same memory through ctypes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from numba import njit
from numba.core import config as numba_config

F = TypeVar("F", bound=Callable[..., Any])

# Integer division follows numpy (no ZeroDivisionError paths in the hot loop); every divisor is
# checked by its kernel. fastmath stays off: the same input must give the same bits everywhere.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "nogil": True}
# The disk cache does not notice a changed callee in another file, so it is only used where the
# directory's name carries a hash over all kernel sources (see runtime.kernels).
CACHE_VARIABLE = "NUMBA_CACHE_DIR"


@dataclass(frozen=True)
class Export:
    """One entry of the kernel library: `argument_count` int64 in, one int64 out."""

    name: str
    argument_count: int
    function: Any


EXPORTS: dict[str, Export] = {}


def kernel(function: F) -> F:
    """Compile a function for use inside other kernels."""
    return njit(cache=CACHE_VARIABLE in os.environ, **OPTIONS)(function)


def inline_kernel(function: F) -> F:
    """Compile a function that is put into every caller, whatever its size.

    For the few whose call would cost as much as their work; their slow paths stand apart.
    """
    return njit(cache=CACHE_VARIABLE in os.environ, forceinline=True, **OPTIONS)(function)


def closure_kernel(function: F) -> F:
    """Compile a function that closes over other kernels.

    It is never kept on disk: the cache cannot tell two closures of one source apart.
    """
    return njit(**OPTIONS)(function)


def export(argument_count: int) -> Callable[[F], F]:
    """Register a kernel for the library: all arguments and the result are int64.

    Floats cross the boundary inside records, never as arguments: one calling convention serves
    ctypes, JIT and the C wrapper.
    """

    def register(function: F) -> F:
        compiled = njit(cache=CACHE_VARIABLE in os.environ, **OPTIONS)(function)
        name = function.__name__
        assert name not in EXPORTS or EXPORTS[name].function.__module__ == function.__module__, (
            f"two exported kernels of one name: {name}"
        )
        EXPORTS[name] = Export(name, argument_count, compiled)
        return compiled

    return register


def interpreted() -> bool:
    """Return whether kernels run as plain Python in this process."""
    return bool(getattr(numba_config, "DISABLE_JIT", 0))
