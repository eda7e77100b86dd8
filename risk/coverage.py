"""Whether the venue holds a stop for all of a position, and for how long it has not.

A position without one that covers it is timed: `exposed_ns`, the histogram `unprotected`. The time
begins with the executor's stamp of the report that brought the fill, or the end of a stop, and with
the cancel of one that is to move; it is part of the change that applies or writes these, so it goes
on while risk is dead. It ends when risk has read that a stop rests, or has nothing to protect.

A position that is on the wrong side wants no stop, as it is being closed, and neither does one that
is somebody else's. Loops: none.
"""

from __future__ import annotations

from risk.guard import RESTING, guard_address
from risk.positions import position_address
from risk.state import CONTEXT, GUARD, PARAMETERS
from shm.compiled import kernel
from shm.histograms import record_value
from shm.tables import POSITION, PositionOwner
from shm.views import view_of

context_at = view_of(CONTEXT)
guard_at = view_of(GUARD)
position_at = view_of(POSITION)
parameters_at = view_of(PARAMETERS)

LEFT_ALONE = int(PositionOwner.LEFT_ALONE)


@kernel
def wanted_lot(position: int) -> int:
    """Return the lots that a stop is to cover; 0 = none is wanted."""
    row = position_at(position)
    if row.owner == LEFT_ALONE:
        return 0
    return max(0, row.entry_lot - row.exit_lot)


@kernel
def covers(guard: int, position: int) -> bool:
    """Return whether the venue is known to hold a stop for all that is held."""
    view = guard_at(guard)
    row = position_at(position)
    if view.state != RESTING or view.side != -row.side:
        return False
    return view.position_id == row.position_id and view.quantity_lot >= wanted_lot(position)


@kernel
def begin_exposure(context: int, symbol: int, since_ns: int, now_ns: int) -> None:
    """Begin to time a position that no stop covers, unless it is timed already.

    Args:
        context: CONTEXT.
        symbol: index.
        since_ns: monotonic, when it came to be so; `now_ns` counts where that cannot be.
        now_ns: monotonic.
    """
    if parameters_at(context_at(context).parameters).venue_stop == 0:
        return
    place = position_address(context, symbol)
    address = guard_address(context, symbol)
    guard = guard_at(address)
    if guard.exposed_ns == 0 and wanted_lot(place) > 0 and not covers(address, place):
        guard.exposed_ns = since_ns if 0 < since_ns < now_ns else now_ns


@kernel
def track_exposure(context: int, symbol: int, now_ns: int) -> None:
    """Begin to time a position that no stop covers, or record how long it was uncovered."""
    place = position_address(context, symbol)
    address = guard_address(context, symbol)
    guard = guard_at(address)
    if wanted_lot(place) > 0 and not covers(address, place):
        if guard.exposed_ns == 0:
            guard.exposed_ns = now_ns
    elif guard.exposed_ns != 0:
        record_value(context_at(context).unprotected, now_ns - guard.exposed_ns)
        guard.exposed_ns = 0
