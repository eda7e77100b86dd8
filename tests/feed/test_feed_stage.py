"""The whole stage against a venue of raw sockets: what it writes, and what it says."""

import itertools
import json
import queue
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feed.agent import FeedStartError
from feed.report import lines
from feed.state import RECEIVE_SIZE, SyncState
from shm.records import MARKET_EVENT, EventFlag, EventKind, InvalidReason
from shm.ring_layout import SLOTS_OFFSET
from shm.tables import BOOK_REQUEST
from tests.feed.feed_samples import BEST, DEPTH, MARK, RECORDINGS, SYMBOLS, TRADE, recording
from tests.feed.feed_server import CLOSE, PING, PONG, Venue
from tests.feed.feed_stage import Stage, numbered, snapshot, synced, synced_again
from tests.naive.feed_decoder import Filters
from tests.naive.feed_frames import frame
from tests.naive.feed_sync import Feed


@pytest.fixture
def venue():
    made = Venue()
    yield made
    made.close()


@pytest.fixture
def start(venue):
    made = []

    def begin(**changes):
        stage = Stage(venue, **changes)
        made.append(stage)
        stage.agent.on_start()
        return stage

    yield begin
    for stage in made:
        stage.close()


class Book:
    """A book from the recording, to serve a snapshot in the middle of it."""

    def __init__(self, text):
        data = json.loads(text)
        self.sides = {"b": dict(data["bids"]), "a": dict(data["asks"])}
        self.last_id, self.time = data["lastUpdateId"], data["T"]

    def update(self, text):
        data = json.loads(text)["data"]
        if data["u"] < self.last_id:
            return
        for side, rows in self.sides.items():
            rows |= dict(data[side])
        self.last_id, self.time = data["u"], data["T"]

    def snapshot(self):
        bids, asks = (
            [[price, lot] for price, lot in self.sides[side].items() if float(lot)][:1000]
            for side in "ba"
        )
        body = {"lastUpdateId": self.last_id, "T": self.time, "bids": bids, "asks": asks}
        return json.dumps(body).encode()


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings in ../shared are absent")
def test_a_recording_with_a_gap_gives_what_the_twin_expects(venue, start):
    messages = [text for _, text in itertools.islice(recording("usdm_btcusdt_20240718.gz"), 1200)]
    at = next(k for k, text in enumerate(messages) if b"lastUpdateId" in text)
    first = messages.pop(at)
    twin, book = Feed(Filters(*SYMBOLS[0][:3])), Book(first)
    stage = start()
    stream = stage.stream(venue)
    assert stream.path == (
        "/public/stream?streams=btcusdt@depth@0ms/btcusdt@trade/btcusdt@bookTicker"
    )
    twin.events.append((6, 2, 0, 0, InvalidReason.RESTART, 0, 0))
    twin.want_snapshot()
    sent = 0

    def send(part):
        nonlocal sent
        for text in part:
            twin.message(text)
        stream.send(*part)
        sent += len(part)
        stage.until(lambda: stage.count("frames") == sent)

    path, answer = stage.request(venue)
    assert path == "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    send(messages[: at + 40])
    answer(200, first)
    stage.until(lambda: stage.count("snapshots") == 1)
    assert twin.snapshot(first)
    send(messages[at + 40 : 500])
    gap = next(k for k in range(500, len(messages)) if b"depthUpdate" in messages[k])
    later = [k for k in range(gap + 1, len(messages)) if b"depthUpdate" in messages[k]]
    send(messages[500:gap] + messages[gap + 1 : later[9]])
    _, answer = stage.request(venue)
    for text in messages[: later[5]]:
        if b"depthUpdate" in text:
            book.update(text)
    answer(200, book.snapshot())
    stage.until(lambda: stage.count("snapshots") == 2)
    assert twin.snapshot(book.snapshot())
    send(messages[later[9] :])
    assert stage.events() == twin.events
    assert twin.snapshots_wanted == 2
    assert (stage.count("gaps"), stage.count("malformed"), stage.count("fallback")) == (1, 0, 0)
    assert stage.count("events") == len(twin.events)
    assert stage.memory.histograms.get("feed").count > 500


def test_a_snapshot_that_is_too_old_is_taken_again(venue, start):
    stage = start()
    stream = stage.stream(venue)
    _, answer = stage.request(venue)
    stream.send(numbered(200, 210, 190))
    stage.until(lambda: stage.count("frames") == 1)
    answer(200, snapshot(100))
    _, answer = stage.request(venue)
    assert stage.count("snapshots_too_old") == 1
    assert stage.kinds() == ["INVALID"]
    answer(200, snapshot(205))
    stage.until(lambda: stage.count("snapshots") == 1)
    levels = [event for event in stage.events() if event[0] == EventKind.LEVEL]
    assert [event[1] for event in levels] == [4, 4, 5, 8, 8, 9, 11]
    assert stage.kinds()[1] == "SNAPSHOT_BEGIN"


