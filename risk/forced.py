"""Why a position is closed whatever its price is doing. Loops: none.

In the order of the checks: the person or the supervisor who wants everything closed, a halt or a
latch that is configured to, the drawdown limit, a price that has become too old, and a venue that
holds no stop, by all that it has reported. They are looked at with the timers, and at every price
that is not quiet.
"""

from __future__ import annotations

from risk.guard import guard_address
from risk.parameters import MARKET_READER
from risk.positions import position_address, symbol_state_address
from risk.state import CONTEXT, GUARD, PARAMETERS, SYMBOL_STATE
from shm.atomics import load_relaxed
from shm.compiled import kernel
from shm.latch_table import LatchReason
from shm.latches import other_latch_held, risk_latch_held
from shm.records import MARKET_EVENT, OrderReason
from shm.rings import EMPTY, LAPPED, head_address, peek, read_broadcast
from shm.tables import CONTROL, POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
guard_at = view_of(GUARD)
event_at = view_of(MARKET_EVENT)

NONE = int(OrderReason.NONE)
FLATTEN = int(OrderReason.FLATTEN)
HALT = int(OrderReason.HALT)
DRAWDOWN = int(OrderReason.DRAWDOWN)
STALE = int(OrderReason.STALE)
UNPROTECTED = int(OrderReason.UNPROTECTED)
LATCH_DRAWDOWN = int(LatchReason.DRAWDOWN)


@kernel
def _halt_reason(control: int, parameters: int) -> int:
    """Return HALT or DRAWDOWN where a halt or a latch that holds is to close positions."""
    settings = parameters_at(parameters)
    own = risk_latch_held(control)
    latches = (1 << own | 1 << other_latch_held(control)) & settings.close_latches
    if own == LATCH_DRAWDOWN and latches >> LATCH_DRAWDOWN & 1:
        return DRAWDOWN
    # Bit 0 is that nothing is halted or latched: it is in neither setting.
    if latches != 0 or settings.close_halts >> control_at(control).halt_reason & 1:
        return HALT
    return NONE


@kernel
def _read_until(context: int, now_ns: int) -> int:
    """Return up to when this stage knows the market: now, or when the oldest unread event came.

    0 when records were overwritten: the next look takes that for what it is.
    """
    view = context_at(context)
    place = load_relaxed(head_address(view.market, MARKET_READER))
    state = read_broadcast(view.market, place, view.unread)
    if state == EMPTY:
        return now_ns
    if state == LAPPED:
        return 0
    return min(now_ns, event_at(view.unread).origin_ns)


@kernel
def _known_ns(context: int, symbol: int) -> int:
    """Return from when the age of a position's price counts: its entry, its price, a lap."""
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    return max(max(row.opened_ns, state.fresh_ns), state.lapped_ns)


@kernel
def is_stale_price(context: int, symbol: int, now_ns: int) -> bool:
    """Return whether the price of a position is older than it may be while it is held.

    It is as old as the last event of the symbol at which its best prices were known: a quiet market
    that still sends anything is not stale, one whose book was declared invalid is. While events
    wait, as after this stage was away, the age ends where what has been read ends.
    """
    limit = parameters_at(context_at(context).parameters).stale_exit_ns
    if limit <= 0:
        return False
    known = _known_ns(context, symbol)
    return now_ns - known > limit and _read_until(context, now_ns) - known > limit


@kernel
def forced_reason(context: int, symbol: int, now_ns: int) -> int:
    """Return the OrderReason for which a position with quantity is to be closed now, or NONE."""
    view = context_at(context)
    control = control_at(view.control)
    if control.flatten_requested != 0 or control.kill_flatten != 0:
        return FLATTEN
    reason = _halt_reason(view.control, view.parameters)
    if reason != NONE:
        return reason
    if is_stale_price(context, symbol, now_ns):
        return STALE
    limit = parameters_at(view.parameters).unprotected_ns
    exposed = guard_at(guard_address(context, symbol)).exposed_ns
    is_over = limit > 0 and exposed > 0 and now_ns - exposed > limit
    # What waits may say that the stop rests: the time ran on while this stage did not read.
    if is_over and peek(view.reports, 0) == 0:
        return UNPROTECTED
    return NONE


@kernel
def forced_due(context: int, symbol: int) -> int:
    """Return when a position may have to be closed for the age of its price or for want of a stop.

    0 = neither limit is set.
    """
    settings = parameters_at(context_at(context).parameters)
    exposed = guard_at(guard_address(context, symbol)).exposed_ns
    due = 0
    if settings.stale_exit_ns > 0:
        due = _known_ns(context, symbol) + settings.stale_exit_ns + 1
    if settings.unprotected_ns > 0 and exposed > 0:
        mine = exposed + settings.unprotected_ns + 1
        due = mine if due == 0 else min(due, mine)
    return due
