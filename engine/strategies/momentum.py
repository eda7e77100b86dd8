"""Momentum: enter with an accelerating price that volume confirms."""

from __future__ import annotations

from config.strategy_row import StrategyRow
from engine.observations import parameters_at, state_at
from engine.signals import ACCELERATION, ORDER_FLOW, VOLUME_SPIKE, sign_of
from shm.compiled import kernel


@kernel
def momentum_side(state: int, parameters: int) -> int:
    """Enter with an accelerating price: |acceleration| over 5 s beyond its limit, volume agreeing.

    The price must already move that way. Volume agrees when it spikes in the same direction; with
    `use_volume_spikes` off, when the order flow points there.

    Args:
        state: address of SYMBOL_STATE.
        parameters: address of PARAMETERS.
    """
    view = state_at(state)
    settings = parameters_at(parameters)
    if not (view.known >> ACCELERATION) & 1:
        return 0
    if abs(view.acceleration) <= settings.momentum_acceleration:
        return 0
    side = sign_of(view.acceleration)
    confirming = VOLUME_SPIKE if settings.use_volume_spikes != 0 else ORDER_FLOW
    if sign_of(view.velocity) != side or sign_of(view.scores[confirming]) != side:
        return 0
    return side


STRATEGY = StrategyRow(
    name="momentum",
    kernel=momentum_side,
    trigger="ACCELERATION",
    switch="signals.use_momentum",
    hold_s_min="scalping.momentum_hold_min_s",
    hold_s_max="scalping.momentum_hold_max_s",
    exit_rule="TRAIL_RISK",
)
