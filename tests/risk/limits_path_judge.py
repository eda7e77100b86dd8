"""The driver's judgement, each entry against each limit from its own books, and its loop."""

from __future__ import annotations

import math

from risk.correlation import observe_prices
from risk.positions import equity_e8, symbol_state_address
from risk.state import CONTEXT, PARAMETERS, SYMBOL_STATE
from risk.watching import request_close, watch_all
from shm.compiled import export, kernel
from shm.memory import load_i64
from shm.records import ORDER, SIGNAL, OrderFlag, OrderReason
from shm.rings import advance, peek
from shm.tables import CONTROL, SYMBOL
from shm.views import view_of
from tests.risk.limits_path_books import (
    REPEATS,
    RUN,
    SYMBOL_SIZE,
    SYMBOLS,
    begin_position,
    own_equity_e8,
    price_of,
    value_of,
)
from tests.risk.limits_path_kernels import (
    MS,
    draw,
    end_orders,
    lost_at_stop,
    mix,
    move_prices,
    note_order,
    pair_is_alike,
    propose,
    stamps_within,
    toggle,
)

run_at = view_of(RUN)
context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
order_at = view_of(ORDER)
parameters_at = view_of(PARAMETERS)
signal_at = view_of(SIGNAL)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)

EXIT_FLAG = int(OrderFlag.EXIT)
FLATTEN = int(OrderReason.FLATTEN)
E8 = 100_000_000.0


@kernel
def _is_forbidden(run: int) -> bool:
    """Return whether a latch, an age or senseless numbers forbid what has just come out."""
    view = run_at(run)
    control = control_at(context_at(view.context).control)
    settings = parameters_at(context_at(view.context).parameters)
    cause = signal_at(view.signal)
    if control.reconciled == 0 or control.clock_ready == 0 or control.halt_reason != 0:
        return True
    if control.kill_latch != 0 or control.risk_latch != 0:
        return True
    if cause.symbol >= SYMBOLS or abs(cause.side) != 1 or cause.bid_tick <= 0:
        return True
    if cause.strength != cause.strength or cause.stop_pct != cause.stop_pct:
        return True
    age = view.now_ns - cause.origin_ns
    if age < 0 or age > settings.max_stale_ns:
        return True
    symbol = cause.symbol
    if view.best_ns[symbol] == 0 or view.now_ns - view.best_ns[symbol] > settings.max_stale_ns:
        return True
    return view.now_ns - view.mark_ns[symbol] > settings.max_mark_age_ns


@kernel
def _judge_order(run: int, order: int, value_tick: int) -> None:
    """Judge the order by itself: its price, its quantity, what it is worth."""
    view = run_at(run)
    settings = parameters_at(context_at(view.context).parameters)
    placed = order_at(order)
    symbol, side = placed.symbol, placed.side
    row = symbol_at(context_at(view.context).symbols + symbol * SYMBOL_SIZE)
    mid = (view.bid[symbol] + view.ask[symbol]) / 2.0
    mark = float(view.mark[symbol])
    collar = settings.price_collar_pct
    far = placed.price_tick * side > min(mid * side, mark * side) + collar * max(mid, mark)
    worse = (view.ask[symbol] if side > 0 else view.bid[symbol]) - placed.price_tick
    if far or worse * side > 0:
        view.bad_collar += 1
    lots = placed.quantity_lot
    worth = lots * placed.price_tick * row.value_e8
    high, low = mark * row.multiplier_up, mark * row.multiplier_down
    off = placed.price_tick > high if side > 0 else placed.price_tick < low
    if lots < row.lot_min or lots > row.lot_max or worth < row.notional_min * E8 or off:
        view.bad_filter += 1
    most = settings.max_order_quantity / row.lot_size
    too_many = most > 0.0 and lots > most * (1.0 + 1e-9)
    if lots * value_tick * row.value_e8 > settings.max_order_notional_e8 or too_many:
        view.bad_order += 1


@kernel
def _judge_portfolio(run: int, order: int, value_tick: int, risk_tick: int) -> None:
    """Judge the order with all that is there. Loop bound: SYMBOLS."""
    view = run_at(run)
    settings = parameters_at(context_at(view.context).parameters)
    placed = order_at(order)
    strategy = signal_at(view.signal).strategy
    value = value_of(run, placed.symbol)
    worth = placed.quantity_lot * value_tick * value
    gross, net, mine = worth, placed.side * worth, worth
    lost = placed.quantity_lot * risk_tick * value
    others = 0
    for symbol in range(SYMBOLS):
        held, left = view.held_lot[symbol], view.entry_left_lot[symbol]
        lost += lost_at_stop(run, symbol)
        if held == 0 and view.entry_id[symbol] == 0:
            continue
        others += 1
        own = left * view.entry_tick[symbol] * value_of(run, symbol)
        net += view.entry_side[symbol] * own
        if held != 0:
            now = held * price_of(run, symbol) * value_of(run, symbol)
            own += abs(now)
            net += now
        gross += own
        if view.strategy[symbol] == strategy:
            mine += own
        if symbol != placed.symbol and pair_is_alike(run, placed.symbol, placed.side, symbol):
            view.bad_correlation += 1
    # What was lost counts at once, what was gained only once the wallet has it.
    equity = min(view.wallet_e8, own_equity_e8(run))
    before = net - placed.side * worth
    view.bad_positions += 1 if others >= settings.max_positions else 0
    view.bad_inventory += 1 if worth > settings.max_position_e8 else 0
    view.bad_strategy += 1 if mine > settings.max_strategy_e8 else 0
    view.bad_gross += 1 if gross > settings.max_gross_e8 else 0
    view.bad_net += 1 if abs(net) > max(settings.max_net_e8, abs(before)) else 0
    view.bad_stops += 1 if lost > settings.max_portfolio_risk * equity else 0
    margin = settings.max_margin_share * equity * settings.leverage
    view.bad_margin += 1 if gross > margin else 0


