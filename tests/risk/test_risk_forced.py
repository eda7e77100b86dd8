"""Exits for other reasons than a level: halts, latches, old prices, doubt, a wrong side, trades."""

from __future__ import annotations

import ctypes

import pytest

from risk import imbalance
from risk.agent import POSITIONS_SHIFT
from risk.state import SYMBOL_STATE
from shm.latch_table import LatchReason
from shm.records import MARKET_EVENT, EventKind, ExitRule, OrderReason, OrderStatus
from shm.tables import HaltReason, PositionState

SECOND = 1_000_000_000
BASE = {"trading__base_position_usd": 1000.0, "risk__max_order_notional_usd": 5000.0}

# What is configured, what is halted or latched (by whom), and what closes.
HALTS = """
configured               halt            latch           reason
daily_loss               NOT_READY       -               -
daily_loss               VENUE           -               -
daily_loss               RESTART_BUDGET  -               -
daily_loss               NONE            OPERATOR        -
daily_loss               NONE            DAILY_LOSS      HALT
daily_loss               NONE            DRAWDOWN        DRAWDOWN
venue,not_ready          VENUE           -               HALT
venue,not_ready          NOT_READY       -               HALT
venue,not_ready          RESTART_BUDGET  OPERATOR        -
restart_budget           RESTART_BUDGET  -               HALT
restart_budget           NONE            RESTART_BUDGET  HALT
operator                 NONE            OPERATOR        HALT
supervisor               NONE            SUPERVISOR      HALT
"""


def table(text: str) -> list[dict[str, str]]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.parametrize("case", table(HALTS), ids=lambda c: "-".join(c.values()))
def test_halts_and_latches_close_where_they_are_configured_to(make_desk, case):
    desk = make_desk(**BASE, risk__close_on_halt=tuple(case["configured"].split(",")))
    desk.open()
    control = desk.control
    control.halt_reason = int(HaltReason[case["halt"]])
    if case["latch"] != "-":
        reason = LatchReason[case["latch"]]
        writers = {"OPERATOR": "kill", "SUPERVISOR": "supervisor", "RESTART_BUDGET": "supervisor"}
        writer = writers.get(case["latch"], "risk")
        setattr(control, f"{writer}_latch", int(reason))
        setattr(control, f"{writer}_latch_ns", 5)
    desk.look()
    found = [OrderReason(order.reason).name for order in desk.orders()]
    assert found == ([] if case["reason"] == "-" else [case["reason"]])


def test_a_drawdown_leaves_positions_where_it_is_configured_to(make_desk):
    desk = make_desk(**BASE, risk__close_on_drawdown=False)
    desk.open()
    desk.control.risk_latch, desk.control.risk_latch_ns = int(LatchReason.DRAWDOWN), 5
    desk.look()
    assert desk.orders() == []


@pytest.mark.parametrize(("limit_ms", "closes"), [(15_000, True), (0, False)])
def test_a_position_whose_price_is_too_old_is_closed(make_desk, limit_ms, closes):
    desk = make_desk(**BASE, risk__stale_exit_ms=limit_ms)
    desk.open()
    desk.position().opened_ns -= 20 * SECOND
    desk.symbol_state().fresh_ns -= 14 * SECOND
    desk.look()
    assert desk.orders() == []
    desk.symbol_state().fresh_ns -= 2 * SECOND
    desk.look()
    assert [o.reason for o in desk.orders()] == ([OrderReason.STALE] if closes else [])


def grow_old(desk, seconds):
    """Let the position and its price be older than it may be."""
    desk.position().opened_ns -= seconds * SECOND
    desk.symbol_state().fresh_ns -= seconds * SECOND


def test_after_an_absence_a_price_is_as_old_as_what_was_read(make_desk):
    desk = make_desk(market_queue=1024, **BASE, risk__stale_exit_ms=15_000)
    desk.open()
    grow_old(desk, 20)
    # More than one look takes: timers run between them, before the fresh price is read.
    for _ in range(300):
        desk.best(450_000, 450_001, symbol=1, age_ns=10 * SECOND)
    desk.best(450_000, 450_001)
    desk.recover()
    desk.look(4)
    assert desk.orders() == [] and desk.position().state == PositionState.OPEN
    assert desk.symbol_state().fresh_ns == desk.symbol_state().seen_ns


