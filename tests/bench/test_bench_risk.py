"""The small version of risk's bench: every row has its form and its answer is checked."""

from __future__ import annotations

import numpy as np
import pytest

from bench import harness, risk, risk_kernels
from bench.__main__ import stages
from bench.harness import WrongAnswerError
from bench.risk_memory import BID, risk_memory
from risk import loop
from risk.limit_table import Refusal
from tests.compiled import compiling


@pytest.fixture(scope="module")
def rows():
    """Run the small version once, with kernels compiled in process."""
    with compiling("risk"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(risk, "load", lambda mode: loop)
        return list(risk.cases(quick=True))


def test_every_case_has_a_row_whose_answer_was_checked(rows):
    assert "risk" in stages()
    assert [row.case for row in rows] == [
        "exit update, 1 position",
        "exit update, 20 positions",
        "all limits, 3 symbols, 2 open",
        "all limits, 32 symbols, 20 open",
        "refused: a position is there",
        "signal to order, one core",
        "signal to order, two cores",
        "kill latch to last order, flooded",
    ]
    for row in rows:
        if row.p50 is None:
            assert row.note == "needs two cores"
            continue
        assert 0 <= row.p50 <= row.p99 <= row.max
        assert row.hash != "-" and len(harness.line(row)) > 100
    assert all("goal" in row.note for row in rows if row.p50 is not None and "limits" in row.case)


def test_the_course_moves_the_stop_often_and_reaches_nothing_else():
    bids = risk.course(2_000)
    assert bids.min() > BID and bids.max() < BID + 800
    stops = {risk.trailing_fold(bids[:k], 1) for k in range(1, 50)}
    assert len(stops) == 49
    assert np.array_equal(bids, risk.course(2_000)), "the same course each time"


def test_a_wrong_reason_is_found():
    with risk_memory(3) as memory:
        memory.know_equity()
        signals = memory.signals([0])
        with pytest.raises(WrongAnswerError, match="reason 0"):
            risk._judged(memory, "case", signals, [Refusal.DUPLICATE], 10, 1)
        memory.memory.control.reconciled = 0
        figures, digest = risk._judged(memory, "case", signals, [Refusal.VENUE], 10, 1)
        assert figures[0] > 0 and len(digest) == 8
    assert risk_kernels.MASK == risk.MASK
