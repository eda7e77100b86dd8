"""Tell the venue's time: one clock that everything in the exchange reads."""

from __future__ import annotations

import time

from exchange.faults.switches import Switches


class Clock:
    """Be the wall clock in ms, shifted while the fault `clock_offset` is armed.

    Signed requests are measured by it and `serverTime` is it, so a shift looks to clients like a
    step of the venue's clock or of their own.
    """

    __slots__ = ("_switches",)

    def __init__(self, switches: Switches) -> None:
        self._switches = switches

    def now_ms(self) -> int:
        """Return the venue's time in ms since 1970, UTC."""
        now_ms = time.time_ns() // 1_000_000
        if self._switches.on_clock:
            fault = self._switches.holding("clock_offset")
            if fault is not None:
                now_ms += fault.number("offset_ms")
        return now_ms
