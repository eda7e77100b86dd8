"""A fifth strategy: enter when the price leaves the range of the last ten seconds.

    make run SET="signals.user_strategies=examples.advanced_strategies"

It shows the shape, not a way to profit: nobody has shown that it earns its fees. `make evaluate`
judges it like the others once config/trading_config.yaml names it; use recordings that it was not
made on.

The range is that of the prices at the ends of the quarter seconds between half a second and ten
seconds ago. The price must be beyond it by a tenth of its width, a tick at least; the last trades
must move that way, and takers must be pressing that way: a price that leaves its range while the
others sell into it is let go. A range that is not known for the whole ten seconds makes no entry.
"""

from __future__ import annotations

from config.strategy_row import StrategyRow
from engine.observations import state_at
from engine.signals import MOMENTUM, ORDER_FLOW, sign_of
from engine.venue_clock import GRID_MASK
from shm.compiled import kernel

# Quarter seconds back: the range ends before the move that leaves it begins.
NEWEST_BACK = 2
OLDEST_BACK = 40
WIDTHS = 10  # the price is beyond the range by at least one part in so many of its width
PRESSURE_MIN = 0.20


@kernel
def breakout_side(state: int, parameters: int) -> int:
    """Return +1 above the range, −1 below it, 0 inside or without pressure behind the move.

    Args:
        state: address of SYMBOL_STATE.
        parameters: address of PARAMETERS; not read.

    Loop bound: OLDEST_BACK.
    """
    view = state_at(state)
    both = (view.known >> MOMENTUM) & (view.known >> ORDER_FLOW) & 1
    if both == 0 or view.grid_count <= OLDEST_BACK:
        return 0
    # Most events end here: without pressure nothing of the range has to be read.
    pressure = view.scores[ORDER_FLOW]
    if abs(pressure) < PRESSURE_MIN:
        return 0
    lowest = view.grid_tick[(view.grid_bucket - NEWEST_BACK) & GRID_MASK]
    highest = lowest
    for back in range(NEWEST_BACK + 1, OLDEST_BACK + 1):
        tick = view.grid_tick[(view.grid_bucket - back) & GRID_MASK]
        lowest = min(lowest, tick)
        highest = max(highest, tick)
    above = view.last_tick - highest
    below = lowest - view.last_tick
    beyond = max(above, below)
    if beyond < 1 or WIDTHS * beyond < highest - lowest:
        return 0
    side = 1 if above > 0 else -1
    return side if sign_of(view.micro_trend) == side and sign_of(pressure) == side else 0


STRATEGY = StrategyRow(
    name="breakout",
    kernel=breakout_side,
    trigger="MOMENTUM",
    hold_s_min=5,
    hold_s_max=90,
    exit_rule="TRAIL_RISK",
)
