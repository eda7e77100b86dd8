"""When signals fire, random times beside them, and whether what is planted is found."""

from __future__ import annotations

import numpy as np
import pytest

from bench.evaluation_course import Course
from bench.evaluation_occasions import (
    COMBINED,
    VALIDATED,
    Occasions,
    combine,
    crossings,
    occasions_of,
    random_like,
    sides_of,
)
from bench.evaluation_returns import Fees
from bench.evaluation_rows import Evaluation
from shm.records import SIGNAL, SIGNAL_COUNT, Factor, Strategy

FREE = Fees(maker=0.0, taker=0.0)
STEP_MS = 50


def course_of(mid: np.ndarray, scores: np.ndarray, step_ms: int = STEP_MS) -> Course:
    """Return a course over a mid in half ticks, with no validated signal."""
    count = len(mid)
    half = np.asarray(mid, dtype=np.int64)
    return Course(
        time_ms=1_000 + step_ms * np.arange(count),
        bid_tick=(half - 1) // 2,
        ask_tick=(half - 1) // 2 + 1,
        scores=scores,
        known=np.full(count, (1 << SIGNAL_COUNT) - 1),
        is_warm=np.ones(count, dtype=np.bool_),
        signals=np.zeros(0, SIGNAL.dtype),
        signal_places=np.zeros(0, dtype=np.int64),
    )


def naive_crossings(
    sides: list[int], times: list[int], eligible: list[bool], cooldown_ms: float
) -> list[int]:
    chosen: list[int] = []
    for place in range(1, len(sides)):
        if sides[place] == 0 or sides[place] == sides[place - 1] or not eligible[place]:
            continue
        if chosen and times[place] - times[chosen[-1]] < cooldown_ms:
            continue
        chosen.append(place)
    return chosen


def test_crossings_by_hand():
    sides = np.array([1, 1, 0, 1, 1, -1, 0, 0, 1, 0, 1])
    times = np.array([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_300])
    every = np.ones(11, dtype=np.bool_)
    # It stood at 1 in the first row already; −1 at 500 is within 400 ms of 300.
    assert crossings(sides, times, every, 400.0).tolist() == [3, 8, 10]
    assert crossings(sides, times, every, 0.0).tolist() == [3, 5, 8, 10]
    some = every.copy()
    some[3] = False
    assert crossings(sides, times, some, 400.0).tolist() == [5, 10]
    assert crossings(sides[:0], times[:0], every[:0], 1.0).tolist() == []


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_crossings_equal_the_plain_loop(seed: int):
    generator = np.random.default_rng(seed)
    sides = generator.choice([-1, 0, 0, 1], size=400)
    times = np.cumsum(generator.choice([0, 1, 20, 300], size=400))
    eligible = generator.random(400) < 0.8
    for cooldown_ms in (0.0, 150.0, 1_000.0):
        found = crossings(sides, times, eligible, cooldown_ms).tolist()
        wanted = naive_crossings(sides.tolist(), times.tolist(), eligible.tolist(), cooldown_ms)
        assert found == wanted


def test_a_side_is_taken_at_the_threshold():
    scores = np.array([0.05, 0.0499, -0.05, 0.0, 1.0])
    assert sides_of(scores, 0.05).tolist() == [1, 0, -1, 0, 1]
    assert sides_of(np.array([0.0, 0.3]), 0.0).tolist() == [0, 1]