@kernel
def _judge_pace(run: int, symbol: int, key: int) -> None:
    """Judge how often orders come. Loop bound: the stamps kept."""
    view = run_at(run)
    settings = parameters_at(context_at(view.context).parameters)
    if stamps_within(run, view.now_ns) >= settings.entries_per_s:
        view.bad_rate += 1
    same = 0
    count = view.repeat_count[symbol]
    for back in range(1, min(count, REPEATS) + 1):
        place = symbol * REPEATS + (count - back) % REPEATS
        is_young = view.now_ns - view.repeat_ns[place] < settings.repeat_window_ns
        same += 1 if is_young and view.repeat_key[place] == key else 0
    if same >= settings.max_repeats or (view.latched[symbol] >> (key >> 1)) & 1:
        view.bad_repeat += 1
    place = symbol * REPEATS + count % REPEATS
    view.repeat_ns[place] = view.now_ns
    view.repeat_key[place] = key
    view.repeat_count[symbol] = count + 1


@kernel
def _judge_entry(run: int, order: int) -> None:
    """Judge an entry and take it into the driver's books."""
    view = run_at(run)
    settings = parameters_at(context_at(view.context).parameters)
    placed = order_at(order)
    cause = signal_at(view.signal)
    symbol, side = placed.symbol, placed.side
    best = view.ask[symbol] if side > 0 else view.bid[symbol]
    value_tick = max(best, placed.price_tick)
    stop = settings.stop_loss_pct
    if cause.stop_pct > 0.0:
        stop = min(stop, cause.stop_pct)
    risk_tick = max(1, math.ceil(value_tick * stop))
    if _is_forbidden(run):
        view.bad_latched += 1
    if view.held_lot[symbol] != 0 or view.entry_id[symbol] != 0 or view.exit_id[symbol] != 0:
        view.bad_duplicate += 1
    _judge_order(run, order, value_tick)
    _judge_portfolio(run, order, value_tick, risk_tick)
    _judge_pace(run, symbol, 2 * cause.strategy + (1 if side > 0 else 0))
    view.entries += 1
    view.strategy[symbol] = cause.strategy
    view.entry_id[symbol] = placed.order_id
    begin_position(run, symbol, side)
    view.entry_left_lot[symbol] = placed.quantity_lot
    view.entry_done_lot[symbol] = 0
    view.entry_tick[symbol] = value_tick
    view.entry_limit[symbol] = placed.price_tick
    view.entry_risk_tick[symbol] = risk_tick


@kernel
def _bad_count(run: int) -> int:
    view = run_at(run)
    found = view.bad_latched + view.bad_duplicate + view.bad_positions + view.bad_collar
    found += view.bad_filter + view.bad_order + view.bad_inventory + view.bad_strategy
    found += view.bad_gross + view.bad_net + view.bad_stops + view.bad_margin
    found += view.bad_correlation + view.bad_rate + view.bad_repeat
    return found + view.bad_counts + view.bad_equity


@kernel
def _take_orders(run: int) -> None:
    """Take what risk has written out of the ring. Loop bound: the ring."""
    view = run_at(run)
    ring = context_at(view.context).orders
    while True:
        order = peek(ring, 0)
        if order == 0:
            return
        placed = order_at(order)
        mix(run, placed.order_id * 3 + placed.symbol + placed.quantity_lot + placed.price_tick)
        if placed.flags & EXIT_FLAG:
            view.exits += 1
            view.exit_id[placed.symbol] = placed.order_id
            view.exit_side[placed.symbol] = placed.side
            view.exit_lot[placed.symbol] = placed.quantity_lot
        else:
            _judge_entry(run, order)
        note_order(run, view.now_ns)
        advance(ring, 0)


@kernel
def _compare_equity(run: int) -> None:
    """Hold risk's equity against the driver's."""
    view = run_at(run)
    if equity_e8(view.context) != own_equity_e8(run):
        view.bad_equity += 1


@kernel
def _step(run: int) -> None:
    view = run_at(run)
    view.now_ns += (1 + draw(run, 60)) * MS
    if draw(run, 250) == 0:
        # A pause: whatever is not renewed becomes old.
        view.now_ns += 2500 * MS
    move_prices(run)
    toggle(run)
    end_orders(run)
    _take_orders(run)
    observe_prices(view.context, view.now_ns)
    watch_all(view.context, view.now_ns)
    _compare_equity(run)
    # Positions are left soon: entries are what is tried here.
    symbol = draw(run, SYMBOLS)
    if view.held_lot[symbol] != 0 and draw(run, 4) == 0:
        request_close(view.context, symbol, FLATTEN, view.now_ns, view.now_ns)
    _take_orders(run)
    for symbol in range(SYMBOLS):
        state = symbol_state_at(symbol_state_address(view.context, symbol))
        view.latched[symbol] = state.throttle_latch
    propose(run)
    _take_orders(run)
    _compare_equity(run)
    seen = load_i64(view.signals_count)
    if seen != load_i64(view.accepted_count) + load_i64(view.rejected_count):
        view.bad_counts += 1
    if seen != view.signals or load_i64(view.accepted_count) != view.entries:
        view.bad_counts += 1


@export(2)
def limits_path_run(run: int, step_count: int) -> int:
    """Take steps; return how many breaches there have been. Loop bound: step_count."""
    view = run_at(run)
    for _ in range(step_count):
        before = _bad_count(run)
        _step(run)
        if _bad_count(run) != before and view.first_bad_step < 0:
            view.first_bad_step = view.steps
        view.steps += 1
    return _bad_count(run)
