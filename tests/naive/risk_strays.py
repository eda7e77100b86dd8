"""A slow, obvious twin of strays: the orders that stand on one side, and the one that may."""

from __future__ import annotations


class Side:
    """`meant` is the order that may stand; all others are to be canceled, one after the other."""

    def __init__(self) -> None:
        self.meant = 0
        self.strays: list[int] = []  # the first is the one that is being canceled

    def turn_up(self, order_id: int) -> None:
        """An order that was taken for absent is there."""
        if self.meant == 0:
            self.meant = order_id
        else:
            self.strays.append(order_id)

    def end(self, order_id: int) -> None:
        """An order has ended."""
        if order_id == self.meant:
            self.meant = 0
            return
        first = self.strays[0]
        self.strays.remove(order_id)
        if order_id == first:
            self.strays.sort()

    @property
    def canceling(self) -> int:
        return self.strays[0] if self.strays else 0
