"""Generated signals, prices and fills through the limits, judged by books of the driver's own.

Each step moves time and a price or two, lets outcomes of orders arrive, and hands risk a signal,
now and then a senseless one. Every entry that comes out is held against every limit; a breach is
counted by its kind. Time is simulated. Now and then the bounds change, so that each of them is the
narrowest for a while.

What is held, at which prices, what it is worth, and equity are the driver's own: see
limits_path_books.py. Risk's equity must be the same at each step. Three things are read from risk,
as other tests judge them: the stop of a position, how alike two symbols move, and what a repeat has
latched.
"""

from __future__ import annotations

import math

from risk.correlation import UNKNOWN, correlation_of
from risk.entries import take_signal
from risk.fills import take_report
from risk.positions import position_address
from risk.prices import take_event_at
from risk.state import CONTEXT, PARAMETERS
from risk.throttle import obey_rearm
from shm.compiled import kernel
from shm.latches import forget_voided_risk_latch
from shm.records import (
    MARKET_EVENT,
    REPORT,
    SIGNAL,
    EventKind,
    OrderStatus,
)
from shm.rings import claim, peek, publish
from shm.tables import CONTROL, POSITION, SYMBOL
from shm.views import view_of
from tests.risk.limits_path_books import (
    RUN,
    STAMPS,
    STRATEGIES,
    SYMBOLS,
    book_fill,
    price_of,
    value_of,
    value_position,
)

run_at = view_of(RUN)
context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
event_at = view_of(MARKET_EVENT)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
report_at = view_of(REPORT)
signal_at = view_of(SIGNAL)
symbol_at = view_of(SYMBOL)

BEST, MARK, INVALID = int(EventKind.BEST), int(EventKind.MARK), int(EventKind.INVALID)
FILLED, PARTIALLY_FILLED = int(OrderStatus.FILLED), int(OrderStatus.PARTIALLY_FILLED)
EXPIRED, REJECTED = int(OrderStatus.EXPIRED), int(OrderStatus.REJECTED)
MS = 1_000_000
SECOND = 1_000_000_000
E8 = 100_000_000


