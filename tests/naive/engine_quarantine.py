"""What is refused of one symbol, and when its entries may go on, from the documentation.

The twin of engine/quarantine.py and of the refusals in engine/events.py and venue_clock.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.reasons import Refusal

PRICES = range(1, 2**40 + 1)
LOTS = range(1, 2**48 + 1)


class NaiveGuard:
    """Judge what comes in; `forget` is called when the symbol's state starts over."""

    def __init__(self, settings: Any, forget: Callable[[], None]) -> None:
        self.limit = settings.signals.jump_max_pct
        self.wait_ms = round(settings.signals.quarantine_s * 1000)
        self.forget = forget
        self.counts: Counter[Refusal] = Counter()
        self.reasons: set[Refusal] = set()
        self.sound: list[int] = []  # clocks of evaluations since the last refusal
        self.sound_ms = 0
        self._start_over()

    def _start_over(self) -> None:
        self.clock = self.reference = 0
        self.late_run = 0
        self.jumps: list[int] = []
        self.sound, self.sound_ms = [], 0
        self.forget()

    def refuse(self, reason: Refusal) -> None:
        self.counts[reason] += 1
        self.reasons.add(reason)
        self.sound, self.sound_ms = [], self.clock

    def evaluated(self) -> None:
        """Note that the signals were evaluated: something sound came in."""
        if not self.reasons:
            return
        self.jumps = []
        self.sound.append(self.clock)
        self.sound_ms = self.sound_ms or self.clock
        if len(self.sound) >= 16 and self.clock - self.sound_ms >= self.wait_ms:
            self.reasons = set()

    def is_near(self, *ticks: int) -> bool:
        reach = self.limit * self.reference
        return not self.reference or all(abs(tick - self.reference) <= reach for tick in ticks)

    def is_jump(self, low: int, high: int) -> bool:
        middle = (low + high) // 2
        if self.is_near(low, high):
            half = int(0.5 * self.limit * self.reference)
            if not self.reference or not self.reference - half <= low <= high <= (
                self.reference + half
            ):
                self.reference = middle
            return False
        agrees = self.jumps and abs(middle - self.jumps[0]) <= self.limit * self.jumps[0]
        self.jumps = [*self.jumps, middle] if agrees else [middle]
        if len(self.jumps) < 16:
            return True
        self._start_over()
        self.reference = middle
        return False

    def prices(self, low: int, high: int, *lots: int, is_best: bool = False) -> bool:
        """Return whether a trade or best prices are sound but for their time."""
        reason = None
        if low not in PRICES or high not in PRICES:
            reason = Refusal.PRICE
        elif is_best and low >= high:
            reason = Refusal.CROSSED_BEST
        elif self.is_jump(low, high):
            reason = Refusal.JUMP
        elif any(lot not in LOTS for lot in lots):
            reason = Refusal.QUANTITY
        if reason is not None:
            self.refuse(reason)
        return reason is None

    def book(self, bid: int, ask: int) -> bool:
        """Return whether a whole book is where the market is; 0 = a side is empty."""
        if not self.reference:
            return True
        half = int(0.5 * self.limit * self.reference)
        odd = [bid] if bid > self.reference + half else []
        odd += [ask] if 0 < ask < self.reference - half else []
        if odd and not self.is_near(odd[0]) and self.is_jump(odd[0], odd[0]):
            self.refuse(Refusal.JUMP)
            return False
        return True

    def time(self, venue_ns: int) -> bool:
        """Return whether an event's time is taken; the clock follows."""
        ms = venue_ns // 1_000_000
        if venue_ns <= 0:
            self.refuse(Refusal.TIME)
            return False
        if self.clock - ms > 10_000:
            self.late_run += 1
            if self.late_run < 16:
                self.refuse(Refusal.TIME)
                return False
            self._start_over()
        self.late_run = 0
        self.clock = max(self.clock, ms)
        return True
