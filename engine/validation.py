"""Multi-factor validation: how strong all signals together are, how many of them agree."""

from __future__ import annotations

from engine.observations import parameters_at, state_at
from engine.state import THRESHOLDS
from shm.compiled import kernel
from shm.memory import population_count
from shm.records import SIGNAL_COUNT
from shm.views import view_of

thresholds_at = view_of(THRESHOLDS)

# A score nearer to 0 than this takes no side.
ACTIVE_SCORE_MIN = 0.05


@kernel
def combine(state: int, parameters: int, side: int, trigger: int) -> None:
    """Write score, confidence, factor bits and confirmations for a proposed side.

    score = Σ weight × score / Σ weight, over the signals that are known. Active are those beyond
    ±0.05; confidence is the share of their weight that has the side's sign. Confirmations are the
    agreeing signals beside the trigger. A signal of weight 0 takes no part.

    Args:
        state: address of SYMBOL_STATE; changed.
        parameters: address of PARAMETERS.
        side: +1 or −1.
        trigger: the strategy's own signal.

    Loop bound: the eight signals.
    """
    view = state_at(state)
    settings = parameters_at(parameters)
    total = 0.0
    weighted = 0.0
    agreeing_weight = 0.0
    opposing_weight = 0.0
    agreeing = 0
    opposing = 0
    for factor in range(SIGNAL_COUNT):
        weight = settings.weights[factor]
        if (view.known >> factor) & 1 == 0 or weight <= 0.0:
            continue
        score = view.scores[factor]
        total += weight
        weighted += weight * score
        if score * side >= ACTIVE_SCORE_MIN:
            agreeing |= 1 << factor
            agreeing_weight += weight
        elif score * side <= -ACTIVE_SCORE_MIN:
            opposing |= 1 << factor
            opposing_weight += weight
    active = agreeing_weight + opposing_weight
    view.score = weighted / total if total > 0.0 else 0.0
    view.confidence = agreeing_weight / active if active > 0.0 else 0.0
    view.agreeing = agreeing
    view.opposing = opposing
    view.confirmations = population_count(agreeing & ~(1 << trigger))


@kernel
def is_confirmed(state: int, thresholds: int, side: int) -> bool:
    """Return whether what `combine` wrote reaches the thresholds, and points to the side.

    Args:
        state: address of SYMBOL_STATE.
        thresholds: address of the symbol's THRESHOLDS.
        side: +1 or −1.
    """
    view = state_at(state)
    limits = thresholds_at(thresholds)
    # Asked for what must hold, so that what is not a number confirms nothing.
    strength = view.score * side
    if not (strength >= limits.signal_threshold and strength > 0.0):
        return False
    if not view.confidence >= limits.confidence_threshold:
        return False
    return view.confirmations >= limits.min_confirmations


@kernel
def is_cooling_down(state: int, thresholds: int) -> bool:
    """Return whether the symbol's last signal is too recent, in venue time."""
    view = state_at(state)
    if view.signal_ms == 0:
        return False
    return view.clock_ms - view.signal_ms < thresholds_at(thresholds).cooldown_ms
