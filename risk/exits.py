"""The exit machine: one pure step per position and price. Loops: none.

Order of the checks: stop, target, time limit, the position's rule (mean, imbalance), partial close,
trailing and profit protection. A price beyond the stop closes however far beyond it is; a price
beyond the target closes even when the partial close was still due. The stop only ever moves in the
position's favour, and is never closed later than it was.

What triggers what: the price a position would leave at (best bid of a long, best ask of a short)
drives every check. A trade at or beyond the stop counts as the stop being reached, too; it is no
price to leave at, so it moves no stop and takes no profit.
"""

from __future__ import annotations

import math

from risk.levels import NEVER, break_even_tick, clear_quiet
from risk.state import DECISION, PARAMETERS, ExitAction
from shm.compiled import kernel
from shm.records import ExitRule, OrderReason
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
MEAN = int(OrderReason.MEAN)
IMBALANCE = int(OrderReason.IMBALANCE)
ENTERING = int(PositionState.ENTERING)
PLAIN = int(ExitRule.PLAIN)
TRAIL_RISK = int(ExitRule.TRAIL_RISK)
RULE_IMBALANCE = int(ExitRule.IMBALANCE)


@kernel
def is_quiet(position: int, price_tick: int, now_ns: int) -> bool:
    """Return whether nothing can be due at a price: most prices of most positions.

    Where it is true, `evaluate_exit` holds, moves no stop and sets no flag (but for the rule of
    imbalance, which does not depend on the price).
    """
    view = position_at(position)
    if price_tick <= view.quiet_low_tick or price_tick >= view.quiet_high_tick:
        return False
    return now_ns < view.quiet_until_ns


@kernel
def _trail(position: int, parameters: int, best: int) -> int:
    """Return the trailing stop for the best price, or the present stop where that is better."""
    view = position_at(position)
    settings = parameters_at(parameters)
    average = view.entry_value / view.entry_lot
    stop = view.stop_tick
    side = view.side
    gain = (best - average) * side
    distance = 0
    if view.exit_rule == PLAIN:
        if gain < settings.trailing_activation_pct * average:
            return stop
        distance = max(1, math.floor(best * settings.trailing_distance_pct))
    elif view.exit_rule == TRAIL_RISK:
        # It begins once the gain is its own distance, so its first place is the entry.
        distance = max(1, math.floor(view.initial_risk_tick * settings.trail_risk_fraction))
        if gain < distance:
            return stop
    else:
        return stop
    candidate = best - side * distance
    return candidate if (candidate - stop) * side > 0 else stop


