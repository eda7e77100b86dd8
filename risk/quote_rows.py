"""What reports say about quotes: the half of market making that only listens.

    none ──place──► stands or may stand ──ended──► none          (by side; see quotes.py)

# Invariant: at most one order of a side is asked for and not known to have ended. One that was
# taken for absent and turns up beside another is a stray: it is canceled before anything is placed.

Each change is part of the change that applies the report (see undo.py). Loops: two sides.
"""

from __future__ import annotations

from risk.quote_state import QUOTES
from risk.retries import retry_delay_ns
from risk.state import CONTEXT, ORDER_STATE, PARAMETERS
from risk.strays import next_stray
from risk.undo import QUOTES_SIZE, order_state_address
from shm import counters
from shm.atomics import load_relaxed
from shm.compiled import kernel
from shm.histograms import count
from shm.records import OrderStatus
from shm.rings import head_address
from shm.views import view_of

context_at = view_of(CONTEXT)
parameters_at = view_of(PARAMETERS)
quotes_at = view_of(QUOTES)
order_state_at = view_of(ORDER_STATE)

NEW = int(OrderStatus.NEW)
PARTIALLY_FILLED = int(OrderStatus.PARTIALLY_FILLED)
FILLED = int(OrderStatus.FILLED)
REJECTED = int(OrderStatus.REJECTED)
NOT_SENT = int(OrderStatus.NOT_SENT)
QUOTES_FAILED = counters.offset("risk.quotes_failed")
QUOTES_STRAYED = counters.offset("risk.quotes_strayed")


@kernel
def quotes_address(context: int, symbol: int) -> int:
    """Return the address of a symbol's QUOTES row."""
    return context_at(context).quote_rows + symbol * QUOTES_SIZE


@kernel
def is_quoted(context: int, symbol: int) -> bool:
    """Return whether a symbol belongs to market making."""
    return parameters_at(context_at(context).parameters).quoted[symbol] != 0


@kernel
def side_place(side: int) -> int:
    """Return 0 (bid) for +1 and 1 (ask) for −1."""
    return 0 if side > 0 else 1


@kernel
def quotes_live(context: int, symbol: int) -> bool:
    """Return whether an order of either side stands or may stand at the venue."""
    view = quotes_at(quotes_address(context, symbol))
    standing = view.order_id[0] | view.order_id[1]
    return (standing | view.stray_order_id[0] | view.stray_order_id[1]) != 0


@kernel
def quoted_left_lot(context: int, symbol: int, place: int) -> int:
    """Return the lots of a side's order that may still be filled."""
    order_id = quotes_at(quotes_address(context, symbol)).order_id[place]
    if order_id == 0:
        return 0
    record = order_state_at(order_state_address(context, order_id))
    return max(0, record.quantity_lot - record.filled_lot)


@kernel
def note_quote_fill(context: int, order: int, fill_lot: int) -> None:
    """Lessen what is wanted on a side by a fill, until the engine has heard of it.

    The fill may be of an order that is being replaced: too little is wanted then, never too much.
    """
    record = order_state_at(order)
    view = quotes_at(quotes_address(context, record.symbol))
    place = side_place(record.side)
    view.wanted_lot[place] = max(0, view.wanted_lot[place] - fill_lot)
    # The report at the head is the one being applied: who has read beyond it knows the fill.
    view.known_position[place] = load_relaxed(head_address(context_at(context).reports, 0)) + 1


@kernel
def note_quote_status(context: int, order: int) -> None:
    """Take over that a quote rests at the venue."""
    record = order_state_at(order)
    if record.status == NEW or record.status == PARTIALLY_FILLED:
        view = quotes_at(quotes_address(context, record.symbol))
        view.failure_count[side_place(record.side)] = 0


@kernel
def finish_quote(context: int, order: int, now_ns: int) -> None:
    """Note that a quote is over; one that nobody canceled waits for the engine's next word."""
    record = order_state_at(order)
    view = quotes_at(quotes_address(context, record.symbol))
    place = side_place(record.side)
    if view.stray_order_id[place] == record.order_id:
        view.stray_order_id[place] = next_stray(context, order, view.order_id[place])
        view.stray_ns[place] = 0
        return
    if view.order_id[place] != record.order_id:
        return
    was_asked = view.cancel_ns[place] != 0
    view.order_id[place] = 0
    view.tick[place] = 0
    view.cancel_ns[place] = 0
    is_refused = record.status == REJECTED or record.status == NOT_SENT
    if record.status == FILLED or (was_asked and not is_refused):
        view.failure_count[place] = 0
        return
    # Venue: a post-only order that would take liquidity expires: the price has moved.
    view.wanted_lot[place] = 0
    view.failure_count[place] += 1
    view.retry_ns[place] = now_ns + retry_delay_ns(view.failure_count[place])
    count(context_at(context).counters, QUOTES_FAILED, 1)


@kernel
def revive_quote(context: int, order: int) -> None:
    """Take a quote back that was taken for absent; beside another one it is a stray to cancel."""
    record = order_state_at(order)
    view = quotes_at(quotes_address(context, record.symbol))
    place = side_place(record.side)
    if view.order_id[place] == 0:
        view.order_id[place] = record.order_id
        view.tick[place] = record.price_tick
        view.cancel_ns[place] = 0
    elif view.order_id[place] != record.order_id:
        # Beside another stray it is found when that one has ended.
        if view.stray_order_id[place] == 0:
            view.stray_order_id[place] = record.order_id
            view.stray_ns[place] = 0
        count(context_at(context).counters, QUOTES_STRAYED, 1)
