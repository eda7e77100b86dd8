"""Order flow: enter with the heavier side of the book once the price moves that way."""

from __future__ import annotations

from config.strategy_row import StrategyRow
from engine.observations import parameters_at, state_at
from engine.signals import BOOK_IMBALANCE, MOMENTUM, sign_of
from shm.compiled import kernel


@kernel
def order_flow_side(state: int, parameters: int) -> int:
    """Enter with the heavier side of the book while the last three trades move that way.

    Args:
        state: address of SYMBOL_STATE.
        parameters: address of PARAMETERS.
    """
    view = state_at(state)
    both = (view.known >> BOOK_IMBALANCE) & (view.known >> MOMENTUM) & 1
    imbalance = view.scores[BOOK_IMBALANCE]
    if both == 0 or abs(imbalance) <= parameters_at(parameters).order_flow_imbalance:
        return 0
    side = sign_of(imbalance)
    return side if sign_of(view.micro_trend) == side else 0


STRATEGY = StrategyRow(
    name="order_flow",
    kernel=order_flow_side,
    trigger="BOOK_IMBALANCE",
    switch="signals.use_order_flow",
    hold_s_min="scalping.order_flow_hold_min_s",
    hold_s_max="scalping.order_flow_hold_max_s",
    exit_rule="IMBALANCE",
)