def test_events_of_another_symbol_that_wait_hide_no_old_price(make_desk):
    desk = make_desk(**BASE, risk__stale_exit_ms=15_000)
    desk.open()
    grow_old(desk, 20)
    desk.best(450_000, 450_001, symbol=1, age_ns=6 * SECOND)
    desk.look()
    assert desk.orders() == [], "what was read ends 14 s after the price"
    (order,) = (desk.look(), desk.orders())[1]
    assert order.reason == OrderReason.STALE


def test_an_old_price_beside_unread_events_is_closed_without_reading_them_all(make_desk):
    desk = make_desk(**BASE, risk__stale_exit_ms=15_000)
    desk.open()
    grow_old(desk, 20)
    desk.best(450_000, 450_001, symbol=1, age_ns=4 * SECOND)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.STALE


def test_after_a_lap_the_age_of_prices_counts_from_there(make_desk):
    desk = make_desk(**BASE, risk__stale_exit_ms=15_000)
    desk.open()
    grow_old(desk, 20)
    for _ in range(70):
        desk.best(450_000, 450_001, symbol=1)
    desk.look(2)
    assert desk.count("laps") == 1
    assert desk.orders() == [] and desk.symbol_state().best_valid == 0
    # Laps that follow without a price in between do not begin it again.
    desk.symbol_state().lapped_ns -= 10 * SECOND
    for _ in range(70):
        desk.best(450_000, 450_001, symbol=1)
    desk.look(2)
    assert desk.count("laps") == 2 and desk.orders() == []
    desk.symbol_state().lapped_ns -= 6 * SECOND
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.STALE


def test_events_of_an_invalid_book_do_not_make_its_price_fresh(desk):
    desk.open()
    desk.event(EventKind.INVALID)
    desk.look()
    fresh = desk.symbol_state().fresh_ns
    desk.event(EventKind.LEVEL, price_tick=450_000, quantity_lot=1)
    desk.look()
    assert desk.symbol_state().fresh_ns == fresh < desk.symbol_state().seen_ns
    desk.best(450_000, 450_001)
    desk.look()
    assert desk.symbol_state().fresh_ns == desk.symbol_state().seen_ns


def test_a_trade_at_the_stop_closes_and_one_above_it_does_not(desk):
    desk.open()
    desk.event(EventKind.TRADE, price_tick=449_101, venue_ns=7)
    desk.look()
    assert desk.orders() == []
    desk.event(EventKind.TRADE, price_tick=449_100, venue_ns=8)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.STOP


def test_a_trade_from_before_the_stop_moved_says_nothing_about_it(desk):
    desk.open()
    desk.event(
        EventKind.BEST, price_tick=450_800, ask_tick=450_801, quantity_lot=1, ask_lot=1,
        venue_ns=100,
    )  # fmt: skip
    desk.look()
    stop = desk.position().stop_tick
    assert stop == 450_350 and desk.symbol_state().moved_venue_ns == 100
    desk.event(EventKind.TRADE, price_tick=450_000, venue_ns=99)
    desk.look()
    assert desk.orders() == []
    desk.event(EventKind.TRADE, price_tick=450_000, venue_ns=100)
    desk.look()
    (order,) = desk.orders()
    assert order.reason == OrderReason.TRAILING


def test_an_imbalance_that_turns_and_stays_closes(desk):
    desk.best(450_000, 450_001)
    desk.signal(1, exit_rule=int(ExitRule.IMBALANCE), strategy=3, hold_ms_min=1)
    desk.look()
    (entry,) = desk.orders()
    desk.fill(entry, 450_000)
    desk.look()
    desk.position().opened_ns -= SECOND
    now = desk.position().opened_ns + 2 * SECOND

    def quantities(bid: int, ask: int, after_ms: int) -> None:
        nonlocal now
        now += after_ms * 1_000_000
        desk.event(
            EventKind.BEST, origin_ns=now, price_tick=450_000, ask_tick=450_001,
            quantity_lot=bid, ask_lot=ask,
        )  # fmt: skip
        desk.look()

    quantities(8, 2, 0)
    quantities(1, 9, 100)
    assert desk.symbol_state().imbalance == pytest.approx(0.6)
    quantities(1, 9, 200)
    assert desk.symbol_state().imbalance == pytest.approx(0.6 - 1.4 * 200 / 700)
    assert desk.orders() == []
    quantities(1, 9, 1000)
    (order,) = desk.orders()
    assert order.reason == OrderReason.IMBALANCE and desk.count("exit_imbalance") == 1


