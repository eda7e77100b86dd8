"""Signals by the test's own hand: the engine is frozen, and the test writes its ring instead.

What comes behind the ring is what a real run has: risk, executor, the venue. The run needs a
heartbeat timeout that is longer than the test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from typing import Any

from risk.limit_table import REJECTED_COUNTERS
from risk.state import SYMBOL_STATE, SYMBOLS_OFFSET
from runtime import kernels
from shm.records import SIGNAL, Strategy
from shm.ring_layout import HEAD_OFFSET, RING
from shm.tables import ORDER_ROW
from shm.topology import SharedMemory
from tests.system.pipeline import wait_until

PATIENT = ("supervisor.heartbeat_timeout_ms=60000",)
# The engine gives no signal before it is frozen.
SILENT_ENGINE = ("scalping.signal_threshold=0.99", "scalping.confidence_threshold=0.99")

AGED = {"rejected_stale", "rejected_late", "rejected_no_mark"}


class Hand:
    """The only producer of the ring `signals` until `release`; made by the fixture `take_over`."""

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory
        self._kernels = kernels.load("ahead" if kernels.compiler() else "jit")
        self._pid = memory.process("engine").pid
        assert self._pid > 1, "no engine to freeze"
        os.kill(self._pid, signal.SIGSTOP)
        self._count = 0

    def release(self) -> None:
        """Let the engine go on, if it still is the one that was frozen."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def has_price(self, symbol: int) -> bool:
        """Return whether risk knows the best prices of a symbol."""
        return bool(self.best(symbol)[0])

    def best(self, symbol: int) -> tuple[int, int]:
        """Return best bid and ask as risk read them, ticks; 0, 0 = unknown."""
        return best_prices(self.memory, symbol)

    def send(self, symbol: int = 0, side: int = 1, age_ms: int = 0, **changes: Any) -> None:
        """Write a sound signal at the prices that risk knows, or one that is changed."""
        bid, ask = self.best(symbol)
        self._count += 1
        now = time.monotonic_ns() - age_ms * 1_000_000
        values = {
            "origin_ns": now,
            "written_ns": now,
            "venue_ns": time.time_ns(),
            "signal_id": 1_000_000 + self._count,
            "bid_tick": bid or 1,
            "ask_tick": ask or 2,
            "strength": 0.9,
            "confidence": 0.9,
            "volatility": 1e-4,
            "symbol": symbol,
            "strategy": int(Strategy.MOMENTUM),
            "side": side,
        } | changes
        ring = self.memory.ring("signals")
        slot = self._kernels.ring_claim(ring)
        assert slot, "the ring `signals` is full"
        target = SIGNAL.at(slot)
        for field in SIGNAL:
            if field.name != "sequence" and not field.overlay and field.count == 1:
                setattr(target, field.name, values.get(field.name, 0))
        self._kernels.ring_publish(ring, slot)

    def verdict(self, **changes: Any) -> bool:
        """Send a signal; return whether it became an entry."""
        get = self.memory.counters.get
        accepted, rejected = get("risk.accepted"), get("risk.rejected")
        self.send(**changes)
        wait_until(
            lambda: get("risk.rejected") + get("risk.accepted") > rejected + accepted,
            10.0,
            f"a verdict: {changes}",
        )
        return get("risk.accepted") > accepted

    def enter(self, symbol: int, **changes: Any) -> None:
        """Send signals until one becomes an entry: prices may be too old for a moment."""
        pause = threading.Event()
        for _ in range(100):
            if self.verdict(symbol=symbol, **changes):
                return
            pause.wait(0.02)
        raise AssertionError(f"no entry: {refusals(self.memory)}")

    def refused(self, label: str, **changes: Any) -> None:
        """Send a signal and check that it is refused, for that reason.

        Prices may be too old for a moment, which comes first: then it is sent again.
        """
        pause = threading.Event()
        for _ in range(100):
            before = refusals(self.memory)
            assert not self.verdict(**changes), (label, changes)
            after = refusals(self.memory)
            moved = {key for key, count in after.items() if count != before.get(key, 0)}
            if moved == {label}:
                return
            assert moved <= AGED, (label, changes, moved)
            pause.wait(0.02)
        raise AssertionError((label, changes, refusals(self.memory)))


def best_prices(memory: SharedMemory, symbol: int) -> tuple[int, int]:
    """Return best bid and ask as risk read them, ticks; 0, 0 = unknown."""
    row = SYMBOL_STATE.at(memory.state("risk") + SYMBOLS_OFFSET + symbol * SYMBOL_STATE.size)
    return (row.bid_tick, row.ask_tick) if row.best_valid else (0, 0)


def refusals(memory: SharedMemory) -> dict[str, int]:
    """Return the counters of refused signals that are not 0."""
    found = {label: memory.counters.get(f"risk.{label}") for label in REJECTED_COUNTERS}
    return {label: value for label, value in found.items() if value}


def waiting(memory: SharedMemory, ring: str) -> int:
    """Return how many records of a gated ring its first consumer has not taken."""
    address = memory.ring(ring)
    return int(RING.at(address).tail - ctypes.c_int64.from_address(address + HEAD_OFFSET).value)


def order_rows(memory: SharedMemory) -> list[Any]:
    """Return the executor's rows that are in use, in place, oldest order first."""
    rows = [
        ORDER_ROW.at(memory.order_rows + index * ORDER_ROW.size)
        for index in range(memory.order_row_count)
    ]
    return sorted((row for row in rows if row.order_id), key=lambda row: row.order_id)
