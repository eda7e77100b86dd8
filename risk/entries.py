"""A signal through limits and sizing into an entry order, or into a counted refusal."""

from __future__ import annotations

import math

from risk.exposure import measure_exposure, orders_in_flight
from risk.limit_table import Refusal
from risk.limits import (
    E8,
    conforms,
    entry_limit_tick,
    is_stale,
    money_e8,
    refused_by_size,
    refused_by_state,
    signal_is_valid,
)
from risk.orders import age_of_order_back, entry_slots_free, write_entry
from risk.positions import (
    ENTERING,
    EXITING,
    FLAT,
    equity_e8,
    position_address,
    symbol_address,
    symbol_state_address,
)
from risk.quote_rows import is_quoted
from risk.sizing import LOT_MAX, entry_quantity, notional_room, size_factor
from risk.state import CONTEXT, ENTRY_CHECK, HEADER, PARAMETERS, SYMBOL_STATE
from risk.throttle import is_latched, latch, repeat_key, repeats_within
from risk.trades import kelly_share, trades_address
from risk.watching import REVERSAL, request_close
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.latches import other_latch_held, risk_latch_held
from shm.records import SIGNAL
from shm.tables import CONTROL, POSITION, SYMBOL, SYMBOL_TRUST
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
header_at = view_of(HEADER)
parameters_at = view_of(PARAMETERS)
check_at = view_of(ENTRY_CHECK)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
signal_at = view_of(SIGNAL)
trust_at = view_of(SYMBOL_TRUST)

TRUST_SIZE = SYMBOL_TRUST.size

NONE = int(Refusal.NONE)
INVALID = int(Refusal.INVALID)
NO_EDGE = int(Refusal.NO_EDGE)
REPEAT = int(Refusal.REPEAT)
RING = int(Refusal.RING)
SIGNALS = counters.offset("risk.signals")
ACCEPTED = counters.offset("risk.accepted")
REJECTED = counters.offset("risk.rejected")


@kernel
def _equity_for_sizing(context: int) -> int:
    """Return the lesser of the wallet as last stated and the equity tracked; 0 = unknown."""
    wallet = control_at(context_at(context).control).wallet_e8
    if wallet <= 0:
        return 0
    return min(wallet, equity_e8(context))


@kernel
def look_at_permission(context: int, symbol: int, strategy: int, side: int, now_ns: int) -> None:
    """Fill the part of the check that needs no price: latches, losses, the strategy, the rate.

    The caller states the age of the cause (`signal_age_ns`).
    """
    view = context_at(context)
    control = control_at(view.control)
    settings = parameters_at(view.parameters)
    header = header_at(view.header)
    check = check_at(view.check)
    check.side = side
    check.strategy = strategy
    check.halt_reason = control.halt_reason
    check.kill_latch = other_latch_held(view.control)
    check.stop_requested = control.stop_requested | view.closing
    check.flatten_requested = control.flatten_requested | control.kill_flatten
    check.reconciled = control.reconciled
    check.clock_ready = control.clock_ready
    check.untrusted = header.untrusted
    check.distrust = trust_at(view.trusts + symbol * TRUST_SIZE).distrust
    check.equity_e8 = _equity_for_sizing(context)
    check.started_age_ns = now_ns - header.started_ns
    check.risk_latch = risk_latch_held(view.control)
    check.cool_off_left_ns = header.cool_off_until_ns - now_ns
    check.throttled = is_latched(context, symbol, strategy)
    check.strategy_enabled = settings.strategy_enabled[strategy]
    check.position_count = control.open_position_count
    check.rate_age_ns = age_of_order_back(context, settings.entries_per_s, now_ns)
    check.ring_free = entry_slots_free(view.orders)


@kernel
def look_at_symbol(context: int, symbol: int, now_ns: int) -> None:
    """Fill the part of the check that concerns the symbol: its prices, position and orders."""
    view = context_at(context)
    check = check_at(view.check)
    state = symbol_state_at(symbol_state_address(context, symbol))
    check.best_valid = state.best_valid
    check.price_age_ns = now_ns - state.seen_ns
    check.mark_tick = state.mark_tick
    check.mark_age_ns = now_ns - state.mark_ns
    check.position_state = position_at(position_address(context, symbol)).state
    check.in_flight_count = orders_in_flight(context, symbol)
    check.quoted = 1 if is_quoted(context, symbol) else 0


@kernel
def reference_price(context: int, symbol: int) -> float:
    """Return what collars and PERCENT_PRICE are judged against, in ticks: mark or mid price."""
    view = context_at(context)
    if parameters_at(view.parameters).max_mark_age_ns > 0:
        return float(check_at(view.check).mark_tick)
    state = symbol_state_at(symbol_state_address(context, symbol))
    return (state.bid_tick + state.ask_tick) / 2.0


