"""A slow, obvious twin of market making in risk: the venue's orders, and what their fills make.

It keeps every fill as single lots and derives everything from their list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BID, ASK = 0, 1


@dataclass
class Resting:
    """An order at the venue, as the venue has it."""

    order: Any
    place: int
    left: int
    canceled: bool = False  # a cancel has arrived, its report has not been written


@dataclass
class Venue:
    """The orders of one symbol, and every lot that was filled: (side, price)."""

    max_notional: int  # ticks × lots
    live: dict[int, Resting] = field(default_factory=dict)
    lots: list[tuple[int, int]] = field(default_factory=list)

    @property
    def net(self) -> int:
        return sum(side for side, _ in self.lots)

    def on_side(self, place: int) -> list[Resting]:
        return [resting for resting in self.live.values() if resting.place == place]

    def place(self, order: Any, bid: int, ask: int) -> None:
        """Take a quote; it must be the only one of its side, post-only, and within the limit."""
        place = BID if order.side > 0 else ASK
        assert not self.on_side(place), "two orders on a side"
        assert order.price_tick < ask if place == BID else order.price_tick > bid, "it crosses"
        worst = self.net + order.side * order.quantity_lot
        grows = abs(worst) > abs(self.net)
        assert not grows or abs(worst) * order.price_tick <= self.max_notional, "beyond the limit"
        self.live[order.order_id] = Resting(order, place, order.quantity_lot)

    def fill(self, order_id: int, lot: int) -> tuple[Any, int, int]:
        """Fill lots of an order; return its order, price and what was filled of it before."""
        resting = self.live[order_id]
        order = resting.order
        done = order.quantity_lot - resting.left
        resting.left -= lot
        self.lots += [(order.side, order.price_tick)] * lot
        if not resting.left:
            del self.live[order_id]
        return order, order.price_tick, done

    def cash(self) -> int:
        """Return what all fills have brought in, ticks × lots."""
        return -sum(side * price for side, price in self.lots)

    def round_trips(self) -> int:
        """Return how often the net position came back to zero."""
        net = trips = 0
        for side, _ in self.lots:
            net += side
            trips += net == 0
        return trips

    def cost(self) -> float:
        """Return what the lots that are held have cost, at moving average, ticks × lots."""
        net, cost = 0, 0.0
        for side, price in self.lots:
            if net * side >= 0:
                cost += price
            else:
                cost -= cost / abs(net)
            net += side
        return cost
