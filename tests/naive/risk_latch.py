"""A slow, obvious twin of what risk latches for: equity against its peak, and against its day."""

from __future__ import annotations

from dataclasses import dataclass

from shm.latch_table import LatchReason


@dataclass
class Latch:
    """Equity's peak and day from the first step on, two comparisons at each step."""

    max_drawdown: float
    max_daily_loss: float
    peak: int = 0
    day: int = 0
    day_start: int = 0
    reason: LatchReason = LatchReason.NONE
    is_rearmed: bool = False

    def least_of_peak(self) -> float:
        """Return the equity below which there is a drawdown."""
        return (1.0 - self.max_drawdown) * self.peak

    def least_of_day(self) -> float:
        """Return the equity below which the day's loss is too great."""
        return (1.0 - self.max_daily_loss) * self.day_start

    def rearm(self) -> None:
        """Let a person lift the latch: its step then begins with the equity of that moment."""
        self.is_rearmed = self.is_rearmed or self.reason != LatchReason.NONE
        self.reason = LatchReason.NONE

    def wallet_changed(self, change: int) -> None:
        """Let the wallet change while the system was down: what was paid in is no profit."""
        if change > 0:
            self.peak += change
            self.day_start += change

    def paid_in(self, change: int) -> None:
        """Let money be paid in, or out where negative, while the system runs: it is no result."""
        self.peak += change
        self.day_start += change

    def step(self, equity: int, day: int) -> None:
        """Take an equity, at a day: one before the last begins none."""
        begins = self.is_rearmed or self.day_start == 0 or day > self.day
        self.peak = equity if self.is_rearmed else max(self.peak, equity)
        if begins:
            self.day, self.day_start = max(day, self.day), equity
        self.is_rearmed = False
        if self.reason == LatchReason.NONE and equity < self.least_of_peak():
            self.reason = LatchReason.DRAWDOWN
        if self.reason == LatchReason.NONE and equity < self.least_of_day():
            self.reason = LatchReason.DAILY_LOSS
