"""Atomics: what they do, and which instructions they are."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from collections.abc import Callable
from typing import Any

import pytest
from numba import njit

from shm import atomics
from shm.atomics import (
    compare_and_swap,
    compiler_barrier,
    exchange,
    fence_acquire,
    fence_full,
    fence_release,
    fetch_add,
    load_acquire,
    load_relaxed,
    pause,
    prefetch_read,
    prefetch_write,
    store_relaxed,
    store_release,
)
from shm.compiled import OPTIONS, interpreted, kernel


def compiled(function: Callable[..., Any]) -> Any:
    # Never from numba's disk cache: cached code has no assembly to look at.
    return njit(**OPTIONS)(function)


SHAPES: dict[str, Any] = {
    "load_acquire": compiled(lambda a, b, c: load_acquire(a)),
    "load_relaxed": compiled(lambda a, b, c: load_relaxed(a)),
    "store_release": compiled(lambda a, b, c: store_release(a, b)),
    "store_relaxed": compiled(lambda a, b, c: store_relaxed(a, b)),
    "fetch_add": compiled(lambda a, b, c: fetch_add(a, b)),
    "exchange": compiled(lambda a, b, c: exchange(a, b)),
    "compare_and_swap": compiled(lambda a, b, c: compare_and_swap(a, b, c)),
    "fence_acquire": compiled(lambda a, b, c: fence_acquire()),
    "fence_release": compiled(lambda a, b, c: fence_release()),
    "fence_full": compiled(lambda a, b, c: fence_full()),
    "compiler_barrier": compiled(lambda a, b, c: compiler_barrier()),
    "pause": compiled(lambda a, b, c: pause()),
    "prefetch_read": compiled(lambda a, b, c: prefetch_read(a)),
    "prefetch_write": compiled(lambda a, b, c: prefetch_write(a)),
}


def word(address: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(address)


def test_every_public_function_is_looked_at():
    ours = {
        name
        for name, value in vars(atomics).items()
        if callable(value) and getattr(value, "__module__", "") == "shm.atomics" and name[0] != "_"
    }
    assert ours == set(SHAPES)


def test_loads_and_stores(region):
    address = region(4096)
    for store in ("store_release", "store_relaxed"):
        for value in (1, -1, (1 << 63) - 1, -(1 << 63)):
            SHAPES[store](address, value, 0)
            assert word(address).value == value
            assert SHAPES["load_acquire"](address, 0, 0) == value
            assert SHAPES["load_relaxed"](address, 0, 0) == value


def test_fetch_add_returns_what_was_there(region):
    address = region(4096)
    word(address).value = 40
    assert SHAPES["fetch_add"](address, 2, 0) == 40
    assert SHAPES["fetch_add"](address, -50, 0) == 42
    assert word(address).value == -8


def test_exchange_returns_what_was_there(region):
    address = region(4096)
    word(address).value = 3
    assert SHAPES["exchange"](address, 9, 0) == 3
    assert word(address).value == 9


def test_compare_and_swap_sets_only_what_was_expected(region):
    address = region(4096)
    word(address).value = 5
    assert not SHAPES["compare_and_swap"](address, 4, 6)
    assert word(address).value == 5
    assert SHAPES["compare_and_swap"](address, 5, 6)
    assert word(address).value == 6


def test_words_beside_are_left_alone(region):
    address = region(4096)
    word(address).value = word(address + 16).value = 77
    for name in ("store_release", "store_relaxed", "fetch_add", "exchange"):
        SHAPES[name](address + 8, -1, 0)
    assert word(address).value == word(address + 16).value == 77


def test_fences_hints_and_barriers_change_nothing(region):
    address = region(4096)
    word(address).value = 11
    for name in ("fence_acquire", "fence_release", "fence_full", "compiler_barrier", "pause"):
        SHAPES[name](address, 0, 0)
    for name in ("prefetch_read", "prefetch_write"):
        SHAPES[name](address, 0, 0)
        SHAPES[name](0, 0, 0)  # never faults
    assert word(address).value == 11


@kernel
def add_many(address: int, n: int) -> int:
    for _ in range(n):
        fetch_add(address, 1)
    return 0


@pytest.mark.skipif(interpreted(), reason="only compiled code is atomic between processes")
def test_two_processes_lose_no_addition(region):
    address = region(4096)
    n = 200_000
    add_many(address, 0)
    pid = os.fork()
    if pid == 0:
        add_many(address, n)
        os._exit(0)
    add_many(address, n)
    assert os.waitpid(pid, 0)[1] == 0
    assert word(address).value == 2 * n


def instructions(name: str) -> list[str]:
    """Return the instructions of a kernel's own body, without its Python wrapper."""
    SHAPES[name](ctypes.addressof(_SCRATCH), 0, 0)
    (text,) = SHAPES[name].inspect_asm().values()
    bodies = re.findall(r"^(_ZN(?!7cpython)\S+):\n(.*?)^\.Lfunc_end", text, re.M | re.S)
    assert len(bodies) == 1, [label for label, _ in bodies]
    lines = [line.split("#")[0].strip() for line in bodies[0][1].splitlines()]
    return [
        re.sub(r"\s+", " ", line) for line in lines if line and line[0] != "." and line[-1] != ":"
    ]


_SCRATCH = (ctypes.c_int64 * 8)()
# name → (a pattern that must be there, a pattern that must not)
LOCKED = r"\block\b|\bxchg|mfence"
EMITTED = {
    "load_acquire": (r"^movq \(%\w+\), %\w+$", LOCKED),
    "load_relaxed": (r"^movq \(%\w+\), %\w+$", LOCKED),
    "store_release": (r"^movq %\w+, \(%\w+\)$", LOCKED),
    "store_relaxed": (r"^movq %\w+, \(%\w+\)$", LOCKED),
    "fetch_add": (r"^lock\b.*xaddq", r"mfence"),
    "exchange": (r"^xchgq %\w+, \(%\w+\)$", r"mfence"),
    "compare_and_swap": (r"^lock\b.*cmpxchgq", r"mfence"),
    "fence_acquire": (r"^retq$", LOCKED),
    "fence_release": (r"^retq$", LOCKED),
    "fence_full": (r"^mfence$|^lock\b.*or[lq] ", r"\bxchg"),
    "compiler_barrier": (r"^retq$", LOCKED),
    "pause": (r"^pause$", LOCKED),
    "prefetch_read": (r"^prefetcht\d \(%\w+\)$", LOCKED),
    "prefetch_write": (r"^prefetch(w|t\d) \(%\w+\)$", LOCKED),
}


@pytest.mark.skipif(interpreted(), reason="nothing is emitted")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="patterns are of x86-64")
@pytest.mark.parametrize("name", SHAPES)
def test_emitted_instructions(name: str):
    lines = instructions(name)
    wanted, unwanted = EMITTED[name]
    # "lock" may stand on a line of its own before the instruction it belongs to.
    joined = re.sub(r"\block\n", "lock ", "\n".join(lines))
    assert re.search(wanted, joined, re.M), joined
    assert not re.search(unwanted, joined, re.M), joined
