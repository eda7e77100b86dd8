"""Positions under watch: each price and each timer through the exit machine, exits into orders."""

from __future__ import annotations

from risk.coverage import track_exposure
from risk.exit_counters import exit_counter
from risk.exits import CLOSE, PARTIAL_CLOSE, apply_decision, evaluate_exit
from risk.forced import FLATTEN, forced_due, forced_reason
from risk.foreign import is_left_alone
from risk.guard import UNKNOWN, guard_address, is_idle
from risk.orders import write_exit
from risk.positions import (
    FLAT,
    exit_price,
    position_address,
    settle_state,
    symbol_address,
    symbol_state_address,
    track_equity,
)
from risk.protection import LOOK_NS, protect, protection_due
from risk.quote_orders import clear_way
from risk.retries import note_failed_exit
from risk.state import CONTEXT, DECISION, ORDER_STATE, PARAMETERS, SYMBOL_STATE
from risk.undo import LOCAL, begin_change, end_change, order_state_address
from shm import counters
from shm.atomics import load_acquire
from shm.compiled import kernel
from shm.histograms import count
from shm.records import OrderReason
from shm.rings import head_address
from shm.tables import CONTROL, POSITION, SYMBOL
from shm.views import address_of, view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
parameters_at = view_of(PARAMETERS)
decision_at = view_of(DECISION)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)

PARTIAL = int(OrderReason.PARTIAL)
REVERSAL = int(OrderReason.REVERSAL)
FOREIGN = int(OrderReason.FOREIGN)
EXITS = counters.offset("risk.exits")
EXIT_RETRIES = counters.offset("risk.exit_retries")
EXITS_DOUBTED = counters.offset("risk.exits_doubted")


@kernel
def _send_exit(
    context: int, symbol: int, quantity_lot: int, reason: int, origin_ns: int, now_ns: int
) -> bool:
    """Write an exit order unless its pause is not over; a full ring begins a pause.

    The cancels of the symbol's quotes go before it, as it could meet one of them.
    """
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
    written = clear_way(context, symbol, now_ns)
    if not written or not write_exit(context, symbol, quantity_lot, reason, origin_ns, now_ns):
        note_failed_exit(state_address, reason == PARTIAL, now_ns)
        return False
    count(view.counters, EXITS, 1)
    # A reason is counted once, however often its order has to be repeated.
    count(view.counters, EXIT_RETRIES if again else exit_counter(reason), 1)
    return True


@kernel
def _set_doubt_aside(context: int, symbol: int, now_ns: int) -> None:
    """Let another close be sent beside an exit of which nothing has been heard for too long.

    Both are reduce-only: in one-way mode they close no more than there is. One at a time is set
    aside, so there are never more than two.
    """
    view = context_at(context)
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    if row.exit_order_id == 0 or state.doubt_order_id != 0:
        return
    order = order_state_at(order_state_address(context, row.exit_order_id))
    if order.status > UNKNOWN or now_ns - order.written_ns < doubt_limit_ns(context):
        return
    # Still in the ring: the executor has not seen it, and would see another no sooner.
    if load_acquire(head_address(view.orders, 0)) - order.ring_position <= 0:
        return
    begin_change(context, LOCAL, symbol, row.exit_order_id)
    state.doubt_order_id = row.exit_order_id
    row.exit_order_id = 0
    settle_state(context, symbol)
    end_change(context)
    count(view.counters, EXITS_DOUBTED, 1)


@kernel
def doubt_limit_ns(context: int) -> int:
    """Return how long an exit may be without an answer before another is sent."""
    return parameters_at(context_at(context).parameters).exit_doubt_ns


