"""Positions under watch: each price and each timer through the exit machine, exits into orders."""

from __future__ import annotations

from risk.exit_counters import exit_counter
from risk.exits import (
    CLOSE,
    PARTIAL_CLOSE,
    apply_decision,
    evaluate_exit,
)
from risk.fills import note_failed_exit
from risk.foreign import is_left_alone
from risk.orders import write_exit
from risk.positions import (
    FLAT,
    exit_price,
    mark_to_market,
    position_address,
    symbol_address,
    symbol_state_address,
    track_equity,
)
from risk.state import CONTEXT, DECISION, PARAMETERS, SYMBOL_STATE
from runtime.clocks import mono_ns
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import MARKET_EVENT, EventFlag, EventKind, OrderReason
from shm.tables import CONTROL, POSITION, SYMBOL
from shm.views import address_of, view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
parameters_at = view_of(PARAMETERS)
decision_at = view_of(DECISION)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
event_at = view_of(MARKET_EVENT)

TRADE = int(EventKind.TRADE)
BEST = int(EventKind.BEST)
INVALID = int(EventKind.INVALID)
DELAYED = int(EventFlag.DELAYED)
PARTIAL = int(OrderReason.PARTIAL)
REVERSAL = int(OrderReason.REVERSAL)
FLATTEN = int(OrderReason.FLATTEN)
# A position without a time limit is looked at this much later, if nothing comes before.
FAR_NS = 1_000_000_000
EXITS = counters.offset("risk.exits")
EXIT_RETRIES = counters.offset("risk.exit_retries")


@kernel
def _send_exit(
    context: int, symbol: int, quantity_lot: int, reason: int, origin_ns: int, now_ns: int
) -> bool:
    """Write an exit order unless its pause is not over; a full ring begins a pause."""
    view = context_at(context)
    state_address = symbol_state_address(context, symbol)
    state = symbol_state_at(state_address)
    if state.retry_partial and reason != PARTIAL:
        state.retry_count = 0
        state.retry_ns = 0
        state.retry_partial = 0
    if now_ns < state.retry_ns:
        return False
    again = state.retry_count > 0
    if not write_exit(context, symbol, quantity_lot, reason, origin_ns, now_ns):
        note_failed_exit(state_address, reason == PARTIAL, now_ns)
        return False
    count(view.counters, EXITS, 1)
    # A reason is counted once, however often its order has to be repeated.
    count(view.counters, EXIT_RETRIES if again else exit_counter(reason), 1)
    return True


@kernel
def watch_position(context: int, symbol: int, origin_ns: int, now_ns: int) -> None:
    """Take one step of a symbol's position at the best price known.

    Args:
        context: CONTEXT.
        symbol: index.
        origin_ns: receive stamp of the event behind this step; `now_ns` where a timer is behind it.
        now_ns: monotonic.
    """
    view = context_at(context)
    place = position_address(context, symbol)
    row = position_at(place)
    left = row.entry_lot - row.exit_lot
    # An exit in flight is waited for: two of them could close more than there is.
    if row.state == FLAT or left <= 0 or row.exit_order_id != 0:
        return
    state = symbol_state_at(symbol_state_address(context, symbol))
    control = control_at(view.control)
    # Somebody else looks after it, unless a person wants everything closed.
    if is_left_alone(place) and control.kill_flatten == 0:
        return
    if control.flatten_requested != 0 or control.kill_flatten != 0:
        state.want_close = FLATTEN
    if state.want_close == 0:
        lot_min = symbol_at(symbol_address(context, symbol)).lot_min
        price = exit_price(address_of(state), row.side)
        decision = view.decision
        action = evaluate_exit(place, view.parameters, lot_min, price, 0, 0.0, now_ns, decision)
        made = decision_at(decision)
        if action == CLOSE:
            state.want_close = made.reason
        elif action == PARTIAL_CLOSE:
            # The order takes the decision over into the position: both happen or neither.
            _send_exit(context, symbol, made.quantity_lot, PARTIAL, origin_ns, now_ns)
            return
        else:
            apply_decision(place, decision)
    if state.want_close != 0:
        _send_exit(context, symbol, left, state.want_close, origin_ns, now_ns)


@kernel
def request_close(context: int, symbol: int, reason: int, origin_ns: int, now_ns: int) -> None:
    """Close a position for a reason of another than the exit machine."""
    state = symbol_state_at(symbol_state_address(context, symbol))
    if state.want_close == 0 and not is_left_alone(position_address(context, symbol)):
        state.want_close = reason
    watch_position(context, symbol, origin_ns, now_ns)


@kernel
def watch_all(context: int, now_ns: int) -> int:
    """Take a step of every position; return when the next timer is due, or 0 when none runs.

    Loop bound: symbol_count ≤ 128.
    """
    view = context_at(context)
    due = 0
    for symbol in range(control_at(view.control).symbol_count):
        row = position_at(position_address(context, symbol))
        if row.state == FLAT:
            continue
        watch_position(context, symbol, now_ns, now_ns)
        if row.exit_order_id != 0 or row.entry_lot <= row.exit_lot:
            continue
        state = symbol_state_at(symbol_state_address(context, symbol))
        mine = row.opened_ns + row.hold_ns_max if row.hold_ns_max > 0 else now_ns + FAR_NS
        if state.retry_ns > now_ns:
            mine = min(mine, state.retry_ns)
        if due == 0 or mine < due:
            due = mine
    track_equity(context, parameters_at(view.parameters).max_drawdown)
    return due


@kernel
def forget_prices(context: int) -> None:
    """Trust no price until the next BEST of its symbol: records were lost. Bound: symbol_count."""
    for symbol in range(control_at(context_at(context).control).symbol_count):
        symbol_state_at(symbol_state_address(context, symbol)).best_valid = 0


@kernel
def _take_best(event: int, symbol_state: int) -> None:
    view = event_at(event)
    state = symbol_state_at(symbol_state)
    if view.price_tick > 0 and view.ask_tick > view.price_tick:
        state.bid_tick = view.price_tick
        state.ask_tick = view.ask_tick
        state.best_valid = 1
    else:
        state.best_valid = 0


@kernel
def take_event(context: int, event: int) -> None:
    """Take one market event: remember prices, step the symbol's position on each BEST.

    The clock is read only where there is a position: it would be half of the cost elsewhere.
    """
    view = context_at(context)
    market = event_at(event)
    symbol = market.symbol
    if symbol >= control_at(view.control).symbol_count or market.flags & DELAYED:
        return
    place = symbol_state_address(context, symbol)
    state = symbol_state_at(place)
    state.seen_ns = market.origin_ns
    if market.kind == BEST:
        _take_best(event, place)
        if position_at(position_address(context, symbol)).state != FLAT:
            now = mono_ns()
            mark_to_market(context, symbol)
            track_equity(context, parameters_at(view.parameters).max_drawdown)
            watch_position(context, symbol, market.origin_ns, now)
    elif market.kind == TRADE:
        state.trade_tick = market.price_tick
    elif market.kind == INVALID:
        state.best_valid = 0
