"""Market making in risk: one order a side, limits, withdrawals, inventory, recovery."""

from __future__ import annotations

import time

import pytest

from risk.limit_table import REJECTED_COUNTERS
from shm.latch_table import LatchReason, trip
from shm.records import EventKind, OrderStatus, Strategy
from shm.tables import HaltReason, PositionState
from tests.risk.quote_desk import ASK, BID, QuoteDesk, is_cancel, is_quote

MS = 1_000_000


@pytest.fixture
def desk(quote_desk) -> QuoteDesk:
    return quote_desk


def test_a_quote_becomes_a_post_only_order_on_each_side(desk):
    bid, ask = desk.want(BID - 5, 4, ASK + 5, 3)
    assert is_quote(bid) and is_quote(ask)
    assert (bid.side, bid.price_tick, bid.quantity_lot) == (1, BID - 5, 4)
    assert (ask.side, ask.price_tick, ask.quantity_lot) == (-1, ASK + 5, 3)
    assert bid.strategy == ask.strategy == Strategy.MARKET_MAKING
    assert bid.expires_ns == bid.written_ns + 1000 * MS
    assert bid.origin_ns == desk.quotes().origin_ns and bid.signal_id == desk.quote_id
    # Quotes that may open a position count as one.
    assert desk.position().state == PositionState.ENTERING
    assert desk.control.open_position_count == 1
    assert desk.count("quotes") == 1 and desk.count("quote_orders") == 2
    # The same word again, and less than was wanted, change nothing.
    assert desk.want(BID - 5, 4, ASK + 5, 3) == []


def test_a_moved_quote_is_canceled_and_placed_anew_once_its_end_is_known(desk):
    bid, _ = desk.stand()
    (cancel,) = desk.want(BID - 6, 4, ASK + 5, 4)
    assert is_cancel(cancel, bid) and cancel.side == 1
    assert desk.want(BID - 7, 4, ASK + 5, 4) == []
    # A cancel that finds nothing says nothing: the end of the order is what counts.
    desk.say(bid, OrderStatus.UNKNOWN)
    desk.look()
    assert desk.orders() == []
    desk.say(bid, OrderStatus.CANCELED)
    desk.look()
    (again,) = desk.orders()
    assert is_quote(again) and again.price_tick == BID - 7
    assert desk.count("quote_cancels") == 1


def test_a_cancel_that_is_lost_is_written_again(desk):
    bid, _ = desk.stand()
    (first,) = desk.want(BID - 6, 4, ASK + 5, 4)
    desk.look()
    assert desk.orders() == []
    desk.quotes().cancel_ns[0] -= 1_001 * MS
    desk.look()
    (second,) = desk.orders()
    assert is_cancel(first, bid) and is_cancel(second, bid)


@pytest.mark.parametrize(("left", "is_kept"), [(4, True), (2, True), (1, False)])
def test_a_quote_filled_in_part_is_kept_while_half_of_it_is_left(desk, left, is_kept):
    bid, _ = desk.stand()
    if left < 4:
        desk.trade(bid, lot=4 - left)
        desk.look()
    orders = desk.want(BID - 5, 4, ASK + 5, 4)
    assert (orders == []) == is_kept
    # The engine that has noted the fill wants what is left, and that stands.
    if not is_kept:
        assert is_cancel(orders[0], bid)


def test_a_quote_decided_before_a_fill_was_known_places_nothing_on_its_side(desk):
    bid, _ = desk.stand()
    before = desk.reports_read()
    desk.trade(bid)
    desk.look()
    assert desk.orders() == []
    desk.quote(BID - 5, 4, ASK + 5, 4, report_position=before)
    desk.look()
    assert desk.orders() == [] and desk.count("quotes_unaware") == 1
    (again,) = desk.want(BID - 6, 4, ASK + 5, 4)
    assert is_quote(again) and again.price_tick == BID - 6


@pytest.mark.parametrize("status", [OrderStatus.EXPIRED, OrderStatus.REJECTED])
def test_a_quote_that_did_not_rest_waits_for_the_engine_and_a_pause(desk, status):
    bid, ask = desk.want(BID - 5, 4, ASK + 5, 4)
    desk.say(bid, status)
    desk.look()
    assert desk.orders() == [] and desk.count("quotes_failed") == 1
    assert desk.want(BID - 6, 4, ASK + 5, 4) == []
    desk.quotes().retry_ns[0] = 1
    desk.look()
    (again,) = desk.orders()
    assert again.price_tick == BID - 6 and again.side == ask.side * -1


