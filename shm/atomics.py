"""Atomic loads, stores and read-modify-writes on int64 words, fences, pause and prefetch.

Each function emits the LLVM instruction of its name, so the compiler as well as the CPU keeps the
order that is asked for; a plain array store promises neither. The ordering is in the verb. Every
address must be a multiple of 8.

The Python bodies serve uncompiled runs of kernels in tests. CPython executes them under its
interpreter lock in one process; between processes only the compiled forms are atomic.
"""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

from shm.memory import BYTE_POINTER, INT32, INT64, define, pointer

# Inline assembly aborts the whole process when the parser for it was not set up first.
binding.initialize_native_asmparser()

_VOID = ir.VoidType()
_WORD = (types.int64,)
_PAIR = (types.int64, types.int64)


def load_acquire(address: int) -> int:
    """Load a word; later reads and writes stay after it."""
    return ctypes.c_int64.from_address(address).value


def load_relaxed(address: int) -> int:
    """Load a word atomically, with no order towards other words."""
    return ctypes.c_int64.from_address(address).value


def store_release(address: int, value: int) -> None:
    """Store a word; earlier reads and writes stay before it."""
    ctypes.c_int64.from_address(address).value = value


def store_relaxed(address: int, value: int) -> None:
    """Store a word atomically, with no order towards other words."""
    ctypes.c_int64.from_address(address).value = value


def fetch_add(address: int, value: int) -> int:
    """Add to a word and return what it held before (acquire and release)."""
    word = ctypes.c_int64.from_address(address)
    before = word.value
    word.value = before + value
    return before


def exchange(address: int, value: int) -> int:
    """Set a word and return what it held before (acquire and release)."""
    word = ctypes.c_int64.from_address(address)
    before = word.value
    word.value = value
    return before


def compare_and_swap(address: int, expected: int, value: int) -> bool:
    """Set a word if it holds `expected`; return whether it did (acquire and release)."""
    word = ctypes.c_int64.from_address(address)
    if word.value != expected:
        return False
    word.value = value
    return True


def _load(order: str) -> Any:
    def code(context: Any, builder: Any, values: Any) -> Any:
        return builder.load_atomic(pointer(builder, values[0], INT64), order, 8)

    return code


def _store(order: str) -> Any:
    def code(context: Any, builder: Any, values: Any) -> None:
        builder.store_atomic(values[1], pointer(builder, values[0], INT64), order, 8)

    return code


def _modify(operation: str) -> Any:
    def code(context: Any, builder: Any, values: Any) -> Any:
        place = pointer(builder, values[0], INT64)
        return builder.atomic_rmw(operation, place, values[1], "acq_rel")

    return code


def _swap(context: Any, builder: Any, values: Any) -> Any:
    place = pointer(builder, values[0], INT64)
    pair = builder.cmpxchg(place, values[1], values[2], "acq_rel", "acquire")
    return builder.extract_value(pair, 1)


define(load_acquire, types.int64, _WORD, _load("acquire"))
define(load_relaxed, types.int64, _WORD, _load("monotonic"))
define(store_release, types.void, _PAIR, _store("release"))
define(store_relaxed, types.void, _PAIR, _store("monotonic"))
define(fetch_add, types.int64, _PAIR, _modify("add"))
define(exchange, types.int64, _PAIR, _modify("xchg"))
define(compare_and_swap, types.boolean, (types.int64,) * 3, _swap)


def fence_acquire() -> None:
    """Keep earlier relaxed loads before everything that follows."""


def fence_release() -> None:
    """Keep everything before this ahead of later relaxed stores."""


def fence_full() -> None:
    """Order all earlier reads and writes before all later ones (store-load included)."""


def compiler_barrier() -> None:
    """Stop the compiler from moving memory accesses across this point; no instruction."""


def pause() -> None:
    """Tell the core that this is a spin loop: saves power and leaves the pipeline to others."""


def _fence(order: str) -> Any:
    def code(context: Any, builder: Any, values: Any) -> None:
        builder.fence(order)

    return code


def _assembly(text: str) -> Any:
    def code(context: Any, builder: Any, values: Any) -> None:
        builder.asm(ir.FunctionType(_VOID, []), text, "~{memory}", [], True)

    return code


define(fence_acquire, types.void, (), _fence("acquire"))
define(fence_release, types.void, (), _fence("release"))
define(fence_full, types.void, (), _fence("seq_cst"))
define(compiler_barrier, types.void, (), _assembly(""))
# x86 spells it pause, Arm yield; binding knows which of the two this build is for.
_IS_ARM = binding.get_default_triple().split("-")[0] in ("aarch64", "arm64")
define(pause, types.void, (), _assembly("yield" if _IS_ARM else "pause"))


def prefetch_read(address: int) -> None:
    """Ask for the line of `address` before it is read; never faults."""


def prefetch_write(address: int) -> None:
    """Ask for the line of `address` before it is written; never faults."""


def _prefetch(write: int) -> Any:
    def code(context: Any, builder: Any, values: Any) -> None:
        kind = ir.FunctionType(_VOID, [BYTE_POINTER, INT32, INT32, INT32])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.inttoptr(values[0], BYTE_POINTER)
        builder.call(hint, [place, INT32(write), INT32(3), INT32(1)])

    return code


define(prefetch_read, types.void, _WORD, _prefetch(0))
define(prefetch_write, types.void, _WORD, _prefetch(1))
