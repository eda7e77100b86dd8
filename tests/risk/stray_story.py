"""Random stories of orders that were taken for absent and turn up, several at a time.

    NUMBA_DISABLE_JIT=1 python -m tests.risk.stray_story [seeds]

Each of a side's orders, or of a symbol's stops, is given up for absent, so that another is placed.
Then they turn up and end in any order. Uncompiled, a trace ends looks at random lines.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from shm.records import OrderAction, OrderStatus
from tests.naive.risk_strays import Side
from tests.risk.desk import Desk
from tests.risk.quote_cuts import cut_stories
from tests.risk.quote_desk import ASK, BID, QuoteDesk

COUNT = 6
Look = Callable[[Callable[[], Any]], Any]


class QuoteSide:
    """The bids of a quoted symbol."""

    def __init__(self, kernels: Any, seed: int) -> None:
        self.desk: Any = QuoteDesk(kernels)
        self.rng = random.Random(seed)

    def place(self) -> Any:
        row = self.desk.quotes()
        row.retry_ns[0] = 0
        self.desk.quote(BID - 5, 4, ASK + 5, 4)
        self.desk.look()
        (order,) = [order for order in self.desk.orders() if order.side > 0]
        return order

    def rows(self) -> tuple[int, int]:
        row = self.desk.quotes()
        return row.order_id[0], row.stray_order_id[0]

    def let_time_pass(self) -> None:
        row = self.desk.quotes()
        row.stray_ns[0] = min(row.stray_ns[0], 1)
        row.wanted_lot[0] = 0

    def say(self, order: Any, status: OrderStatus) -> None:
        self.desk.say(order, status)


class Stops:
    """The stops of a symbol with a position."""

    def __init__(self, kernels: Any, seed: int) -> None:
        self.desk: Any = Desk(
            kernels,
            trading__base_position_usd=1000.0,
            risk__max_order_notional_usd=5000.0,
            risk__venue_stop=True,
            risk__unprotected_close_ms=0,
        )
        self.rng = random.Random(seed)
        self.desk.open(1)
        self.first = self.desk.orders()

    def place(self) -> Any:
        if not self.first:
            self.desk.guard().retry_ns = 0
            self.desk.look()
            self.first = self.desk.orders()
        return self.first.pop()

    def rows(self) -> tuple[int, int]:
        return self.desk.guard().order_id, self.desk.guard().stray_order_id

    def let_time_pass(self) -> None:
        guard = self.desk.guard()
        guard.stray_ns = min(guard.stray_ns, 1)
        guard.retry_ns = 1 << 62

    def say(self, order: Any, status: OrderStatus) -> None:
        self.desk.report(order, status)


def tell(story: Any, look: Look) -> int:
    """Play one story to its end; return how many strays stood at once at the most."""
    twin, most = Side(), 0
    placed = []
    for _ in range(COUNT):
        order = story.place()
        story.say(order, OrderStatus.REJECTED)
        story.desk.look()
        placed.append(order)
    unseen, live = list(placed), []
    while unseen or live:
        story.let_time_pass()
        if unseen and (not live or story.rng.random() < 0.6):
            order = unseen.pop(story.rng.randrange(len(unseen)))
            live.append(order)
            twin.turn_up(order.order_id)
            story.say(order, OrderStatus.NEW)
        else:
            order = live.pop(story.rng.randrange(len(live)))
            twin.end(order.order_id)
            story.say(order, OrderStatus.CANCELED)
        look(story.desk.look)
        assert story.rows() == (twin.meant, twin.canceling)
        most = max(most, len(twin.strays))
        ours = {o.order_id for o in placed}
        written = [o for o in story.desk.orders() if o.order_id in ours or o.order_id > max(ours)]
        canceled = {o.order_id for o in written if o.action == OrderAction.CANCEL}
        assert all(o.action == OrderAction.CANCEL for o in written), "placed beside strays"
        # A timer may come before the report of the end.
        there = {o.order_id for o in (*live, order)}
        assert canceled <= there, f"canceled={canceled} there={there}"
        assert not twin.canceling or twin.canceling in canceled, "a stray is not canceled"
    return most


if __name__ == "__main__":
    sys.exit(cut_stories([QuoteSide, Stops], 20, tell))
