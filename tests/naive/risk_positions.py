"""A slow, obvious twin of positions: a set of lots per order, sums in fractions."""

from __future__ import annotations

from fractions import Fraction


class Order:
    """The lots of one order that are known to be filled, each once."""

    def __init__(self) -> None:
        self.lots: dict[int, int] = {}  # index of the lot within the order → price

    def fill(self, price: int, lot: int, filled: int) -> int:
        """Apply a fill; return how many of its lots were new."""
        fresh = [k for k in range(max(0, filled - lot), filled) if k not in self.lots]
        for k in fresh:
            self.lots[k] = price
        return len(fresh)

    @property
    def value(self) -> int:
        return sum(self.lots.values())


def realized(side: int, entries: list[int], exits: list[int], value_e8: int) -> int:
    """Return the closed part's result: exits against the average entry, cost rounded down."""
    if not entries:
        return 0
    closed = min(len(exits), len(entries))
    cost = Fraction(sum(entries) * value_e8 * closed, len(entries))
    return side * (sum(exits) * value_e8 - cost.__floor__())


def unrealized(side: int, entries: list[int], closed: int, price: int, value_e8: int) -> int:
    """Return what closing the rest at a price would bring."""
    whole = sum(entries) * value_e8
    cost = whole - (Fraction(whole * closed, len(entries)).__floor__())
    return side * ((len(entries) - closed) * price * value_e8 - cost)
