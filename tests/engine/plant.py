"""An engine with rings on private memory that can be killed, restarted and put back."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from config.settings import Settings
from engine.parameters import configure
from engine.restart import make_cold, request_book
from engine.state import (
    ENGINE,
    KEPT_OFFSET,
    SYMBOL_STATE,
    book_address,
    prepare,
    state_size,
    symbol_state_address,
)
from runtime.wait_layout import WAIT, WaitStrategy
from shm import counters, rings
from shm.histogram_layout import HISTOGRAM
from shm.memory import copy_bytes
from shm.records import MARKET_EVENT, REPORT, SIGNAL
from shm.ring_layout import RING, SLOTS_OFFSET, format_ring, ring_size
from shm.tables import BOOK_REQUEST
from tests.compiled import exported
from tests.naive.engine_bench import aligned

RECORDS = {"market": MARKET_EVENT, "signals": SIGNAL, "reports": REPORT}
# ENGINE's own words that must not depend on a kill; `event` and the marks are looked at apart.
KEPT = (
    "signal_id", "market_position", "report_position", "inventories", "foreign_ids",
    "fill_order_ids", "fill_lots",
)  # fmt: skip
STAMP = SIGNAL.offset("written_ns")


class Plant:
    """An engine, its rings and tables; `image` and `put_back` take and restore all of it."""

    def __init__(self, settings: Settings, symbol_count: int, capacity: int = 1024) -> None:
        self.symbol_count, self._settings = symbol_count, settings
        self._blocks: list[tuple[Any, int, int]] = []
        self.address = self._block(state_size(settings, symbol_count))
        self.rings = {
            name: self._block(ring_size(capacity if name == "market" else 256, record.size))
            for name, record in RECORDS.items()
        }
        for name, record in RECORDS.items():
            gates = int(name != "market")
            format_ring(self.rings[name], capacity if gates == 0 else 256, record.size, gates)
        self.counters = self._block(counters.AREA_SIZE)
        self.histogram = self._block(HISTOGRAM.size)
        self.requests = self._block(BOOK_REQUEST.size * symbol_count)
        self.wait = self._block(WAIT.size)
        WAIT.at(self.wait).strategy = int(WaitStrategy.SPIN)
        self.engine = ENGINE.at(self.address)
        self.start(restarted=False)

    def _block(self, size: int) -> int:
        memory, address = aligned(size)
        self._blocks.append((memory, address, size))
        return address

    def start(self, restarted: bool) -> None:
        """Do what the agent does at a start."""
        if restarted:
            rings.ring_recover(self.rings["signals"])
        engine = prepare(self.address, self.symbol_count, keep=restarted)
        for name, address in self.rings.items():
            setattr(engine, name, address)
        engine.wait, engine.counters, engine.histogram = self.wait, self.counters, self.histogram
        engine.book_requests = self.requests
        configure(self.address, self._settings, self._settings.trading.symbols)
        exported().engine_start(self.address, int(restarted))

    def image(self) -> list[bytes]:
        """Return all that it consists of."""
        return [ctypes.string_at(address, size) for _, address, size in self._blocks]

    def put_back(self, image: list[bytes]) -> None:
        """Make it what it was."""
        for (_, address, size), raw in zip(self._blocks, image, strict=True):
            ctypes.memmove(address, raw, size)

    def send(self, events: np.ndarray) -> None:
        for index in range(len(events)):
            slot = rings.ring_claim_broadcast(self.rings["market"])
            place = events.ctypes.data + index * MARKET_EVENT.size
            copy_bytes(slot, place, MARKET_EVENT.size - 8)
            rings.ring_publish(self.rings["market"], slot)

    def report(self, **values: int) -> None:
        slot = rings.ring_claim(self.rings["reports"])
        assert slot
        made = REPORT.new()
        for name, value in values.items():
            setattr(made, name, value)
        copy_bytes(slot, ctypes.addressof(made), REPORT.size - 8)
        rings.ring_publish(self.rings["reports"], slot)

    def look(self) -> None:
        """Look at the rings once: the deadline has passed."""
        exported().engine_run(self.address, 1)

    def event_copied(self) -> int:
        """Return the sequence of the event copied last, its position + 1."""
        return MARKET_EVENT.at(self.address + ENGINE.offset("event")).sequence

    def chill(self, symbol: int) -> None:
        """Make a symbol as cold as a torn one is made."""
        make_cold(self.address, symbol)
        request_book(self.address, symbol)

    def state(self, symbol: int = 0) -> Any:
        return SYMBOL_STATE.at(symbol_state_address(self.address, symbol))

    def book(self, symbol: int = 0) -> int:
        return book_address(self.address, self.symbol_count, symbol)

    def counter(self, label: str) -> int:
        place = self.counters + counters.offset(f"engine.{label}")
        return ctypes.c_int64.from_address(place).value

    def signals(self) -> list[bytes]:
        """Return all signals in the ring, without a clock's stamp and their place in the ring."""
        tail, start = RING.at(self.rings["signals"]).tail, self.rings["signals"] + SLOTS_OFFSET
        assert tail <= 256
        raw = [ctypes.string_at(start + n * SIGNAL.size, SIGNAL.size) for n in range(tail)]
        return [record[:STAMP] + record[STAMP + 8 : -8] for record in raw]

    def end(self) -> dict[str, Any]:
        """Return everything that must not depend on a kill."""
        start = self.address + ENGINE.size
        size = state_size(self._settings, self.symbol_count) - ENGINE.size
        assert self.engine.applying == self.engine.undo_symbol == 0
        kept = {}
        for name in KEPT:
            assert ENGINE.offset(name) >= KEPT_OFFSET
            value = getattr(self.engine, name)
            kept[name] = value if isinstance(value, int) else list(value)
        return {"states": ctypes.string_at(start, size), "signals": self.signals(), **kept}
