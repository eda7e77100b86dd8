"""The ledger of resting stops: one per position, never two, moved, resized, lost, crossed."""

from __future__ import annotations

import ctypes

import pytest

from executor import venue as executor_venue
from risk import guard as guard_kernels
from risk import protection
from risk.state import GuardState
from shm.records import OrderAction, OrderFlag, OrderReason, OrderStatus, OrderType
from shm.tables import POSITION, PositionState
from tests.risk.desk import kinds

MS = 1_000_000
OFFSET = 224  # 0.05 % of the stop of a long from 450000, rounded down


def opened(desk, side: int = 1):
    """Open a position whose stop rests; return (entry, stop)."""
    entry = desk.open(side)
    (stop,) = desk.orders()
    desk.rest(stop)
    assert desk.guard().state == GuardState.RESTING
    return entry, stop


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_is_placed_with_the_first_fill(guarded, side):
    order = guarded.enter(side)
    guarded.fill(order, 450_000, lot=3)
    guarded.look()
    (stop,) = guarded.orders()
    assert (stop.action, stop.type) == (OrderAction.PLACE, OrderType.STOP_MARKET)
    assert stop.flags == int(OrderFlag.REDUCE_ONLY | OrderFlag.EXIT)
    assert (stop.reason, stop.side) == (OrderReason.PROTECTION, -side)
    assert (stop.quantity_lot, stop.expires_ns) == (3, 0)
    local = 450_000 - side * 900
    assert stop.price_tick == local - side * int(local * 0.0005)
    assert guarded.guard().state == GuardState.PLACING and guarded.guard().exposed_ns > 0
    assert guarded.memory.histograms.get("unprotected").count == 0
    guarded.rest(stop)
    assert guarded.guard().state == GuardState.RESTING and guarded.guard().exposed_ns == 0
    assert guarded.memory.histograms.get("unprotected").count == 1
    assert guarded.orders() == []


def test_further_fills_replace_it_at_once_and_never_beside_it(guarded):
    order = guarded.enter()
    guarded.fill(order, 450_000, lot=3)
    guarded.look()
    (stop,) = guarded.orders()
    guarded.fill(order, 450_000, done=3)
    guarded.look(3)
    assert guarded.orders() == [], "the first one is not known to rest yet"
    guarded.rest(stop)
    (cancel,) = guarded.orders()
    assert (cancel.action, cancel.order_id) == (OrderAction.CANCEL, stop.order_id)
    guarded.look(3)
    assert guarded.orders() == [], "its end is waited for"
    guarded.report(stop, OrderStatus.CANCELED)
    guarded.look()
    (whole,) = guarded.orders()
    assert whole.quantity_lot == order.quantity_lot and whole.order_id > stop.order_id


def test_a_trailing_stop_moves_it_by_steps_and_not_too_often(guarded):
    opened(guarded)
    guarded.best(450_460, 450_461)
    guarded.look()
    assert guarded.position().stop_tick == 450_460 - 450
    assert guarded.orders() == [], "two seconds have not passed"
    guarded.release_move()
    guarded.look()
    (cancel,) = guarded.orders()
    guarded.report(cancel, OrderStatus.CANCELED)
    guarded.look()
    (moved,) = guarded.orders()
    assert moved.price_tick == 450_010 - int(450_010 * 0.0005)
    guarded.rest(moved)
    guarded.release_move()
    guarded.best(450_500, 450_501)
    guarded.look()
    assert guarded.position().stop_tick == 450_050
    assert guarded.orders() == [], "a move of less than 0.03 % is not worth two messages"


def test_a_partial_exit_resizes_it_when_its_turn_comes(guarded):
    entry, stop = opened(guarded)
    guarded.best(450_900, 450_901)
    guarded.look()
    (partial,) = guarded.orders()
    guarded.release_move()
    guarded.look()
    assert guarded.orders() == [], "while an exit is in flight it stays as it is"
    guarded.fill(partial, 450_900)
    guarded.look()
    (cancel,) = guarded.orders()
    guarded.report(cancel, OrderStatus.CANCELED)
    guarded.look()
    (smaller,) = guarded.orders()
    assert smaller.quantity_lot == entry.quantity_lot - partial.quantity_lot
    assert smaller.price_tick > stop.price_tick


