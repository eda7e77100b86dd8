"""`AdvancedMemoryManager`: ticks into pool-backed windows through the compiled kernels.

A thin face for people who want the memory layer alone: the pool, the views and the kernels are
those that the pipeline is built from. Everything is allocated when it is made.
"""

from __future__ import annotations

import ctypes
import mmap
import operator
from typing import Any

from shm.hardware_counters import CacheCounters
from shm.pool_layout import POOL, format_pool, free_indices, pool_size
from shm.records import SYMBOL_COUNT_MAX
from shm.window_layout import (
    BAD_PRICE,
    BAD_SIZE,
    BAD_SYMBOL,
    STORED,
    TICK_DESK,
    TICK_WINDOW,
    TICK_WINDOW_SIZE,
    WINDOW_TICKS,
)
from shm.windows import window_store_tick

_REJECTED = {BAD_SYMBOL: "unknown symbol", BAD_PRICE: "bad price", BAD_SIZE: "bad size"}


class AdvancedMemoryManager:
    """Pre-allocated tick windows for a number of symbols; one thread works with one manager.

    Args:
        symbol_count: symbol indices run from 0 to symbol_count - 1.
        window_count: windows in the pool; fewer than symbols means that the symbols that come last
            find it full. 0 makes one per symbol.

    Raises:
        ValueError: symbol_count or window_count is out of range.
    """

    def __init__(self, symbol_count: int = SYMBOL_COUNT_MAX, window_count: int = 0) -> None:
        if not 1 <= symbol_count <= SYMBOL_COUNT_MAX:
            raise ValueError(
                f"symbol_count must be 1..{SYMBOL_COUNT_MAX}: symbol_count={symbol_count}"
            )
        window_count = window_count or symbol_count
        pool_bytes = pool_size(window_count, TICK_WINDOW_SIZE)
        rows_offset = TICK_DESK.size
        pool_offset = -(-(rows_offset + 8 * symbol_count) // mmap.PAGESIZE) * mmap.PAGESIZE
        # Private pages, page-aligned and zero; populated now, so that no tick takes a page fault.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        self._map = mmap.mmap(-1, pool_offset + pool_bytes, flags=flags)
        export = ctypes.c_char.from_buffer(self._map)
        self._address = ctypes.addressof(export)
        del export
        self._pool = self._address + pool_offset
        format_pool(self._pool, window_count, TICK_WINDOW_SIZE)
        self._windows = (ctypes.c_int64 * symbol_count).from_address(self._address + rows_offset)
        self._desk = TICK_DESK.at(self._address)
        self._desk.pool = self._pool
        self._desk.windows = self._address + rows_offset
        self._desk.symbol_count = symbol_count
        window_store_tick(self._address, -1)  # compiles the kernel; refused, and not to be counted
        self._desk.rejected = 0
        self._cache = CacheCounters()

    def process_tick_zero_alloc(self, *, symbol_idx: int, price: float, size: float) -> bool:
        """Store one tick in the window of its symbol; nothing is allocated.

        Args:
            symbol_idx: row of the symbol.
            price: in units of the quote asset, finite and above zero.
            size: in units of the base asset, finite and above zero.

        Returns:
            True when it was stored, False when the symbol has no window and none is free.

        Raises:
            ValueError: unknown symbol index, or a price or size that is NaN, infinite, zero or
                negative; the message holds the value. Nothing was stored, and it was counted.
            TypeError: an argument is no number, or the index no integer.
        """
        symbol = operator.index(symbol_idx)  # a float must not make numba compile a second kernel
        self._desk.price = price
        self._desk.size = size
        # What does not fit into an int64 is as unknown as -1.
        inside = 0 <= symbol < self._desk.symbol_count
        result = window_store_tick(self._address, symbol if inside else -1)
        if result >= 0:
            return result == STORED
        values = {BAD_SYMBOL: symbol_idx, BAD_PRICE: price, BAD_SIZE: size}
        raise ValueError(f"{_REJECTED[result]}: {values[result]!r}")

    def recent_ticks(self, symbol_idx: int) -> list[tuple[float, float]]:
        """Return the ticks in a symbol's window as (price, size), oldest first (allocates).

        Raises:
            ValueError: unknown symbol index.
        """
        if not 0 <= symbol_idx < len(self._windows):
            raise ValueError(f"unknown symbol: {symbol_idx!r}")
        address = self._windows[symbol_idx]
        if not address:
            return []
        window = TICK_WINDOW.at(address)
        first = max(0, window.count - WINDOW_TICKS)
        places = [tick % WINDOW_TICKS for tick in range(first, window.count)]
        return [(window.price[place], window.size[place]) for place in places]

    def get_performance_stats(self) -> dict[str, dict[str, Any]]:
        """Return counts of ticks, memory and cache.

        `performance_counters.cache_hit_rate` is the share of this thread's last-level cache
        references since the manager was made that were no misses, as the processor counted them.
        Where it counts none, the key is absent and `cache_hit_rate_unavailable` says why.
        """
        desk, pool = self._desk, POOL.at(self._pool)
        free_count = len(free_indices(self._pool))
        counters: dict[str, Any] = {
            "ticks": desk.ticks,
            "rejected": desk.rejected,
            "full": desk.full,
            "pool_exhausted": pool.exhausted,
        }
        counters |= self._cache_hit_rate()
        memory = {
            "bytes": len(self._map),
            "windows": pool.object_count,
            "windows_free": free_count,
            "window_bytes": TICK_WINDOW_SIZE,
            "ticks_per_window": WINDOW_TICKS,
        }
        return {"performance_counters": counters, "memory": memory}

    def _cache_hit_rate(self) -> dict[str, Any]:
        if self._cache.refusal:
            return {"cache_hit_rate_unavailable": self._cache.refusal}
        references, misses = self._cache.read()
        if references <= 0:
            return {"cache_hit_rate_unavailable": "the processor counted no cache references"}
        return {"cache_hit_rate": 1.0 - min(misses, references) / references}

    def close(self) -> None:
        """Give memory and counters back; the manager is not to be used after it."""
        self._cache.close()
        self._map.close()

    def __enter__(self) -> AdvancedMemoryManager:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()
