"""Random stories of quotes, fills, cancels, halts and crashes against the naive twin."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from shm.records import OrderAction, OrderReason, OrderStatus
from shm.tables import HaltReason, PositionState
from tests.naive.risk_quotes import ASK as ASK_PLACE
from tests.naive.risk_quotes import BID as BID_PLACE
from tests.naive.risk_quotes import Venue
from tests.risk.quote_desk import QuoteDesk

VALUE_E8 = 10_000
LIMIT_USD = 1000.0
STEPS = 400


class Story:
    """One desk, one venue, and what the engine wanted last."""

    def __init__(self, kernels, seed: int) -> None:
        changes = {
            "quoting__max_inventory_usd": LIMIT_USD,
            "risk__stop_loss_pct": 0.4,
            "risk__max_portfolio_risk": 1.0,
            "risk__max_drawdown": 0.9,
            "risk__max_daily_loss": 0.9,
            "risk__max_order_notional_usd": 5_000.0,
            "trading__max_position_usd": 5_000.0,
            "risk__max_orders_per_s": 300,
        }
        self.desk = QuoteDesk(kernels, queue=512, **changes)
        self.rng = random.Random(seed)
        self.venue = Venue(int(LIMIT_USD * 10_000))
        self.middle = 450_000
        self.fees = 0
        self.placed_while_halted = 0
        self.move(0)

    @property
    def best(self) -> tuple[int, int]:
        return self.middle - 5, self.middle + 5

    def move(self, by: int) -> None:
        self.middle += by
        self.desk.best(*self.best)

    def take_orders(self) -> None:
        """Let the venue take what risk has written, in order."""
        for order in self.desk.orders():
            if order.reason != OrderReason.QUOTE:
                raise AssertionError(f"not of market making: {order}")
            if order.action == OrderAction.CANCEL:
                resting = self.venue.live.get(order.order_id)
                if resting is not None:
                    resting.canceled = True
                continue
            assert self.desk.control.halt_reason == 0, "placed while halted"
            self.venue.place(order, *self.best)

    def step(self) -> None:
        rng, desk, live = self.rng, self.desk, self.venue.live
        # The pauses have tests of their own; here they would only make stories dull.
        for place in (BID_PLACE, ASK_PLACE):
            desk.quotes().retry_ns[place] = 0
        if desk.control.halt_reason and rng.random() < 0.3:
            desk.control.halt_reason = 0
        what = rng.choice((0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9))
        if what < 3:
            lot = rng.choice((0, 1, 3, 4, 9))
            bid = self.best[0] - rng.randrange(4)
            ask = self.best[1] + rng.randrange(4)
            seen = desk.reports_read() - (rng.randrange(3) if rng.random() < 0.3 else 0)
            other = rng.choice((0, lot, 5))
            desk.quote(
                bid if lot else 0, lot, ask if other else 0, other, report_position=max(seen, 0)
            )
        elif what < 6 and live:
            reducing = [i for i, r in live.items() if r.order.side * self.venue.net < 0]
            self.fill(rng.choice(reducing if reducing and rng.random() < 0.6 else list(live)))
        elif what == 6:
            for order_id in [i for i, r in live.items() if r.canceled]:
                desk.say(live.pop(order_id).order, OrderStatus.CANCELED)
        elif what == 7 and live:
            order_id = rng.choice(list(live))
            status = rng.choice((OrderStatus.NEW, OrderStatus.UNKNOWN, OrderStatus.EXPIRED))
            resting = live[order_id]
            done = resting.order.quantity_lot - resting.left
            desk.say(resting.order, status, filled_lot=done)
            if status == OrderStatus.EXPIRED:
                del live[order_id]
        elif what == 8:
            self.move(rng.randrange(-3, 4))
        elif rng.random() < 0.5:
            halted = desk.control.halt_reason
            desk.control.halt_reason = 0 if halted else int(HaltReason.NOT_READY)
        else:
            desk.recover()

    def fill(self, order_id: int) -> None:
        """Fill some lots; sometimes the report comes twice."""
        left = self.venue.live[order_id].left
        lot = self.rng.randint(1, left)
        order, _, done = self.venue.fill(order_id, lot)
        fee = self.rng.randrange(-50, 1000)
        self.fees += fee
        for _ in range(self.rng.choice((1, 1, 2))):
            self.desk.trade(order, lot=lot, done=done, fee_e8=fee)

    def check(self) -> None:
        """Compare what risk believes with the list of all lots."""
        desk, venue = self.desk, self.venue
        row, control = desk.position(), desk.control
        assert row.quantity_lot == venue.net
        assert row.round_trips == venue.round_trips()
        assert control.fee_e8 == self.fees
        net = venue.net
        price = self.best[0] if net > 0 else self.best[1]
        # The cost of a closed part is rounded down to 1e-8 quote.
        worth = (venue.cash() + net * price) * VALUE_E8
        assert control.realized_e8 + control.unrealized_e8 == worth
        assert desk.header.untrusted == 0
        held = net != 0
        assert control.open_position_count == int(held or bool(self.known_orders()))
        assert (row.state == PositionState.FLAT) == (control.open_position_count == 0)
        if held:
            cost = venue.cost()
            # Each reduction rounds the cost that stays up by less than a tick × lot.
            assert abs(desk.quotes().cost_value - cost) <= len(venue.lots)
            assert (row.stop_tick - cost / abs(net)) * row.side < 0

    def known_orders(self) -> list[int]:
        quotes = self.desk.quotes()
        found = [*quotes.order_id, *quotes.stray_order_id]
        return [order_id for order_id in found if order_id]

    def settle(self) -> None:
        """Let everything on its way arrive."""
        desk, venue = self.desk, self.venue
        for _ in range(6):
            for order_id in [i for i, r in venue.live.items() if r.canceled]:
                desk.say(venue.live.pop(order_id).order, OrderStatus.CANCELED)
            quotes = desk.quotes()
            for place in (BID_PLACE, ASK_PLACE):
                quotes.retry_ns[place] = 0
                if quotes.cancel_ns[place]:
                    quotes.cancel_ns[place] = 1
            desk.look(2)
            self.take_orders()

    def run(self, steps: int, look: Callable[[Callable[[], Any]], Any]) -> None:
        """Tell the story; `look` makes the stage look, and may let it die in the middle."""
        desk = self.desk
        for number in range(steps):
            self.step()
            look(desk.look)
            self.take_orders()
            self.check()
            if number % 50 == 49:
                self.come_to_rest()

    def come_to_rest(self) -> None:
        """Halt until nothing stands, then want two lots a side: they stand where they may."""
        desk, venue = self.desk, self.venue
        desk.control.halt_reason = int(HaltReason.NOT_READY)
        desk.look()
        self.settle()
        assert not venue.live and not self.known_orders()
        desk.control.halt_reason = 0
        bid, ask = self.best
        desk.quote(bid, 2, ask, 2)
        self.settle()
        for place, sign in ((BID_PLACE, 1), (ASK_PLACE, -1)):
            worst = abs(venue.net + 2 * sign) * (bid, ask)[place]
            stands = [resting.left for resting in venue.on_side(place)]
            assert stands == ([2] if worst <= venue.max_notional else []) or stands == [1]