def test_it_is_canceled_with_its_position(guarded):
    _, stop = opened(guarded)
    guarded.best(449_000, 449_001)
    guarded.look()
    (exit_order,) = guarded.orders()
    assert exit_order.reason == OrderReason.STOP
    guarded.fill(exit_order, 449_000)
    guarded.look()
    (cancel,) = guarded.orders()
    assert (cancel.action, cancel.order_id) == (OrderAction.CANCEL, stop.order_id)
    assert guarded.position().state == PositionState.FLAT
    guarded.report(stop, OrderStatus.CANCELED)
    guarded.look()
    assert guarded.guard().state == GuardState.NONE and guarded.orders() == []
    assert guarded.count("stops_lost") == 0


def test_a_new_position_waits_for_the_end_of_the_last_one_s_stop(guarded):
    _, stop = opened(guarded)
    guarded.best(449_000, 449_001)
    guarded.look()
    (exit_order,) = guarded.orders()
    guarded.fill(exit_order, 449_000)
    guarded.look()
    guarded.orders()
    entry = guarded.enter(-1)
    guarded.fill(entry, 450_000)
    guarded.look()
    assert guarded.orders() == []
    guarded.report(stop, OrderStatus.CANCELED)
    guarded.look()
    (other,) = guarded.orders()
    assert (other.side, other.position_id) == (1, entry.position_id)


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.NOT_SENT])
def test_a_refused_one_is_placed_again_with_growing_pauses(guarded, status):
    guarded.open()
    pauses = []
    for _ in range(4):
        (stop,) = guarded.orders()
        guarded.report(stop, status, error_code=-4045)
        guarded.look()
        assert guarded.guard().state == GuardState.NONE and guarded.orders() == []
        pauses.append(guarded.guard().failure_count)
        guarded.guard().retry_ns = 1
        guarded.look()
    assert pauses == [1, 2, 3, 4] and guarded.count("stops_refused") == 4
    (stop,) = guarded.orders()
    guarded.rest(stop)
    assert guarded.guard().failure_count == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (OrderStatus.REJECTED, guard_kernels.WOULD_TRIGGER),
        (OrderStatus.EXPIRED, guard_kernels.REFUSED_AT_TRIGGER),
    ],
)
def test_one_that_would_trigger_at_once_closes_at_the_market(guarded, status, code):
    assert guard_kernels.REFUSED_AT_TRIGGER == executor_venue.CODE_TRIGGER_REFUSED
    guarded.open()
    (stop,) = guarded.orders()
    guarded.report(stop, status, error_code=code)
    guarded.look()
    (exit_order,) = guarded.orders()
    assert (exit_order.type, exit_order.reason) == (OrderType.MARKET, OrderReason.STOP)


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_one_that_the_venue_ends_is_placed_again(guarded, status):
    _, stop = opened(guarded)
    guarded.report(stop, status)
    guarded.look()
    assert guarded.count("stops_lost") == 1 and guarded.guard().exposed_ns > 0
    guarded.guard().retry_ns = 1
    guarded.look()
    (again,) = guarded.orders()
    assert again.quantity_lot == stop.quantity_lot


def test_its_fills_close_the_position(guarded):
    entry, stop = opened(guarded)
    guarded.fill(stop, 448_800)
    guarded.look()
    row = guarded.position()
    assert (row.state, row.quantity_lot, row.round_trips) == (PositionState.FLAT, 0, 1)
    assert row.exit_reason == OrderReason.PROTECTION and guarded.count("exit_protection") == 1
    assert guarded.control.realized_e8 == -1200 * entry.quantity_lot * 10_000
    assert guarded.guard().state == GuardState.NONE and guarded.orders() == []


