"""Fills of a quoted symbol into its inventory: one net position that may change its side.

The inventory is the symbol's POSITION row: the first fill opens it, fills of its side add to it,
fills against it reduce it. A fill that goes beyond zero is split: one part closes the position, a
round trip, the other opens the next. Whose order it was does not matter: a quote, an exit, a stop
at the venue, somebody else.

Its stop stands at the configured distance from what the lots that are held have cost, by moving
average: fills that reduce it take the average with them, so that after many fills the stop belongs
to what is held and not to what once was. Nothing but the stop applies: the quotes reduce it.
Loops: none.
"""

from __future__ import annotations

import math

from risk.levels import clear_quiet
from risk.positions import add_fill, apply_fill, position_address, share_of, symbol_state_address
from risk.quote_rows import is_quoted, note_quote_fill, quotes_address
from risk.quote_state import QUOTES
from risk.state import CONTEXT, HEADER, ORDER_STATE, PARAMETERS, SYMBOL_STATE, Role
from risk.trades import note_trade
from risk.undo import POSITION_SIZE
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.memory import zero_bytes
from shm.records import ExitRule, Strategy
from shm.tables import POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
header_at = view_of(HEADER)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)
quotes_at = view_of(QUOTES)

MARKET_MAKING = int(Strategy.MARKET_MAKING)
STOP_ONLY = int(ExitRule.STOP_ONLY)
QUOTE = int(Role.QUOTE)
ROUND_TRIPS = counters.offset("risk.round_trips")


@kernel
def _set_stop(context: int, symbol: int) -> None:
    """Set the stop from what the lots held have cost; needs quantity."""
    place = position_address(context, symbol)
    row = position_at(place)
    held = row.entry_lot - row.exit_lot
    cost = quotes_at(quotes_address(context, symbol)).cost_value
    average = cost / held
    # Rounded down: the loss at the stop is never above the one that was configured.
    distance = math.floor(average * parameters_at(context_at(context).parameters).stop_loss_pct)
    row.initial_risk_tick = max(1, distance)
    row.stop_tick = (2 * cost + held) // (2 * held) - row.side * row.initial_risk_tick
    clear_quiet(place)


@kernel
def _open(context: int, symbol: int, side: int) -> None:
    """Start a position in a symbol that holds nothing; its quantity comes next.

    An exit of the position before it may still be in flight: it is reduce-only, and awaited.
    """
    header = header_at(context_at(context).header)
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    header.last_position_id += 1
    before = row.state
    trips = row.round_trips
    exit_order_id = row.exit_order_id
    exit_sent_ns = row.exit_sent_ns
    exit_reason = row.exit_reason
    zero_bytes(place, POSITION_SIZE)
    # Kept, so that `settle_state` counts the position once.
    row.state = before
    row.round_trips = trips
    row.exit_order_id = exit_order_id
    row.exit_sent_ns = exit_sent_ns
    row.exit_reason = exit_reason
    row.position_id = header.last_position_id
    row.side = side
    row.strategy = MARKET_MAKING
    row.exit_rule = STOP_ONLY
    state.realized_e8 = 0
    state.moved_venue_ns = 0
    quotes_at(quotes_address(context, symbol)).cost_value = 0


@kernel
def _close(context: int, symbol: int) -> None:
    """Count the round trip that has just ended; what it was to be closed for is done."""
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    row.round_trips += 1
    note_trade(context, symbol)
    count(context_at(context).counters, ROUND_TRIPS, 1)
    state.want_close = 0
    state.retry_count = 0
    state.retry_ns = 0


@kernel
def add_inventory(
    context: int, symbol: int, side: int, fill_lot: int, fill_value: int, fee_e8: int, now_ns: int
) -> None:
    """Add a fill to the net position of a quoted symbol and to the totals.

    Args:
        context: CONTEXT.
        symbol: index, quoted.
        side: +1 bought, −1 sold.
        fill_lot: lots, > 0.
        fill_value: ticks × lots.
        fee_e8: 1e-8 quote; negative is a rebate.
        now_ns: monotonic.
    """
    row = position_at(position_address(context, symbol))
    view = quotes_at(quotes_address(context, symbol))
    held = row.entry_lot - row.exit_lot
    closing = min(held, fill_lot) if held > 0 and side != row.side else 0
    lots = fill_lot
    value = fill_value
    fee = fee_e8
    if closing > 0:
        # The whole of it where nothing goes beyond zero.
        closed = share_of(value, closing, lots)
        paid = fee // lots * closing if closing < lots else fee
        view.cost_value -= share_of(view.cost_value, closing, held)
        add_fill(context, symbol, False, closing, closed, paid, now_ns)
        lots -= closing
        value -= closed
        fee -= paid
        if row.entry_lot == row.exit_lot:
            _close(context, symbol)
    if lots > 0:
        if row.entry_lot == row.exit_lot:
            _open(context, symbol, side)
        add_fill(context, symbol, True, lots, value, fee, now_ns)
        view.cost_value += value
    if row.entry_lot > row.exit_lot:
        _set_stop(context, symbol)


@kernel
def take_fill(
    context: int, order: int, fill_lot: int, fill_value: int, fee_e8: int, now_ns: int
) -> None:
    """Add a new fill of an order to its symbol's position, by the symbol's kind of position."""
    record = order_state_at(order)
    if not is_quoted(context, record.symbol):
        apply_fill(context, order, fill_lot, fill_value, fee_e8, now_ns)
        return
    record.filled_lot += fill_lot
    record.filled_value += fill_value
    record.fee_e8 += fee_e8
    if record.role == QUOTE:
        note_quote_fill(context, order, fill_lot)
    add_inventory(context, record.symbol, record.side, fill_lot, fill_value, fee_e8, now_ns)
