"""The executor's counters, each bound to its word once: `counts.sent.value += 1`."""

from __future__ import annotations

import ctypes

from shm.counters import COUNTERS, OFFSETS, CounterArea

OWNER = "executor"


class Counts:
    """One attribute per counter of the executor, see shm.counters."""

    def __init__(self, area: CounterArea) -> None:
        block = area.block(OWNER)
        for counter in COUNTERS:
            if counter.owner == OWNER:
                place = block + OFFSETS[f"{OWNER}.{counter.label}"]
                self.__dict__[counter.label] = ctypes.c_int64.from_address(place)

    def __getattr__(self, name: str) -> ctypes.c_int64:
        raise AttributeError(f"no such counter: {OWNER}.{name}")
