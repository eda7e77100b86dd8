"""An engine on memory of the bench: without rings for its kernels alone, or with real ones."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.regions import new_ring, region
from config.loader import load
from config.settings import Settings
from engine.parameters import configure
from engine.state import (
    ENGINE,
    PARAMETERS_OFFSET,
    book_address,
    prepare,
    state_size,
    thresholds_address,
)
from runtime.wait_layout import WAIT, WaitStrategy
from shm import counters
from shm.histogram_layout import HISTOGRAM
from shm.records import MARKET_EVENT, REPORT, SIGNAL
from shm.ring_layout import RING, SLOTS_OFFSET
from shm.tables import BOOK_REQUEST

# Signals come often enough to be measured: the shares of the work are those of the default.
EAGER = (
    "performance.signal_cooldown_sec=0.0",
    "scalping.signal_threshold=0.01",
    "scalping.confidence_threshold=0.3",
    "scalping.order_flow_imbalance=0.01",
    "signals.warmup_events=20",
)
SIGNALS_MAX = 1 << 15


def settings_of(*overrides: str) -> Settings:
    """Return the documented defaults, whatever the environment says."""
    return load(env_file=None, environ={}, overrides=list(overrides))


class EngineMemory:
    """Be an engine's memory; `clear` makes it cold again without a system call."""

    def __init__(self, settings: Settings, symbol_count: int, require_book: bool = True) -> None:
        self.symbol_count = symbol_count
        self._size = state_size(settings, symbol_count)
        self.address = region(self._size)
        self._settings, self._require_book = settings, require_book
        self._block = region(counters.AREA_SIZE)
        self._requests = region(BOOK_REQUEST.size * symbol_count)
        self._signals = region(SIGNAL.size * SIGNALS_MAX)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        ctypes.memset(self.address, 0, self._size)
        ctypes.memset(self._block, 0, counters.AREA_SIZE)
        self.engine = prepare(self.address, self.symbol_count, keep=False)
        self.engine.counters, self.engine.book_requests = self._block, self._requests
        names = ["INVENTED"] * self.symbol_count
        configure(self.address, self._settings, names, self._require_book)
        ctypes.memset(self._signals, 0, SIGNAL.size * SIGNALS_MAX)

    @property
    def parameters(self) -> int:
        """Return the address of its PARAMETERS."""
        return self.address + PARAMETERS_OFFSET

    @property
    def thresholds(self) -> int:
        """Return the address of its THRESHOLDS, by symbol."""
        return thresholds_address(self.address, 0)

    @property
    def signals(self) -> int:
        """Return the address of SIGNALS_MAX zeroed records."""
        return self._signals

    def book(self, symbol: int) -> int:
        """Return the address of a symbol's book."""
        return book_address(self.address, self.symbol_count, symbol)

    def counter(self, label: str) -> int:
        """Return one of the engine's counters."""
        return ctypes.c_int64.from_address(self._block + counters.offset(f"engine.{label}")).value

    def add_rings(self, capacity: int) -> None:
        """Give it a market, signals that nobody has to read, and no reports."""
        engine = self.engine
        engine.market = new_ring(capacity, 0, MARKET_EVENT.size)
        engine.signals = new_ring(SIGNALS_MAX, 1, SIGNAL.size)
        engine.reports = new_ring(64, 1, REPORT.size)
        engine.histogram = region(HISTOGRAM.size)
        engine.wait = region(WAIT.size)
        WAIT.at(engine.wait).strategy = int(WaitStrategy.SPIN)

    def written(self) -> npt.NDArray[Any]:
        """Return a copy of the signals in its ring."""
        ring = RING.at(self.engine.signals)
        start = self.engine.signals + SLOTS_OFFSET
        raw = ctypes.string_at(start, ring.tail * SIGNAL.size)
        return np.frombuffer(raw, SIGNAL.dtype)


def run(kernels: Any, memory: EngineMemory, events: npt.NDArray[Any]) -> bytes:
    """Take events in; return the signals as bytes."""
    found = kernels.engine_process_many(
        memory.address, events.ctypes.data, len(events), memory.signals, SIGNALS_MAX
    )
    assert found <= SIGNALS_MAX, f"more signals than there is room for: {found}"
    return ctypes.string_at(memory.signals, found * SIGNAL.size)


assert ENGINE.size % 64 == 0
