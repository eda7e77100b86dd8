"""Statistics of the evaluation: intervals of rates and means, Brier scores, reliability by bins."""

from __future__ import annotations

import itertools
import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point
RESAMPLES = 2_000
# Fewer values than this say nothing about their own spread: no interval.
INTERVAL_N_MIN = 5
# Edges of the bins of confidence; the last bin is closed.
BIN_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def wilson(hits: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of a rate; (0, 1) for no trial.

    Source: E. B. Wilson (1927), Probable Inference, the Law of Succession, and Statistical
    Inference. It stays inside 0..1 and has a width at 0 and 1, unlike the normal approximation.
    """
    assert 0 <= hits <= count, f"hits out of range: hits={hits} count={count}"
    if count == 0:
        return 0.0, 1.0
    rate, square = hits / count, z * z
    centre = rate + square / (2 * count)
    reach = z * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    scale = 1 + square / count
    # At the ends the bound is the rate itself; rounding would put it a bit beside.
    low = 0.0 if hits == 0 else (centre - reach) / scale
    high = 1.0 if hits == count else (centre + reach) / scale
    return low, high


def seeded(seed: int, *words: object) -> np.random.Generator:
    """Return a generator that depends on the seed and the words alone, not on what ran before."""
    text = "\0".join(str(word) for word in words)
    return np.random.default_rng([seed, zlib.crc32(text.encode())])


def stationary_indices(
    count: int, block: float, resamples: int, generator: np.random.Generator
) -> Ints:
    """Return i8[resamples, count]: rows of blocks of geometric length, wrapping round.

    Each place continues the block of the one before it with probability 1 − 1/block, and begins a
    new one anywhere otherwise. Source: Politis and Romano (1994), The Stationary Bootstrap.

    Args:
        count: values, > 0.
        block: mean length of a block, ≥ 1.
        resamples: rows.
        generator: where the randomness comes from.
    """
    assert count > 0 and block >= 1.0, f"count={count} block={block}"
    starts = generator.integers(0, count, size=(resamples, count))
    begins = generator.random((resamples, count)) < 1.0 / block
    begins[:, 0] = True
    place = np.arange(count)
    # The place of the newest beginning, for every place.
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    indices: Ints = (np.take_along_axis(starts, begun, axis=1) + place - begun) % count
    return indices


def block_length(time_ms: Ints, horizon_ms: float) -> float:
    """Return the mean block length for returns over a horizon from the given times.

    One more than the mean number of later values that begin within the horizon, because those
    share a part of it; the third root of the count where that is longer, for slow changes of the
    market.

    Args:
        time_ms: i8[n], not falling.
        horizon_ms: > 0.
    """
    count = len(time_ms)
    if count == 0:
        return 1.0
    ends = np.searchsorted(time_ms, time_ms + horizon_ms, side="left")
    overlap = 1.0 + float(np.mean(ends - 1 - np.arange(count)))
    return max(1.0, overlap, count ** (1 / 3))


def mean_intervals(
    values: Floats, block: float, generator: np.random.Generator, resamples: int = RESAMPLES
) -> list[tuple[float, float]]:
    """Return the 95 % interval of every row's mean: 2.5 and 97.5 % points over resamples.

    Args:
        values: f8[k, n], n values of one time order in k measures; all use the same resamples.
        block: mean length of a block.
        generator: where the randomness comes from.
        resamples: rows drawn.

    Returns:
        k pairs; (nan, nan) with fewer than `INTERVAL_N_MIN` values.
    """
    count = values.shape[1]
    if count < INTERVAL_N_MIN:
        return [(math.nan, math.nan)] * values.shape[0]
    indices = stationary_indices(count, block, resamples, generator)
    pairs = []
    for row in values:
        low, high = np.quantile(row[indices].mean(axis=1), (0.025, 0.975))
        pairs.append((float(low), float(high)))
    return pairs


def brier(confidence: Floats, is_hit: Bools) -> float:
    """Return the mean of (confidence − outcome)², nan for none.

    Source: G. W. Brier (1950), Verification of Forecasts Expressed in Terms of Probability.
    """
    if len(confidence) == 0:
        return math.nan
    return float(np.mean((confidence - is_hit) ** 2))


def base_rate_brier(is_hit: Bools) -> float:
    """Return the Brier score of always stating the sample's own hit rate p: p (1 − p)."""
    if len(is_hit) == 0:
        return math.nan
    rate = float(np.mean(is_hit))
    return rate * (1.0 - rate)


@dataclass(frozen=True)
class Bin:
    """Hold one row of a reliability table: confidence in [low, high), the last one closed."""

    low: float
    high: float
    count: int
    confidence: float  # mean of those in the bin, nan for none
    hits: int
    hit_low: float
    hit_high: float

    @property
    def hit_rate(self) -> float:
        """Return the share of hits, nan for none."""
        return self.hits / self.count if self.count else math.nan


def reliability(
    confidence: Floats, is_hit: Bools, edges: tuple[float, ...] = BIN_EDGES
) -> list[Bin]:
    """Return the reliability table: stated confidence against hit rate, bin by bin.

    Args:
        confidence: f8[n], within the edges.
        is_hit: b1[n].
        edges: rising.
    """
    bins = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, len(edges) - 2)
    table = []
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = bins == place
        count, hits = int(inside.sum()), int(is_hit[inside].sum())
        mean = float(confidence[inside].mean()) if count else math.nan
        table.append(Bin(low, high, count, mean, hits, *wilson(hits, count)))
    return table
