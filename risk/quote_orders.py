"""Quotes as orders into the ring: one to place post-only, one to cancel.

Both are one change each (see undo.py): the row of quotes and the ring say the same after a crash.
"""

from __future__ import annotations

from risk.inventory import MARKET_MAKING
from risk.orders import LIMIT, close_order, note_message, open_order
from risk.positions import FLAT, position_address, symbol_state_address
from risk.quote_rows import quotes_address
from risk.quote_state import QUOTES
from risk.state import CONTEXT, ORDER_STATE, PARAMETERS, SYMBOL_STATE, Role
from risk.undo import ORDER_WRITTEN, begin_change, end_change, order_state_address
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import ORDER, OrderAction, OrderReason, TimeInForce
from shm.rings import claim, publish
from shm.tables import POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)
order_at = view_of(ORDER)
quotes_at = view_of(QUOTES)

CANCEL = int(OrderAction.CANCEL)
GTX = int(TimeInForce.GTX)
REASON_QUOTE = int(OrderReason.QUOTE)
ROLE_QUOTE = int(Role.QUOTE)
QUOTE_ORDERS = counters.offset("risk.quote_orders")
QUOTE_CANCELS = counters.offset("risk.quote_cancels")


@kernel
def _fill(context: int, slot: int, symbol: int, place: int, now_ns: int) -> None:
    """Fill what a quote and its cancel have in common."""
    state = symbol_state_at(symbol_state_address(context, symbol))
    order = order_at(slot)
    order.origin_ns = quotes_at(quotes_address(context, symbol)).origin_ns
    order.written_ns = now_ns
    order.expires_ns = 0
    order.symbol = symbol
    order.side = 1 - 2 * place
    order.position_id = position_at(position_address(context, symbol)).position_id
    order.reference_tick = state.ask_tick if place == 0 else state.bid_tick
    order.type = LIMIT
    order.time_in_force = GTX
    order.flags = 0
    order.reason = REASON_QUOTE


@kernel
def write_quote(context: int, symbol: int, place: int, lots: int, tick: int, now_ns: int) -> bool:
    """Write the quote of a side and note that it stands; False when the ring is full.

    Args:
        context: CONTEXT.
        symbol: index, quoted; the side has no order.
        place: 0 bid, 1 ask.
        lots: quantity.
        tick: price.
        now_ns: monotonic.
    """
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    order_id = open_order(context, slot, symbol, ROLE_QUOTE, now_ns)
    row = position_at(position_address(context, symbol))
    if row.state == FLAT:
        # Whose position a fill will open.
        row.strategy = MARKET_MAKING
    quotes = quotes_at(quotes_address(context, symbol))
    quotes.order_id[place] = order_id
    quotes.tick[place] = tick
    quotes.cancel_ns[place] = 0
    _fill(context, slot, symbol, place, now_ns)
    order = order_at(slot)
    order.signal_id = quotes.quote_id
    # Not sent late: by then the engine may have gone quiet.
    order.expires_ns = now_ns + parameters_at(view.parameters).time_to_live_ns
    order.price_tick = tick
    order.quantity_lot = lots
    close_order(context, slot, now_ns)
    count(view.counters, QUOTE_ORDERS, 1)
    return True


@kernel
def write_quote_cancel(context: int, symbol: int, place: int, order_id: int, now_ns: int) -> bool:
    """Write the cancel of a side's order or stray; False when the ring is full.

    It takes no id of its own and is never held back; it counts as a message of its second.
    """
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    begin_change(context, ORDER_WRITTEN, symbol, order_id)
    quotes = quotes_at(quotes_address(context, symbol))
    if quotes.order_id[place] == order_id:
        quotes.cancel_ns[place] = now_ns
    else:
        quotes.stray_ns[place] = now_ns
    record = order_state_at(order_state_address(context, order_id))
    _fill(context, slot, symbol, place, now_ns)
    order = order_at(slot)
    order.order_id = order_id
    order.signal_id = quotes.quote_id
    order.action = CANCEL
    order.price_tick = record.price_tick
    order.quantity_lot = record.quantity_lot
    order.strategy = MARKET_MAKING
    note_message(context, now_ns)
    publish(view.orders, slot)
    end_change(context)
    count(view.counters, QUOTE_CANCELS, 1)
    return True


@kernel
def clear_way(context: int, symbol: int, now_ns: int) -> bool:
    """Have the cancel of every quote of a symbol in the ring; False when the ring is full.

    What is written next cannot reach the venue before them. Loops: two sides.
    """
    quotes = quotes_at(quotes_address(context, symbol))
    for place in range(2):
        quotes.wanted_lot[place] = 0
        order_id = quotes.order_id[place]
        is_due = order_id != 0 and quotes.cancel_ns[place] == 0
        if is_due and not write_quote_cancel(context, symbol, place, order_id, now_ns):
            return False
        stray = quotes.stray_order_id[place]
        is_due = stray != 0 and quotes.stray_ns[place] == 0
        if is_due and not write_quote_cancel(context, symbol, place, stray, now_ns):
            return False
    return True