@pytest.mark.parametrize("stop_first", [True, False])
def test_an_exit_and_a_stop_that_cross_end_flat(guarded, stop_first):
    entry, stop = opened(guarded)
    guarded.best(448_000, 448_001)
    guarded.look()
    (exit_order,) = guarded.orders()
    took = entry.quantity_lot // 2
    rest = entry.quantity_lot - took
    if stop_first:
        guarded.fill(stop, 448_700, lot=took)
        guarded.look()
        guarded.fill(exit_order, 448_000, lot=rest)
    else:
        guarded.fill(exit_order, 448_000, lot=rest)
        guarded.look()
        guarded.fill(stop, 448_700, lot=took)
    guarded.report(exit_order, OrderStatus.EXPIRED, filled_lot=rest)
    guarded.report(stop, OrderStatus.EXPIRED, filled_lot=took)
    guarded.look(3)
    assert guarded.position().state == PositionState.FLAT and guarded.header.untrusted == 0
    # Once flat, the stop was asked to go before its end was heard.
    assert set(kinds(guarded.orders())) <= {("CANCEL", "PROTECTION")}


def test_an_exit_refused_because_the_stop_took_all_is_not_repeated(guarded):
    _, stop = opened(guarded)
    guarded.best(448_000, 448_001)
    guarded.look()
    (exit_order,) = guarded.orders()
    guarded.report(exit_order, OrderStatus.REJECTED, error_code=-2022)
    guarded.fill(stop, 448_700)
    guarded.look()
    guarded.release_retry()
    guarded.look(3)
    assert guarded.position().state == PositionState.FLAT and guarded.orders() == []


def test_in_doubt_nothing_is_sent_until_it_is_decided(guarded):
    guarded.open()
    (stop,) = guarded.orders()
    guarded.report(stop, OrderStatus.UNKNOWN)
    guarded.look(3)
    assert guarded.guard().state == GuardState.DOUBT and guarded.orders() == []
    guarded.report(stop, OrderStatus.REJECTED)
    guarded.look()
    guarded.guard().retry_ns = 1
    guarded.look()
    (second,) = guarded.orders()
    guarded.rest(second)
    # Venue: what was given up for absent turns up after all. It is canceled, the second stays.
    guarded.report(stop, OrderStatus.NEW)
    guarded.look()
    (cancel,) = guarded.orders()
    assert (cancel.action, cancel.order_id) == (OrderAction.CANCEL, stop.order_id)
    assert guarded.guard().state == GuardState.RESTING and guarded.count("stops_strayed") == 1
    guarded.report(stop, OrderStatus.CANCELED)
    guarded.look()
    assert guarded.guard().stray_order_id == 0 and guarded.guard().order_id == second.order_id


def test_one_taken_for_absent_that_turns_up_alone_is_the_stop(guarded):
    guarded.open()
    (stop,) = guarded.orders()
    guarded.report(stop, OrderStatus.REJECTED)
    guarded.look()
    guarded.rest(stop)
    guard = guarded.guard()
    assert (guard.state, guard.order_id) == (GuardState.RESTING, stop.order_id)
    assert (guard.quantity_lot, guard.trigger_tick) == (stop.quantity_lot, stop.price_tick)
    guarded.guard().retry_ns = 1
    guarded.look()
    assert guarded.orders() == []


def test_a_cancel_nobody_answers_is_sent_again(guarded):
    _, stop = opened(guarded)
    guarded.release_move()
    guarded.best(450_880, 450_881)
    guarded.look()
    assert kinds(guarded.orders()) == [("CANCEL", "PROTECTION")]
    guarded.guard().written_ns -= protection.RESEND_NS
    guarded.look()
    (again,) = guarded.orders()
    assert (again.action, again.order_id) == (OrderAction.CANCEL, stop.order_id)


