"""A signal through sizing and limits into an entry order, or into a counted refusal."""

from __future__ import annotations

from risk.limit_table import Refusal
from risk.limits import E8, entry_limit_tick, first_refusal, is_stale, signal_is_valid
from risk.orders import entry_slots_free, orders_in_last_second, write_entry
from risk.positions import (
    ENTERING,
    EXITING,
    FLAT,
    equity_e8,
    gross_notional_e8,
    position_address,
    symbol_address,
    symbol_state_address,
)
from risk.sizing import entry_quantity, notional_cap, size_factor
from risk.state import CONTEXT, ENTRY_CHECK, HEADER, PARAMETERS, SYMBOL_STATE
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
def _look_at_permission(context: int, signal: int, now_ns: int) -> None:
    """Fill the part of the check that does not depend on the size."""
    view = context_at(context)
    control = control_at(view.control)
    settings = parameters_at(view.parameters)
    cause = signal_at(signal)
    state = symbol_state_at(symbol_state_address(context, cause.symbol))
    row = position_at(position_address(context, cause.symbol))
    check = check_at(view.check)
    check.halt_reason = control.halt_reason
    check.kill_latch = other_latch_held(view.control)
    check.stop_requested = control.stop_requested | view.closing
    check.flatten_requested = control.flatten_requested | control.kill_flatten
    check.reconciled = control.reconciled
    check.clock_ready = control.clock_ready
    check.untrusted = header_at(view.header).untrusted
    check.distrust = trust_at(view.trusts + cause.symbol * TRUST_SIZE).distrust
    check.equity_e8 = _equity_for_sizing(context)
    check.risk_latch = risk_latch_held(view.control)
    check.strategy_enabled = settings.strategy_enabled[cause.strategy]
    check.best_valid = state.best_valid
    check.price_age_ns = now_ns - state.seen_ns
    check.signal_age_ns = now_ns - cause.origin_ns
    check.position_state = row.state
    check.position_count = control.open_position_count
    check.order_count = orders_in_last_second(context, now_ns)
    check.ring_free = entry_slots_free(view.orders)


@kernel
def _look_at_size(context: int, signal: int) -> None:
    """Fill limit price, quantity and notionals of the check; needs valid best prices."""
    view = context_at(context)
    cause = signal_at(signal)
    check = check_at(view.check)
    state = symbol_state_at(symbol_state_address(context, cause.symbol))
    symbol = symbol_address(context, cause.symbol)
    middle = (cause.bid_tick + cause.ask_tick) / 2.0
    limit = entry_limit_tick(
        view.parameters, symbol, cause.side, state.bid_tick, state.ask_tick, middle
    )
    gross = gross_notional_e8(context)
    check.gross_notional_e8 = gross
    check.limit_tick = limit
    if limit == 0:
        return
    best = state.ask_tick if cause.side > 0 else state.bid_tick
    factor = size_factor(view.parameters, cause.strength, cause.confidence, cause.volatility)
    wanted = parameters_at(view.parameters).base_position * factor
    cap = notional_cap(view.parameters, check.equity_e8 / E8, gross / E8)
    high = max(best, limit)
    quantity = entry_quantity(view.parameters, symbol, wanted, cap, min(best, limit), high)
    check.quantity_lot = quantity
    check.order_notional_e8 = quantity * high * symbol_at(symbol).value_e8


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
def judge_signal(context: int, signal: int, now_ns: int) -> int:
    """Write the entry order of a signal, or return why not."""
    view = context_at(context)
    if not signal_is_valid(signal, control_at(view.control).symbol_count):
        return INVALID
    _look_at_permission(context, signal, now_ns)
    check = check_at(view.check)
    check.limit_tick = 0
    check.quantity_lot = 0
    check.order_notional_e8 = 0
    check.gross_notional_e8 = 0
    if check.best_valid != 0:
        _look_at_size(context, signal)
    refusal = first_refusal(view.check, view.parameters)
    if refusal != NONE:
        _reverse(context, signal, now_ns)
        return refusal
    if not write_entry(context, signal, check.quantity_lot, check.limit_tick, now_ns, now_ns):
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
