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


class Mumbling(MatchingBook):
    """A book that tells a wrong total, or leaves a fill out, from its 1,000th answer on."""

    lie = "changes"
    _answers = 0

    def submit(self, *words):
        matched = super().submit(*words)
        self._answers += 1
        if self._answers > 1_000 and getattr(matched, self.lie):
            setattr(matched, self.lie, getattr(matched, self.lie)[:-1])
        return matched


@pytest.mark.parametrize("lie", ["changes", "events"])
def test_what_is_read_through_python_is_checked(monkeypatch, stream, lie):
    def mumbling(kernels):
        book = Mumbling(kernels, matching_stream.ORDER_CAPACITY, matching_stream.LEVEL_CAPACITY)
        book.lie = lie
        return book

    wanted = matching_stream.replay_changes(stream.new_book(entries), stream, 5_000)
    monkeypatch.setattr(exchange, "replay_changes", lambda *ignored: wanted)
    monkeypatch.setattr(exchange.Stream, "new_book", staticmethod(mumbling))
    with pytest.raises(WrongAnswerError, match="through Python"):
        list(exchange._through_python(entries, stream, 1))


def test_changes_that_do_not_make_the_book_are_a_wrong_answer(stream):
    book = Mumbling(entries, matching_stream.ORDER_CAPACITY, matching_stream.LEVEL_CAPACITY)
    with pytest.raises(WrongAnswerError, match="changes make the book"):
        matching_stream.replay_changes(book, stream, 5_000)
