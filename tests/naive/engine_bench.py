"""An engine in private memory, driven event by event, for the tests of this package."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from config.settings import Settings
from engine.parameters import configure
from engine.state import (
    ENGINE,
    PARAMETERS,
    PARAMETERS_OFFSET,
    SYMBOL_STATE,
    THRESHOLDS,
    book_address,
    prepare,
    state_size,
    symbol_state_address,
    thresholds_address,
)
from shm import counters
from shm.records import SIGNAL, SYMBOL_COUNT_MAX
from shm.tables import BOOK_REQUEST


def aligned(size: int) -> tuple[Any, int]:
    """Return zeroed memory and a 64-byte aligned address in it."""
    memory = ctypes.create_string_buffer(size + 64)
    return memory, (ctypes.addressof(memory) + 63) & ~63


class Bench:
    """An engine on private memory: no rings, no clock."""

    def __init__(self, settings: Settings, symbol_count: int = 2, require_book: bool = True):
        self.memory, self.address = aligned(state_size(settings, symbol_count))
        self.symbol_count = symbol_count
        self._size = state_size(settings, symbol_count)
        self.engine = prepare(self.address, symbol_count, keep=False)
        self._counter_memory, block = aligned(counters.AREA_SIZE)
        self._request_memory, requests = aligned(BOOK_REQUEST.size * SYMBOL_COUNT_MAX)
        self._block = block
        self.engine.counters = block
        self.engine.book_requests = self.requests = requests
        self.parameters = PARAMETERS.at(self.address + PARAMETERS_OFFSET)
        names = (*settings.trading.symbols, *["OTHERUSDT"] * symbol_count)[:symbol_count]
        configure(self.address, settings, names, require_book)

    def thresholds(self, symbol: int = 0) -> Any:
        return THRESHOLDS.at(thresholds_address(self.address, symbol))

    def state(self, symbol: int = 0) -> Any:
        return SYMBOL_STATE.at(self.state_address(symbol))

    def state_address(self, symbol: int = 0) -> int:
        return symbol_state_address(self.address, symbol)

    def book(self, symbol: int = 0) -> int:
        return book_address(self.address, self.symbol_count, symbol)

    def counter(self, label: str) -> int:
        place = self._block + counters.offset(f"engine.{label}")
        return ctypes.c_int64.from_address(place).value

    def wanted(self, symbol: int) -> int:
        return BOOK_REQUEST.at(self.requests + symbol * BOOK_REQUEST.size).wanted

    def run(self, process_many: Any, events: np.ndarray, capacity: int = 4096) -> np.ndarray:
        """Take events in and return the signals as records."""
        events = np.ascontiguousarray(events)
        signals = np.zeros(capacity, SIGNAL.dtype)
        found = process_many(
            self.address, events.ctypes.data, len(events), signals.ctypes.data, capacity
        )
        return signals[:found]

    def state_bytes(self) -> bytes:
        """Return everything that events change: without addresses."""
        start = self.address + ENGINE.size
        return ctypes.string_at(start, self._size - ENGINE.size)
