"""The kill latch: every writer's words, what re-arming voids, Python and kernels alike."""

from __future__ import annotations

import ctypes

import pytest

from shm.latch_table import (
    MEANINGS,
    WORDS,
    LatchReason,
    forget_voided,
    held,
    is_latched,
    reason_of,
    trip,
)
from shm.latches import (
    forget_voided_risk_latch,
    other_latch_held,
    risk_latch_held,
    trip_risk_latch,
)
from shm.tables import CONTROL

WRITERS = [words.writer for words in WORDS]


@pytest.fixture
def control():
    made = CONTROL.new()
    # Nothing else in the record may matter, or be touched.
    ctypes.memset(ctypes.addressof(made), 0, CONTROL.size)
    return made


def kernels_say(control) -> bool:
    place = ctypes.addressof(control)
    return bool(other_latch_held(place) or risk_latch_held(place))


def test_every_writer_has_words_of_its_own_in_the_record():
    fields = {field.name: field.writer for field in CONTROL.fields}
    names = [name for words in WORDS for name in words[1:]]
    assert len(set(names)) == len(names) == 2 * len(WRITERS)
    for words in WORDS:
        assert fields[words.reason] == fields[words.stamp] == words.writer
    assert fields["rearm_ns"] == "operator"


def test_every_reason_has_a_meaning_of_one_line():
    assert all(text and "\n" not in text for text in MEANINGS.values())
    assert reason_of(999) == LatchReason.SUPERVISOR


@pytest.mark.parametrize("writer", WRITERS)
def test_a_trip_holds_until_a_person_rearms_after_it(control, writer):
    assert not is_latched(control) and not kernels_say(control) and held(control) == []
    assert trip(control, writer, LatchReason.DAILY_LOSS, now_ns=100)
    assert not trip(control, writer, LatchReason.SUPERVISOR, now_ns=101), "the first reason stays"
    assert held(control) == [(writer, LatchReason.DAILY_LOSS, 100)]
    for rearm_ns, holds in ((99, True), (100, True), (101, False)):
        control.rearm_ns = rearm_ns
        assert is_latched(control) == kernels_say(control) == bool(held(control)) == holds
    assert trip(control, writer, LatchReason.SUPERVISOR, now_ns=200)
    assert held(control) == [(writer, LatchReason.SUPERVISOR, 200)]
    assert kernels_say(control)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_word_without_a_stamp_fails_closed(control, writer):
    setattr(control, {w.writer: w.reason for w in WORDS}[writer], 1)
    assert is_latched(control) and kernels_say(control)


def test_a_writer_forgets_its_word_only_once_it_is_void(control):
    trip(control, "supervisor", LatchReason.RESTART_BUDGET, now_ns=100)
    assert not forget_voided(control, "supervisor")
    control.rearm_ns = 150
    assert forget_voided(control, "supervisor") and control.supervisor_latch == 0
    assert not forget_voided(control, "supervisor")


def test_all_that_hold_are_named_the_oldest_first(control):
    trip(control, "risk", LatchReason.DRAWDOWN, now_ns=50)
    trip(control, "operator", LatchReason.OPERATOR, now_ns=60)
    trip(control, "supervisor", LatchReason.RESTART_BUDGET, now_ns=40)
    assert [latch.writer for latch in held(control)] == ["supervisor", "risk", "operator"]
    control.rearm_ns = 55
    assert [latch.writer for latch in held(control)] == ["operator"]
    assert other_latch_held(ctypes.addressof(control)) == LatchReason.OPERATOR
    assert risk_latch_held(ctypes.addressof(control)) == 0


def test_risk_trips_in_kernels_as_in_python(control):
    place = ctypes.addressof(control)
    trip_risk_latch(place, int(LatchReason.DRAWDOWN), 70)
    trip_risk_latch(place, int(LatchReason.SUPERVISOR), 80)
    assert held(control) == [("risk", LatchReason.DRAWDOWN, 70)]
    assert not forget_voided_risk_latch(place)
    control.rearm_ns = 75
    trip_risk_latch(place, int(LatchReason.SUPERVISOR), 80)
    assert held(control) == [("risk", LatchReason.SUPERVISOR, 80)]
    control.rearm_ns = 90
    assert forget_voided_risk_latch(place) and not forget_voided_risk_latch(place)
