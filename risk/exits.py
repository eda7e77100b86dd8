"""The exit machine: one pure step per position and price. Loops: none.

Order of the checks: stop, target, time limit, partial close, trailing. A price beyond the stop
closes however far beyond it is; a price beyond the target closes even when the partial close was
still due. The stop only ever moves in the position's favour.
"""

from __future__ import annotations

import math

from risk.state import DECISION, PARAMETERS, ExitAction
from shm.compiled import kernel
from shm.records import OrderReason
from shm.tables import POSITION, PositionState
from shm.views import view_of

position_at = view_of(POSITION)
parameters_at = view_of(PARAMETERS)
decision_at = view_of(DECISION)

HOLD = int(ExitAction.HOLD)
PARTIAL_CLOSE = int(ExitAction.PARTIAL_CLOSE)
CLOSE = int(ExitAction.CLOSE)
MOVE_STOP = int(ExitAction.MOVE_STOP)

NONE = int(OrderReason.NONE)
STOP = int(OrderReason.STOP)
TARGET = int(OrderReason.TARGET)
PARTIAL = int(OrderReason.PARTIAL)
TRAILING = int(OrderReason.TRAILING)
TIME_LIMIT = int(OrderReason.TIME_LIMIT)
ENTERING = int(PositionState.ENTERING)


@kernel
def break_even_tick(position: int) -> int:
    """Return the average entry price, rounded in the position's favour to a whole tick."""
    view = position_at(position)
    floor = view.entry_value // view.entry_lot
    if view.side > 0 and floor * view.entry_lot != view.entry_value:
        return floor + 1
    return floor


@kernel
def set_levels(position: int, parameters: int) -> None:
    """Set initial risk, stop, target and partial from the average entry; needs entry_lot > 0.

    Called for each fill of the entry: a stop that is set already only moves in favour.
    """
    view = position_at(position)
    settings = parameters_at(parameters)
    average = view.entry_value / view.entry_lot
    entry = (2 * view.entry_value + view.entry_lot) // (2 * view.entry_lot)
    # Rounded down: the loss at the stop is never above the one that was configured.
    risk = max(1, math.floor(average * settings.stop_loss_pct))
    reward = max(1, math.floor(average * settings.take_profit_pct + 0.5))
    side = view.side
    stop = entry - side * risk
    view.initial_risk_tick = risk
    if view.stop_tick == 0 or (stop - view.stop_tick) * side > 0:
        view.stop_tick = stop
    view.target_tick = entry + side * reward
    view.partial_tick = entry + side * risk
    if view.best_tick == 0:
        view.best_tick = entry


@kernel
def _trail(position: int, parameters: int, best: int) -> int:
    """Return the trailing stop for the best price, or the present stop where that is better."""
    view = position_at(position)
    settings = parameters_at(parameters)
    average = view.entry_value / view.entry_lot
    stop = view.stop_tick
    side = view.side
    if (best - average) * side < settings.trailing_activation_pct * average:
        return stop
    distance = max(1, math.floor(best * settings.trailing_distance_pct))
    candidate = best - side * distance
    return candidate if (candidate - stop) * side > 0 else stop


@kernel
def _close(decision: int, reason: int, quantity_lot: int) -> int:
    view = decision_at(decision)
    view.action = CLOSE
    view.reason = reason
    view.quantity_lot = quantity_lot
    return CLOSE


@kernel
def partial_quantity(remaining: int, fraction: float, lot_min: int) -> int:
    """Return the lots of a partial close; 0 when one of the two parts would be below lot_min."""
    closed = math.floor(remaining * fraction)
    least = max(1, lot_min)
    if closed < least or remaining - closed < least:
        return 0
    return closed


@kernel
def evaluate_exit(
    position: int, parameters: int, lot_min: int, price_tick: int, now_ns: int, decision: int
) -> int:
    """Decide what a position does at a price; only `decision` is written.

    Args:
        position: POSITION row with quantity; its levels are set.
        parameters: PARAMETERS.
        lot_min: lots, the venue's smallest order.
        price_tick: best bid for a long, best ask for a short; 0 = unknown, only time counts.
        now_ns: monotonic.
        decision: DECISION to fill.

    Returns:
        The action; `decision` holds its reason, quantity and the stop from now on.
    """
    view = position_at(position)
    made = decision_at(decision)
    side = view.side
    remaining = view.entry_lot - view.exit_lot
    made.action = HOLD
    made.reason = NONE
    made.quantity_lot = 0
    made.stop_tick = view.stop_tick
    made.best_tick = view.best_tick
    made.trailing = view.trailing
    made.partial_done = view.partial_done
    if price_tick > 0:
        if (price_tick - view.stop_tick) * side <= 0:
            return _close(decision, TRAILING if view.trailing else STOP, remaining)
        if (price_tick - view.target_tick) * side >= 0:
            return _close(decision, TARGET, remaining)
    if now_ns - view.opened_ns >= view.hold_ns_max:
        return _close(decision, TIME_LIMIT, remaining)
    if price_tick <= 0:
        return HOLD
    if (price_tick - made.best_tick) * side > 0:
        made.best_tick = price_tick
    trailed = _trail(position, parameters, made.best_tick)
    if (price_tick - trailed) * side <= 0:
        # The price fell back further than the distance before trailing began.
        return _close(decision, TRAILING, remaining)
    # While the entry is still filling, the half of it is not known yet.
    due = (price_tick - view.partial_tick) * side >= 0 and view.state != ENTERING
    if due and view.partial_done == 0:
        fraction = parameters_at(parameters).partial_close_fraction
        quantity = partial_quantity(remaining, fraction, lot_min)
        made.partial_done = 1
        if quantity > 0:
            even = break_even_tick(position)
            made.action = PARTIAL_CLOSE
            made.reason = PARTIAL
            made.quantity_lot = quantity
            made.trailing = 1 if (trailed - even) * side > 0 else view.trailing
            protected = trailed if (trailed - even) * side > 0 else even
            if (protected - view.stop_tick) * side > 0:
                made.stop_tick = protected
            return PARTIAL_CLOSE
    if trailed != view.stop_tick:
        made.action = MOVE_STOP
        made.reason = TRAILING
        made.stop_tick = trailed
        made.trailing = 1
    return made.action


@kernel
def apply_decision(position: int, decision: int) -> None:
    """Take the stop, the best price and the flags of a decision over into the position."""
    view = position_at(position)
    made = decision_at(decision)
    # A crash between two of these leaves a stop that was right one price earlier.
    view.best_tick = made.best_tick
    view.partial_done = made.partial_done
    view.trailing = made.trailing
    view.stop_tick = made.stop_tick
