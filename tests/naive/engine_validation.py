"""Proposals and their validation from the words of the documentation."""

from __future__ import annotations

from typing import Any

from shm.records import ExitRule, Factor, Strategy


def sign(value: float) -> int:
    return (value > 0) - (value < 0)


def naive_proposal(state: Any, parameters: Any, strategy: int) -> int:
    """Return +1, −1 or 0 for a strategy that is switched on."""
    known = {factor for factor in Factor if state.known & (1 << factor)}
    score = {factor: state.scores[int(factor)] for factor in Factor}
    if strategy == Strategy.MOMENTUM:
        confirming = Factor.VOLUME_SPIKE if parameters.use_volume_spikes else Factor.ORDER_FLOW
        signs = {sign(state.acceleration), sign(state.velocity), sign(score[confirming])}
        is_fast = abs(state.acceleration) > parameters.momentum_acceleration
        enters = Factor.ACCELERATION in known and is_fast and len(signs) == 1
        return sign(state.acceleration) if enters else 0
    if strategy == Strategy.MEAN_REVERSION:
        side = int(state.rsi < parameters.rsi_oversold) - int(state.rsi > parameters.rsi_overbought)
        agrees = side == sign(score[Factor.ORDER_FLOW])
        return side if Factor.RSI in known and agrees else 0
    imbalance = score[Factor.BOOK_IMBALANCE]
    is_heavy = abs(imbalance) > parameters.order_flow_imbalance
    moves = sign(state.micro_trend) == sign(imbalance)
    enters = {Factor.BOOK_IMBALANCE, Factor.MOMENTUM} <= known and is_heavy and moves
    return sign(imbalance) if enters else 0


def naive_combine(
    state: Any, parameters: Any, thresholds: Any, side: int, trigger: int
) -> tuple[float, float, int, int, int, bool]:
    """Return score, confidence, agreeing, opposing, confirmations, and whether it is enough."""
    counted = [f for f in range(8) if state.known & (1 << f) and parameters.weights[f] > 0]
    weight = {f: parameters.weights[f] for f in counted}
    score = sum(weight[f] * state.scores[f] for f in counted) / (sum(weight.values()) or 1)
    agreeing = [f for f in counted if state.scores[f] * side >= 0.05]
    opposing = [f for f in counted if state.scores[f] * side <= -0.05]
    active = sum(weight[f] for f in agreeing + opposing)
    confidence = sum(weight[f] for f in agreeing) / active if active else 0.0
    confirmations = len([f for f in agreeing if f != trigger])
    enough = score * side >= thresholds.signal_threshold and score * side > 0
    enough = enough and confidence >= thresholds.confidence_threshold
    enough = enough and confirmations >= thresholds.min_confirmations
    bits = [sum(1 << f for f in group) for group in (agreeing, opposing)]
    return score, confidence, bits[0], bits[1], confirmations, enough


HOLDS_S = {  # the table of the product: strategy, least and most seconds
    Strategy.MOMENTUM: (30, 120, ExitRule.TRAIL_RISK),
    Strategy.MEAN_REVERSION: (60, 300, ExitRule.RETURN_TO_MEAN),
    Strategy.ORDER_FLOW: (10, 60, ExitRule.IMBALANCE),
}


def naive_hints(strategy: int, ema_slow: float) -> dict[str, float]:
    """Return what a signal tells about leaving, under the default settings."""
    least_s, most_s, rule = HOLDS_S[Strategy(strategy)]
    mean = round(ema_slow) if strategy == Strategy.MEAN_REVERSION else 0
    return {
        "exit_rule": rule,
        "mean_tick": mean,
        "hold_ms_min": least_s * 1000,
        "hold_ms_max": most_s * 1000,
        "stop_pct": 0.0,
        "target_pct": 0.0,
    }
