"""Changes that a crash cannot leave half done: what is overwritten is saved first.

    begin_change(context, kind, symbol, order_id)    save the rows, then set `kind`
    … change the rows …
    <the commit: a ring's head or sequence moves on, see UndoKind>
    end_change(context)

`take_back` runs after a restart: a change that was not committed is undone, and its cause (a
report, a signal, a market event) is still in its ring and is worked off again. A process dies
between two of its instructions, so the order of the compiler is all that has to be kept.
"""

from __future__ import annotations

from risk.quote_state import QUOTES
from risk.state import (
    CONTEXT,
    GUARD,
    HEADER,
    ORDER_COUNT,
    ORDER_STATE,
    SYMBOL_STATE,
    TOTALS_OFFSET,
    TOTALS_SIZE,
    TRADES,
    UNDO,
    UndoKind,
)
from shm.atomics import compiler_barrier, load_relaxed
from shm.compiled import kernel
from shm.memory import copy_bytes
from shm.records import STRATEGY_COUNT_MAX
from shm.rings import TAIL, head_address
from shm.tables import POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
undo_at = view_of(UNDO)
position_at = view_of(POSITION)

NONE = int(UndoKind.NONE)
REPORT = int(UndoKind.REPORT)
ORDER_WRITTEN = int(UndoKind.ORDER)
LOCAL = int(UndoKind.LOCAL)

HEADER_COPY = UNDO.offset("header")
TOTALS_COPY = UNDO.offset("totals")
POSITION_COPY = UNDO.offset("position")
SYMBOL_COPY = UNDO.offset("symbol_state")
GUARD_COPY = UNDO.offset("guard")
QUOTES_COPY = UNDO.offset("quotes")
ORDER_COPY = UNDO.offset("order")
TRADES_COPY = UNDO.offset("trades")
HEADER_SIZE = HEADER.size
POSITION_SIZE = POSITION.size
SYMBOL_STATE_SIZE = SYMBOL_STATE.size
GUARD_SIZE = GUARD.size
QUOTES_SIZE = QUOTES.size
ORDER_STATE_SIZE = ORDER_STATE.size
TRADES_SIZE = TRADES.size
STRATEGY_LAST = int(STRATEGY_COUNT_MAX) - 1


@kernel
def order_state_address(context: int, order_id: int) -> int:
    """Return the row of the order table that an order id falls on."""
    row = order_id & (ORDER_COUNT - 1)
    return context_at(context).order_states + row * ORDER_STATE_SIZE


@kernel
def _place_of(context: int, kind: int) -> int:
    """Return the position that moves on when a change of a kind is committed."""
    view = context_at(context)
    if kind == REPORT:
        return load_relaxed(head_address(view.reports, 0))
    return load_relaxed(view.orders + TAIL)


@kernel
def begin_change(context: int, kind: int, symbol: int, order_id: int) -> None:
    """Save the header, the totals, a symbol's rows, an order's row and a strategy's trades."""
    view = context_at(context)
    undo = view.undo
    record = undo_at(undo)
    record.key = _place_of(context, kind)
    record.symbol = symbol
    record.order_id = order_id
    copy_bytes(undo + HEADER_COPY, view.header, HEADER_SIZE)
    copy_bytes(undo + TOTALS_COPY, view.control + TOTALS_OFFSET, TOTALS_SIZE)
    copy_bytes(undo + POSITION_COPY, view.positions + symbol * POSITION_SIZE, POSITION_SIZE)
    place = view.symbol_states + symbol * SYMBOL_STATE_SIZE
    copy_bytes(undo + SYMBOL_COPY, place, SYMBOL_STATE_SIZE)
    copy_bytes(undo + GUARD_COPY, view.guards + symbol * GUARD_SIZE, GUARD_SIZE)
    copy_bytes(undo + QUOTES_COPY, view.quote_rows + symbol * QUOTES_SIZE, QUOTES_SIZE)
    copy_bytes(undo + ORDER_COPY, order_state_address(context, order_id), ORDER_STATE_SIZE)
    # The trade that a change may close is of the strategy that the position has now.
    strategy = position_at(view.positions + symbol * POSITION_SIZE).strategy
    record.strategy = min(max(strategy, 0), STRATEGY_LAST)
    copy_bytes(undo + TRADES_COPY, view.trades + record.strategy * TRADES_SIZE, TRADES_SIZE)
    # Ordering: the copies before the mark, the mark before the change; see `take_back`.
    compiler_barrier()
    record.kind = kind
    compiler_barrier()


@kernel
def end_change(context: int) -> None:
    """Forget the copies: the change is complete."""
    compiler_barrier()
    undo_at(context_at(context).undo).kind = NONE
    compiler_barrier()


@kernel
def _is_committed(context: int) -> bool:
    view = context_at(context)
    record = undo_at(view.undo)
    # A ring's place never comes back to what it was. The tail has been recovered before.
    if record.kind == REPORT or record.kind == ORDER_WRITTEN:
        return _place_of(context, record.kind) != record.key
    return False


@kernel
def take_back(context: int) -> int:
    """Undo a change that was cut short; return 1 if there was one. Needs a recovered order ring.

    May itself be cut short: it copies the same bytes again then.
    """
    view = context_at(context)
    undo = view.undo
    record = undo_at(undo)
    if record.kind == NONE:
        return 0
    undone = 0
    if not _is_committed(context):
        symbol = record.symbol
        copy_bytes(view.header, undo + HEADER_COPY, HEADER_SIZE)
        copy_bytes(view.control + TOTALS_OFFSET, undo + TOTALS_COPY, TOTALS_SIZE)
        copy_bytes(view.positions + symbol * POSITION_SIZE, undo + POSITION_COPY, POSITION_SIZE)
        place = view.symbol_states + symbol * SYMBOL_STATE_SIZE
        copy_bytes(place, undo + SYMBOL_COPY, SYMBOL_STATE_SIZE)
        copy_bytes(view.guards + symbol * GUARD_SIZE, undo + GUARD_COPY, GUARD_SIZE)
        copy_bytes(view.quote_rows + symbol * QUOTES_SIZE, undo + QUOTES_COPY, QUOTES_SIZE)
        order = order_state_address(context, record.order_id)
        copy_bytes(order, undo + ORDER_COPY, ORDER_STATE_SIZE)
        trades = view.trades + record.strategy * TRADES_SIZE
        copy_bytes(trades, undo + TRADES_COPY, TRADES_SIZE)
        undone = 1
    end_change(context)
    return undone
