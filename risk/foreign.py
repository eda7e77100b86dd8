"""Fills that no order of ours explains: a liquidation, another client of the account, a person.

The executor reports them with order id 0 and a trade id that counts up within a symbol; what does
not count up was applied before. The net position is the venue's in any case. What it means:

    against our position          it is closed; what goes beyond it opens one on the other side
    with our position             the position grows, and is managed as a whole
    where there is no position    one is opened, and `risk.foreign_policy` says what becomes of it:

    halt      it is left alone, and as long as it is there its symbol takes no entries
    adopt     it gets levels as one of ours and is managed
    reduce    it is closed

In a quoted symbol all of it is inventory, whoever traded it.

Loops: none.
"""

from __future__ import annotations

from risk.inventory import add_inventory
from risk.positions import (
    add_fill,
    mark_to_market,
    position_address,
    settle_state,
    symbol_state_address,
)
from risk.quote_rows import is_quoted
from risk.state import CONTEXT, HEADER, PARAMETERS, SYMBOL_STATE, ForeignPolicy
from risk.undo import POSITION_SIZE
from shm.compiled import kernel
from shm.memory import zero_bytes
from shm.records import REPORT, ExitRule, OrderReason
from shm.tables import CONTROL, POSITION, PositionOwner
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
header_at = view_of(HEADER)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
report_at = view_of(REPORT)

ADOPT = int(ForeignPolicy.ADOPT)
REDUCE = int(ForeignPolicy.REDUCE)
MANAGED = int(PositionOwner.MANAGED)
LEFT_ALONE = int(PositionOwner.LEFT_ALONE)
PLAIN = int(ExitRule.PLAIN)
FOREIGN = int(OrderReason.FOREIGN)


@kernel
def is_foreign_fill(context: int, report: int) -> bool:
    """Return whether a report is a fill of nobody's order, with numbers that can be meant."""
    view = report_at(report)
    if view.order_id != 0 or view.fill_lot <= 0 or view.fill_tick <= 0:
        return False
    if view.side != 1 and view.side != -1:
        return False
    return view.symbol < control_at(context_at(context).control).symbol_count


@kernel
def _open_foreign(context: int, symbol: int, side: int) -> None:
    """Start a position that is not ours in a symbol without one; its quantity comes next.

    Orders of the position before it may still be in flight: their fills count by their side.
    """
    view = context_at(context)
    header = header_at(view.header)
    settings = parameters_at(view.parameters)
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    header.last_position_id += 1
    before = row.state
    trips = row.round_trips
    zero_bytes(place, POSITION_SIZE)
    # Kept, so that `settle_state` counts the position once.
    row.state = before
    row.round_trips = trips
    row.position_id = header.last_position_id
    row.side = side
    row.exit_rule = PLAIN
    row.hold_ns_max = settings.longest_hold_ns
    state.realized_e8 = 0
    state.entry_live = 0
    state.entry_left_lot = 0
    state.want_close = 0
    state.retry_count = 0
    state.retry_ns = 0
    row.owner = MANAGED
    if settings.foreign_policy == REDUCE:
        state.want_close = FOREIGN
    elif settings.foreign_policy != ADOPT:
        row.owner = LEFT_ALONE


@kernel
def apply_foreign(context: int, report: int, now_ns: int) -> bool:
    """Apply a foreign fill to its symbol; return False where it was applied before.

    Args:
        context: CONTEXT.
        report: REPORT that `is_foreign_fill`.
        now_ns: monotonic.
    """
    source = report_at(report)
    symbol = source.symbol
    state = symbol_state_at(symbol_state_address(context, symbol))
    if source.trade_id <= state.foreign_trade_id:
        return False
    if is_quoted(context, symbol):
        value = source.fill_lot * source.fill_tick
        side, fee_e8 = source.side, source.fee_e8
        add_inventory(context, symbol, side, source.fill_lot, value, fee_e8, now_ns)
        state.foreign_trade_id = source.trade_id
        settle_state(context, symbol)
        mark_to_market(context, symbol)
        return True
    row = position_at(position_address(context, symbol))
    lots = source.fill_lot
    held = row.entry_lot - row.exit_lot
    closing = min(held, lots) if held > 0 and source.side != row.side else 0
    fee = source.fee_e8
    if closing > 0:
        share = fee if closing == lots else fee // lots * closing
        add_fill(context, symbol, False, closing, closing * source.fill_tick, share, now_ns)
        fee -= share
        lots -= closing
        settle_state(context, symbol)
    if lots > 0:
        held = row.entry_lot - row.exit_lot
        # While an entry of ours is in flight on that side the two are one position.
        joins = held != 0 or (state.entry_live != 0 and row.side == source.side)
        if not joins:
            _open_foreign(context, symbol, source.side)
        is_entry = row.side == source.side
        add_fill(context, symbol, is_entry, lots, lots * source.fill_tick, fee, now_ns)
    state.foreign_trade_id = source.trade_id
    settle_state(context, symbol)
    mark_to_market(context, symbol)
    return True


@kernel
def is_left_alone(position: int) -> bool:
    """Return whether a position is somebody else's, and not to be touched."""
    return position_at(position).owner == LEFT_ALONE
