"""Do what is due once a second: marks, funding, triggers at the mark price, liquidation."""

from __future__ import annotations

from exchange.markets.marks import Marks
from exchange.trading.desk import Desk
from exchange.trading.funding import book_funding
from exchange.trading.liquidation import Liquidator


class Rounds:
    """Be the venue's second hand.

    # Ordering: funding is paid before triggers and liquidation look at the margin, as at the venue.
    """

    def __init__(self, marks: Marks, desk: Desk, liquidator: Liquidator) -> None:
        self._marks = marks
        self._desk = desk
        self._liquidator = liquidator

    def step(self) -> None:
        """Run one round."""
        desk = self._desk
        book_funding(desk.account, desk.events, self._marks.step())
        desk.on_marks()
        self._liquidator.check()
        desk.events.expire_key()
