"""Describe what every order in a book has in common, whoever sent it."""

from __future__ import annotations


class RestingOrder:
    """Be an order that can rest in a book; `owner` is 0 for the market's own flow.

    `slot` is its place in the matching book, -1 while it does not rest there.
    """

    __slots__ = ("order_id", "owner", "price_tick", "remaining_lot", "side", "slot")

    def __init__(
        self, order_id: int, side: int, price_tick: int, remaining_lot: int, owner: int = 0
    ) -> None:
        self.order_id = order_id
        self.side = side
        self.price_tick = price_tick
        self.remaining_lot = remaining_lot
        self.owner = owner
        self.slot = -1