@kernel
def _watch(context: int, symbol: int, trade_tick: int, origin_ns: int, now_ns: int) -> None:
    """Send the exit that is due, or take the stop on; the row has quantity, no exit is awaited."""
    view = context_at(context)
    place = position_address(context, symbol)
    row = position_at(place)
    left = row.entry_lot - row.exit_lot
    state = symbol_state_at(symbol_state_address(context, symbol))
    # Somebody else looks after it, unless a person wants everything closed.
    if is_left_alone(place) and control_at(view.control).kill_flatten == 0:
        return
    if left < 0:
        # More was closed than opened: what is held is on a side that nobody wanted.
        _send_exit(context, symbol, -left, FOREIGN, origin_ns, now_ns)
        return
    reason = forced_reason(context, symbol, now_ns)
    if reason != 0 and (state.want_close == 0 or reason == FLATTEN):
        state.want_close = reason
    if state.want_close == 0:
        lot_min = symbol_at(symbol_address(context, symbol)).lot_min
        price = exit_price(address_of(state), row.side)
        decision = view.decision
        action = evaluate_exit(
            place,
            view.parameters,
            lot_min,
            price,
            trade_tick,
            state.imbalance,
            now_ns,
            decision,
        )
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
def watch_trade(context: int, symbol: int, trade_tick: int, origin_ns: int, now_ns: int) -> None:
    """Take one step of a symbol's position at the best price known, and of its stop at the venue.

    Args:
        context: CONTEXT.
        symbol: index.
        trade_tick: price of the trade behind this step; 0 = none.
        origin_ns: receive stamp of the event behind this step; `now_ns` where a timer is behind it.
        now_ns: monotonic.
    """
    row = position_at(position_address(context, symbol))
    if parameters_at(context_at(context).parameters).venue_stop != 0:
        # A stop that rests by the report behind this step ends the time before it is judged.
        track_exposure(context, symbol, now_ns)
    if row.state != FLAT:
        _set_doubt_aside(context, symbol, now_ns)
        # An exit in flight is waited for: two of them could close more than there is.
        if row.entry_lot != row.exit_lot and row.exit_order_id == 0:
            _watch(context, symbol, trade_tick, origin_ns, now_ns)
    protect(context, symbol, now_ns)


@kernel
def watch_position(context: int, symbol: int, origin_ns: int, now_ns: int) -> None:
    """Take one step as `watch_trade` does, without a trade."""
    watch_trade(context, symbol, 0, origin_ns, now_ns)


@kernel
def request_close(context: int, symbol: int, reason: int, origin_ns: int, now_ns: int) -> None:
    """Close a position for a reason of another than the exit machine."""
    state = symbol_state_at(symbol_state_address(context, symbol))
    if state.want_close == 0 and not is_left_alone(position_address(context, symbol)):
        state.want_close = reason
    watch_position(context, symbol, origin_ns, now_ns)


@kernel
def _earlier(due_ns: int, other_ns: int) -> int:
    """Return the earlier of two times, of which 0 is none."""
    if due_ns == 0 or (other_ns != 0 and other_ns < due_ns):
        return other_ns
    return due_ns


@kernel
def _due(context: int, symbol: int, now_ns: int) -> int:
    """Return when a symbol is to be looked at again at the latest, or 0."""
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    due = protection_due(context, symbol, now_ns)
    if row.state == FLAT:
        return due
    if row.exit_order_id != 0:
        if state.doubt_order_id != 0:
            return due
        # One that was still in the ring then is looked at again a little later.
        return _earlier(due, max(row.exit_sent_ns + doubt_limit_ns(context), now_ns + LOOK_NS))
    if row.entry_lot == row.exit_lot:
        return due
    due = _earlier(due, forced_due(context, symbol))
    if row.hold_ns_max > 0:
        due = _earlier(due, row.opened_ns + row.hold_ns_max)
    return _earlier(due, state.retry_ns if state.retry_ns > now_ns else 0)


@kernel
def watch_all(context: int, now_ns: int) -> int:
    """Take a step of every position; return when the next timer is due, or 0 when none runs.

    Loop bound: symbol_count ≤ 128.
    """
    view = context_at(context)
    due = 0
    for symbol in range(control_at(view.control).symbol_count):
        row = position_at(position_address(context, symbol))
        if row.state == FLAT and is_idle(guard_address(context, symbol)):
            continue
        watch_position(context, symbol, now_ns, now_ns)
        due = _earlier(due, _due(context, symbol, now_ns))
    track_equity(context, parameters_at(view.parameters).max_drawdown)
    return due


@kernel
def forget_prices(context: int, now_ns: int) -> None:
    """Trust no price until the next BEST of its symbol: records were lost. Bound: symbol_count.

    What was lost may have held good prices: their age counts from here, once until there is one.
    """
    for symbol in range(control_at(context_at(context).control).symbol_count):
        state = symbol_state_at(symbol_state_address(context, symbol))
        state.best_valid = 0
        if state.lapped_ns <= state.fresh_ns:
            state.lapped_ns = now_ns
