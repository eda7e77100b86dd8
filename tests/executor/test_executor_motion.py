"""A symbol that is quoted without a pause gets its verdict like any other."""

from decimal import Decimal

import pytest
from executor_venue import Behaviour, VenueOrder

from shm.records import OrderAction, OrderReason, OrderStatus, OrderType, TimeInForce
from shm.tables import Distrust

QUOTE = {
    "type": OrderType.LIMIT,
    "price_tick": 600_000,
    "time_in_force": TimeInForce.GTX,
    "reason": OrderReason.QUOTE,
}


class Quoter:
    """Be risk: keep one quote in the symbol, replace it at once; every third one is filled."""

    def __init__(self, rig, venue):
        self.rig, self.venue = rig, venue
        self.order_id = self.count = self.canceled_id = 0

    def step(self):
        rig = self.rig
        status = rig.status(self.order_id)
        if status == OrderStatus.FREE and self.order_id and not rig.reports_of(self.order_id):
            return  # still in the ring
        if status == OrderStatus.FREE or status >= OrderStatus.FILLED:
            self.count += 1
            if self.count % 3 == 0:
                self.venue.behaviours.append(Behaviour(fills=(("60000.0", "0.010"),)))
            side = 1 if self.count % 2 else -1
            self.order_id = rig.write_order(side=side, **QUOTE)
        elif status == OrderStatus.NEW and self.canceled_id != self.order_id:
            self.canceled_id = self.order_id
            rig.write_order(action=OrderAction.CANCEL, order_id=self.order_id)

    def until(self, holds):
        def look():
            self.step()
            return holds()

        return look


@pytest.fixture
def quoter(make_rig, venue):
    rig = make_rig(order_rows=4096, queue=1024)
    rig.start()
    made = Quoter(rig, venue)
    rig.pump(made.until(lambda: made.count > 3))
    return made


def test_quotes_that_go_on_are_no_difference(quoter):
    rig = quoter.rig
    before = rig.count("reconciliations")
    for _ in range(5):
        rig.agent._reconciler.foreign(0)
        done = rig.count("reconciliations")
        rig.pump(quoter.until(lambda done=done: rig.count("reconciliations") > done))
        assert rig.memory.trust(0).distrust == 0
    assert rig.count("reconciliations") >= before + 5
    assert quoter.count > 20
    assert rig.count("mismatches") == rig.count("corrections") == 0


def test_a_fill_that_nobody_told_is_found_and_taken_over(quoter, venue):
    rig = quoter.rig
    venue.positions["BTCUSDT"] = venue.positions.get("BTCUSDT", Decimal(0)) + Decimal("0.007")
    rig.agent._reconciler.foreign(0)
    rig.pump(quoter.until(lambda: rig.memory.trust(0).distrust == Distrust.POSITION), 20.0)
    before = quoter.count
    rig.pump(quoter.until(lambda: rig.count("corrections") == 1), 30.0)
    assert quoter.count > before
    (report,) = [r for r in rig.seen if r["order_id"] == 0]
    assert (report["side"], report["fill_lot"]) == (1, 7)
    rig.pump(quoter.until(lambda: rig.memory.trust(0).distrust == 0), 10.0)


def test_orders_of_others_and_lost_ones_are_found(quoter, venue):
    rig = quoter.rig
    resting = rig.write_order(**QUOTE | {"price_tick": 590_000})
    rig.pump(quoter.until(lambda: rig.status(resting) == OrderStatus.NEW))
    (lost,) = venue.by_client_id(rig.client_id(resting))
    params = {"symbol": "BTCUSDT", "newClientOrderId": "web_1", "quantity": "1", "side": "BUY"}
    other = VenueOrder(1, {**params, "type": "LIMIT"})
    lost.status = "CANCELED"
    venue.orders.append(other)
    rig.agent._reconciler.foreign(0)
    rig.pump(quoter.until(lambda: rig.status(resting) == OrderStatus.CANCELED))
    rig.pump(quoter.until(lambda: rig.memory.trust(0).distrust == Distrust.ORDER), 10.0)
    other.status = "CANCELED"
    rig.agent._reconciler.foreign(0)
    rig.pump(quoter.until(lambda: rig.memory.trust(0).distrust == 0), 10.0)
    assert rig.count("corrections") == 0