@kernel
def weigh_order(context: int, symbol: int, price_tick: int, value_tick: int, stop: float) -> None:
    """Fill the part of the check that follows from its limit_tick and quantity_lot.

    Args:
        context: CONTEXT.
        symbol: index.
        price_tick: limit price.
        value_tick: the order counts with that price: the higher of limit and best price.
        stop: distance of its stop, a fraction.
    """
    view = context_at(context)
    check = check_at(view.check)
    row = symbol_at(symbol_address(context, symbol))
    lots = check.quantity_lot
    check.order_notional_e8 = money_e8(lots, value_tick, row.value_e8)
    # Rounded up: the loss at the stop is never above the one that is counted here.
    check.risk_tick = max(1, math.ceil(value_tick * stop))
    check.order_risk_e8 = money_e8(lots, check.risk_tick, row.value_e8)
    check.lot_max = LOT_MAX
    if row.lot_max > 0:
        check.lot_max = min(check.lot_max, row.lot_max)
    largest = parameters_at(view.parameters).max_order_quantity
    if largest > 0.0:
        check.lot_max = min(check.lot_max, math.floor(largest / row.lot_size + 1e-9))
    place = symbol_address(context, symbol)
    reference = reference_price(context, symbol)
    check.conforms = 1 if conforms(place, check.side, price_tick, lots, reference) else 0


@kernel
def stop_distance(context: int, signal: int) -> float:
    """Return the distance of the stop an entry will have: the signal's where that is tighter."""
    hint = signal_at(signal).stop_pct
    configured = parameters_at(context_at(context).parameters).stop_loss_pct
    return min(hint, configured) if hint > 0.0 else configured


@kernel
def _look_at_size(context: int, signal: int, now_ns: int) -> None:
    """Fill limit price, quantity, sums and repeats of the check; needs valid best prices."""
    view = context_at(context)
    cause = signal_at(signal)
    symbol = cause.symbol
    check = check_at(view.check)
    settings = parameters_at(view.parameters)
    state = symbol_state_at(symbol_state_address(context, symbol))
    place = symbol_address(context, symbol)
    measure_exposure(context, symbol)
    check.limit_tick = entry_limit_tick(
        view.parameters,
        place,
        cause.side,
        state.bid_tick,
        state.ask_tick,
        (cause.bid_tick + cause.ask_tick) / 2.0,
        reference_price(context, symbol),
    )
    best = state.ask_tick if cause.side > 0 else state.bid_tick
    stop = stop_distance(context, signal)
    share = kelly_share(trades_address(context, cause.strategy), settings.kelly_trades_min)
    equity = check.equity_e8 / E8
    factor = size_factor(
        view.parameters, cause.strength, cause.confidence, cause.volatility, stop, equity, share
    )
    high = max(best, check.limit_tick)
    room, bound = notional_room(view.parameters, view.check, stop)
    check.quantity_lot = 0
    check.size_bound = bound if factor > 0.0 else NO_EDGE
    if check.limit_tick > 0 and factor > 0.0:
        wanted = settings.base_position * factor
        low = min(best, check.limit_tick)
        check.quantity_lot = entry_quantity(view.parameters, place, wanted, room, low, high)
    weigh_order(context, symbol, check.limit_tick, high, stop)
    key = repeat_key(cause.strategy, cause.side)
    check.repeat_count = repeats_within(context, symbol, key, now_ns, settings.repeat_window_ns)


@kernel
def _reverse(context: int, signal: int, now_ns: int) -> None:
    """Close the symbol's position if the signal is for the other side and it has been held."""
    view = context_at(context)
    settings = parameters_at(view.parameters)
    cause = signal_at(signal)
    row = position_at(position_address(context, cause.symbol))
    if settings.close_on_reverse == 0 or row.state == FLAT or row.state == EXITING:
        return
    if row.side != -cause.side or row.state == ENTERING:
        return
    if now_ns - row.opened_ns < row.hold_ns_min:
        return
    if is_stale(now_ns - cause.origin_ns, settings.max_stale_ns):
        return
    request_close(context, cause.symbol, REVERSAL, cause.origin_ns, now_ns)


@kernel
def refusal_of(context: int, signal: int, now_ns: int) -> int:
    """Return why a signal is refused, or NONE; only the check is written.

    What it says about limit price, quantity and stop of the entry stands in the check then.
    """
    view = context_at(context)
    if not signal_is_valid(signal, control_at(view.control).symbol_count):
        return INVALID
    cause = signal_at(signal)
    check_at(view.check).signal_age_ns = now_ns - cause.origin_ns
    look_at_permission(context, cause.symbol, cause.strategy, cause.side, now_ns)
    look_at_symbol(context, cause.symbol, now_ns)
    refusal = refused_by_state(view.check, view.parameters)
    if refusal != NONE:
        return refusal
    _look_at_size(context, signal, now_ns)
    return refused_by_size(view.check, view.parameters)


@kernel
def judge_signal(context: int, signal: int, now_ns: int) -> int:
    """Write the entry order of a signal, or return why not."""
    view = context_at(context)
    refusal = refusal_of(context, signal, now_ns)
    if refusal == INVALID:
        return INVALID
    cause = signal_at(signal)
    check = check_at(view.check)
    if refusal == REPEAT:
        latch(context, cause.symbol, cause.strategy)
    if refusal != NONE:
        _reverse(context, signal, now_ns)
        return refusal
    lots, limit = check.quantity_lot, check.limit_tick
    if not write_entry(context, signal, lots, limit, check.risk_tick, now_ns, now_ns):
        return RING
    return NONE


@kernel
def take_signal(context: int, signal: int, now_ns: int) -> None:
    """Judge a signal and count it: signals = accepted + rejected."""
    view = context_at(context)
    refusal = judge_signal(context, signal, now_ns)
    count(view.counters, SIGNALS, 1)
    if refusal == NONE:
        count(view.counters, ACCEPTED, 1)
        return
    count(view.counters, REJECTED, 1)
    count(view.counters, parameters_at(view.parameters).refusal_counter[refusal], 1)
