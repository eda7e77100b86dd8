"""Mean reversion: enter against an extreme that order flow has begun to leave."""

from __future__ import annotations

from config.strategy_row import StrategyRow
from engine.observations import parameters_at, state_at
from engine.signals import ORDER_FLOW, RSI, sign_of
from shm.compiled import kernel


@kernel
def mean_reversion_side(state: int, parameters: int) -> int:
    """Enter against an extreme of the index (RSI below 25 or above 75), order flow agreeing.

    Args:
        state: address of SYMBOL_STATE.
        parameters: address of PARAMETERS.
    """
    view = state_at(state)
    settings = parameters_at(parameters)
    if not (view.known >> RSI) & 1:
        return 0
    side = 0
    if view.rsi < settings.rsi_oversold:
        side = 1
    elif view.rsi > settings.rsi_overbought:
        side = -1
    return side if side == sign_of(view.scores[ORDER_FLOW]) else 0


STRATEGY = StrategyRow(
    name="mean_reversion",
    kernel=mean_reversion_side,
    trigger="RSI",
    switch="signals.use_mean_reversion",
    hold_s_min="scalping.mean_reversion_hold_min_s",
    hold_s_max="scalping.mean_reversion_hold_max_s",
    exit_rule="RETURN_TO_MEAN",
)
