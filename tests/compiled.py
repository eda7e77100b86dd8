"""The kernels that tests run: the library that trades, or the same code as plain Python."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from runtime.kernels import Kernels, compiler, load
from shm.compiled import interpreted


@cache
def exported() -> Kernels:
    """Return the exported kernels.

    Compiling them in process takes every process that runs tests a minute of its own: that is left
    to the tests which compare both ways, to machines without a C compiler, and to uncompiled runs.
    """
    return load("jit") if interpreted() or not compiler() else load("ahead")


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Let one process at a time compile `what` in process: the next one finds it in numba's cache.

    Where there is no cache (NUMBA_CACHE_DIR), or nothing is compiled, nobody waits.
    """
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if not folder or interpreted():
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
