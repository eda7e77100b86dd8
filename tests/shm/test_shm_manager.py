"""AdvancedMemoryManager: ticks in windows, refusals, counts, and nothing allocated."""

from __future__ import annotations

import gc
import math
import os
import random
import struct
import sys
import tracemalloc

import pytest

import shm
from shm import manager
from shm.compiled import interpreted
from shm.hardware_counters import CacheCounters
from shm.manager import AdvancedMemoryManager
from shm.window_layout import WINDOW_TICKS
from tests.naive.shm_windows import NaiveWindows

SEED = 2_026


@pytest.fixture
def four():
    with AdvancedMemoryManager(4, 3) as made:
        yield made


def test_package_offers_it_by_name():
    assert shm.AdvancedMemoryManager is AdvancedMemoryManager


def test_random_ticks_against_lists(four):
    print("seed", SEED)
    rng = random.Random(SEED)
    naive = NaiveWindows(4, 3, WINDOW_TICKS)
    odd = [0.0, -1.0, math.nan, math.inf, -math.inf, -0.0, 5e-324]
    for _ in range(3_000):
        symbol = rng.choice((-1, 0, 1, 2, 3, 4, 1 << 70))
        price = rng.choice(odd) if rng.random() < 0.1 else rng.uniform(1, 1e5)
        size = rng.choice(odd) if rng.random() < 0.1 else rng.uniform(1e-8, 1e3)
        wanted = naive.store(symbol, price, size)
        if isinstance(wanted, bool):
            got = four.process_tick_zero_alloc(symbol_idx=symbol, price=price, size=size)
            assert got is wanted
        else:
            with pytest.raises(ValueError, match=wanted):
                four.process_tick_zero_alloc(symbol_idx=symbol, price=price, size=size)
    for symbol in range(4):
        assert four.recent_ticks(symbol) == naive.windows.get(symbol, [])
    counters = four.get_performance_stats()["performance_counters"]
    assert {key: counters[key] for key in naive.counts} == naive.counts
    assert all(naive.counts.values())


@pytest.mark.parametrize(
    ("symbol", "price", "size", "words"),
    [
        (0, math.nan, 1.0, "bad price: nan"),
        (0, 0.0, 1.0, "bad price: 0.0"),
        (0, -2.5, 1.0, "bad price: -2.5"),
        (0, 1.0, math.inf, "bad size: inf"),
        (0, 1.0, -1e-9, "bad size: -1e-09"),
        (4, 1.0, 1.0, "unknown symbol: 4"),
        (-1, 1.0, 1.0, "unknown symbol: -1"),
        (1 << 64, 1.0, 1.0, f"unknown symbol: {1 << 64}"),
        (9, math.nan, math.nan, "unknown symbol: 9"),
    ],
)
def test_refusal_names_the_value_and_stores_nothing(four, symbol, price, size, words: str):
    with pytest.raises(ValueError, match=f"^{words}$"):
        four.process_tick_zero_alloc(symbol_idx=symbol, price=price, size=size)
    assert four.recent_ticks(0) == []
    assert four.get_performance_stats()["performance_counters"]["rejected"] == 1


@pytest.mark.parametrize("symbol", [1.0, "0", None])
def test_index_that_is_no_integer_is_a_type_error(four, symbol):
    with pytest.raises(TypeError):
        four.process_tick_zero_alloc(symbol_idx=symbol, price=1.0, size=1.0)


def test_full_pool_returns_false_and_keeps_the_others(four):
    for symbol in (3, 1, 0):
        assert four.process_tick_zero_alloc(symbol_idx=symbol, price=1.0, size=2.0) is True
    assert four.process_tick_zero_alloc(symbol_idx=2, price=1.0, size=2.0) is False
    assert four.process_tick_zero_alloc(symbol_idx=3, price=7.0, size=2.0) is True
    assert four.recent_ticks(3) == [(1.0, 2.0), (7.0, 2.0)]
    stats = four.get_performance_stats()
    assert stats["performance_counters"]["full"] == 1
    assert stats["performance_counters"]["pool_exhausted"] == 1
    assert stats["memory"]["windows_free"] == 0


@pytest.mark.parametrize("count", [0, -1, 129])
def test_symbol_count_is_checked(count: int):
    with pytest.raises(ValueError, match=f"symbol_count={count}"):
        AdvancedMemoryManager(count)


def test_unknown_symbol_has_no_ticks(four):
    with pytest.raises(ValueError, match="unknown symbol: 4"):
        four.recent_ticks(4)


@pytest.mark.skipif(interpreted(), reason="uncompiled kernels are Python and allocate")
def test_ten_thousand_ticks_allocate_nothing(four):
    prices = [100.0 + 0.5 * k for k in range(16)]

    def run(n: int) -> None:
        for k in range(n):
            four.process_tick_zero_alloc(symbol_idx=k & 1, price=prices[k & 15], size=1.0)

    run(2_000)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        run(100)
        before_bytes, before_blocks = tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()
        run(10_000)
        after_blocks, after_bytes = sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after_blocks - before_blocks <= 5, "blocks that the measurement itself holds"
    assert after_bytes - before_bytes <= 512
    assert four.get_performance_stats()["performance_counters"]["ticks"] == 12_100


def test_cache_hit_rate_is_counted_or_absent_with_the_reason(four):
    for _ in range(1_000):
        four.process_tick_zero_alloc(symbol_idx=0, price=1.0, size=1.0)
    counters = four.get_performance_stats()["performance_counters"]
    if "cache_hit_rate" in counters:
        assert 0.0 <= counters["cache_hit_rate"] <= 1.0
        assert "cache_hit_rate_unavailable" not in counters
    else:
        assert counters["cache_hit_rate_unavailable"]


def group_of(references: int, misses: int):
    """Return an opener whose group reads these counts, as perf_event_open's would."""
    read_end, write_end = os.pipe()
    os.write(write_end, struct.pack("<QQQ", 2, references, misses))
    descriptors = [write_end, read_end]
    return lambda event, leader: descriptors.pop()


@pytest.mark.parametrize(
    ("references", "misses", "wanted"),
    [(1_000, 250, 0.75), (10, 0, 1.0), (10, 10, 0.0), (10, 12, 0.0)],
)
def test_hit_rate_is_computed_from_the_counts(monkeypatch, references, misses, wanted):
    opener = group_of(references, misses)
    monkeypatch.setattr(manager, "CacheCounters", lambda: CacheCounters(opener))
    with AdvancedMemoryManager(1) as made:
        counters = made.get_performance_stats()["performance_counters"]
    assert counters["cache_hit_rate"] == wanted
    assert "cache_hit_rate_unavailable" not in counters


def test_no_references_is_no_rate(monkeypatch):
    opener = group_of(0, 0)
    monkeypatch.setattr(manager, "CacheCounters", lambda: CacheCounters(opener))
    with AdvancedMemoryManager(1) as made:
        counters = made.get_performance_stats()["performance_counters"]
    assert "cache_hit_rate" not in counters
    assert "no cache references" in counters["cache_hit_rate_unavailable"]


def test_refused_counters_state_the_reason_and_leak_nothing():
    read_end, write_end = os.pipe()
    os.close(write_end)
    answers: list[int | OSError] = [read_end, OSError(13, "Permission denied")]

    def opener(event: int, leader: int) -> int:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    counters = CacheCounters(opener)
    assert counters.refusal == "Permission denied"
    with pytest.raises(OSError, match="Permission denied"):
        counters.read()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read_end)