def test_an_order_taken_for_absent_that_turns_up_is_a_stray_to_cancel(desk):
    bid, _ = desk.want(BID - 5, 4, ASK + 5, 4)
    desk.say(bid, OrderStatus.REJECTED)
    desk.look()
    desk.quotes().retry_ns[0] = 1
    (second,) = desk.want(BID - 6, 4, ASK + 5, 4)
    desk.say(bid, OrderStatus.NEW)
    desk.look()
    (cancel,) = desk.orders()
    assert is_cancel(cancel, bid) and desk.count("quotes_strayed") == 1
    desk.say(second, OrderStatus.CANCELED)
    desk.look()
    # The side is not free before the stray has ended.
    assert desk.want(BID - 7, 4, ASK + 5, 4) == []
    desk.say(bid, OrderStatus.CANCELED)
    desk.quotes().retry_ns[0] = 1
    desk.look()
    assert [order.price_tick for order in desk.want(BID - 7, 4, ASK + 5, 4)] in ([], [BID - 7])
    assert desk.quotes().order_id[0] > second.order_id


def stop_by(desk: QuoteDesk, how: str) -> None:
    control = desk.control
    if how == "halt":
        control.halt_reason = int(HaltReason.NOT_READY)
    elif how == "kill":
        trip(control, "operator", LatchReason.OPERATOR)
    elif how == "stop":
        control.stop_requested = 1
    elif how == "flatten":
        control.flatten_requested = 1
    elif how == "venue":
        control.reconciled = 0
    elif how == "invalid":
        desk.event(EventKind.INVALID)
    elif how == "stale":
        desk.symbol_state().seen_ns -= 60_001 * MS
    elif how == "lease":
        desk.quotes().quote_ns -= 60_001 * MS
    elif how == "drawdown":
        desk.header.peak_e8 = desk.header.floor_e8 = 1 << 50
    elif how == "untrusted":
        desk.header.untrusted = 1


STOPS = {
    "halt": "halted",
    "kill": "halted",
    "stop": "halted",
    "flatten": "halted",
    "venue": "halted",
    "drawdown": "halted",
    "untrusted": "halted",
    "invalid": "stale",
    "stale": "stale",
    "lease": "lease",
}


@pytest.mark.parametrize("how", STOPS)
def test_quotes_are_withdrawn_and_none_is_placed(desk, how):
    bid, ask = desk.stand()
    stop_by(desk, how)
    desk.look(2)
    first, second = desk.orders()
    assert is_cancel(first, bid) and is_cancel(second, ask)
    assert desk.count(f"quotes_stopped_{STOPS[how]}") == 1
    for order in (bid, ask):
        desk.say(order, OrderStatus.CANCELED)
    desk.look()
    assert desk.position().state == PositionState.FLAT
    assert desk.control.open_position_count == 0
    if how not in ("stale", "lease", "invalid"):
        assert desk.want(BID - 5, 4, ASK + 5, 4) == []


def test_after_a_halt_only_a_fresh_quote_brings_them_back(desk):
    bid, ask = desk.stand()
    desk.control.halt_reason = int(HaltReason.NOT_READY)
    desk.look()
    for order in (bid, ask):
        desk.say(order, OrderStatus.CANCELED)
    desk.look()
    desk.orders()
    desk.control.halt_reason = 0
    desk.look(3)
    assert desk.orders() == []
    assert len(desk.want(BID - 5, 4, ASK + 5, 4)) == 2


@pytest.mark.parametrize(
    ("label", "bid", "lot", "changes"),
    [
        ("cross", ASK, 4, {}),
        ("inventory", BID, 1000, {"quoting__max_inventory_usd": 1.0}),
        ("limit", BID - 45_000, 4, {}),
        ("limit", BID, 4, {"risk__max_order_notional_usd": 10.0}),
        ("rate", BID, 4, {"risk__max_orders_per_s": 1}),
    ],
)
def test_a_quote_beyond_a_limit_is_refused_with_its_reason(
    make_quote_desk, label, bid, lot, changes
):
    desk = make_quote_desk(**changes)
    if label == "rate":
        desk.want(BID, 4)
        desk.say(*desk.orders(), OrderStatus.CANCELED) if desk.orders() else None
        assert [order.side for order in desk.want(BID, 4, ASK, 4)] in ([], [-1])
        assert desk.count("quotes_refused_rate") >= 1
        return
    assert desk.want(bid, lot) == []
    assert desk.count(f"quotes_refused_{label}") == 1
    assert desk.position().state == PositionState.FLAT


