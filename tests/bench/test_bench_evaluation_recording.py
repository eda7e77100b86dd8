"""Recordings as events: the sequence rules line by line, whole chains against the plain twin."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.evaluation_recording import Recording, RecordingError, read_recordings
from shm.records import EventFlag, EventKind
from tests.naive import engine_recording as naive

BEGIN, END = EventKind.SNAPSHOT_BEGIN, EventKind.SNAPSHOT_END
LEVEL, BEST, TRADE, INVALID = EventKind.LEVEL, EventKind.BEST, EventKind.TRADE, EventKind.INVALID
LAST, DELAYED, SNAPSHOT = int(EventFlag.LAST), int(EventFlag.DELAYED), int(EventFlag.SNAPSHOT)
ASK = int(EventFlag.SIDE_ASK)


def update(first: int, last: int, previous: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    body = {"e": "depthUpdate", "E": 1_000 + last, "s": "BTCUSDT", "U": first, "u": last}
    return {"stream": "btcusdt@depth@0ms", "data": body | {"pu": previous, "b": bids, "a": asks}}


def trade(number: int, kind: str = "MARKET", is_sell: bool = False) -> dict[str, Any]:
    body = {"e": "trade", "E": 2_000, "s": "BTCUSDT", "t": number, "p": "100.50", "q": "0.002"}
    return {"stream": "btcusdt@trade", "data": body | {"X": kind, "m": is_sell}}


def best(number: int) -> dict[str, Any]:
    body = {"e": "bookTicker", "u": number, "s": "BTCUSDT", "E": 3_000}
    prices = {"b": "100.40", "B": "1.000", "a": "100.50", "A": "2.000"}
    return {"stream": "btcusdt@bookTicker", "data": body | prices}


def snapshot(last: int) -> dict[str, Any]:
    rows = {"bids": [["100.40", "1.000"]], "asks": [["100.50", "2.000"]]}
    return {"lastUpdateId": last, "E": 1_500} | rows


def write(path: Path, messages: list[dict[str, Any]], begin: int = 1) -> Path:
    texts = [json.dumps(each, separators=(",", ":")) for each in messages]
    lines = [f"{begin + place} {text}\n" for place, text in enumerate(texts)]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def read(tmp_path: Path, messages: list[dict[str, Any]]) -> Recording:
    (found,) = read_recordings([write(tmp_path / "one.gz", messages)])
    return found


def kinds(found: Recording) -> list[EventKind]:
    return [EventKind(int(kind)) for kind in found.events["kind"]]


def test_updates_before_the_snapshot_are_delayed_or_dropped(tmp_path: Path):
    row = [["100.30", "0.500"]]
    found = read(
        tmp_path,
        [
            update(1, 5, 0, row),
            update(6, 10, 5, row, [["100.60", "0.000"]]),
            snapshot(8),
            update(11, 12, 10, [], row),
        ],
    )
    assert kinds(found) == [BEGIN, LEVEL, LEVEL, END, LEVEL, LEVEL, LEVEL]
    assert found.events["flags"].tolist() == [
        0, SNAPSHOT, SNAPSHOT | ASK, LAST, DELAYED, DELAYED | ASK | LAST, ASK | LAST,
    ]  # fmt: skip
    assert found.events["price_tick"].tolist() == [0, 1004, 1005, 0, 1003, 1006, 1003]
    assert found.events["quantity_lot"].tolist() == [0, 1_000, 2_000, 0, 500, 0, 500]
    # The delayed update keeps its own stamps; a message ends where the next one begins.
    assert found.events["origin_ns"].tolist() == [3, 3, 3, 3, 2, 2, 4]
    assert found.events["venue_ns"][4] == 1_010 * 1_000_000
    assert found.message_ends.tolist() == [6, 7]
    assert found.has_snapshot and found.gaps == 0


def test_gap_withdraws_the_book_until_the_next_snapshot(tmp_path: Path):
    row = [["100.30", "0.500"]]
    messages = [
        snapshot(8),
        update(7, 9, 6, row),
        update(11, 12, 10, row),
        update(13, 14, 12, row),
        snapshot(13),
        update(15, 16, 14, row),
    ]
    found = read(tmp_path, messages)
    assert kinds(found)[4:] == [LEVEL, INVALID, BEGIN, LEVEL, LEVEL, END, LEVEL, LEVEL]
    # Update 11 to 12 is older than the second snapshot.
    assert found.events["update_id"][-2:].tolist() == [14, 16]
    assert found.gaps == 1


def test_update_that_does_not_reach_back_to_the_snapshot_is_a_gap(tmp_path: Path):
    row = [["100.30", "0.500"]]
    assert read(tmp_path, [snapshot(8), update(10, 11, 9, row)]).gaps == 1
    # Venue: a first update whose pu is lastUpdateId itself follows without a gap.
    assert read(tmp_path, [snapshot(8), update(9, 11, 8, row)]).gaps == 0


def test_snapshot_of_a_whole_book_is_not_taken_again(tmp_path: Path):
    found = read(tmp_path, [snapshot(8), update(8, 9, 7, [["100.30", "1.000"]]), snapshot(9)])
    assert kinds(found).count(BEGIN) == 1


def test_what_is_no_news_is_dropped(tmp_path: Path):
    messages = [trade(5), trade(5), trade(4), trade(6, "INSURANCE_FUND"), trade(7, is_sell=True)]
    found = read(tmp_path, [*messages, best(3), best(3), best(2), best(4), update(1, 2, 0)])
    assert kinds(found) == [TRADE, TRADE, BEST, BEST]
    assert found.events["update_id"][:2].tolist() == [5, 7]
    assert found.events["flags"].tolist() == [LAST, LAST | ASK, LAST, LAST]
    assert found.events[["price_tick", "quantity_lot", "ask_tick", "ask_lot"]][2].tolist() == (
        1004, 1_000, 1005, 2_000,
    )  # fmt: skip
    assert not found.has_snapshot


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": "1e400"}, "off the grid|reason="),
        ({"b": None}, "line=2"),
        ({"E": "text"}, "not a recording"),
        ({"E": 1 << 70}, "not a recording"),
    ],
)
def test_wrong_values_are_one_line(tmp_path: Path, change: dict[str, Any], words: str):
    wrong = best(9)
    wrong["data"] |= change
    with pytest.raises(RecordingError, match=words) as caught:
        read(tmp_path, [best(1), wrong])
    assert "\n" not in str(caught.value)


@pytest.mark.recordings
@pytest.mark.skipif(bool(naive.ABSENT), reason=naive.ABSENT or "present")
@pytest.mark.parametrize("name", sorted(naive.CHAINS))
def test_whole_chain_equals_the_plain_twin(name: str):
    # Given the wrong way round: time decides.
    (found,) = read_recordings([naive.FOLDER / file for file in reversed(naive.CHAINS[name])])
    wanted = naive.chain(name)
    assert (found.symbol, found.gaps, found.has_snapshot) == (name, 0, True)
    assert len(found.events) == len(wanted)
    assert wanted.dtype.names is not None
    for field in wanted.dtype.names:
        assert np.array_equal(found.events[field], wanted[field]), field
