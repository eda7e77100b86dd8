"""The account by the book: fractions, one dictionary a leg, no thought for speed.

Amounts are whole USDT as fractions; what the venue rounds is rounded to 1e-8 at the same places.
"""

from __future__ import annotations

import math
from fractions import Fraction

UNIT = Fraction(1, 10**8)


def down(amount: Fraction) -> Fraction:
    return math.floor(amount / UNIT) * UNIT


def nearest(amount: Fraction) -> Fraction:
    return math.floor(amount / UNIT + Fraction(1, 2)) * UNIT


class NaiveAccount:
    """`tick` and `lot` are the sizes of a tick in USDT and of a lot in the base asset."""

    def __init__(self, tick: Fraction, lot: Fraction, wallet: Fraction) -> None:
        self.step = tick * lot  # what cost is counted in
        self.tick, self.lot = tick, lot
        self.wallet = wallet
        self.legs = {side: {"size": Fraction(0), "cost": Fraction(0)} for side in "BLS"}
        self.realised = dict.fromkeys("BLS", Fraction(0))
        self.history: list[tuple[str, Fraction]] = []

    def change(self, kind: str, amount: Fraction) -> None:
        self.wallet += amount
        if amount:
            self.history.append((kind, amount))

    def fill(self, leg: str, side: int, price: Fraction, size: Fraction, rate: Fraction) -> None:
        """`side` is 1 for a buy; `rate` the fee as a share of the notional."""
        held = self.legs[leg]
        profit = Fraction(0)
        closes = min(size, abs(held["size"])) if held["size"] * side < 0 else Fraction(0)
        if closes:
            average = held["cost"] / held["size"]
            bought_for = closes * (1 if held["size"] > 0 else -1) * average
            bought_for = math.floor(bought_for / self.step) * self.step
            profit = -side * closes * price - bought_for
            held["cost"] -= bought_for
        held["cost"] += side * (size - closes) * price
        held["size"] += side * size
        self.realised[leg] += profit
        self.change("REALIZED_PNL", profit)
        self.change("COMMISSION", -nearest(size * price * rate))

    def fund(self, rate: Fraction, mark: Fraction) -> None:
        for held in self.legs.values():
            if held["size"]:
                self.change("FUNDING_FEE", down(-held["size"] * mark * rate))

    def unrealised(self, mark: Fraction) -> Fraction:
        return sum((held["size"] * mark - held["cost"] for held in self.legs.values()), Fraction(0))

    def initial(self, mark: Fraction, leverage: int) -> Fraction:
        shares = (abs(held["size"] * mark) / leverage for held in self.legs.values())
        return sum((-down(-share) for share in shares), Fraction(0))

    def maintenance(self, mark: Fraction, table: list[tuple[int, Fraction]]) -> Fraction:
        """`table` has (cap in USDT, ratio): each slice of the notional bears its own ratio."""
        total = Fraction(0)
        for held in self.legs.values():
            notional, floor = abs(held["size"] * mark), 0
            for cap, ratio in table:
                total += max(Fraction(0), min(notional, Fraction(cap)) - floor) * ratio
                floor = cap
        return total

    def end_of_margin(self, table: list[tuple[int, Fraction]], highest: int) -> Fraction | None:
        """Return a price below `highest` where the margin ends, found by halving, or None.

        The margin is concave in the price, so there are at most two; one leg or two of one size
        have one.
        """

        def left(price: Fraction) -> Fraction:
            return self.wallet + self.unrealised(price) - self.maintenance(price, table)

        low, high = Fraction(0), Fraction(highest)
        if (left(low) > 0) == (left(high) > 0):
            return None
        for _ in range(64):
            middle = (low + high) / 2
            if (left(middle) > 0) == (left(low) > 0):
                low = middle
            else:
                high = middle
        return (low + high) / 2
