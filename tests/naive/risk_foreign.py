"""Slow, obvious twin of foreign fills: a list of lots, closed in whatever order costs the same."""

from __future__ import annotations

from fractions import Fraction


class Holding:
    """One symbol's position as signed lots at an average price, with the result of what closed."""

    def __init__(self) -> None:
        self.lots = 0
        self.cost = Fraction(0)  # of the lots held, ticks × lots, positive
        self.result = Fraction(0)  # ticks × lots, before fees
        self.opened_by_others = False

    def fill(self, side: int, lots: int, tick: int, foreign: bool) -> None:
        """Add one fill."""
        if self.lots * side < 0:
            closing = min(abs(self.lots), lots)
            part = self.cost * Fraction(closing, abs(self.lots))
            self.result += (closing * tick - part) * (1 if self.lots > 0 else -1)
            self.cost -= part
            self.lots += side * closing
            lots -= closing
        if lots:
            if self.lots == 0:
                self.opened_by_others = foreign
            self.lots += side * lots
            self.cost += lots * tick