@kernel
def _ratchet(position: int, parameters: int, best: int) -> int:
    """Return the stop of profit protection: break-even at the partial, then a step per step.

    A step is `profit_step` initial risks; each whole one that the best price stands beyond the
    level of the partial close lifts the stop by one from break-even.
    """
    view = position_at(position)
    side = view.side
    even = break_even_tick(position)
    step = math.floor(view.initial_risk_tick * parameters_at(parameters).profit_step)
    beyond = (best - view.partial_tick) * side
    if step <= 0 or beyond <= 0:
        return even
    return even + side * (beyond // step) * step


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
def _begin(position: int, decision: int) -> None:
    view = position_at(position)
    made = decision_at(decision)
    made.action = HOLD
    made.reason = NONE
    made.quantity_lot = 0
    made.stop_tick = view.stop_tick
    made.best_tick = view.best_tick
    made.trailing = view.trailing
    made.partial_done = view.partial_done
    made.judged = 0


@kernel
def _close_reason(
    position: int,
    parameters: int,
    price_tick: int,
    trade_tick: int,
    imbalance: float,
    now_ns: int,
) -> int:
    """Return why a position is to be closed altogether, or NONE."""
    view = position_at(position)
    side = view.side
    if price_tick > 0 and (price_tick - view.stop_tick) * side <= 0:
        return TRAILING if view.trailing else STOP
    if trade_tick > 0 and (trade_tick - view.stop_tick) * side <= 0:
        return TRAILING if view.trailing else STOP
    if price_tick > 0 and view.target_tick > 0 and (price_tick - view.target_tick) * side >= 0:
        return TARGET
    held_ns = now_ns - view.opened_ns
    if view.hold_ns_max > 0 and held_ns >= view.hold_ns_max:
        return TIME_LIMIT
    if price_tick <= 0 or held_ns < view.hold_ns_min:
        return NONE
    if view.rule_tick > 0 and (price_tick - view.rule_tick) * side >= 0:
        return MEAN
    limit = parameters_at(parameters).imbalance_limit
    if view.exit_rule == RULE_IMBALANCE and -imbalance * side >= limit:
        return IMBALANCE
    return NONE


@kernel
def evaluate_exit(
    position: int,
    parameters: int,
    lot_min: int,
    price_tick: int,
    trade_tick: int,
    imbalance: float,
    now_ns: int,
    decision: int,
) -> int:
    """Decide what a position does at a price; only `decision` is written.

    Args:
        position: POSITION row with quantity; its levels are set.
        parameters: PARAMETERS.
        lot_min: lots, the venue's smallest order.
        price_tick: best bid for a long, best ask for a short; 0 = unknown, only time counts.
        trade_tick: price of a trade that is judged with it; 0 = none.
        imbalance: smoothed (bid − ask) / (bid + ask) of the best quantities; read by one rule.
        now_ns: monotonic.
        decision: DECISION to fill.

    Returns:
        The action; `decision` holds its reason, quantity and the stop from now on.
    """
    view = position_at(position)
    made = decision_at(decision)
    side = view.side
    remaining = view.entry_lot - view.exit_lot
    _begin(position, decision)
    reason = _close_reason(position, parameters, price_tick, trade_tick, imbalance, now_ns)
    if reason != NONE:
        return _close(decision, reason, remaining)
    if price_tick <= 0:
        return HOLD
    if (price_tick - made.best_tick) * side > 0:
        made.best_tick = price_tick
    trailed = _trail(position, parameters, made.best_tick)
    # While the entry is still filling, the half of it is not known yet.
    is_due = view.partial_tick > 0 and (price_tick - view.partial_tick) * side >= 0
    if is_due and view.state != ENTERING and view.partial_done == 0:
        made.partial_done = 1
        fraction = parameters_at(parameters).partial_close_fraction
        made.quantity_lot = partial_quantity(remaining, fraction, lot_min)
    stop = trailed
    if made.partial_done != 0 and view.partial_tick > 0:
        locked = _ratchet(position, parameters, made.best_tick)
        if (locked - stop) * side > 0:
            stop = locked
        if (stop - break_even_tick(position)) * side > 0:
            made.trailing = 1
    elif stop != view.stop_tick:
        made.trailing = 1
    if (price_tick - stop) * side <= 0:
        # The price fell back further than the distance before trailing began.
        made.partial_done = view.partial_done
        return _close(decision, TRAILING, remaining)
    made.judged = 1
    if made.quantity_lot > 0:
        made.action = PARTIAL_CLOSE
        made.reason = PARTIAL
    elif stop != view.stop_tick:
        made.action = MOVE_STOP
        made.reason = TRAILING
    made.stop_tick = stop
    return made.action


@kernel
def _set_quiet(position: int) -> None:
    """Set the band of prices within which nothing is due: from the stop to the nearest level.

    Beyond the best price the stop may have to follow, so the band ends there at the latest.
    """
    view = position_at(position)
    side = view.side
    near = view.best_tick + side
    if view.target_tick > 0 and (view.target_tick - near) * side < 0:
        near = view.target_tick
    if view.rule_tick > 0 and (view.rule_tick - near) * side < 0:
        near = view.rule_tick
    is_pending = view.partial_tick > 0 and view.partial_done == 0
    if is_pending and (view.partial_tick - near) * side < 0:
        near = view.partial_tick
    view.quiet_low_tick = view.stop_tick if side > 0 else near
    view.quiet_high_tick = near if side > 0 else view.stop_tick
    view.quiet_until_ns = view.opened_ns + view.hold_ns_max if view.hold_ns_max > 0 else NEVER


@kernel
def apply_decision(position: int, decision: int) -> None:
    """Take the stop, the best price and the flags of a decision over into the position."""
    view = position_at(position)
    made = decision_at(decision)
    clear_quiet(position)
    # A crash between two of these leaves a stop that was right one price earlier.
    view.best_tick = made.best_tick
    view.partial_done = made.partial_done
    view.trailing = made.trailing
    view.stop_tick = made.stop_tick
    if made.judged != 0:
        _set_quiet(position)
