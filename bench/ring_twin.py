"""The C++ twin: compiled in the same run, loaded with ctypes, working on the same memory."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from shm.ring_layout import HEAD_OFFSET, HEAD_STRIDE, RING, SLOTS_OFFSET

SOURCE = Path(__file__).resolve().parent / "twins" / "ring.cpp"
FLAGS = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-shared")
MACROS = {
    "TAIL": RING.offset("tail"),
    "GATE": RING.offset("gate"),
    "MASK": RING.offset("mask"),
    "SLOT_SIZE": RING.offset("slot_size"),
    "PRODUCER_SLOT_SIZE": RING.offset("producer_slot_size"),
    "CURSOR_COUNT": RING.offset("cursor_count"),
    "HEAD": HEAD_OFFSET,
    "HEAD_STRIDE": HEAD_STRIDE,
    "SLOTS": SLOTS_OFFSET,
}


def compiler() -> str:
    """Return the C++ compiler, "" when there is none."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++"):
        if name and shutil.which(name):
            return name
    return ""


def build(folder: Path) -> Callable[[str], Callable[..., int]] | None:
    """Compile the twin; return a look-up of its functions by name, None without a compiler.

    Raises:
        subprocess.CalledProcessError: the compiler refused our source.
    """
    name = compiler()
    if not name:
        return None
    library = folder / "ring_twin.so"
    macros = [f"-D{key}={value}" for key, value in MACROS.items()]
    subprocess.run([name, *FLAGS, *macros, str(SOURCE), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))

    def function(symbol: str) -> Callable[..., int]:
        found = getattr(loaded, symbol)
        found.restype = ctypes.c_int64

        def call(*arguments: int) -> int:
            return int(found(*[ctypes.c_int64(a) for a in arguments]))

        return call

    return function
