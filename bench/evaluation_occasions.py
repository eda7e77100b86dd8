"""When signals fire: the occasions that are measured, and random ones to compare them with.

One of the eight signals fires when its score takes a side: when |score| reaches the engine's
active score (0.05, below which validation counts it for no side), coming from below or from the
other side. "combined" is the weighted score of all of them, and fires at `signal_threshold`. Each
then rests for `COOLDOWN_S` of venue time, and what it does meanwhile is not counted, so that
samples hardly overlap up to that horizon. A strategy's occasions are the signals that the engine
decided; they have the engine's own cool-down.

Confidence is what engine/validation.py says: of the weight of all signals that take a side, the
share that takes the entry's side. It is no probability by construction. The reliability table asks
whether it behaves like one: whether the mid moved to that side, of those whose mid moved at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.evaluation_course import Course
from engine.validation import ACTIVE_SCORE_MIN
from shm.records import SIGNAL_COUNT, Factor, Strategy

COOLDOWN_S = 5.0
VALIDATED = "all strategies"
COMBINED = "combined"
BUILT_IN = {
    int(strategy): strategy.name.lower().replace("_", " ")
    for strategy in (Strategy.MOMENTUM, Strategy.MEAN_REVERSION, Strategy.ORDER_FLOW)
}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Occasions:
    """Hold the occasions of one source.

    `places`: i8[m], rows of the course, rising. `sides`: i8[m], +1 or −1. `confidence`: f8[m], or
    None where the source states none.
    """

    source: str
    places: Ints
    sides: Ints
    confidence: Floats | None = None


def crossings(sides: Ints, time_ms: Ints, is_eligible: Bools, cooldown_ms: float) -> Ints:
    """Return the rows at which a side is taken: i8[m].

    The first row takes none: whether the score came from below is not known there.

    Args:
        sides: i8[n], +1, −1 or 0 by row.
        time_ms: i8[n], not falling.
        is_eligible: b1[n]; a side taken elsewhere is not counted and begins no cool-down.
        cooldown_ms: from one to the next at least.
    """
    takes = np.zeros(len(sides), dtype=np.bool_)
    takes[1:] = (sides[1:] != 0) & (sides[1:] != sides[:-1])
    chosen: list[int] = []
    free_ms = -np.inf
    for place in np.flatnonzero(takes & is_eligible).tolist():
        if time_ms[place] >= free_ms:
            chosen.append(place)
            free_ms = time_ms[place] + cooldown_ms
    return np.array(chosen, dtype=np.int64)


def sides_of(scores: Floats, threshold: float) -> Ints:
    """Return +1, −1 or 0 where a score is within the threshold, 0 itself always."""
    is_active = (np.abs(scores) >= threshold) & (scores != 0.0)
    sides: Ints = np.where(is_active, np.sign(scores), 0.0).astype(np.int64)
    return sides


def combine(course: Course, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the combined score, and the active weight that buys and that sells: f8[n] each.

    The definition of engine/validation.py: signals that are unknown or weigh nothing take no part.
    """
    is_known = (course.known[:, None] >> np.arange(SIGNAL_COUNT)) & 1 == 1
    weight = np.where(is_known & (weights > 0.0), weights, 0.0)
    total = weight.sum(axis=1)
    score = (weight * course.scores).sum(axis=1) / np.where(total > 0.0, total, 1.0)
    buying = np.where(course.scores >= ACTIVE_SCORE_MIN, weight, 0.0).sum(axis=1)
    selling = np.where(course.scores <= -ACTIVE_SCORE_MIN, weight, 0.0).sum(axis=1)
    return score, buying, selling


def _combined(course: Course, weights: Floats, threshold: float) -> Occasions:
    score, buying, selling = combine(course, weights)
    sides = sides_of(score, threshold)
    places = crossings(sides, course.time_ms, course.is_eligible, COOLDOWN_S * 1000)
    side = sides[places]
    agreeing = np.where(side > 0, buying[places], selling[places])
    active = buying[places] + selling[places]
    confidence = agreeing / np.where(active > 0.0, active, 1.0)
    return Occasions(COMBINED, places, side, confidence)


def occasions_of(
    course: Course, weights: Floats, threshold: float, strategies: Mapping[int, str] = BUILT_IN
) -> list[Occasions]:
    """Return the occasions of the eight signals, of all combined, of each strategy and of all.

    Args:
        course: what the engine showed.
        weights: f8[8] by Factor, as the engine has them.
        threshold: `signal_threshold` of the symbol.
        strategies: what they are called, by code.
    """
    found = []
    for factor in Factor:
        sides = sides_of(course.scores[:, int(factor)], ACTIVE_SCORE_MIN)
        places = crossings(sides, course.time_ms, course.is_eligible, COOLDOWN_S * 1000)
        name = factor.name.lower().replace("_", " ")
        found.append(Occasions(name, places, sides[places]))
    found.append(_combined(course, weights, threshold))
    signals = course.signals
    everything = np.ones(len(signals), dtype=np.bool_)
    chosen = [(f"strategy {name}", signals["strategy"] == n) for n, name in strategies.items()]
    for name, mask in [*chosen, (VALIDATED, everything)]:
        sides = signals["side"][mask].astype(np.int64)
        confidence = signals["confidence"][mask].astype(np.float64)
        found.append(Occasions(name, course.signal_places[mask], sides, confidence))
    return found


def random_like(occasions: Occasions, course: Course, generator: np.random.Generator) -> Occasions:
    """Return as many occasions at random times, with the same sides and confidences shuffled.

    Times are uniform over the venue time from the first row to the last at which a signal could
    be measured; the row is the last such one at or before the time.
    """
    eligible = np.flatnonzero(course.is_eligible)
    count = len(occasions.places)
    if count == 0:
        return occasions
    time_ms = course.time_ms[eligible]
    drawn = np.sort(generator.uniform(time_ms[0], time_ms[-1], count))
    places = eligible[np.searchsorted(time_ms, drawn, side="right") - 1]
    order = generator.permutation(count)
    confidence = None if occasions.confidence is None else occasions.confidence[order]
    return Occasions(occasions.source, places, occasions.sides[order], confidence)
