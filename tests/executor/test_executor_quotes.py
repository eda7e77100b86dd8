"""Resting post-only orders: refused when they would take, canceled against fills, compared."""

import pytest
from executor_venue import Behaviour

from executor import venue as wire
from shm.records import (
    OrderAction,
    OrderReason,
    OrderStatus,
    OrderType,
    ReportFlag,
    TimeInForce,
)

QUOTE = {
    "type": OrderType.LIMIT,
    "price_tick": 600_000,
    "time_in_force": TimeInForce.GTX,
    "reason": OrderReason.QUOTE,
}


def test_a_quote_that_would_take_liquidity_ends_quietly(rig, venue):
    rig.start()
    venue.behaviours.append(Behaviour(error=(400, -5022, "Post Only order will be rejected")))
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.REJECTED)
    assert rig.reports_of(order_id) == [("REJECTED", 0, 0)]
    assert rig.seen[-1]["error_code"] == wire.CODE_WOULD_TAKE
    assert rig.count("would_take") == 1
    assert rig.log.events("warning") == rig.log.events("error") == []


def test_reports_say_that_an_order_is_a_quote(rig, venue):
    rig.start()
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.fill(venue.orders[-1], "60000.0", "0.004")
    rig.pump(lambda: rig.status(order_id) == OrderStatus.PARTIALLY_FILLED)
    assert [seen["flags"] for seen in rig.seen] == [int(ReportFlag.QUOTE)] * 2
    other = rig.write_order()
    rig.pump(lambda: rig.reports_of(other))
    assert rig.seen[-1]["flags"] & ReportFlag.QUOTE == 0


def test_a_cancel_that_crosses_a_fill_ends_as_the_venue_says(rig, venue):
    rig.start()
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    # The fill is on its way, and the cancel finds nothing: the order is asked for.
    venue.fill(venue.orders[-1], "60000.0", "0.010", send=False)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.reports_of(order_id) == [("NEW", 0, 0), ("FILLED", 10, 10)]
    assert rig.row(order_id).filled_value == 6_000_000


def test_a_quote_filled_in_part_does_not_hold_up_the_comparison(rig, venue):
    rig.start()
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.fill(venue.orders[-1], "60000.0", "0.004")
    rig.pump(lambda: rig.status(order_id) == OrderStatus.PARTIALLY_FILLED)
    before = rig.count("reconciliations")
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.count("reconciliations") > before)
    assert rig.memory.control.reconciled == 1 and rig.count("mismatches") == 0


def test_a_restarted_executor_keeps_what_rests_and_cancels_it_when_asked(rig, venue):
    rig.start()
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    rig.kill()
    rig.start(restarted=True)
    assert venue.orders[0].status == "NEW"
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.CANCELED)
    assert venue.orders[0].status == "CANCELED"


@pytest.mark.parametrize("way", ["ws_api", "rest"])
def test_a_cancel_reaches_the_venue_before_the_exit_behind_it(rig, venue, way):
    rig.start()
    order_id = rig.write_order(**QUOTE)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    if way == "rest":
        venue.api_open = False
        venue.drop_api()
        rig.pump(lambda: not rig.agent._api.is_up)
    before = len(venue.requests)
    rig.write_order(action=OrderAction.CANCEL, order_id=order_id)
    exit_id = rig.write_order(side=-1, exit=True)
    rig.pump(lambda: rig.status(exit_id) == OrderStatus.NEW)
    sent = [(m, p) for m, p, _ in venue.requests[before:] if p == "/fapi/v1/order"]
    assert sent[:2] == [("DELETE", "/fapi/v1/order"), ("POST", "/fapi/v1/order")]
    (cancel,) = [p for m, _, p in venue.requests[before:] if m == "DELETE"]
    assert cancel["origClientOrderId"] == rig.client_id(order_id)
