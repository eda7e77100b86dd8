"""The strategies' entries: kernels of one shape, from a symbol's state to +1 buy, −1 sell or 0.

They propose; validation.py decides. Each names the signal that triggers it.
"""

from __future__ import annotations

from engine.observations import parameters_at, state_at
from engine.signals import ACCELERATION, BOOK_IMBALANCE, MOMENTUM, ORDER_FLOW, RSI, VOLUME_SPIKE
from shm.compiled import kernel
from shm.records import Strategy

NONE = int(Strategy.NONE)
STRATEGY_MOMENTUM = int(Strategy.MOMENTUM)
STRATEGY_MEAN_REVERSION = int(Strategy.MEAN_REVERSION)
STRATEGY_ORDER_FLOW = int(Strategy.ORDER_FLOW)


@kernel
def sign_of(value: float) -> int:
    """Return +1, −1 or 0."""
    if value > 0.0:
        return 1
    return -1 if value < 0.0 else 0


@kernel
def momentum_side(state: int, parameters: int) -> int:
    """Enter with an accelerating price: |acceleration| over 5 s beyond its limit, volume agreeing.

    The price must already move that way. Volume agrees when it spikes in the same direction; with
    `use_volume_spikes` off, when the order flow points there.
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


@kernel
def mean_reversion_side(state: int, parameters: int) -> int:
    """Enter against an extreme of the index (RSI below 25 or above 75), order flow agreeing."""
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


@kernel
def order_flow_side(state: int, parameters: int) -> int:
    """Enter with the heavier side of the book while the last three trades move that way."""
    view = state_at(state)
    both = (view.known >> BOOK_IMBALANCE) & (view.known >> MOMENTUM) & 1
    imbalance = view.scores[BOOK_IMBALANCE]
    if both == 0 or abs(imbalance) <= parameters_at(parameters).order_flow_imbalance:
        return 0
    side = sign_of(imbalance)
    return side if sign_of(view.micro_trend) == side else 0


@kernel
def propose(state: int, parameters: int, strategy: int) -> int:
    """Return the side that a strategy proposes; 0 when it is switched off or sees no entry."""
    settings = parameters_at(parameters)
    if strategy == STRATEGY_MOMENTUM and settings.use_momentum != 0:
        return momentum_side(state, parameters)
    if strategy == STRATEGY_MEAN_REVERSION and settings.use_mean_reversion != 0:
        return mean_reversion_side(state, parameters)
    if strategy == STRATEGY_ORDER_FLOW and settings.use_order_flow != 0:
        return order_flow_side(state, parameters)
    return 0


@kernel
def trigger_of(strategy: int) -> int:
    """Return the signal that triggers a strategy; it does not count as its own confirmation."""
    if strategy == STRATEGY_MOMENTUM:
        return ACCELERATION
    return RSI if strategy == STRATEGY_MEAN_REVERSION else BOOK_IMBALANCE
