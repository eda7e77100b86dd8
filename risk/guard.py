"""What reports say about the stop that rests at the venue: the ledger's half that only listens.

    NONE ──place──► PLACING ──NEW──► RESTING ──cancel──► CANCELING ──ended──► NONE
                       └──UNKNOWN──► DOUBT ──NEW──► RESTING      (from every state: ended ──► NONE)

Each change is part of the change that applies the report (see undo.py). Loops: none of its own.
"""

from __future__ import annotations

from risk.retries import retry_delay_ns
from risk.state import CONTEXT, GUARD, ORDER_STATE, SYMBOL_STATE, GuardState
from risk.strays import next_stray
from risk.undo import GUARD_SIZE, POSITION_SIZE, SYMBOL_STATE_SIZE
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import OrderReason, OrderStatus
from shm.tables import POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
guard_at = view_of(GUARD)
order_state_at = view_of(ORDER_STATE)
symbol_state_at = view_of(SYMBOL_STATE)
position_at = view_of(POSITION)

NONE = int(GuardState.NONE)
PLACING = int(GuardState.PLACING)
RESTING = int(GuardState.RESTING)
CANCELING = int(GuardState.CANCELING)
DOUBT = int(GuardState.DOUBT)
UNKNOWN = int(OrderStatus.UNKNOWN)
NEW = int(OrderStatus.NEW)
PARTIALLY_FILLED = int(OrderStatus.PARTIALLY_FILLED)
FILLED = int(OrderStatus.FILLED)
REJECTED = int(OrderStatus.REJECTED)
NOT_SENT = int(OrderStatus.NOT_SENT)
STOP = int(OrderReason.STOP)
# Venue: error codes of futures, -2021 ORDER_WOULD_IMMEDIATELY_TRIGGER.
WOULD_TRIGGER = -2021
# The executor's: the venue refused the stop in the moment in which it triggered.
REFUSED_AT_TRIGGER = -90_007

STOPS_REFUSED = counters.offset("risk.stops_refused")
STOPS_LOST = counters.offset("risk.stops_lost")
STOPS_STRAYED = counters.offset("risk.stops_strayed")


@kernel
def guard_address(context: int, symbol: int) -> int:
    """Return the address of a symbol's GUARD row."""
    return context_at(context).guards + symbol * GUARD_SIZE


@kernel
def is_idle(guard: int) -> bool:
    """Return whether a symbol has no stop at the venue and none under way."""
    view = guard_at(guard)
    return view.order_id == 0 and view.stray_order_id == 0 and view.exposed_ns == 0


@kernel
def note_stop_status(context: int, order: int) -> None:
    """Take over the status of a stop order that has not ended."""
    record = order_state_at(order)
    guard = guard_at(guard_address(context, record.symbol))
    if guard.order_id != record.order_id:
        return
    if record.status == UNKNOWN:
        # A cancel under way is still under way: its end is what is waited for.
        if guard.state != CANCELING:
            guard.state = DOUBT
    elif record.status == NEW or record.status == PARTIALLY_FILLED:
        if guard.state != CANCELING:
            guard.state = RESTING
        guard.failure_count = 0


@kernel
def finish_stop(context: int, order: int, now_ns: int) -> None:
    """Note that a stop order is over; one that nobody canceled is placed again after a pause.

    One that would have triggered at once, or was refused when it did, says that the price is
    there: the position is closed at the market.
    """
    view = context_at(context)
    record = order_state_at(order)
    guard = guard_at(guard_address(context, record.symbol))
    if guard.stray_order_id == record.order_id:
        guard.stray_order_id = next_stray(context, order, guard.order_id)
        guard.stray_ns = 0
        return
    if guard.order_id != record.order_id:
        return
    was_asked = guard.state == CANCELING
    guard.state = NONE
    guard.order_id = 0
    if record.status == FILLED or (was_asked and record.status != REJECTED):
        guard.failure_count = 0
        guard.retry_ns = 0
        return
    guard.failure_count += 1
    guard.retry_ns = now_ns + retry_delay_ns(guard.failure_count)
    is_refused = record.status == REJECTED or record.status == NOT_SENT
    count(view.counters, STOPS_REFUSED if is_refused else STOPS_LOST, 1)
    if record.error_code == WOULD_TRIGGER or record.error_code == REFUSED_AT_TRIGGER:
        place = view.symbol_states + record.symbol * SYMBOL_STATE_SIZE
        state = symbol_state_at(place)
        row = position_at(view.positions + record.symbol * POSITION_SIZE)
        if state.want_close == 0 and row.position_id == record.position_id:
            state.want_close = STOP


@kernel
def revive_stop(context: int, order: int) -> None:
    """Take a stop back that was taken for absent; beside another one it is a stray to cancel."""
    record = order_state_at(order)
    guard = guard_at(guard_address(context, record.symbol))
    if guard.order_id == 0:
        guard.state = DOUBT
        guard.order_id = record.order_id
        guard.position_id = record.position_id
        guard.side = record.side
        guard.quantity_lot = record.quantity_lot
        guard.trigger_tick = record.price_tick
    elif guard.order_id != record.order_id:
        # Beside another stray it is found when that one has ended.
        if guard.stray_order_id == 0:
            guard.stray_order_id = record.order_id
            guard.stray_ns = 0
        count(context_at(context).counters, STOPS_STRAYED, 1)