def test_imbalance_takes_no_senseless_quantities():
    state, event = SYMBOL_STATE.new(), MARKET_EVENT.new()
    for bid, ask in ((0, 0), (-1, 5), (5, -1)):
        event.quantity_lot, event.ask_lot = bid, ask
        imbalance.note_imbalance(ctypes.addressof(state), ctypes.addressof(event), 500)
        assert (state.imbalance, state.imbalance_at_ns) == (0.0, 0)


def doubted(desk):
    """Bring out an exit of which nothing is heard; return it."""
    desk.open()
    desk.best(449_000, 449_001)
    desk.look()
    (first,) = desk.orders()
    # The executor has its row, so the order is not decided from there.
    desk.row(first, OrderStatus.SENDING)
    desk.look()
    assert desk.orders() == []
    desk.order_state(first.order_id).written_ns -= SECOND
    return first


def test_beside_an_exit_in_doubt_another_is_sent_and_no_third(desk):
    first = doubted(desk)
    desk.look()
    (second,) = desk.orders()
    assert second.order_id > first.order_id and second.quantity_lot == first.quantity_lot
    desk.row(second, OrderStatus.SENDING)
    desk.order_state(second.order_id).written_ns -= 5 * SECOND
    desk.look(3)
    assert desk.orders() == [] and desk.count("exits_doubted") == 1
    desk.fill(second, 449_000)
    desk.look()
    assert desk.position().quantity_lot == 0
    assert desk.position().state == PositionState.EXITING, "the first may still be filled"
    desk.report(first, OrderStatus.REJECTED, error_code=-2022)
    desk.look()
    assert desk.position().state == PositionState.FLAT


def test_the_exit_in_doubt_may_have_been_the_one_that_closed(desk):
    first = doubted(desk)
    desk.look()
    (second,) = desk.orders()
    desk.fill(first, 449_000)
    desk.look()
    desk.report(second, OrderStatus.REJECTED, error_code=-2022)
    desk.look()
    assert desk.position().state == PositionState.FLAT and desk.orders() == []


def test_an_exit_that_the_executor_has_not_taken_is_not_in_doubt(desk):
    desk.open()
    desk.best(449_000, 449_001)
    desk.look()
    desk.order_state(2).written_ns -= 5 * SECOND
    desk.look(2)
    (only,) = desk.orders()
    assert only.order_id == 2


def test_a_net_position_on_the_wrong_side_is_closed_and_entries_stay_off(desk):
    entry = desk.open()
    lots = entry.quantity_lot
    desk.best(449_000, 449_001)
    desk.look()
    (stop,) = desk.orders()
    # As if a stop of the venue's had closed two lots more than there were.
    desk.fill(stop, 449_000)
    desk.fill(stop, 449_000, lot=2, done=lots)
    desk.look()
    row = desk.position()
    assert (row.quantity_lot, row.state, desk.header.untrusted) == (-2, PositionState.EXITING, 1)
    loss = -1000 * lots * 10_000
    assert desk.control.realized_e8 == loss
    assert desk.control.unrealized_e8 == -1 * 2 * 10_000
    (back,) = desk.orders()
    assert (back.side, back.quantity_lot, back.reason) == (1, 2, OrderReason.FOREIGN)
    desk.fill(back, 449_003)
    desk.look()
    assert (row.quantity_lot, row.state) == (0, PositionState.FLAT)
    assert desk.control.realized_e8 == loss - 3 * 2 * 10_000 and desk.control.unrealized_e8 == 0
    desk.best(450_000, 450_001, 1)
    desk.signal(1, 1)
    desk.look()
    assert desk.count("rejected_untrusted") == 1 and desk.count("exit_foreign") == 1


def test_a_restart_keeps_a_wrong_side_that_a_late_fill_of_the_entry_explains(desk):
    entry = desk.enter()
    desk.report(entry, OrderStatus.EXPIRED, filled_lot=3)
    desk.fill(entry, 450_000, lot=1, done=2)
    desk.best(449_000, 449_001)
    desk.look()
    (stop,) = desk.orders()
    assert stop.quantity_lot == 1
    # It is told as filled by more than was known, as if a stop at the venue had joined in.
    desk.fill(stop, 449_000, lot=1)
    desk.fill(stop, 449_000, lot=1, done=1)
    desk.look()
    assert desk.position().quantity_lot == -1
    assert desk.recover() >> POSITIONS_SHIFT == 0
    assert desk.position().quantity_lot == -1
    desk.fill(entry, 450_000, lot=2)
    desk.look()
    assert desk.position().quantity_lot == 1
