"""What `executor_wait` must find, told slowly: one look at everything, in plain Python."""

from __future__ import annotations

import ctypes
import select
from typing import Any


def look(ring_memory: Any, epoll: select.epoll, bell_fd: int, watched: list[int]) -> set[str]:
    """Return the names of what is there now: order, woken, and the places of readable fds."""
    found = set()
    capacity, slot_size = ring_memory.capacity, ring_memory.slot_size
    start = ctypes.addressof(ring_memory) + ring_memory.slots_offset
    slot = start + (ring_memory.head_0 % capacity) * slot_size
    sequence = ctypes.c_int64.from_address(slot + slot_size - 8).value
    if sequence == ring_memory.head_0 + 1:
        found.add("order")
    ready = [fd for fd, _ in epoll.poll(0)]
    if bell_fd in ready:
        found.add("woken")
    found |= {f"place {place}" for place, fd in enumerate(watched) if fd in ready}
    return found
