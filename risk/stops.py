"""Stops that rest at the venue, as orders into the ring: one to place, one to cancel.

Both are one change each (see undo.py): the ledger and the ring say the same after a crash.
"""

from __future__ import annotations

from risk.coverage import begin_exposure
from risk.guard import CANCELING, PLACING, guard_address
from risk.orders import (
    EXIT_FLAGS,
    NO_TIME_IN_FORCE,
    PLACE,
    close_order,
    open_order,
)
from risk.positions import position_address, symbol_state_address
from risk.state import CONTEXT, GUARD, SYMBOL_STATE, Role
from risk.undo import ORDER_WRITTEN, begin_change, end_change
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import ORDER, OrderAction, OrderReason, OrderType
from shm.rings import claim, publish
from shm.tables import POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
guard_at = view_of(GUARD)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
order_at = view_of(ORDER)

CANCEL = int(OrderAction.CANCEL)
STOP_MARKET = int(OrderType.STOP_MARKET)
PROTECTION = int(OrderReason.PROTECTION)
ROLE_STOP = int(Role.STOP)
STOPS = counters.offset("risk.stops")
STOP_CANCELS = counters.offset("risk.stop_cancels")
assert PLACE != CANCEL


@kernel
def _fill_stop(
    slot: int, position: int, symbol_state: int, quantity_lot: int, trigger_tick: int, now_ns: int
) -> None:
    """Fill what a stop and its cancel have in common."""
    row = position_at(position)
    state = symbol_state_at(symbol_state)
    order = order_at(slot)
    order.origin_ns = now_ns
    order.expires_ns = 0
    order.position_id = row.position_id
    order.price_tick = trigger_tick
    order.quantity_lot = quantity_lot
    order.reference_tick = state.bid_tick if row.side > 0 else state.ask_tick
    order.type = STOP_MARKET
    order.time_in_force = NO_TIME_IN_FORCE
    order.flags = EXIT_FLAGS
    order.reason = PROTECTION


@kernel
def write_stop(
    context: int, symbol: int, quantity_lot: int, trigger_tick: int, now_ns: int
) -> bool:
    """Write the stop of a position and enter it in the ledger; False when the ring is full."""
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    order_id = open_order(context, slot, symbol, ROLE_STOP, now_ns)
    place = position_address(context, symbol)
    row = position_at(place)
    guard = guard_at(guard_address(context, symbol))
    guard.state = PLACING
    guard.order_id = order_id
    guard.position_id = row.position_id
    guard.side = -row.side
    guard.quantity_lot = quantity_lot
    guard.trigger_tick = trigger_tick
    guard.written_ns = now_ns
    guard.placed_ns = now_ns
    _fill_stop(
        slot, place, symbol_state_address(context, symbol), quantity_lot, trigger_tick, now_ns
    )
    order_at(slot).side = -row.side
    close_order(context, slot, now_ns)
    count(view.counters, STOPS, 1)
    return True


@kernel
def write_cancel(context: int, symbol: int, order_id: int, now_ns: int) -> bool:
    """Write the cancel of a stop and note it in the ledger; False when the ring is full.

    It takes no id of its own, and does not count against the message rate of orders.
    """
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    begin_change(context, ORDER_WRITTEN, symbol, order_id)
    guard = guard_at(guard_address(context, symbol))
    if guard.order_id == order_id:
        guard.state = CANCELING
        guard.written_ns = now_ns
        begin_exposure(context, symbol, now_ns, now_ns)
    else:
        guard.stray_ns = now_ns
    place = position_address(context, symbol)
    _fill_stop(
        slot,
        place,
        symbol_state_address(context, symbol),
        guard.quantity_lot,
        guard.trigger_tick,
        now_ns,
    )
    order = order_at(slot)
    order.order_id = order_id
    order.symbol = symbol
    order.action = CANCEL
    order.written_ns = now_ns
    order.side = guard.side
    publish(view.orders, slot)
    end_change(context)
    count(view.counters, STOP_CANCELS, 1)
    return True