@kernel
def draw(run: int, bound: int) -> int:
    """Return a number of 0 … bound − 1."""
    view = run_at(run)
    view.random = (view.random * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return (view.random >> 8) % bound


@kernel
def mix(run: int, value: int) -> None:
    """Take a value into the hash."""
    view = run_at(run)
    view.hash = (view.hash * 31 + value) % 2_147_483_647


@kernel
def show(run: int, symbol: int, kind: int, first: int, second: int) -> None:
    """Give risk a market event."""
    view = run_at(run)
    event = event_at(view.event)
    event.origin_ns = view.now_ns
    event.venue_ns = view.now_ns
    event.symbol = symbol
    event.flags = 0
    event.kind = kind
    event.price_tick = first
    event.ask_tick = second
    event.quantity_lot = 1
    event.ask_lot = 1
    take_event_at(view.context, view.event, view.now_ns)


@kernel
def move_prices(run: int) -> None:
    """Move one symbol's prices; now and then its mark, or its book is withdrawn."""
    view = run_at(run)
    symbol = draw(run, SYMBOLS)
    # Neighbours share most of their moves, so that some pairs are alike and some are not.
    common = draw(run, 41) - 20
    for other in range(symbol & ~1, (symbol & ~1) + 2):
        move = common + draw(run, 5) - 2 if other < SYMBOLS // 2 else draw(run, 41) - 20
        view.bid[other] = max(40_000, min(50_000, view.bid[other] + move))
        view.ask[other] = view.bid[other] + 1 + draw(run, 3)
        view.best_ns[other] = view.now_ns
        show(run, other, BEST, view.bid[other], view.ask[other])
        value_position(run, other)
    if draw(run, 4) == 0:
        # Mostly near the middle, sometimes far off.
        spread = 600 if draw(run, 10) == 0 else 30
        view.mark[symbol] = view.bid[symbol] + draw(run, 2 * spread + 1) - spread
        view.mark_ns[symbol] = view.now_ns
        show(run, symbol, MARK, view.mark[symbol], 0)
    if draw(run, 200) == 0:
        view.best_ns[symbol] = 0
        show(run, symbol, INVALID, 0, 0)


@kernel
def _one_of(run: int, narrow: int, wide: int) -> int:
    """Return a bound in 1e-8 quote: the narrow one in one case of four."""
    return (narrow if draw(run, 4) == 0 else wide) * E8


@kernel
def _change_bounds(run: int) -> None:
    """Draw the bounds anew: a few are narrow, the others far away."""
    settings = parameters_at(context_at(run_at(run).context).parameters)
    settings.max_order_notional_e8 = _one_of(run, 30, 150)
    settings.max_position_e8 = _one_of(run, 25, 400)
    settings.max_strategy_e8 = _one_of(run, 40, 2000)
    settings.max_gross_e8 = _one_of(run, 70, 5000)
    settings.max_net_e8 = _one_of(run, 35, 5000)
    # Of an equity of 10,000: a few stops of 0.2 %, or a few positions at leverage 2.
    settings.max_portfolio_risk = 0.000012 if draw(run, 4) == 0 else 0.02
    settings.max_margin_share = 0.003 if draw(run, 4) == 0 else 0.9
    settings.max_order_quantity = 0.004 if draw(run, 4) == 0 else 0.0
    settings.correlation_limit = 0.7 if draw(run, 3) == 0 else 1.0
    settings.max_positions = 3 if draw(run, 6) == 0 else SYMBOLS
    settings.risk_per_trade = 0.0000006 if draw(run, 6) == 0 else 0.01
    settings.entries_per_s = 3 if draw(run, 4) == 0 else 50
    settings.max_repeats = 2 if draw(run, 3) == 0 else 20


@kernel
def toggle(run: int) -> None:
    """Forbid entries for a while, now and then; let a person re-arm what repeats have latched."""
    view = run_at(run)
    control = control_at(context_at(view.context).control)
    if draw(run, 20) == 0:
        control.reconciled = 0 if draw(run, 20) == 0 else 1
        control.clock_ready = 0 if draw(run, 20) == 0 else 1
        control.halt_reason = 1 if draw(run, 20) == 0 else 0
        control.kill_latch = 1 if draw(run, 30) == 0 else 0
        control.kill_latch_ns = 1 << 61
    if draw(run, 300) == 0:
        _change_bounds(run)
    if draw(run, 500) == 0:
        control.rearm_ns += 1
        forget_voided_risk_latch(context_at(view.context).control)
        obey_rearm(view.context)
        for symbol in range(SYMBOLS):
            view.repeat_count[symbol] = 0


@kernel
def tell(run: int, symbol: int, order_id: int, side: int, status: int, lot: int, done: int) -> None:
    """Report a change of an order, with a fill at the market where there are lots."""
    view = run_at(run)
    ring = context_at(view.context).reports
    slot = claim(ring)
    report = report_at(slot)
    report.order_id = order_id
    report.position_id = 0
    report.symbol = symbol
    report.side = side
    report.status = status
    report.fill_lot = lot
    report.filled_lot = done
    report.fill_tick = view.ask[symbol] if side > 0 else view.bid[symbol]
    report.fee_e8 = 0
    report.other_fee_e8 = 0
    report.fee_asset = 0
    report.trade_id = view.fills
    report.error_code = 0
    report.flags = 0
    publish(ring, slot)
    take_report(view.context, peek(ring, 0), view.now_ns)
    if lot > 0:
        view.fills += 1
        book_fill(run, symbol, side, lot, report.fill_tick)
        mix(run, order_id * 7 + lot)


@kernel
def end_entry(run: int, symbol: int) -> None:
    """Let an entry fill, in part or in whole, or end."""
    view = run_at(run)
    order_id, side = view.entry_id[symbol], view.entry_side[symbol]
    left, done = view.entry_left_lot[symbol], view.entry_done_lot[symbol]
    outcome = draw(run, 6)
    if outcome == 0 and done == 0:
        tell(run, symbol, order_id, side, REJECTED, 0, 0)
    elif outcome <= 1:
        tell(run, symbol, order_id, side, EXPIRED, 0, done)
    elif outcome == 2 and left > 1:
        part = 1 + draw(run, left - 1)
        view.entry_left_lot[symbol] -= part
        view.entry_done_lot[symbol] += part
        tell(run, symbol, order_id, side, PARTIALLY_FILLED, part, done + part)
        return
    else:
        tell(run, symbol, order_id, side, FILLED, left, done + left)
    view.entry_id[symbol] = 0
    view.entry_left_lot[symbol] = 0


@kernel
def end_orders(run: int) -> None:
    """Let outcomes of a symbol's orders arrive. Loop bound: SYMBOLS."""
    view = run_at(run)
    for symbol in range(SYMBOLS):
        if view.entry_id[symbol] != 0 and draw(run, 4) == 0:
            end_entry(run, symbol)
        if view.exit_id[symbol] != 0 and draw(run, 3) == 0:
            order_id, side = view.exit_id[symbol], view.exit_side[symbol]
            lot = min(view.exit_lot[symbol], abs(view.held_lot[symbol]))
            view.exit_id[symbol] = 0
            if draw(run, 10) == 0 or lot == 0:
                tell(run, symbol, order_id, side, REJECTED, 0, 0)
            else:
                tell(run, symbol, order_id, side, FILLED, lot, lot)


@kernel
def propose(run: int) -> int:
    """Hand risk a signal; return its address."""
    view = run_at(run)
    signal = signal_at(view.signal)
    signal.symbol = draw(run, SYMBOLS)
    signal.strategy = 1 + draw(run, STRATEGIES)
    signal.side = 1 if draw(run, 2) else -1
    symbol = min(signal.symbol, SYMBOLS - 1)
    signal.bid_tick = view.bid[symbol]
    signal.ask_tick = view.ask[symbol]
    signal.strength = 0.05 + draw(run, 96) / 100.0
    signal.confidence = draw(run, 101) / 100.0
    signal.volatility = draw(run, 8) * 1e-4
    signal.stop_pct = draw(run, 4) * 0.0005
    signal.origin_ns = view.now_ns - draw(run, 100) * MS
    fault = draw(run, 60)
    if fault == 0:
        signal.symbol = SYMBOLS + draw(run, 3)
    elif fault == 1:
        signal.side = draw(run, 2) * 2
    elif fault == 2:
        # A fat finger: ten or a hundred times the price.
        signal.bid_tick *= 10 if draw(run, 2) else 100
        signal.ask_tick = signal.bid_tick + 1
    elif fault == 3:
        signal.bid_tick = 0
    elif fault == 4:
        signal.strength = math.nan
    elif fault == 5:
        signal.origin_ns = view.now_ns - 3 * SECOND + draw(run, 2) * 6 * SECOND
    elif fault == 6:
        signal.stop_pct = math.nan
    view.signals += 1
    take_signal(view.context, view.signal, view.now_ns)
    return view.signal


@kernel
def pair_is_alike(run: int, symbol: int, side: int, other: int) -> bool:
    """Return whether an open position forbids an order by the correlation of the two."""
    view = run_at(run)
    settings = parameters_at(context_at(view.context).parameters)
    pairs = context_at(view.context).pairs
    if settings.correlation_limit >= 1.0:
        return False
    found = correlation_of(pairs, symbol, other, settings.correlation_samples_min)
    if found == UNKNOWN:
        return True
    held = view.held_lot[other]
    sign = view.entry_side[other] if held == 0 else (1 if held > 0 else -1)
    return found * side * sign > settings.correlation_limit


@kernel
def lost_at_stop(run: int, symbol: int) -> int:
    """Return what equity loses when a symbol's position and entry are stopped out, 1e-8 quote."""
    view = run_at(run)
    held = view.held_lot[symbol]
    lost = view.entry_left_lot[symbol] * view.entry_risk_tick[symbol]
    if held != 0:
        side = 1 if held > 0 else -1
        price = price_of(run, symbol)
        stop = position_at(position_address(view.context, symbol)).stop_tick
        lost += abs(held) * max(0, (price - stop) * side)
    return lost * value_of(run, symbol)


@kernel
def note_order(run: int, now_ns: int) -> None:
    """Remember when an order was written."""
    view = run_at(run)
    view.order_ns[view.order_count & (STAMPS - 1)] = now_ns
    view.order_count += 1


@kernel
def stamps_within(run: int, now_ns: int) -> int:
    """Return how many orders were written in the second before now. Loop bound: STAMPS."""
    view = run_at(run)
    found = 0
    for back in range(1, min(view.order_count, STAMPS) + 1):
        if now_ns - view.order_ns[(view.order_count - back) & (STAMPS - 1)] < SECOND:
            found += 1
    return found