def test_refusals_and_errors_of_rest_are_waited_out(venue, start):
    stage = start()
    stage.stream(venue)
    _, answer = stage.request(venue)
    answer(429, b"{}", "Retry-After: 1\r\n")
    refused_ns = time.monotonic_ns()
    _, answer = stage.request(venue)
    assert time.monotonic_ns() - refused_ns >= 950_000_000
    answer(200, b'{"code":-1}')
    _, answer = stage.request(venue)
    answer(500, b"")
    _, answer = stage.request(venue)
    answer(200, snapshot(100))
    stage.until(lambda: stage.count("snapshots") == 1)


def test_malformed_depth_withdraws_the_book_and_other_messages_do_not(venue, start):
    stage = start()
    stream = synced(stage, venue)
    stream.send(TRADE.encode()[:-20] + b"}", b"\xff\xfe", b"[" * 5000, TRADE.encode())
    stage.until(lambda: stage.count("frames") == 4)
    assert stage.count("malformed") == 3
    assert stage.kinds()[-1] == "TRADE"
    stream.send(DEPTH.encode()[:-30])
    stage.until(lambda: stage.count("frames") == 5)
    last = stage.events()[-1]
    assert (last[0], last[4]) == (EventKind.INVALID, InvalidReason.MALFORMED)
    _, answer = stage.request(venue)
    answer(200, snapshot(100))
    stage.until(lambda: stage.count("snapshots") == 2)


def test_an_unknown_shape_goes_through_the_json_library(venue, start):
    stage = start()
    stream = synced(stage, venue)
    escaped = DEPTH.replace('"b":', '"\\u0062":').encode()
    escaped = escaped.replace(b"4984028367545", b"90").replace(b"4984028370730", b"110")
    stream.send(escaped, TRADE.encode())
    stage.until(lambda: stage.count("frames") == 2)
    assert stage.count("fallback") == 1
    assert stage.kinds()[-5:] == ["LEVEL"] * 4 + ["TRADE"]


def test_trades_and_quotes_that_are_not_newer_are_dropped(venue, start):
    stage = start()
    stream = synced(stage, venue)
    older = TRADE.replace("5182005737", "5182005736")
    stream.send(*(text.encode() for text in (TRADE, TRADE, older, BEST, BEST)))
    stage.until(lambda: stage.count("frames") == 5)
    assert stage.count("duplicates") == 3
    assert stage.kinds()[-2:] == ["TRADE", "BEST"]


def test_a_book_request_brings_a_snapshot_while_the_book_goes_on(venue, start):
    stage = start()
    stream = synced(stage, venue)
    BOOK_REQUEST.at(stage.memory.book_request_address(0)).wanted += 1
    _, answer = stage.request(venue)
    stream.send(numbered(99, 105, 98), numbered(106, 110, 105))
    stage.until(lambda: stage.count("frames") == 2)
    assert stage.kinds()[-8:] == ["LEVEL"] * 8
    answer(200, snapshot(107))
    stage.until(lambda: stage.count("snapshots") == 2)
    stream.send(numbered(111, 120, 110))
    stage.until(lambda: stage.count("frames") == 3)
    wanted = ["SNAPSHOT_BEGIN"] + ["LEVEL"] * 3 + ["SNAPSHOT_END"] + ["LEVEL"] * 8
    assert stage.kinds()[-13:] == wanted
    assert [event[1] & 8 for event in stage.events()[-8:]] == [8] * 4 + [0] * 4
    assert "INVALID" not in stage.kinds()[1:]
    assert stage.count("gaps") == 0


def test_pings_are_answered_and_a_close_frame_leads_to_a_new_connection(venue, start):
    stage = start()
    stream = synced(stage, venue)
    stream.send_bytes(frame(PING, b"12345") + frame(1, TRADE.encode()))
    stage.until(lambda: stage.count("trades") == 1)
    assert stream.read() == (PONG, b"12345")
    stream.send_bytes(frame(CLOSE, b"\x03\xe9"))
    stage.until(lambda: stage.count("disconnects") == 1)
    assert stream.read()[0] == CLOSE
    last = stage.events()[-1]
    assert (last[0], last[4]) == (EventKind.INVALID, InvalidReason.DISCONNECT)
    second = synced_again(stage, venue)
    second.send(TRADE.encode())  # ids start over with a new subscription
    stage.until(lambda: stage.count("trades") == 2)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x81\x7f" + (100 << 20).to_bytes(8, "big") + b"x" * 1000, 1009),
        (frame(1, b"x" * RECEIVE_SIZE, width=8), 1009),
        (frame(1, b"{}", masked=True) + b"abcd", 1002),
    ],
)
def test_frames_that_are_refused(venue, start, raw, status):
    stage = start()
    stream = synced(stage, venue)
    stream.send_bytes(raw)
    stage.until(lambda: stage.count("disconnects") == 1)
    assert stream.read() == (CLOSE, status.to_bytes(2, "big"))
    synced_again(stage, venue)


