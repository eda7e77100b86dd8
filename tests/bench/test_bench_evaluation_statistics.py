"""The statistics of the evaluation: tables worked out by hand, and slow twins written apart."""

from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
import pytest

from bench import evaluation_statistics as statistics

SEED = 20240718


def naive_wilson(hits: int, count: int, z: float) -> tuple[float, float]:
    """Find both rates p with |hits/count − p| = z √(p (1 − p) / count) by bisection."""
    rate = hits / count

    def is_near(p: float) -> bool:
        return abs(rate - p) <= z * math.sqrt(p * (1 - p) / count)

    def edge(outside: float) -> float:
        inside = rate
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_near(middle) else (inside, middle)
        return inside

    return edge(0.0), edge(1.0)


def test_wilson_by_hand():
    # Newcombe (1998), Two-sided confidence intervals for the single proportion, table I.
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert statistics.wilson(hits, count) == pytest.approx((low, high), abs=5e-5)
    assert statistics.wilson(0, 0) == (0.0, 1.0)
    assert statistics.wilson(7, 7)[1] == 1.0 and statistics.wilson(0, 7)[0] == 0.0


@pytest.mark.parametrize("count", [2, 7, 40, 1000])
def test_wilson_equals_its_definition(count: int):
    for hits in {1, count // 3 or 1, count // 2, count - 1}:
        found = statistics.wilson(hits, count)
        assert found == pytest.approx(naive_wilson(hits, count, statistics.Z_95), abs=1e-9)
        assert found[0] < hits / count < found[1]


def naive_indices(starts: np.ndarray, draws: np.ndarray, block: float) -> list[list[int]]:
    count = starts.shape[1]
    rows = []
    for start_row, draw_row in zip(starts, draws, strict=True):
        row: list[int] = []
        for place in range(count):
            if place == 0 or draw_row[place] < 1.0 / block:
                row.append(int(start_row[place]))
            else:
                row.append((row[-1] + 1) % count)
        rows.append(row)
    return rows


@pytest.mark.parametrize(("count", "block"), [(1, 1.0), (9, 1.0), (9, 3.5), (40, 12.0)])
def test_blocks_equal_the_plain_loop(count: int, block: float):
    found = statistics.stationary_indices(count, block, 50, np.random.default_rng(SEED))
    same = np.random.default_rng(SEED)
    starts, draws = same.integers(0, count, size=(50, count)), same.random((50, count))
    assert found.tolist() == naive_indices(starts, draws, block)


def test_blocks_have_their_mean_length():
    found = statistics.stationary_indices(200, 8.0, 500, np.random.default_rng(SEED))
    follows = (found[:, 1:] - found[:, :-1]) % 200 == 1
    # A new block begins right behind the old one by chance in one of 200 cases.
    assert follows.mean() == pytest.approx(1 - 1 / 8 + 1 / 8 / 200, abs=0.005)


def test_seed_alone_decides():
    values = np.random.default_rng(SEED).normal(size=(2, 30))

    def once(seed: int, word: object) -> list[tuple[float, float]]:
        return statistics.mean_intervals(values, 3.0, statistics.seeded(seed, "a", word), 400)

    assert once(1, "b") == once(1, "b")
    assert once(1, "b") != once(2, "b") and once(1, "b") != once(1, "c")


def test_interval_of_equal_and_of_few_values():
    generator = np.random.default_rng(SEED)
    assert statistics.mean_intervals(np.full((1, 8), 2.5), 2.0, generator) == [(2.5, 2.5)]
    ((low, high),) = statistics.mean_intervals(np.ones((1, 4)), 1.0, generator)
    assert math.isnan(low) and math.isnan(high)


def test_interval_is_that_of_resampled_means():
    values = np.random.default_rng(SEED).normal(1.0, 2.0, size=(1, 25))
    (found,) = statistics.mean_intervals(values, 2.0, np.random.default_rng(3), 500)
    rows = statistics.stationary_indices(25, 2.0, 500, np.random.default_rng(3)).tolist()
    means = sorted(sum(values[0][k] for k in row) / 25 for row in rows)

    def point(share: float) -> float:
        at = share * 499
        below = int(at)
        return means[below] + (at - below) * (means[below + 1] - means[below])

    assert found == pytest.approx((point(0.025), point(0.975)))


def test_block_length_counts_what_overlaps():
    times = np.array([0, 400, 800, 5_000, 5_000, 9_000])
    for horizon_ms in (100.0, 500.0, 1_000.0, 6_000.0):
        ordered = times.tolist()
        inside = [
            bisect_left(ordered, t + horizon_ms) - 1 - place for place, t in enumerate(ordered)
        ]
        wanted = max(1 + sum(inside) / 6, 6 ** (1 / 3))
        assert statistics.block_length(times, horizon_ms) == pytest.approx(wanted)
    # By hand: within 6 s of 0, 400, 800, 5000, 5000 and 9000 begin 4, 3, 2, 2, 1 and 0 others.
    assert statistics.block_length(times, 6_000.0) == pytest.approx(1 + 12 / 6)
    assert statistics.block_length(times[:0], 1.0) == 1.0


def coverage(overlap: int, trials: int, count: int) -> float:
    """Return how often the interval of sums of `overlap` neighbouring steps covers their 0."""
    generator = np.random.default_rng(SEED)
    covered = 0
    for _ in range(trials):
        steps = generator.normal(size=count + overlap - 1)
        sums = np.convolve(steps, np.ones(overlap), mode="valid")[None, :]
        block = statistics.block_length(np.arange(count), float(overlap))
        ((low, high),) = statistics.mean_intervals(sums, block, generator, 300)
        covered += low <= 0.0 <= high
    return covered / trials


def test_intervals_cover_as_often_as_they_should():
    """Of independent values about 95 %; a block bootstrap of overlapping ones falls short a bit."""
    print("seed", SEED)
    assert 0.90 <= coverage(1, 400, 80) <= 0.98
    assert 0.84 <= coverage(6, 400, 120) <= 0.98


def test_overlapping_values_without_blocks_would_cover_too_rarely():
    generator = np.random.default_rng(SEED)
    covered = 0
    for _ in range(300):
        sums = np.convolve(generator.normal(size=125), np.ones(6), mode="valid")[None, :]
        ((low, high),) = statistics.mean_intervals(sums, 1.0, generator, 200)
        covered += low <= 0.0 <= high
    assert covered / 300 < 0.75


def test_brier_by_hand():
    confidence = np.array([0.9, 0.8, 0.6, 0.5])
    is_hit = np.array([True, False, True, False])
    # (0.01 + 0.64 + 0.16 + 0.25) / 4
    assert statistics.brier(confidence, is_hit) == pytest.approx(0.265)
    assert statistics.base_rate_brier(is_hit) == 0.25
    assert statistics.base_rate_brier(np.array([True, True, True, False])) == 0.1875
    assert statistics.brier(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    nothing = np.array([])
    assert math.isnan(statistics.brier(nothing, nothing.astype(bool)))
    assert math.isnan(statistics.base_rate_brier(nothing.astype(bool)))


def test_base_rate_is_the_best_constant():
    is_hit = np.random.default_rng(SEED).random(200) < 0.3
    scores = [statistics.brier(np.full(200, p), is_hit) for p in np.linspace(0, 1, 101)]
    assert statistics.base_rate_brier(is_hit) <= min(scores) + 1e-12


def test_reliability_by_hand():
    confidence = np.array([0.0, 0.49, 0.5, 0.55, 0.6, 0.95, 1.0])
    is_hit = np.array([False, True, True, False, True, True, True])
    table = statistics.reliability(confidence, is_hit)
    assert [(b.low, b.high, b.count, b.hits) for b in table] == [
        (0.0, 0.5, 2, 1), (0.5, 0.6, 2, 1), (0.6, 0.7, 1, 1), (0.7, 0.8, 0, 0),
        (0.8, 0.9, 0, 0), (0.9, 1.0, 2, 2),
    ]  # fmt: skip
    assert table[0].confidence == pytest.approx(0.245) and table[5].confidence == 0.975
    assert table[0].hit_rate == 0.5 and math.isnan(table[3].hit_rate)
    assert (table[5].hit_low, table[5].hit_high) == statistics.wilson(2, 2)
