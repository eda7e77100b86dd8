"""The breakout of examples/advanced_strategies.py from the words of its documentation.

The range comes from a list of all trades, not from the engine's grid.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any


class NaiveBreakout:
    """One symbol's trades; `side` is asked after each evaluated event."""

    def __init__(self) -> None:
        self.trades: list[tuple[int, int]] = []

    def see(self, ms: int, tick: int) -> None:
        self.trades.append((ms, tick))

    def _price_at_end_of(self, bucket: int) -> int:
        return [tick for ms, tick in self.trades if ms // 250 <= bucket][-1]

    def side(self, now_ms: int, scores: dict[str, Any], trend: float) -> int:
        """Return +1, −1 or 0; scores hold None for a signal that is not known."""
        if scores["momentum"] is None or scores["order_flow"] is None or not self.trades:
            return 0
        now = now_ms // 250
        if now - self.trades[0][0] // 250 < 40:
            return 0
        prices = [self._price_at_end_of(now - back) for back in range(2, 41)]
        low, high, price = min(prices), max(prices), self.trades[-1][1]
        margin, pressure = max(Fraction(high - low, 10), 1), scores["order_flow"]
        if price - high >= margin and trend > 0 and pressure >= 0.2:
            return 1
        if low - price >= margin and trend < 0 and pressure <= -0.2:
            return -1
        return 0