def test_a_silent_connection_is_pinged_then_replaced(venue, start):
    stage = start(venue__stale_connection_ms=500)
    stream = synced(stage, venue)
    began = stage.agent._links.links[0].current.opened_ns * 1e-9
    stage.until(lambda: stage.count("disconnects") == 1)
    assert 0.4 < time.monotonic() - began < 2
    assert stream.read()[0] == PING
    synced_again(stage, venue)


def test_a_lost_socket_is_noticed(venue, start):
    stage = start()
    stream = synced(stage, venue)
    stream.close()
    stage.until(lambda: stage.count("disconnects") == 1)
    assert stage.memory.parts["feed"].address
    synced_again(stage, venue)


def test_frames_that_come_with_the_handshake_are_not_lost():
    venue = Venue(greeting=frame(1, TRADE.encode()) + frame(1, BEST.encode()))
    stage = Stage(venue)
    try:
        stage.agent.on_start()
        synced(stage, venue)
        assert (stage.count("trades"), stage.count("best")) == (1, 1)
    finally:
        stage.close()
        venue.close()


def test_an_old_connection_is_replaced_without_a_gap(venue, start, monkeypatch):
    stage = start()
    first = synced(stage, venue)
    first.send(numbered(99, 105, 98), TRADE.encode())
    stage.until(lambda: stage.count("frames") == 2)
    stage.agent._links.links[0].open_ns_max = 0
    second = stage.stream(venue)
    stage.until(lambda: stage.count("connects") == 3)
    stage.agent._links.links[0].open_ns_max = 1 << 61
    again = [numbered(106, 110, 105), TRADE.replace("5182005737", "5182005738").encode()]
    first.send(*again)
    stage.until(lambda: stage.count("frames") == 4)
    second.send(*again, numbered(111, 115, 110))
    stage.until(lambda: stage.count("frames") == 7)
    monkeypatch.setattr("feed.connection.OVERLAP_NS", 0)
    stage.until(lambda: stage.agent._links.links[0].successor is None)
    second.send(numbered(116, 120, 115))
    stage.until(lambda: stage.count("frames") == 8)
    assert stage.count("duplicates") == 2
    assert (stage.count("gaps"), stage.count("disconnects")) == (0, 0)
    assert "INVALID" not in stage.kinds()[1:]
    assert stage.kinds().count("LEVEL") == 3 + 4 * 4


def test_a_venue_that_does_not_answer_is_an_error(venue):
    venue.close()
    stage = Stage(venue, supervisor__ready_timeout_s=1)
    try:
        with pytest.raises(FeedStartError, match=r"BTCUSDT public.*Refused"):
            stage.agent.on_start()
    finally:
        stage.close()


def test_several_symbols_with_aggregated_trades(venue):
    stage = Stage(venue, symbols=SYMBOLS[:2], venue__trade_stream="aggTrade")
    try:
        stage.agent.on_start()
        paths = {stage.stream(venue).path for _ in range(4)}
        assert paths == {
            "/public/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker",
            "/public/stream?streams=ethusdt@depth@0ms/ethusdt@bookTicker",
            "/market/stream?streams=btcusdt@aggTrade",
            "/market/stream?streams=ethusdt@aggTrade",
        }
        for _ in range(2):
            stage.request(venue)[1](200, snapshot(7))
        states = stage.agent._memory.rows
        stage.until(lambda: all(row.state == SyncState.SYNCED for row in states))
        assert "BTCUSDT state=synced valid=1 last_id=0 snapshot_id=7" in lines(stage.memory)
        with pytest.raises(queue.Empty):
            venue.requests.get_nowait()
    finally:
        stage.close()


def test_mark_prices_of_all_symbols_come_by_one_connection(venue):
    stage = Stage(venue, symbols=SYMBOLS[:2])
    try:
        stage.agent.on_start()
        marks = stage.mark_stream(venue)
        assert marks.path == "/market/stream?streams=btcusdt@markPrice@1s/ethusdt@markPrice@1s"
        for _ in range(2):
            stage.request(venue)[1](200, snapshot(7))
        stage.until(lambda: stage.count("snapshots") == 2)
        before = stage.count("events")
        other = MARK.replace("BTCUSDT", "ETHUSDT").replace("63943.95612174", "3456.78499999")
        marks.send(MARK.encode(), other.encode())
        stage.until(lambda: stage.count("marks") == 2)
        assert stage.count("events") == before + 2 and stage.count("fallback") == 0
        ring = stage.memory.ring("market")
        events = [
            MARKET_EVENT.at(ring + SLOTS_OFFSET + (before + k) * MARKET_EVENT.size)
            for k in range(2)
        ]
        assert [(e.kind, e.symbol, e.price_tick, e.flags) for e in events] == [
            (EventKind.MARK, 0, 639_440, EventFlag.LAST),
            (EventKind.MARK, 1, 345_678, EventFlag.LAST),
        ]
        assert {event.venue_ns for event in events} == {1_721_347_023_000_000_000}
    finally:
        stage.close()


def test_the_stage_imports_neither_numba_nor_numpy():
    code = "import sys, feed.agent, feed.report; print({'numba', 'numpy'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "set()"
