"""The small version of the matching bench: all contestants give the fold of the replay."""

from __future__ import annotations

import pytest

from bench import exchange, harness, matching_stream, ring_twin
from bench.__main__ import stages
from bench.harness import WrongAnswerError
from exchange.matching import entries
from exchange.matching.book import MatchingBook


@pytest.fixture(scope="module")
def stream() -> matching_stream.Stream:
    return matching_stream.Stream(entries, 10_000, 7)


def test_the_rows_are_measured_and_checked(monkeypatch):
    monkeypatch.setattr(exchange, "load", lambda mode: entries)
    rows = list(exchange.cases(quick=True))
    assert "exchange" in stages()
    assert [row.case for row in rows] == [
        "matching, compiled, per order",
        "matching through Python, mixed",
        "matching through Python, submit",
    ]
    for row in rows:
        assert row.p50 is not None and 0 < row.p50 <= row.p99 <= row.max
        assert row.hash != "-"
        assert len(harness.line(row)) > 100
    twin = "C++ twin" if ring_twin.compiler() else "no C++ compiler"
    assert twin in rows[0].note


def test_the_stream_is_a_market(stream):
    steps = stream.steps()
    assert len(steps) == stream.count == 10_000
    cancels = sum(step[0] for step in steps)
    takers = sum(step[0] == 0 and step[5] != 0 for step in steps)
    assert 0.2 < cancels / len(steps) < 0.6
    assert 0.05 < takers / len(steps) < 0.15
    assert 1_000 < stream.resting < 2_000


def test_a_replay_that_differs_is_a_wrong_answer(stream):
    class Forgetful(MatchingBook):
        """A book that loses a lot of every cancelled order."""

        def cancel(self, slot, order_id):
            matched = super().cancel(slot, order_id)
            matched.remaining -= 1
            return matched

    fold = matching_stream.replay(MatchingBook(entries), stream)
    assert fold == matching_stream.replay(stream.new_book(entries), stream)
    with pytest.raises(WrongAnswerError, match="conserved"):
        matching_stream.replay(Forgetful(entries), stream)
