"""Limits on a desk: what is at stake, repeats, losses, warm-up, mark prices, each counted."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import pytest

from risk.limit_table import REJECTED_COUNTERS
from risk.state import TRADES, TRADES_OFFSET
from shm.latch_table import LatchReason
from shm.records import EventKind, OrderStatus, Strategy
from shm.tables import PositionState
from tests.risk.desk import Desk

SECOND = 1_000_000_000
E8 = 10**8
LARGE = {"trading__base_position_usd": 1000.0, "risk__max_order_notional_usd": 5000.0}


def check_counts(desk: Desk) -> None:
    """Signals in = accepted + rejected = the sum over the reasons."""
    assert desk.count("signals") == desk.count("accepted") + desk.count("rejected")
    assert desk.count("rejected") == sum(desk.count(label) for label in REJECTED_COUNTERS)


def expire(desk: Desk, order) -> None:
    desk.report(order, OrderStatus.EXPIRED)
    desk.look()


def try_entry(desk: Desk, side: int = 1, symbol: int = 0, **changes) -> list:
    desk.best(450_000, 450_001, symbol)
    desk.signal(side, symbol, **changes)
    desk.look()
    return desk.orders()


def trades(desk: Desk, strategy: int = int(Strategy.MOMENTUM)):
    return TRADES.at(desk.memory.state("risk") + TRADES_OFFSET + strategy * TRADES.size)


def test_a_strategy_that_repeats_itself_is_latched_until_a_person_rearms(make_desk):
    desk = make_desk(risk__max_repeats=3, risk__max_orders_per_s=300, **LARGE)
    for _ in range(3):
        (order,) = try_entry(desk)
        expire(desk, order)
    assert try_entry(desk) == [] and desk.count("rejected_repeat") == 1
    assert desk.control.throttle_latches == 1
    assert try_entry(desk) == [] and desk.count("rejected_throttled") == 1
    assert try_entry(desk, side=-1) == [], "the latch is the strategy's, on both sides"
    (other,) = try_entry(desk, strategy=int(Strategy.ORDER_FLOW))
    expire(desk, other)
    (elsewhere,) = try_entry(desk, symbol=1)
    expire(desk, elsewhere)
    desk.recover()
    assert try_entry(desk) == [], "a latch outlives the process"
    desk.control.rearm_ns = time.monotonic_ns()
    desk.look()
    assert (desk.control.throttle_latches, desk.count("rearmed")) == (0, 1)
    (again,) = try_entry(desk)
    assert again.symbol == 0
    check_counts(desk)


def test_repeats_are_counted_by_side_and_within_the_window(make_desk):
    desk = make_desk(
        risk__max_repeats=2, risk__repeat_window_ms=100, risk__max_orders_per_s=300, **LARGE
    )
    for side in (1, -1, 1, -1):
        (order,) = try_entry(desk, side)
        expire(desk, order)
    assert try_entry(desk, 1) == [] and desk.count("rejected_repeat") == 1


def test_old_entries_are_no_repeats(make_desk):
    desk = make_desk(
        risk__max_repeats=1, risk__repeat_window_ms=100, risk__max_orders_per_s=300, **LARGE
    )
    (order,) = try_entry(desk)
    expire(desk, order)
    wanted = order.written_ns + 100_000_000
    while time.monotonic_ns() < wanted:
        desk.look()
    assert len(try_entry(desk)) == 1


def test_the_check_sums_up_what_is_there(desk):
    """An open long, a short entry in flight, and a second one filled in part."""
    long = desk.open(1, 0)
    short = desk.enter(-1, 1)
    part = desk.enter(1, 2)
    desk.fill(part, 450_001, lot=4)
    desk.look()
    desk.best(449_500, 449_501, 0)
    desk.look()
    desk.signal(1, 1, strategy=int(Strategy.ORDER_FLOW))
    desk.look()
    assert desk.count("rejected_duplicate") == 1, "the sums are taken for what passes the state"
    expire(desk, short)
    desk.best(450_000, 450_001, 1)
    desk.signal(-1, 1, strategy=int(Strategy.ORDER_FLOW))
    desk.look()
    check = desk.wiring.scratch[1]
    value = 10_000
    held = {
        0: long.quantity_lot * 449_500 * value,
        2: 4 * 450_000 * value,
    }
    left = (part.quantity_lot - 4) * part.price_tick * value
    assert check.gross_notional_e8 == held[0] + held[2] + left
    assert check.net_notional_e8 == check.gross_notional_e8
    assert check.strategy_notional_e8 == 0, "both are of another strategy"
    stops = {symbol: desk.position(symbol).stop_tick for symbol in held}
    distance = desk.symbol_state(2).entry_risk_tick
    assert distance == -(-part.price_tick * 2 // 1000)
    risk = long.quantity_lot * (449_500 - stops[0]) * value + 4 * (450_000 - stops[2]) * value
    risk += (part.quantity_lot - 4) * distance * value
    assert check.risk_e8 == risk
    assert check.order_notional_e8 == desk.symbol_state(1).entry_left_lot * 450_000 * value
    (entry,) = [o for o in desk.orders() if o.symbol == 1]
    assert entry.quantity_lot * 450_000 * value == check.order_notional_e8
    check_counts(desk)


def test_an_entry_in_flight_counts_like_a_position(make_desk):
    desk = make_desk(risk__max_gross_notional_usd=1000.0, **LARGE)
    first = try_entry(desk, 1, 0)
    assert len(first) == 1
    assert try_entry(desk, 1, 1) == [] and desk.count("rejected_gross") == 1
    expire(desk, first[0])
    assert len(try_entry(desk, 1, 1)) == 1


@pytest.mark.parametrize(
    ("changes", "counter"),
    [
        ({"risk__max_strategy_notional_usd": 1000.0}, "rejected_strategy"),
        ({"risk__max_net_notional_usd": 1000.0}, "rejected_net"),
        ({"risk__max_portfolio_risk": 0.001, "trading__leverage": 125}, "rejected_portfolio"),
        ({"trading__leverage": 1, "risk__max_margin_share": 0.1}, "rejected_margin"),
        ({"risk__max_order_quantity": 0.001}, "rejected_quantity"),
        ({"trading__max_position_usd": 60.0}, "accepted"),
    ],
)
def test_what_a_second_entry_may_not_exceed(make_desk, changes, counter):
    """The first entry is worth about 675, one lot 45: the bounds leave less than that."""
    desk = make_desk(**LARGE | changes)
    for index in range(3):
        desk.memory.symbol(index).notional_min = 0.0 if counter == "accepted" else 5.0
    desk.control.wallet_e8 = 10_000 * E8
    if counter in ("rejected_portfolio", "rejected_margin"):
        # Room for the first alone: 0.1 % of it lost at a stop of 0.2 %, or a tenth as margin.
        desk.control.wallet_e8 = {"rejected_portfolio": 1400, "rejected_margin": 7000}[counter] * E8
    try_entry(desk, 1, 0)
    try_entry(desk, 1, 1)
    assert desk.count(counter) >= 1, {c: desk.count(c) for c in REJECTED_COUNTERS}
    check_counts(desk)


def test_a_hedge_passes_the_net_limit(make_desk):
    desk = make_desk(risk__max_net_notional_usd=1000.0, **LARGE)
    assert len(try_entry(desk, 1, 0)) == 1
    assert try_entry(desk, 1, 1) == [] and desk.count("rejected_net") == 1
    assert len(try_entry(desk, -1, 1)) == 1


def test_nothing_enters_while_risk_is_young(make_desk):
    desk = make_desk(risk__warmup_s=3600, **LARGE)
    desk.header.started_ns = time.monotonic_ns()
    assert try_entry(desk) == [] and desk.count("rejected_warmup") == 1
    desk.header.started_ns -= 3600 * SECOND
    assert len(try_entry(desk)) == 1


def test_mark_prices_are_kept_and_missed(make_desk):
    desk = make_desk(**LARGE)
    desk.best(450_000, 450_001)
    desk.look()
    seen = desk.symbol_state().seen_ns
    desk.event(EventKind.MARK, price_tick=449_000)
    desk.look()
    state = desk.symbol_state()
    assert (state.mark_tick, state.seen_ns) == (449_000, seen)
    assert state.mark_ns > seen, "a mark price has an age of its own"
    # A buy at 450,001 is more than half a percent above a mark of 447,000.
    state.mark_tick = 447_000
    desk.signal()
    desk.look()
    assert desk.orders() == [] and desk.count("rejected_collar") == 1
    state.mark_ns -= 6 * SECOND
    desk.signal()
    state.mark_tick = 0
    desk.signal()
    desk.look()
    assert desk.orders() == [] and desk.count("rejected_no_mark") == 2
    check_counts(desk)


def test_without_a_mark_price_the_mid_serves_where_that_is_set(make_desk):
    desk = make_desk(risk__max_mark_age_ms=0, **LARGE)
    desk.best(450_000, 450_001)
    desk.symbol_state().mark_tick = 0
    desk.signal()
    desk.look()
    assert len(desk.orders()) == 1


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("bid", "counter"), [(0, "rejected_invalid"), (-5, "rejected_invalid"), (1, "rejected_collar")]
)
def test_a_fat_finger_finds_no_price(make_desk, side, bid, counter):
    """A signal without prices, or with prices a hundredth (for a sell, a hundred times) of ours."""
    desk = make_desk(**LARGE)
    if bid == 1:
        bid = 4_500 if side > 0 else 45_000_000
    desk.best(450_000, 450_001)
    desk.signal(side, bid_tick=bid, ask_tick=bid + 1)
    desk.look()
    assert desk.orders() == [] and desk.count(counter) == 1
    check_counts(desk)


def test_the_same_signal_twice_is_one_order(desk):
    desk.best(450_000, 450_001)
    for _ in range(3):
        desk.signal(1, signal_id=7)
    desk.look()
    assert len(desk.orders()) == 1 and desk.count("rejected_duplicate") == 2
    check_counts(desk)


def close_at(desk: Desk, price: int, symbol: int = 0) -> None:
    """Close a position of the desk by its stop, filled at a price."""
    row = desk.position(symbol)
    desk.best(row.stop_tick - 100, row.stop_tick - 99, symbol)
    desk.look()
    (order,) = desk.orders()
    desk.fill(order, price)
    desk.look()
    assert row.state == PositionState.FLAT


def test_closed_trades_are_counted_by_strategy_after_fees(desk):
    entry = desk.open(1)
    close_at(desk, 451_000)
    value = entry.quantity_lot * 450_000 * 10_000
    gain = entry.quantity_lot * 1000 * 10_000 - 2000
    row = trades(desk)
    assert (row.trade_count, row.win_count, row.loss_ppb) == (1, 1, 0)
    assert row.win_ppb == int(Fraction(gain * 10**9, value))
    entry = desk.open(1)
    close_at(desk, 449_000)
    value = entry.quantity_lot * 450_000 * 10_000
    loss = entry.quantity_lot * 1000 * 10_000 + 2000
    assert (row.trade_count, row.win_count) == (2, 1)
    assert row.loss_ppb == int(Fraction(loss * 10**9, value))
    assert trades(desk, int(Strategy.ORDER_FLOW)).trade_count == 0


def test_losses_in_a_row_make_a_pause_and_a_gain_begins_anew(make_desk):
    desk = make_desk(risk__max_consecutive_losses=2, risk__max_orders_per_s=300, **LARGE)
    for price in (449_000, 451_000, 449_000, 449_000):
        desk.open(1)
        assert desk.header.cool_off_until_ns == 0
        close_at(desk, price)
    assert desk.header.cool_off_until_ns > time.monotonic_ns() + 14 * 60 * SECOND
    assert try_entry(desk) == [] and desk.count("rejected_cool_off") == 1
    desk.header.cool_off_until_ns = time.monotonic_ns()
    assert len(try_entry(desk)) == 1
    check_counts(desk)


@pytest.mark.parametrize("funding", [0, -3 * E8 // 1000])
def test_peaks_and_losses_between_two_timers_are_seen(make_desk, funding):
    """All prices come in one look: the timers see the first and the last moment alone."""
    desk = make_desk(
        trading__base_position_usd=1000.0,
        risk__max_order_notional_usd=5000.0,
        risk__max_drawdown=0.01,
        risk__max_daily_loss=0.5,
    )
    desk.control.wallet_e8 = 10 * E8
    desk.look()
    tick_e8 = desk.open(1).quantity_lot * 10_000
    equity = 10 * E8 - desk.control.fee_e8
    for bid in (450_300, 450_299, 450_000):
        desk.best(bid, bid + 1)
    desk.look()
    assert desk.header.peak_e8 == equity + 300 * tick_e8
    assert desk.control.risk_latch == 0
    # A hundredth below the peak is reached by prices, and sooner where funding was paid meanwhile.
    desk.control.funding_e8 = funding
    desk.look()
    least = math.ceil(0.99 * desk.header.peak_e8)
    near = -((equity + funding - least) // tick_e8)
    for away, latch in ((near, 0), (near - 1, LatchReason.DRAWDOWN)):
        for bid in (450_000 + away, 450_000):
            desk.best(bid, bid + 1)
        desk.look()
        assert desk.control.risk_latch == latch, away
    assert desk.position().exit_order_id == 0


def test_the_loss_of_a_day_trips_the_latch_and_a_new_day_begins_a_new_sum(make_desk):
    desk = make_desk(risk__max_daily_loss=0.01, **LARGE)
    desk.wiring.context.utc_day = 20_000
    desk.look()
    assert (desk.header.utc_day, desk.header.day_start_e8) == (20_000, 10_000 * E8)
    desk.control.realized_e8 = -99 * E8
    desk.look()
    assert desk.control.risk_latch == 0
    desk.wiring.context.utc_day = 19_999
    desk.look()
    assert desk.header.day_start_e8 == 10_000 * E8, "a clock that steps back begins no day"
    desk.wiring.context.utc_day = 20_001
    desk.look()
    assert desk.header.day_start_e8 == 9_901 * E8
    desk.control.realized_e8 = -199 * E8
    desk.look()
    assert desk.control.risk_latch == LatchReason.DAILY_LOSS
    assert try_entry(desk) == [] and desk.count("rejected_daily_loss") == 1
    desk.recover()
    assert try_entry(desk) == [] and desk.count("rejected_daily_loss") == 2
    desk.control.rearm_ns = time.monotonic_ns()
    desk.look()
    assert desk.header.day_start_e8 == desk.header.peak_e8 == 9_801 * E8
    assert len(try_entry(desk)) == 1
    check_counts(desk)


def test_fractional_kelly_by_the_trades_of_the_strategy(make_desk):
    desk = make_desk(
        position_sizing__method="fractional_kelly",
        position_sizing__kelly_min_trades=10,
        position_sizing__kelly_fraction=0.1,
        risk__max_orders_per_s=300,
        **LARGE,
    )
    price = int(450_001 * 1.0005)
    lot = price * 0.1 * 0.001
    (order,) = try_entry(desk)
    assert order.quantity_lot == int(1000 * 0.1 / lot), "unknown: base_size"
    expire(desk, order)
    row = trades(desk)
    row.trade_count, row.win_count, row.win_ppb, row.loss_ppb = 20, 5, 5 * 10**6, 15 * 10**6
    assert try_entry(desk) == [] and desk.count("rejected_no_edge") == 1
    row.win_count, row.win_ppb, row.loss_ppb = 11, 11 * 10**6, 9 * 10**6
    (order,) = try_entry(desk)
    # f = 0.55 - 0.45 = 0.1, shrunk by 20 / 30; a tenth of it lost at a stop of 0.2 %: 33,333 USD.
    assert order.quantity_lot == int(1000 / lot), "cut to max_size"
    expire(desk, order)
    desk.wiring.parameters.kelly_fraction = 0.001
    (order,) = try_entry(desk)
    assert order.quantity_lot == int(10_000 * 0.001 * (0.1 * 20 / 30) / 0.002 / lot)


@pytest.mark.parametrize("floor", [0, 9_000 * E8])
def test_a_crash_between_peak_and_floor_leaves_the_loss_limits(make_desk, floor):
    desk = make_desk(risk__max_daily_loss=0.05, **LARGE)
    desk.look()
    assert desk.header.floor_e8 == 9_500 * E8
    # What a kill leaves after the first wallet, or after yesterday's floor.
    desk.header.floor_e8 = floor
    desk.recover()
    desk.control.realized_e8 = -501 * E8
    desk.look()
    assert desk.control.risk_latch == LatchReason.DAILY_LOSS
    assert desk.header.floor_e8 == 9_500 * E8
