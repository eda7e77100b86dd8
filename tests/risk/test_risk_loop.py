"""The loop on real rings: signals in, orders out, reports back, prices, latches, laps."""

from __future__ import annotations

import time

import pytest

from risk.limit_table import REJECTED_COUNTERS
from shm.latch_table import LatchReason, held
from shm.records import EventKind, OrderReason, OrderStatus, OrderType, TimeInForce
from shm.tables import PositionState
from tests.risk.desk import is_exit

SECOND = 1_000_000_000


def check_signal_counts(desk) -> None:
    assert desk.count("signals") == desk.count("accepted") + desk.count("rejected")
    assert desk.count("rejected") == sum(desk.count(label) for label in REJECTED_COUNTERS)


def test_signal_becomes_an_entry_that_cannot_pay_more_than_allowed(desk):
    desk.best(450_000, 450_001)
    desk.signal(1)
    before = time.monotonic_ns()
    assert desk.look() == 2
    (order,) = desk.orders()
    assert order.order_id == order.position_id == 1
    assert (order.type, order.time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert (order.side, order.flags, order.reason) == (1, 0, OrderReason.ENTRY)
    assert order.price_tick == int(450_001 * 1.0005)
    assert order.reference_tick == 450_001
    assert before <= order.written_ns <= time.monotonic_ns()
    assert order.expires_ns == order.written_ns + SECOND
    assert order.quantity_lot == int(1000 * 0.8 * 0.9 / (order.price_tick * 0.1 * 0.001))
    row = desk.position()
    assert (row.state, row.side, row.quantity_lot) == (PositionState.ENTERING, 1, 0)
    assert desk.control.open_position_count == 1
    assert desk.memory.histograms.get("risk").count == 1
    check_signal_counts(desk)


@pytest.mark.parametrize("side", [1, -1])
def test_a_position_lives_through_partial_trailing_and_stop(desk, side):
    entry = desk.open(side)
    row = desk.position()
    lots = entry.quantity_lot
    assert (row.state, row.quantity_lot) == (PositionState.OPEN, side * lots)
    assert row.stop_tick == 450_000 - side * 900
    assert row.target_tick == 450_000 + side * 1800
    desk.best(450_900 if side > 0 else 449_099, 450_901 if side > 0 else 449_100)
    desk.look()
    (partial,) = desk.orders()
    assert is_exit(partial) and partial.reason == OrderReason.PARTIAL
    assert (partial.side, partial.quantity_lot) == (-side, lots // 2)
    assert (partial.type, partial.expires_ns, partial.price_tick) == (OrderType.MARKET, 0, 0)
    assert row.state == PositionState.EXITING
    assert (row.stop_tick - 450_000) * side > 0
    desk.fill(partial, 450_000 + side * 900)
    desk.look()
    assert (row.state, row.quantity_lot) == (PositionState.OPEN, side * (lots - lots // 2))
    stop = row.stop_tick
    desk.best(450_000 + side * 1500 - (side < 0), 450_000 + side * 1500 + (side > 0))
    desk.look()
    assert (row.stop_tick - stop) * side > 0 and row.trailing == 1
    assert desk.orders() == []
    stop = row.stop_tick
    desk.best(stop - 5 - (side < 0) * 1 + (side < 0) * 10, stop + 6)
    desk.look()
    (last,) = desk.orders()
    assert last.reason == OrderReason.TRAILING and last.quantity_lot == lots - lots // 2
    desk.fill(last, stop)
    desk.look()
    assert (row.state, row.quantity_lot, row.round_trips) == (PositionState.FLAT, 0, 1)
    expected = side * (lots // 2 * 900 * side + (lots - lots // 2) * (stop - 450_000)) * 10_000
    assert desk.control.realized_e8 == expected
    assert desk.control.fee_e8 == 3000
    assert desk.control.unrealized_e8 == desk.control.open_position_count == 0
    assert desk.count("round_trips") == desk.count("exit_trailing") == 1


@pytest.mark.parametrize(
    "status",
    [OrderStatus.EXPIRED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.NOT_SENT],
)
def test_an_entry_that_does_not_fill_leaves_nothing(desk, status):
    order = desk.enter()
    desk.report(order, status)
    desk.look()
    assert desk.position().state == PositionState.FLAT
    assert desk.control.open_position_count == 0
    assert desk.position().round_trips == 0
    desk.signal()
    desk.look()
    (again,) = desk.orders()
    assert (again.order_id, again.position_id) == (2, 2)


def test_an_entry_filled_in_part_is_a_position_of_that_part(desk):
    order = desk.enter()
    desk.fill(order, 450_001, lot=3)
    desk.look()
    assert desk.position().state == PositionState.ENTERING
    desk.report(order, OrderStatus.EXPIRED, filled_lot=3)
    desk.look()
    assert (desk.position().state, desk.position().quantity_lot) == (PositionState.OPEN, 3)


def test_the_part_that_is_filled_is_protected_while_the_rest_is_unknown(desk):
    order = desk.enter()
    desk.fill(order, 450_001, lot=3)
    desk.report(order, OrderStatus.UNKNOWN, filled_lot=3)
    desk.best(449_000, 449_001)
    desk.look()
    (stop,) = desk.orders()
    assert is_exit(stop) and stop.quantity_lot == 3 and stop.reason == OrderReason.STOP
    desk.fill(stop, 449_000)
    desk.look()
    assert desk.position().state == PositionState.ENTERING
    desk.fill(order, 450_001, lot=2, done=3)
    desk.look()
    (stop,) = desk.orders()
    assert stop.quantity_lot == 2


def test_unknown_waits_and_an_order_taken_for_absent_may_turn_up(desk):
    order = desk.enter()
    desk.report(order, OrderStatus.UNKNOWN)
    desk.look(3)
    assert desk.position().state == PositionState.ENTERING
    desk.report(order, OrderStatus.REJECTED)
    desk.look()
    assert desk.position().state == PositionState.FLAT
    desk.report(order, OrderStatus.NEW)
    desk.look()
    assert desk.position().state == PositionState.ENTERING
    desk.fill(order, 450_001)
    desk.look()
    assert desk.position().quantity_lot == order.quantity_lot
    assert desk.control.open_position_count == 1


def test_time_limit_needs_no_event(desk):
    desk.open()
    desk.position().opened_ns -= 121 * SECOND
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.TIME_LIMIT
    assert desk.position().hold_ns_max == 120 * SECOND


def test_flatten_closes_everything_and_lets_nothing_in(desk):
    desk.open(1, 0)
    desk.open(-1, 1)
    desk.control.flatten_requested = 1
    desk.best(450_000, 450_001, 2)
    desk.signal(1, 2)
    desk.look()
    orders = desk.orders()
    assert [(o.symbol, o.side, o.reason) for o in orders] == [
        (0, -1, OrderReason.FLATTEN),
        (1, 1, OrderReason.FLATTEN),
    ]
    assert desk.count("rejected_halted") == 1
    for order in orders:
        desk.fill(order, 450_000)
    desk.look()
    assert desk.control.open_position_count == 0


def test_an_opposite_signal_closes_after_the_least_hold(desk):
    desk.open(1)
    desk.signal(-1)
    desk.look()
    assert desk.orders() == []
    desk.position().opened_ns -= 31 * SECOND
    desk.signal(-1, age_ns=3 * SECOND)
    desk.look()
    assert desk.orders() == [], "a stale signal must not close"
    desk.signal(-1)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.REVERSAL and is_exit(order)
    assert desk.count("rejected_duplicate") + desk.count("rejected_late") == 3
    check_signal_counts(desk)


def test_exits_pass_every_latch_and_entries_none(desk):
    desk.open()
    desk.control.halt_reason = 2
    desk.control.kill_latch = 1
    desk.control.reconciled = desk.control.clock_ready = 0
    desk.best(449_000, 449_001)
    desk.signal(1, 1)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.STOP
    assert desk.count("rejected_halted") == 1


def test_drawdown_trips_once_and_stays(desk):
    desk.control.wallet_e8 = 10 * 10**8
    desk.look()
    desk.open(1)
    desk.best(440_000, 440_001)
    desk.look()
    assert desk.control.unrealized_e8 == -10_000 * desk.position().quantity_lot * 10_000
    assert desk.control.risk_latch == LatchReason.DRAWDOWN
    (stop,) = desk.orders()
    desk.fill(stop, 460_000)
    desk.best(450_000, 450_001, 1)
    desk.look()
    desk.signal(1, 1)
    desk.look()
    assert desk.control.risk_latch == LatchReason.DRAWDOWN
    assert desk.count("rejected_drawdown") == 1 and desk.orders() == []


def test_a_person_rearms_a_drawdown_and_the_peak_begins_anew(desk):
    desk.control.wallet_e8 = 10 * 10**8
    desk.look()
    desk.open(1)
    desk.best(440_000, 440_001)
    desk.look()
    assert [latch.reason for latch in held(desk.control)] == [LatchReason.DRAWDOWN]
    (stop,) = desk.orders()
    desk.fill(stop, 440_000)
    desk.best(440_000, 440_001, 1)
    desk.look()
    peak = desk.header.peak_e8
    desk.control.rearm_ns = time.monotonic_ns()
    assert held(desk.control) == []
    desk.look()
    assert desk.control.risk_latch == 0 and desk.header.peak_e8 < peak
    desk.control.wallet_e8 = 10_000 * 10**8
    desk.header.wallet_start_e8 = 10_000 * 10**8
    refused = desk.count("rejected_drawdown")
    desk.signal(1, 1)
    desk.look()
    (entry,) = desk.orders()
    assert entry.reason == OrderReason.ENTRY and desk.count("rejected_drawdown") == refused


def test_a_person_asks_for_flat_through_a_word_of_their_own(desk):
    desk.open()
    desk.control.kill_flatten = 1
    desk.best(450_000, 450_001)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.FLATTEN and is_exit(order)


def test_unknown_equity_lets_no_entry_pass(desk):
    desk.control.wallet_e8 = 0
    desk.best(450_000, 450_001)
    desk.signal()
    desk.look()
    assert desk.count("rejected_equity") == 1


def test_a_lap_makes_prices_unknown_until_the_next_best(desk):
    desk.open(1)
    for _ in range(70):
        desk.best(440_000, 440_001)
    desk.look()
    assert desk.count("laps") == 1
    assert desk.orders() == [] and desk.symbol_state().best_valid == 0
    desk.signal(1, 0)
    desk.look()
    assert desk.count("rejected_no_price") == 1
    desk.best(440_000, 440_001)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.STOP


@pytest.mark.parametrize(("bid", "ask"), [(0, 10), (450_002, 450_001), (5, 5), (-3, 4)])
def test_a_senseless_price_is_no_price(desk, bid, ask):
    desk.open(1)
    desk.best(bid, ask)
    desk.look()
    assert desk.symbol_state().best_valid == 0 and desk.orders() == []


def test_an_invalid_book_and_trades(desk):
    desk.best(450_000, 450_001)
    desk.event(EventKind.TRADE, price_tick=450_001)
    desk.look()
    assert (desk.symbol_state().trade_tick, desk.symbol_state().best_valid) == (450_001, 1)
    desk.event(EventKind.INVALID)
    desk.signal()
    desk.look()
    assert desk.count("rejected_no_price") == 1


def test_a_full_ring_refuses_entries_before_exits(make_desk):
    desk = make_desk(
        queue=2, trading__base_position_usd=1000.0, risk__max_order_notional_usd=5000.0
    )
    desk.open(1, 0)
    desk.best(450_000, 450_001, 1)
    desk.best(450_000, 450_001, 2)
    desk.signal(1, 1)
    desk.look()
    desk.signal(1, 2)
    desk.look()
    assert desk.count("rejected_ring") == 1
    desk.best(449_000, 449_001, 0)
    desk.look()
    assert [is_exit(order) for order in desk.orders()] == [False, True]


def test_an_exit_that_finds_the_ring_full_comes_later(make_desk):
    desk = make_desk(
        queue=2, trading__base_position_usd=1000.0, risk__max_order_notional_usd=5000.0
    )
    for symbol in range(3):
        desk.open(1, symbol)
        desk.orders()
    for symbol in range(3):
        desk.best(449_000, 449_001, symbol)
    desk.look()
    assert len(desk.orders()) == 2
    assert desk.position(2).state == PositionState.OPEN
    desk.release_retry(2)
    desk.look()
    (order,) = desk.orders()
    assert (order.symbol, order.reason) == (2, OrderReason.STOP)


def test_the_message_rate_holds_entries_and_not_exits(make_desk):
    desk = make_desk(
        trading__base_position_usd=1000.0,
        risk__max_order_notional_usd=5000.0,
        risk__max_orders_per_s=4,
    )
    for symbol in range(3):
        desk.open(1, symbol)
    desk.best(449_000, 449_001, 0)
    desk.look()
    (exit_order,) = desk.orders()
    desk.fill(exit_order, 449_000)
    desk.best(450_000, 450_001, 0)
    desk.signal(1, 0)
    desk.look()
    assert desk.count("rejected_rate") == 1
    for symbol in (1, 2):
        desk.best(449_000, 449_001, symbol)
    desk.look()
    assert len(desk.orders()) == 2


def test_reports_of_others_are_counted_and_ignored(desk):
    order = desk.open()
    order.order_id = 77
    desk.fill(order, 1)
    order.order_id, order.symbol = 1, 2
    desk.fill(order, 1)
    desk.look()
    assert desk.count("unknown_reports") == 2
    assert desk.position().quantity_lot == order.quantity_lot


def test_the_deadline_is_kept_and_a_doorbell_ends_the_wait(desk):
    desk.wait.strategy = 4
    started = time.monotonic_ns()
    desk.kernels.risk_run(desk.wiring.address, started + 30_000_000)
    took = time.monotonic_ns() - started
    assert 30_000_000 <= took < 5 * SECOND
    assert desk.wait.blocks >= 1