def test_too_long_without_a_stop_closes_the_position(guarded):
    guarded.open()
    (stop,) = guarded.orders()
    guarded.report(stop, OrderStatus.REJECTED, error_code=-4045)
    guarded.look()
    guarded.guard().retry_ns = 1 << 62
    guarded.guard().exposed_ns -= 14_000 * MS
    guarded.look()
    assert guarded.orders() == []
    guarded.guard().exposed_ns -= 2_000 * MS
    guarded.look()
    (exit_order,) = guarded.orders()
    assert exit_order.reason == OrderReason.UNPROTECTED
    assert guarded.count("exit_unprotected") == 1


def test_latches_and_halts_let_it_pass_and_a_stop_of_the_system_freezes_it(guarded):
    entry = guarded.enter()
    guarded.control.halt_reason, guarded.control.kill_latch = 1, 1
    guarded.control.reconciled = 0
    guarded.fill(entry, 450_000)
    guarded.look()
    (stop,) = guarded.orders()
    guarded.rest(stop)
    guarded.control.stop_requested = 1
    guarded.release_move()
    guarded.best(450_880, 450_881)
    guarded.look()
    assert guarded.orders() == [], "what rests is left resting when the system stops"
    guarded.control.flatten_requested = 1
    guarded.look()
    (exit_order,) = guarded.orders()
    assert exit_order.reason == OrderReason.FLATTEN
    guarded.fill(exit_order, 450_880)
    guarded.look()
    assert kinds(guarded.orders()) == [("CANCEL", "PROTECTION")]


def test_a_stop_that_covers_too_little_is_replaced_also_when_the_system_stops(guarded):
    entry = guarded.enter()
    guarded.fill(entry, 450_000, lot=3)
    guarded.look()
    (stop,) = guarded.orders()
    guarded.rest(stop)
    guarded.control.stop_requested = 1
    guarded.fill(entry, 450_000, done=3)
    guarded.look()
    assert kinds(guarded.orders()) == [("CANCEL", "PROTECTION")]
    guarded.report(stop, OrderStatus.CANCELED)
    guarded.look()
    (again,) = guarded.orders()
    assert again.quantity_lot == entry.quantity_lot


def test_a_lost_order_is_decided_from_the_executor_s_row(guarded):
    guarded.open()
    (stop,) = guarded.orders()
    guarded.order_state(stop.order_id).written_ns -= 2000 * MS
    guarded.look()
    assert guarded.guard().state == GuardState.NONE, "it has no row: it was never sent"
    guarded.guard().retry_ns = 1
    guarded.look()
    (again,) = guarded.orders()
    guarded.rest(again)
    lots = again.quantity_lot
    guarded.row(again, OrderStatus.FILLED, filled_lot=lots, filled_value=lots * 448_000, fee_e8=7)
    guarded.order_state(again.order_id).written_ns -= 2000 * MS
    guarded.look()
    assert guarded.position().state == PositionState.FLAT
    assert guarded.guard().state == GuardState.NONE


def test_a_full_ring_keeps_room_for_it(make_desk):
    desk = make_desk(
        queue=4,
        trading__base_position_usd=1000.0,
        risk__max_order_notional_usd=5000.0,
        risk__venue_stop=True,
    )
    order = desk.enter()
    for symbol in (1, 2):
        desk.best(450_000, 450_001, symbol)
        desk.signal(1, symbol)
    desk.fill(order, 450_000)
    desk.look(2)
    orders = desk.orders()
    assert ("PLACE", "PROTECTION") in kinds(orders)


def test_the_trigger_is_beyond_the_stop_by_a_tick_at_least():
    row = POSITION.new()
    for side, stop, offset, wanted in (
        (1, 100, 0.0, 99),
        (-1, 100, 0.0, 101),
        (1, 448_100, 0.001, 448_100 - 448),
        (-1, 448_100, 0.001, 448_100 + 448),
        (1, 1, 0.02, 1),
    ):
        row.side, row.stop_tick = side, stop
        assert protection.wanted_tick(ctypes.addressof(row), offset) == wanted
