"""Fills of a quoted symbol as one net position: sums, round trips, its stop, its exits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shm.records import OrderReason, OrderStatus, Strategy
from shm.tables import PositionState
from tests.risk.desk import is_exit
from tests.risk.quote_desk import ASK, BID, QuoteDesk, is_cancel, is_quote


@pytest.fixture
def desk(quote_desk) -> QuoteDesk:
    return quote_desk


def test_inventory_adds_reduces_and_turns_around(desk):
    bid, ask = desk.stand()
    desk.trade(bid)
    desk.look()
    row = desk.position()
    first_id = row.position_id
    assert (row.quantity_lot, row.side, row.strategy) == (4, 1, Strategy.MARKET_MAKING)
    assert (row.state, row.target_tick, row.partial_tick, row.hold_ns_max) == (
        PositionState.OPEN, 0, 0, 0,
    )  # fmt: skip
    assert row.stop_tick == BID - 5 - int((BID - 5) * 0.002)
    desk.orders()
    desk.trade(ask, lot=2)
    desk.look()
    assert (row.quantity_lot, row.round_trips) == (2, 0)
    desk.trade(ask, lot=2, done=2)
    desk.look()
    assert (row.quantity_lot, row.round_trips, row.position_id) == (0, 1, first_id)
    assert desk.control.realized_e8 == 4 * 20 * 10_000
    assert desk.control.fee_e8 == 3000
    assert row.state == PositionState.FLAT and desk.count("round_trips") == 1
    bid, ask = desk.stand(lot=6)
    desk.trade(bid, lot=2)
    desk.look()
    desk.orders()
    assert row.position_id == first_id + 1
    desk.trade(ask, lot=6)
    desk.look()
    assert (row.quantity_lot, row.side, row.entry_lot, row.exit_lot) == (-4, -1, 4, 0)
    assert (row.position_id, row.round_trips) == (first_id + 2, 2)
    assert row.stop_tick == ASK + 5 + int((ASK + 5) * 0.002)
    assert desk.control.realized_e8 == 6 * 20 * 10_000
    assert desk.control.open_position_count == 1
    assert desk.count("quote_fills_buy") == 2 and desk.count("quote_fills_sell") == 3
    assert desk.count("quote_fills_maker") == desk.count("fills") == 5


def test_the_stop_belongs_to_what_is_held(desk):
    """After many fills the average of all entries says nothing about the lots that are left."""
    bid, ask = desk.stand(lot=4)
    desk.trade(bid)
    desk.trade(ask, lot=3)
    desk.look()
    desk.orders()
    desk.say(ask, OrderStatus.CANCELED)
    desk.best(460_000, 460_010)
    desk.look()
    (bid,) = [order for order in desk.want(459_990, 1) if is_quote(order)]
    desk.trade(bid)
    desk.look()
    cost = (BID - 5) + 459_990
    assert desk.position().quantity_lot == 2
    assert desk.quotes().cost_value == cost
    assert desk.position().stop_tick == (cost + 1) // 2 - int(cost / 2 * 0.002)


def test_a_stop_closes_the_inventory_and_withdraws_the_quotes(desk):
    bid, ask = desk.stand()
    desk.trade(bid)
    desk.look()
    desk.orders()
    desk.best(449_000, 449_010)
    desk.look()
    orders = desk.orders()
    (close,) = [order for order in orders if is_exit(order)]
    assert close.reason == OrderReason.STOP and (close.side, close.quantity_lot) == (-1, 4)
    desk.look()
    canceled = [order for order in (*orders, *desk.orders()) if is_cancel(order, ask)]
    assert len(canceled) == 1 and desk.count("quotes_stopped_closing") >= 1
    # The ask is filled while both are on their way: nothing is left to close, and the exit ends.
    desk.trade(ask)
    desk.report(close, OrderStatus.EXPIRED)
    desk.look()
    row = desk.position()
    assert (row.quantity_lot, row.exit_order_id, row.state) == (0, 0, PositionState.FLAT)
    assert row.round_trips == 1
    assert len(desk.want(448_990, 4, 449_020, 4)) == 2


def kinds(orders):
    return ["exit" if is_exit(order) else order.side for order in orders]


@pytest.mark.parametrize("why", ["stop", "flatten"])
@pytest.mark.parametrize("side", [1, -1])
def test_the_cancels_of_quotes_are_in_the_ring_before_the_exit(desk, why, side):
    """The executor sends in order, so the exit cannot meet a quote of ours on its way."""
    bid, ask = desk.stand()
    desk.trade(bid if side > 0 else ask)
    desk.look()
    # Its own side is quoted again, which is the one that the exit would meet.
    (again,) = desk.want(BID - 5, 4, ASK + 5, 4)
    desk.say(again, OrderStatus.NEW)
    desk.look()
    assert again.side == side and desk.orders() == []
    if why == "stop":
        desk.best(BID - side * 1000, ASK - side * 1000)
    else:
        desk.control.kill_flatten = 1
    desk.look()
    orders = desk.orders()
    assert kinds(orders) == [1, -1, "exit"]
    assert is_cancel(orders[0 if side > 0 else 1], again)
    # They are asked for once, however often the exit is looked at.
    desk.look(3)
    assert desk.orders() == []


def test_an_exit_waits_while_the_cancels_have_no_room(desk):
    bid, ask = desk.stand()
    desk.trade(bid)
    desk.look()
    (again,) = desk.want(BID - 5, 4, ASK + 5, 4)
    desk.say(again, OrderStatus.NEW)
    desk.look()
    ring = desk.memory.ring("orders")
    while slot := desk.kernels.ring_claim(ring):
        desk.kernels.ring_publish(ring, slot)
    desk.kernels.ring_advance(ring, 0)
    # One slot is free: a cancel takes it, and nothing passes the other one.
    desk.best(449_000, 449_010)
    desk.look()
    written = desk.orders()
    assert is_cancel(written[-1], again) and not any(is_exit(order) for order in written)
    desk.symbol_state().retry_ns = 1
    desk.look()
    orders = desk.orders()
    assert kinds(orders) == [-1, "exit"] and is_cancel(orders[0], ask)


def test_an_exit_that_overlaps_a_fill_leaves_a_sound_position_on_the_other_side(desk):
    bid, ask = desk.stand()
    desk.trade(bid)
    desk.look()
    desk.orders()
    desk.best(449_000, 449_010)
    desk.look()
    (close,) = [order for order in desk.orders() if is_exit(order)]
    # The venue has filled the exit, then the ask; we hear it the other way round.
    desk.trade(ask)
    desk.fill(close, 449_000)
    desk.look()
    row = desk.position()
    assert (row.quantity_lot, row.side, row.state) == (-4, -1, PositionState.OPEN)
    assert row.exit_order_id == 0 and desk.header.untrusted == 0
    assert row.round_trips == 1


def test_foreign_fills_of_a_quoted_symbol_are_inventory(desk):
    report = {"symbol": 0, "fill_tick": BID, "fill_lot": 3, "filled_lot": 3, "order_id": 0}
    foreign = SimpleNamespace(order_id=0, position_id=0, symbol=0, side=1)
    desk.report(foreign, OrderStatus.FILLED, trade_id=7, **report)
    desk.look()
    row = desk.position()
    assert (row.quantity_lot, row.strategy) == (3, Strategy.MARKET_MAKING)
    assert row.stop_tick > 0
