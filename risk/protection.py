"""One resting stop at the venue per position: what it should be, and the next message towards it.

The stop wanted is a function of the position: against its side, of its whole quantity, triggered
beyond its stop by an offset, so that risk's own exit comes first while risk runs. To move or resize
it, it is canceled, its end is waited for, and another is placed.

# Invariant: at most one stop of a symbol is asked for and not known to have ended. A position
# without one that covers it is timed (see coverage.py).

Loops: none.
"""

from __future__ import annotations

import math

from risk.coverage import track_exposure, wanted_lot
from risk.guard import CANCELING, DOUBT, NONE, PLACING, RESTING, guard_address
from risk.positions import position_address, symbol_state_address
from risk.state import CONTEXT, GUARD, PARAMETERS, SYMBOL_STATE
from risk.stops import write_cancel, write_stop
from shm.compiled import kernel
from shm.tables import CONTROL, POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
guard_at = view_of(GUARD)
position_at = view_of(POSITION)
parameters_at = view_of(PARAMETERS)
symbol_state_at = view_of(SYMBOL_STATE)

# A cancel that nobody answers is written again after this; what is waited for is looked at then.
RESEND_NS = 2_000_000_000
# While something is awaited, or a ring was full, the next look comes after this at the latest.
LOOK_NS = 20_000_000


@kernel
def wanted_tick(position: int, offset_pct: float) -> int:
    """Return the trigger wanted for a position's stop: beyond it by one tick at least."""
    row = position_at(position)
    offset = max(1, math.floor(row.stop_tick * offset_pct))
    return max(1, row.stop_tick - row.side * offset)


@kernel
def lag_tick(context: int, symbol: int) -> int:
    """Return by how many ticks a stop should move, 0 when that is less than a move is worth."""
    settings = parameters_at(context_at(context).parameters)
    guard = guard_at(guard_address(context, symbol))
    place = position_address(context, symbol)
    lag = (wanted_tick(place, settings.stop_offset_pct) - guard.trigger_tick) * -guard.side
    least = max(1, math.floor(guard.trigger_tick * settings.stop_move_pct))
    return lag if lag >= least else 0


@kernel
def _is_outdated(context: int, symbol: int, now_ns: int) -> bool:
    """Return whether a resting stop is to be replaced by another now.

    While an exit is in flight, or the position is to be closed, it stays as it is: it covers at
    least what will be left. While the system stops it stays unless it covers too little.
    """
    view = context_at(context)
    guard = guard_at(guard_address(context, symbol))
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    if row.position_id != guard.position_id or guard.side != -row.side:
        return True
    if row.exit_order_id != 0 or state.doubt_order_id != 0 or state.want_close != 0:
        return False
    if guard.quantity_lot < wanted_lot(place):
        return True
    if view.closing != 0 or control_at(view.control).stop_requested != 0:
        return False
    # Too large is no harm, as it is reduce-only: it waits for its turn, as a move does.
    if now_ns - guard.placed_ns < parameters_at(view.parameters).stop_move_ns:
        return False
    return guard.quantity_lot != wanted_lot(place) or lag_tick(context, symbol) > 0


@kernel
def _waits_for_exit(context: int, symbol: int, now_ns: int) -> bool:
    """Return whether an exit in flight will soon say what is left to protect."""
    row = position_at(position_address(context, symbol))
    doubt_ns = parameters_at(context_at(context).parameters).exit_doubt_ns
    return row.exit_order_id != 0 and now_ns - row.exit_sent_ns < doubt_ns


@kernel
def protect(context: int, symbol: int, now_ns: int) -> None:
    """Take one step of a symbol's ledger: one message at most, if its time has come."""
    view = context_at(context)
    settings = parameters_at(view.parameters)
    guard = guard_at(guard_address(context, symbol))
    if settings.venue_stop == 0 and guard.order_id == 0:
        return
    place = position_address(context, symbol)
    lots = wanted_lot(place) if settings.venue_stop != 0 else 0
    if guard.stray_order_id != 0 and now_ns - guard.stray_ns >= RESEND_NS:
        write_cancel(context, symbol, guard.stray_order_id, now_ns)
    elif guard.state == NONE:
        may_place = now_ns >= guard.retry_ns and not _waits_for_exit(context, symbol, now_ns)
        if lots > 0 and may_place:
            write_stop(context, symbol, lots, wanted_tick(place, settings.stop_offset_pct), now_ns)
    elif guard.state == RESTING:
        if lots == 0 or _is_outdated(context, symbol, now_ns):
            write_cancel(context, symbol, guard.order_id, now_ns)
    elif (guard.state == CANCELING or lots == 0) and now_ns - guard.written_ns >= RESEND_NS:
        write_cancel(context, symbol, guard.order_id, now_ns)
    track_exposure(context, symbol, now_ns)


@kernel
def protection_due(context: int, symbol: int, now_ns: int) -> int:
    """Return when a symbol's ledger is to be looked at again at the latest, or 0."""
    view = context_at(context)
    settings = parameters_at(view.parameters)
    guard = guard_at(guard_address(context, symbol))
    if guard.stray_order_id != 0:
        return max(guard.stray_ns + RESEND_NS, now_ns + LOOK_NS)
    if guard.state == NONE:
        is_wanted = settings.venue_stop != 0 and wanted_lot(position_address(context, symbol)) > 0
        return max(guard.retry_ns, now_ns + LOOK_NS) if is_wanted else 0
    if guard.state == RESTING:
        place = position_address(context, symbol)
        if guard.quantity_lot == wanted_lot(place) and lag_tick(context, symbol) == 0:
            return 0
        return max(guard.placed_ns + settings.stop_move_ns, now_ns + LOOK_NS)
    return max(guard.written_ns + RESEND_NS, now_ns + LOOK_NS)


assert len({NONE, PLACING, RESTING, CANCELING, DOUBT}) == 5
