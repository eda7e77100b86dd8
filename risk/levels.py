"""The levels of a position: stop, target, partial close and the price at which its rule closes.

Pure. Loops: none. Whoever changes what the exit machine reads of a position (levels, flags, state)
clears its quiet band; the next price is then judged in full and sets it anew.
"""

from __future__ import annotations

import math

from risk.state import PARAMETERS
from shm.compiled import kernel
from shm.records import ExitRule
from shm.tables import POSITION
from shm.views import view_of

position_at = view_of(POSITION)
parameters_at = view_of(PARAMETERS)

RETURN_TO_MEAN = int(ExitRule.RETURN_TO_MEAN)
STOP_ONLY = int(ExitRule.STOP_ONLY)
NEVER = 1 << 62


@kernel
def clear_quiet(position: int) -> None:
    """Forget the band of prices within which nothing is due."""
    position_at(position).quiet_until_ns = 0


@kernel
def break_even_tick(position: int) -> int:
    """Return the average entry price, rounded in the position's favour to a whole tick."""
    view = position_at(position)
    floor = view.entry_value // view.entry_lot
    if view.side > 0 and floor * view.entry_lot != view.entry_value:
        return floor + 1
    return floor


@kernel
def return_tick(side: int, entry: int, mean: int, profit_pct: float) -> int:
    """Return where a position that waits for the mean is closed.

    That is the mean, or the entry where the mean is not beyond it, and from there `profit_pct` of
    it further in the position's favour, one tick at least.
    """
    base = mean if (mean - entry) * side > 0 else entry
    return base + side * max(1, math.floor(base * profit_pct))


@kernel
def set_levels(position: int, parameters: int) -> None:
    """Set initial risk, stop, target, partial and rule from the average entry; needs entry_lot > 0.

    Called for each fill of the entry: a stop that is set already only moves in favour.
    """
    view = position_at(position)
    settings = parameters_at(parameters)
    average = view.entry_value / view.entry_lot
    entry = (2 * view.entry_value + view.entry_lot) // (2 * view.entry_lot)
    stop_pct = view.stop_pct if view.stop_pct > 0.0 else settings.stop_loss_pct
    target_pct = view.target_pct if view.target_pct > 0.0 else settings.take_profit_pct
    # Rounded down: the loss at the stop is never above the one that was configured.
    risk = max(1, math.floor(average * stop_pct))
    side = view.side
    stop = entry - side * risk
    view.initial_risk_tick = risk
    if view.stop_tick == 0 or (stop - view.stop_tick) * side > 0:
        view.stop_tick = stop
    view.target_tick = 0
    view.partial_tick = 0
    if view.exit_rule != STOP_ONLY:
        view.target_tick = entry + side * max(1, math.floor(average * target_pct + 0.5))
        view.partial_tick = entry + side * risk
    view.rule_tick = 0
    if view.exit_rule == RETURN_TO_MEAN and view.mean_tick > 0:
        view.rule_tick = return_tick(side, entry, view.mean_tick, settings.mean_profit_pct)
    if view.best_tick == 0:
        view.best_tick = entry
    clear_quiet(position)
