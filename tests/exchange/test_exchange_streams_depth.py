"""Depth at all cadences at once: chains, rebuilt books that agree, best levels of the book."""

from __future__ import annotations

import itertools
import json

import pytest
from exchange_process import ExchangeProcess, SyncedBook

DIFFS = ("@0ms", "@100ms", "", "@500ms")
PARTIALS = tuple(f"{n}{c}" for n in (5, 10, 20) for c in ("@100ms", "", "@500ms"))


@pytest.mark.system
def test_every_cadence_rebuilds_the_same_book(synthetic: ExchangeProcess):
    """A slower message ends at a change that the fastest has told: both books are then equal."""
    name = "btcusdt@depth"
    streams = [f"{name}{c}" for c in (*DIFFS, *PARTIALS)]
    stream = synthetic.connect(f"/public/stream?streams={'/'.join(streams)}")
    first = json.loads(stream.recv())
    snapshot = synthetic.depth("BTCUSDT")
    books = {f"{name}{c}": SyncedBook() for c in DIFFS}
    applied = dict.fromkeys(books, 0)
    partials = dict.fromkeys(streams[len(DIFFS) :], 0)
    last_partial: dict[str, int] = {}
    for book in books.values():
        book.load(snapshot)
    fastest = books[f"{name}@0ms"]
    for message in itertools.chain([first], iter(lambda: json.loads(stream.recv()), None)):
        kind, data = message["stream"], message["data"]
        assert data["U"] <= data["u"]
        if kind in books:
            outcome = books[kind].apply(data)
            assert outcome != "gap", kind
            applied[kind] += outcome == "applied"
            if outcome == "applied" and applied[f"{name}@0ms"]:
                assert data["u"] == fastest.update_id
                assert books[kind].top(100) == fastest.top(100)
        elif applied[f"{name}@0ms"]:
            count = int(kind.removeprefix(name).partition("@")[0])
            assert data["u"] == fastest.update_id
            assert (data["b"], data["a"]) == fastest.top(count)
            assert data["pu"] == last_partial.get(kind, data["pu"])
            assert data["pu"] < data["U"] <= data["u"]
            last_partial[kind] = data["u"]
            partials[kind] += 1
        if min(applied.values()) >= 4 and min(partials.values()) >= 4:
            break
    stream.close()


@pytest.mark.system
def test_cadences_are_kept(synthetic: ExchangeProcess):
    stream = synthetic.connect("/public/stream?streams=ethusdt@depth5@100ms/ethusdt@depth@500ms")
    times: dict[str, list[int]] = {}
    while min(map(len, times.values()), default=0) < 5 or len(times) < 2:
        message = json.loads(stream.recv())
        times.setdefault(message["stream"], []).append(message["data"]["E"])
    for name, interval_ms in (("ethusdt@depth5@100ms", 100), ("ethusdt@depth@500ms", 500)):
        gaps = [after - before for before, after in itertools.pairwise(times[name])]
        assert min(gaps) > interval_ms * 0.7, (name, gaps)
    stream.close()
