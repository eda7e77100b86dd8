"""The evaluation of one course: a row per source and horizon, and how reliable confidence is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.evaluation_course import Course
from bench.evaluation_occasions import Occasions, random_like
from bench.evaluation_returns import HORIZONS_S, Fees, Forward, Quotes, forward_returns
from bench.evaluation_statistics import (
    Bin,
    base_rate_brier,
    block_length,
    brier,
    mean_intervals,
    reliability,
    seeded,
    wilson,
)

CALIBRATION_S = 5.0
RANDOM = "random times"


@dataclass(frozen=True)
class Mean:
    """Hold a mean and its 95 % interval, basis points; nan where there is none."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """Hold what followed on one source's signals over one horizon.

    `signals` = `count` + `left_out`; `hits` of the `moved`, those after which the mid was another.
    """

    source: str
    is_random: bool
    horizon_s: float
    signals: int
    count: int
    left_out: int
    moved: int
    hits: int
    hit_low: float
    hit_high: float
    gross: Mean
    late: Mean
    maker: Mean
    taker: Mean

    @property
    def hit_rate(self) -> float:
        """Return hits over moved, nan for none."""
        return self.hits / self.moved if self.moved else float("nan")


@dataclass(frozen=True)
class Calibration:
    """Hold the reliability of one source's confidence at `CALIBRATION_S`."""

    source: str
    is_random: bool
    count: int
    brier: float
    base_rate: float
    base_rate_brier: float
    bins: list[Bin]


def quotes_of(course: Course) -> tuple[Quotes, np.ndarray]:
    """Return the known best prices of a course, and the row of them for every row of the course.

    A row whose prices are unknown stands for none: −1.
    """
    is_known = course.bid_tick > 0
    rows = np.where(is_known, np.cumsum(is_known) - 1, -1)
    bid = course.bid_tick[is_known].astype(np.float64)
    ask = course.ask_tick[is_known].astype(np.float64)
    return Quotes(course.time_ms[is_known], bid, ask), rows


class Evaluation:
    """Evaluate occasions against one course. All randomness comes from the seed.

    Args:
        course: what the engine showed.
        fees: of one fill.
        symbol: name that the seeds depend on besides.
        seed: any integer ≥ 0.
    """

    def __init__(self, course: Course, fees: Fees, symbol: str, seed: int) -> None:
        self.course, self.fees, self.symbol, self.seed = course, fees, symbol, seed
        self.quotes, self._rows = quotes_of(course)

    def with_random(self, occasions: Sequence[Occasions]) -> list[tuple[Occasions, bool]]:
        """Return every source's occasions, each followed by its random twin (True)."""
        pairs = []
        for own in occasions:
            generator = seeded(self.seed, self.symbol, own.source, RANDOM)
            pairs += [(own, False), (random_like(own, self.course, generator), True)]
        return pairs

    def _forward(self, occasions: Occasions, horizon_s: float) -> Forward:
        places = self._rows[occasions.places]
        return forward_returns(self.quotes, places, occasions.sides, horizon_s, self.fees)

    def row(self, occasions: Occasions, is_random: bool, horizon_s: float) -> Row:
        """Return the row of one source and horizon."""
        forward = self._forward(occasions, horizon_s)
        times = self.course.time_ms[occasions.places[forward.is_complete]]
        values = np.vstack([forward.gross, forward.late, forward.maker, forward.taker])
        generator = seeded(self.seed, self.symbol, occasions.source, is_random, horizon_s)
        block = block_length(times, horizon_s * 1000.0)
        intervals = mean_intervals(values, block, generator)
        count = len(forward.gross)
        means = values.mean(axis=1) if count else np.full(len(values), np.nan)
        hits, moved = int((forward.gross > 0.0).sum()), int((forward.gross != 0.0).sum())
        found = [Mean(float(m), *pair) for m, pair in zip(means, intervals, strict=True)]
        return Row(
            occasions.source,
            is_random,
            horizon_s,
            len(occasions.places),
            count,
            forward.left_out,
            moved,
            hits,
            *wilson(hits, moved),
            *found,
        )

    def rows(
        self, pairs: Sequence[tuple[Occasions, bool]], horizons_s: Sequence[float] = HORIZONS_S
    ) -> list[Row]:
        """Return the rows of all sources: by source, then horizon, each with its twin after it."""
        found = []
        for own, twin in zip(pairs[::2], pairs[1::2], strict=True):
            for horizon_s in horizons_s:
                found += [self.row(*own, horizon_s), self.row(*twin, horizon_s)]
        return found

    def calibration(self, occasions: Occasions, is_random: bool) -> Calibration:
        """Return how the confidence of a source that states one relates to its hit rate."""
        assert occasions.confidence is not None, f"no confidence: source={occasions.source}"
        forward = self._forward(occasions, CALIBRATION_S)
        has_moved = forward.gross != 0.0
        confidence = occasions.confidence[forward.is_complete][has_moved]
        is_hit = forward.gross[has_moved] > 0.0
        return Calibration(
            occasions.source,
            is_random,
            len(is_hit),
            brier(confidence, is_hit),
            float(is_hit.mean()) if len(is_hit) else float("nan"),
            base_rate_brier(is_hit),
            reliability(confidence, is_hit),
        )

    def calibrations(self, pairs: Sequence[tuple[Occasions, bool]]) -> list[Calibration]:
        """Return the calibration of all sources that state a confidence."""
        return [self.calibration(*pair) for pair in pairs if pair[0].confidence is not None]
