"""The kernels that tests run: the library that trades, or the same code as plain Python."""

from __future__ import annotations

from functools import cache

from runtime.kernels import Kernels, compiler, load
from shm.compiled import interpreted


@cache
def exported() -> Kernels:
    """Return the exported kernels.

    Compiling them in process takes every process that runs tests a minute of its own: that is left
    to the tests which compare both ways, to machines without a C compiler, and to uncompiled runs.
    """
    return load("jit") if interpreted() or not compiler() else load("ahead")