def test_combined_by_hand():
    scores = np.zeros((2, SIGNAL_COUNT))
    scores[0, :4] = (0.5, -0.2, 0.04, 0.1)
    scores[1, :4] = (0.5, -0.2, 0.04, 0.1)
    course = course_of(np.array([2_000, 2_000]), scores)
    # The first row knows signals 0, 1 and 2 alone, the second all eight; signal 3 weighs nothing.
    known = np.array([0b111, 0xFF])
    course = Course(**{**course.__dict__, "known": known})
    weights = np.array([2.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    score, buying, selling = combine(course, weights)
    assert score.tolist() == pytest.approx([(1.0 - 0.2 + 0.04) / 4, (1.0 - 0.2 + 0.04) / 8])
    # 0.04 takes no side: two thirds of the active weight buy.
    assert (buying / (buying + selling)).tolist() == pytest.approx([2 / 3, 2 / 3])


def test_sources_are_all_there_and_validated_ones_are_the_engine_s():
    course = course_of(np.full(100, 2_001), np.zeros((100, SIGNAL_COUNT)))
    signals = np.zeros(3, SIGNAL.dtype)
    signals["strategy"] = (int(Strategy.ORDER_FLOW), int(Strategy.MOMENTUM), 3)
    signals["side"], signals["confidence"] = (1, -1, -1), (0.75, 1.0, 0.6)
    places = np.array([10, 20, 90])
    course = Course(**{**course.__dict__, "signals": signals, "signal_places": places})
    found = {o.source: o for o in occasions_of(course, np.ones(SIGNAL_COUNT), 0.1)}
    assert len(found) == len(Factor) + 5
    assert found[VALIDATED].places.tolist() == [10, 20, 90]
    assert found["strategy order flow"].places.tolist() == [10, 90]
    assert found["strategy order flow"].sides.tolist() == [1, -1]
    confidence = found["strategy momentum"].confidence
    assert confidence is not None and confidence.tolist() == [1.0]
    assert found["strategy mean reversion"].places.tolist() == []
    assert found[COMBINED].places.tolist() == []


def test_random_times_have_the_same_number_and_sides():
    course = course_of(np.full(1_000, 2_001), np.zeros((1_000, SIGNAL_COUNT)))
    is_warm = np.arange(1_000) >= 400
    course = Course(**{**course.__dict__, "is_warm": is_warm})
    places = np.array([400, 500, 600, 700, 990])
    sides, confidence = np.array([1, 1, 1, -1, -1]), np.array([0.6, 0.7, 0.8, 0.9, 1.0])
    own = Occasions("x", places, sides, confidence)
    twins = [random_like(own, course, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert twins[0].places.tolist() == twins[1].places.tolist() != twins[2].places.tolist()
    for twin in twins:
        assert sorted(twin.sides) == sorted(sides) and len(twin.places) == 5
        assert twin.places.min() >= 400 and np.all(np.diff(twin.places) >= 0)
        assert twin.confidence is not None
        # A confidence stays with its side.
        pairs = zip(twin.sides.tolist(), twin.confidence.tolist(), strict=True)
        assert sorted(pairs) == sorted(zip(sides.tolist(), confidence.tolist(), strict=True))
    many = Occasions("x", np.zeros(20_000, dtype=np.int64), np.ones(20_000, dtype=np.int64))
    spread = random_like(many, course, np.random.default_rng(5)).places
    # Uniform over rows 400 to 999, the last of which only the very end draws.
    assert spread.mean() == pytest.approx(699, abs=5) and spread.std() == pytest.approx(173, abs=5)


def planted(seed: int, drift: float) -> Course:
    """Return a random walk that moves with the order-flow score for a second, by `drift` a step."""
    generator = np.random.default_rng(seed)
    count, length = 12_000, 20
    scores = np.zeros((count, SIGNAL_COUNT))
    steps = generator.normal(0.0, 3.0, size=count)
    for begin in range(200, count - 700, 140):
        side = generator.choice([-1, 1])
        scores[begin : begin + length, int(Factor.ORDER_FLOW)] = 0.4 * side
        steps[begin + 1 : begin + 1 + length] += drift * side
    mid = 200_000 + np.rint(np.cumsum(steps)).astype(np.int64)
    return course_of(mid, scores)


def test_planted_signal_is_found_and_random_times_are_not():
    course = planted(7, drift=1.5)
    evaluation = Evaluation(course, FREE, "TEST", 1)
    found = occasions_of(course, np.ones(SIGNAL_COUNT), 0.01)
    own = next(o for o in found if o.source == "order flow")
    pairs = evaluation.with_random([own])
    row, twin = evaluation.rows(pairs, [1.0])
    print(row, twin, sep="\n")
    assert row.signals > 70 and not row.is_random and twin.is_random
    assert row.gross.low > 0.0 and row.gross.low < row.gross.mean < row.gross.high
    # 20 steps of 1.5 half ticks on 200,000: 1.5 of 1e-4.
    assert row.gross.mean == pytest.approx(1.5, abs=0.35)
    assert row.hit_low > 0.5
    assert twin.gross.low < 0.0 < twin.gross.high and twin.hit_low < 0.5 < twin.hit_high
    # Five seconds later it is still there, and the noise is larger.
    (later, _) = evaluation.rows(pairs, [5.0])
    assert later.gross.high - later.gross.low > row.gross.high - row.gross.low


def test_random_times_cover_zero_about_as_often_as_they_should():
    print("seeds 0 to 149")
    covered, shares = 0, 0
    for seed in range(150):
        course = planted(seed, drift=0.0)
        own = Occasions("x", np.arange(200, 11_000, 120), np.resize([1, -1, -1], 90))
        evaluation = Evaluation(course, FREE, "TEST", seed)
        twin = evaluation.with_random([own])[1]
        row = evaluation.row(*twin, 1.0)
        covered += row.gross.low <= 0.0 <= row.gross.high
        shares += row.hit_low <= 0.5 <= row.hit_high
    print("covered", covered, shares)
    assert 0.88 <= covered / 150 <= 0.99
    assert 0.90 <= shares / 150 <= 0.995


def test_calibration_counts_what_moved():
    mid = np.full(400, 2_000)
    mid[150:] = 2_010
    course = course_of(mid, np.zeros((400, SIGNAL_COUNT)))
    # 5 s are 100 rows: the first sees nothing, the next two the rise, the last has no horizon.
    own = Occasions(
        "x", np.array([10, 60, 120, 390]), np.array([1, 1, -1, 1]), np.array([0.9, 0.8, 0.6, 1.0])
    )
    found = Evaluation(course, FREE, "TEST", 1).calibration(own, False)
    assert found.count == 2 and found.base_rate == 0.5 and found.base_rate_brier == 0.25
    assert found.brier == pytest.approx((0.2**2 + 0.6**2) / 2)
    assert [(b.low, b.count, b.hits) for b in found.bins if b.count] == [(0.6, 1, 0), (0.8, 1, 1)]
    row = Evaluation(course, FREE, "TEST", 1).row(own, False, 5.0)
    assert (row.signals, row.count, row.left_out, row.moved, row.hits) == (4, 3, 1, 2, 1)
