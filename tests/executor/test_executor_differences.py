"""Positions compared while fills go on: a missed fill is found, a wrong difference is never."""

import pytest
from executor_motion import Motion
from hypothesis import given
from hypothesis import strategies as st

from executor.comparing import OPEN_NS_MAX
from executor.differences import Differences, Streak, agrees, differs, held_around

LOTS = st.integers(-5, 5)


@pytest.mark.parametrize(
    ("fills", "from_ns", "positions"),
    [
        ([], 0, {7}),
        ([(10, 2), (20, -1)], 0, {7, 8, 6}),
        ([(10, 2), (20, -1)], 20, {7, 8}),
        ([(10, 2), (20, -1)], 21, {7}),
        ([(10, 2), (20, -2)], 5, {7, 9}),
    ],
)
def test_positions_that_were_held(fills, from_ns, positions):
    assert held_around(7, fills, from_ns) == positions


@given(st.lists(LOTS, min_size=1), LOTS, st.data())
def test_the_true_difference_is_never_excluded(path, true, data):
    """Whatever looks at a path of ours show, with a difference that stays the same."""
    differences = Differences()
    for _ in range(6):
        moment = data.draw(st.integers(0, len(path) - 1))
        first = data.draw(st.integers(0, moment))
        last = data.draw(st.integers(moment, len(path) - 1))
        differences.look(path[moment] + true, path[first : last + 1], 0)
        assert true in differences.possible
        assert not agrees(differences.possible) or true == 0
        assert not differs(differences.possible) or true != 0


def test_looks_that_contradict_each_other_begin_anew():
    differences = Differences()
    assert not agrees(differences.possible) and not differs(differences.possible)
    differences.look(5, [5, 3], 0)
    assert differences.possible == {0, 2}
    differences.look(9, [5], 0)
    assert differences.possible == {4}
    differences.look(9, [], 0)
    assert differences.possible == {4}
    differences.look(9, [8, 9], 1)
    assert differences.possible == {0, 1}


@pytest.mark.parametrize(
    ("found", "times"),
    [
        ([{2}, {2}, {2}], [1, 2, 3]),
        ([{2}, {0, 2}, {2}], [1, 0, 2]),
        ([{2}, {1, 3}, {2}], [1, 0, 1]),
        ([{2}, {3}, {3}], [1, 1, 2]),
        ([{2}, {0}, {2}], [1, 0, 1]),
        ([{2}, set(), {2}], [1, 0, 1]),
        ([{1, 2}, {1, 2}], [0, 0]),
    ],
)
def test_comparisons_in_a_row(found, times):
    streak = Streak()
    assert [streak.note(frozenset(possible), 0, 0) for possible in found] == times


def test_a_fill_that_comes_late_ends_a_row():
    streak = Streak()
    assert [streak.note(frozenset({2}), lates, 0) for lates in (0, 0, 1, 1, 1)] == [1, 2, 1, 2, 3]


def test_a_row_knows_when_it_began():
    streak = Streak()
    for now_ns, possible in ((10, {2}), (20, {0, 2}), (30, {2})):
        streak.note(frozenset(possible), 0, now_ns)
    assert (streak.times, streak.since_ns) == (2, 10)
    streak.note(frozenset({3}), 0, 40)
    assert (streak.times, streak.since_ns) == (1, 40)


def soon(chance):
    return chance.uniform(1, 40)


def sometimes_late(chance):
    return chance.choice((5,) * 20 + (150, 240))


def always_late(chance):
    return chance.uniform(100, 240)


def too_late(chance):
    return chance.choice((5, 20, 40, 400, 900))


SIZES = [(10,), (10, 20), (7, 10, 13)]


@pytest.mark.parametrize("gap_ms", [5, 40, 300, 3000])
@pytest.mark.parametrize("sizes", SIZES)
def test_fills_that_go_on_are_no_difference(monkeypatch, gap_ms, sizes):
    motion = Motion(monkeypatch, gap_ms * len(sizes), gap_ms, soon, sizes)
    wrong = []
    motion.go_on(600, lambda: wrong.append(motion.is_distrusted))
    assert len(wrong) > 50
    # At 200 fills a second there may be doubt, and never a difference.
    assert sum(wrong) < (len(wrong) / 2 if gap_ms == 5 else 1)
    assert not any("venue=" in text for text in motion.told)
    assert not motion.corrections


@pytest.mark.parametrize("lag", [soon, sometimes_late, always_late])
@pytest.mark.parametrize("gap_ms", [40, 300, 3000])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_missed_fill_is_found_and_taken_over_as_what_it_was(monkeypatch, lag, gap_ms, sizes):
    motion = Motion(monkeypatch, gap_ms + len(sizes), gap_ms, lag, sizes)
    motion.go_on(30)
    for _ in range(5):
        motion.missed_next = motion.chance.choice((1, 1, 2))
        motion.run_to(motion.time.now_ns + 40 * gap_ms * 1_000_000)
        assert not motion.missed_next
        took_s = motion.go_on(120, lambda: motion.true == 0)
        assert motion.true == 0, f"not found in {took_s} s"
    assert motion.corrections
    assert all(lots == true for lots, true in motion.corrections)
    motion.go_on(60)
    assert motion.true == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("low_ms", "high_ms"), [(450, 650), (600, 900)])
def test_a_difference_among_late_events_is_not_silent(monkeypatch, low_ms, high_ms, seed):
    motion = Motion(monkeypatch, seed, 10, lambda chance: chance.uniform(low_ms, high_ms), (10,))
    motion.go_on(10)
    motion.missed_next = 1
    motion.run_to(motion.time.now_ns + 400_000_000)
    motion.go_on(90, lambda: motion.is_distrusted or motion.true == 0)
    assert motion.is_distrusted or motion.corrections
    motion.go_on(60, lambda: motion.true == 0)
    assert motion.is_distrusted or motion.true == 0
    # What is only in doubt is told once.
    assert sum("do not settle" in text for text in motion.told) <= 1
    assert all(lots == true for lots, true in motion.corrections)


@pytest.mark.parametrize(
    ("age_ns", "anew", "kept"), [(0, False, True), (1, False, False), (0, True, False)]
)
def test_what_looks_left_open_is_used_for_a_while(monkeypatch, age_ns, anew, kept):
    """A fill that is missed after them would look as if nothing differed."""
    motion = Motion(monkeypatch, 1, 10, soon, (10,))
    motion.compare()
    looks = motion.comparing._begin(0, anew=True)
    looks.look(7, {7, 0}, 0)
    motion.time.now_ns = motion.comparing._looked_ns[0] + OPEN_NS_MAX + age_ns
    assert (motion.comparing._begin(0, anew) is looks) == kept


@pytest.mark.parametrize("seed", range(6))
def test_late_events_are_never_taken_over(monkeypatch, seed):
    motion = Motion(monkeypatch, seed, 30 * 4**seed, too_late, (10,))
    motion.go_on(600)
    assert not motion.corrections
