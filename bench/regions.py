"""Shared anonymous memory for benches: survives a fork, needs no name, goes with the process."""

from __future__ import annotations

import ctypes
import mmap

from shm.pool_layout import format_pool, pool_size
from shm.ring_layout import format_ring, ring_size

_KEPT: list[mmap.mmap] = []


def region(size: int) -> int:
    """Return the address of zeroed, page-aligned, populated memory that forks share."""
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mapped = mmap.mmap(-1, size, flags=flags)
    _KEPT.append(mapped)
    return ctypes.addressof(ctypes.c_char.from_buffer(mapped))


def new_ring(capacity: int, cursor_count: int, slot_size: int = 64) -> int:
    """Return the address of an empty ring."""
    address = region(ring_size(capacity, slot_size))
    format_ring(address, capacity, slot_size, cursor_count)
    return address


def new_pool(object_count: int, object_size: int) -> int:
    """Return the address of a pool whose objects are all free."""
    address = region(pool_size(object_count, object_size))
    format_pool(address, object_count, object_size)
    return address


def words(count: int) -> tuple[int, ctypes.Array[ctypes.c_int64]]:
    """Return address and array of `count` shared int64 words."""
    address = region(8 * count)
    return address, (ctypes.c_int64 * count).from_address(address)