def test_what_stands_is_cut_to_the_room_of_the_inventory(make_quote_desk):
    desk = make_quote_desk(quoting__max_inventory_usd=450.0, risk__max_order_notional_usd=2000.0)
    (bid,) = desk.want(BID, 30)
    assert bid.quantity_lot == 10
    desk.say(bid, OrderStatus.NEW)
    assert desk.want(BID, 30) == []
    desk.trade(bid)
    desk.look()
    desk.orders()
    assert desk.want(BID, 4) == [] and desk.count("quotes_refused_inventory") == 1
    # The side that reduces has the room of both.
    (ask,) = desk.want(0, 0, ASK, 30)
    assert ask.quantity_lot == 19


def test_what_reduces_the_inventory_passes_the_limits_of_what_is_at_stake(make_quote_desk):
    desk = make_quote_desk(risk__max_gross_notional_usd=200.0)
    bid, ask = desk.stand(lot=2)
    desk.trade(bid)
    desk.say(ask, OrderStatus.CANCELED)
    desk.look()
    assert desk.position().quantity_lot == 2
    desk.quotes().retry_ns[1] = 1
    both = desk.want(BID - 5, 3, ASK + 5, 2)
    assert [order.side for order in both] == [-1] and desk.count("quotes_refused_limit") == 1


def test_entries_of_a_quoted_symbol_are_refused(desk):
    desk.signal(1, 0)
    desk.best(BID, ASK, 1)
    desk.signal(1, 1)
    desk.look()
    (entry,) = desk.orders()
    assert entry.symbol == 1 and desk.count("rejected_quoted") == 1
    assert desk.count("rejected") == sum(desk.count(label) for label in REJECTED_COUNTERS) == 1


@pytest.mark.parametrize("lost", ["nothing", "report"])
def test_a_restarted_risk_withdraws_first_and_decides_from_the_rows(desk, lost):
    bid, ask = desk.stand()
    if lost == "report":
        desk.row(bid, OrderStatus.FILLED, filled_lot=4, filled_value=4 * (BID - 5), fee_e8=77)
        desk.order_state(bid.order_id).written_ns -= 2_000 * MS
    assert desk.recover() >> 8 == 0
    assert desk.header.untrusted == 0
    desk.look()
    orders = desk.orders()
    assert any(is_cancel(order, ask) for order in orders)
    assert not any(is_quote(order) for order in orders)
    if lost == "report":
        assert desk.position().quantity_lot == 4 and desk.control.fee_e8 == 77
        assert desk.quotes().order_id[0] == 0
    else:
        assert any(is_cancel(order, bid) for order in orders)


def test_ids_pass_by_the_rows_of_orders_that_stand_for_long(desk):
    """A quote may rest for a whole round of ids: the executor would refuse the id of its row."""
    bid, _ = desk.stand()
    rows = desk.memory.order_row_count
    desk.row(bid, OrderStatus.NEW)
    desk.header.last_order_id = rows + bid.order_id - 1
    desk.best(BID, ASK, 1)
    desk.signal(1, 1)
    desk.look()
    (entry,) = desk.orders()
    assert entry.order_id == rows + bid.order_id + 1


def test_quotes_without_sense_are_counted_and_change_nothing(desk):
    for values in (
        {"symbol": 9},
        {"symbol": 1},
        {"bid": BID},
        {"bid": -1, "bid_lot": 1},
        {"bid": BID, "bid_lot": 1 << 40},
        {"bid": BID + 5, "bid_lot": 1, "ask": BID + 5, "ask_lot": 1},
    ):
        desk.quote(**values)
        desk.look()
    assert desk.orders() == [] and desk.count("quotes_invalid") == 6


def test_a_full_ring_keeps_a_share_for_cancels(make_quote_desk):
    desk = make_quote_desk(queue=8)
    bid, ask = desk.stand()
    for symbol in (1, 2):
        desk.best(BID, ASK, symbol)
    slots = 0
    while slots < 7:
        assert desk.kernels.ring_claim(desk.memory.ring("orders"))
        slot = desk.kernels.ring_claim(desk.memory.ring("orders"))
        desk.kernels.ring_publish(desk.memory.ring("orders"), slot)
        slots += 1
    desk.quote(BID - 6, 4, ASK + 5, 4)
    desk.look()
    found = desk.orders()
    assert is_cancel(found[-1], bid)
    desk.quotes().quote_ns = time.monotonic_ns() - 70_000 * MS
    desk.look()
    assert any(is_cancel(order, ask) for order in desk.orders())
