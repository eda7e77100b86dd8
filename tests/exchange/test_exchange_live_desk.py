"""The live market under a desk: what a resync sets off, odd messages, errors of our own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import aiohttp
import orjson
import pytest
import requests
from exchange_process import ExchangeProcess
from mirrored_desk import ASKS, BIDS, BTC, MirroredBench, diff, snapshot

from exchange.markets.messages import MessageError, read_diff, read_snapshot, read_trade
from exchange.markets.upstream import Upstream

DEADLINE_S = 20.0


def test_a_protective_stop_that_a_resync_triggers_closes_the_position():
    bench = MirroredBench()
    bench.place("BUY", "MARKET", "0.010")
    bench.place("BUY", "LIMIT", "0.010", "63000.0")
    stop = bench.stop("63500")
    assert bench.row.on_update(diff(30, 34, 25, [], []))
    assert not bench.row.is_synced
    assert bench.row.on_snapshot(snapshot(34, [["62900.0", "5"]], [["62900.1", "5"]]))
    # The book passed our bid, that trade triggered the stop, and the stop found an open market.
    assert (stop.status, stop.failure) == ("FINISHED", "")
    assert bench.held() == 0


def test_orders_meet_the_bridged_book_and_none_in_between():
    """The snapshot alone crosses our bid; the diff that follows takes that back."""
    bench = MirroredBench()
    order = bench.place("BUY", "LIMIT", "0.010", "63950.0")
    bench.row.on_update(diff(30, 34, 25, [], []))
    bench.row.on_update(diff(35, 36, 34, [["64000.0", "2"]], [["63940.0", "0"]]))
    assert bench.row.on_snapshot(snapshot(33, BIDS, [["63940.0", "1"], *ASKS]))
    assert bench.row.is_synced
    assert (order.status, bench.held()) == ("NEW", 0)
    assert bench.row.book.last_update_id == 36


def test_a_bridge_that_fails_fires_nothing():
    bench = MirroredBench()
    bench.place("BUY", "MARKET", "0.010")
    order, stop = bench.place("BUY", "LIMIT", "0.010", "63000.0"), bench.stop("63500")
    ahead_lot, sent = order.ahead_lot, len(bench.events.sent)
    bench.row.on_update(diff(30, 34, 25, [], []))
    bench.row.on_update(diff(40, 44, 38, [], []))  # its `pu` is not 34
    low = snapshot(34, [["62900.0", "5"]], [["62900.1", "5"]])
    assert not bench.row.on_snapshot(low)
    assert not bench.row.is_synced
    assert (order.status, stop.status, bench.held()) == ("NEW", "NEW", 10)
    assert (order.ahead_lot, len(bench.events.sent)) == (ahead_lot, sent)
    # What is left in the buffer bridges a later snapshot.
    assert bench.row.on_snapshot(low | {"lastUpdateId": 42})
    assert (bench.row.book.last_update_id, stop.status) == (44, "FINISHED")


GOOD = diff(15, 15, 14, [["63999.9", "1"]], [])
TRADE = {"t": 1, "T": 1, "E": 1, "p": "64000.0", "q": "1", "X": "MARKET", "m": True}
ODD_DIFFS = [
    {key: value for key, value in GOOD.items() if key != gone} for gone in ("U", "u", "b", "a", "T")
]
ODD_DIFFS += [
    GOOD | change
    for change in (
        {"u": "15"},
        {"u": None},
        {"u": -1},
        {"u": True},
        {"U": 16},
        {"b": None},
        {"b": [["63999.9"]]},
        {"b": [[63999.9, "1"]]},
        {"b": [["-1.0", "1"]]},
        {"b": [["0.0", "1"]]},
        {"b": [["NaN", "1"]]},
        {"b": [["63999.95", "1"]]},
        {"a": [["64000.1", "-1"]]},
        {"a": "12"},
    )
]
ODD_TRADES = [{k: v for k, v in TRADE.items() if k != gone} for gone in "tTEpqm"]
ODD_TRADES += [TRADE | change for change in ({"p": "0.0"}, {"q": "0"}, {"m": "x"}, {"p": 1.5})]
ODD = [("depth@0ms", orjson.dumps(row)) for row in ODD_DIFFS]
ODD += [("trade", orjson.dumps(row)) for row in ODD_TRADES]
ODD += [(kind, text) for kind in ("depth@0ms", "trade") for text in (b"", b"[]", b"null", b'{"u":')]


@pytest.mark.parametrize(("kind", "text"), ODD)
def test_an_odd_message_voids_the_book_and_the_next_snapshot_mends_it(kind, text):
    bench = MirroredBench()
    order = bench.place("BUY", "LIMIT", "0.010", "64000.0")
    assert bench.row.on_message(kind, text), "a snapshot is wanted"
    assert (bench.row.is_synced, bench.row.bad_messages) == (False, 1)
    assert bench.row.status()["bad_messages"] == 1
    assert order.status == "NEW"
    assert bench.row.on_snapshot(snapshot(20, BIDS, ASKS))
    assert not bench.row.on_message("depth@0ms", orjson.dumps(diff(20, 22, 18, [], [])))
    assert (bench.row.is_synced, bench.row.book.last_update_id) == (True, 22)


def test_good_messages_of_every_kind_are_taken():
    bench = MirroredBench()
    assert not bench.row.on_message("depth@0ms", orjson.dumps(GOOD))
    assert not bench.row.on_message("trade", orjson.dumps(TRADE))
    # Venue: an insurance fund's trade meets nobody and need not be on the tick.
    odd = TRADE | {"X": "INSURANCE_FUND", "p": "64000.05"}
    assert not bench.row.on_message("trade", orjson.dumps(odd))
    assert not bench.row.on_message("bookTicker", b"not looked at")
    assert (bench.row.is_synced, bench.row.bad_messages) == (True, 0)


@pytest.mark.parametrize("change", [{"lastUpdateId": "7"}, {"bids": [["0.0", "1"]]}, {"asks": 3}])
def test_an_odd_snapshot_changes_nothing(change):
    bench = MirroredBench()
    bench.row.lose()
    with pytest.raises(MessageError):
        bench.row.on_snapshot(snapshot(20, BIDS, ASKS) | change)
    assert (bench.row.is_synced, bench.row.book.last_update_id) == (False, 14)
    for read in (read_diff, read_snapshot, read_trade):
        with pytest.raises(MessageError):
            read(BTC, 3)


class Socket:
    """One connection that says a few things and then closes."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    async def receive(self, timeout: float) -> aiohttp.WSMessage:
        if self._texts:
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, self._texts.pop(0), None)
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    async def close(self) -> None: ...


class Session:
    def __init__(self, *sockets: Socket) -> None:
        self._sockets = list(sockets)

    async def ws_connect(self, url: str, **options: object) -> Socket:
        if not self._sockets:
            raise aiohttp.ClientConnectionError("nobody there")
        return self._sockets.pop(0)


class NoWait:
    """A backoff that ends the run when it has waited that often."""

    def __init__(self, times: int) -> None:
        self._times = times

    def reset(self) -> None: ...

    def next_s(self) -> float:
        self._times -= 1
        if self._times < 0:
            raise asyncio.CancelledError
        return 0.0


def run_upstream(session: Session, handler: Callable, times: int) -> tuple[Upstream, list[str]]:
    lost: list[str] = []
    backoff = NoWait(times)
    on_lost = partial(lost.append, "lost")
    link = Upstream(session, "ws://", handler, on_lost, backoff)  # type: ignore[arg-type]

    async def run() -> None:
        await link.run()

    with pytest.raises((asyncio.CancelledError, ValueError, OSError)) as caught:
        asyncio.run(run())
    lost.append(type(caught.value).__name__)
    return link, lost


TEXT = '{"stream":"a@trade","data":{}}'


@pytest.mark.parametrize("error", [ValueError, OSError, TimeoutError])
def test_an_error_of_our_own_is_no_lost_connection(error):
    def handler(stream: str, data: bytes) -> None:
        raise error("ours")

    link, heard = run_upstream(Session(Socket([TEXT]), Socket([TEXT])), handler, 5)
    assert heard == [error.__name__]
    assert (link.is_open, link.connects) == (False, 1)


def test_a_connection_is_made_again_and_each_loss_is_told_once():
    got: list[str] = []
    sockets = Socket([TEXT]), Socket([TEXT, TEXT])
    link, heard = run_upstream(Session(*sockets), lambda s, d: got.append(s), 4)
    assert heard == ["lost", "lost", "CancelledError"]
    assert (got, link.connects, link.is_open) == (["a@trade"] * 3, 2, False)


def test_a_failed_task_reaches_the_loops_handler_and_voids_the_books():
    bench, heard = MirroredBench(), []

    async def fail() -> None:
        raise KeyError("ours")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        bench.market._tasks = set()
        bench.market._spawn(fail())
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(run())
    # A failure with a handle ends the process, see `exchange.server.serve`.
    assert [(type(c["exception"]), "handle" in c) for c in heard] == [(KeyError, True)]
    assert not bench.row.is_synced


def wait_for(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        pause.wait(0.02)


@pytest.fixture
def upstream() -> Iterator[ExchangeProcess]:
    exchange = ExchangeProcess("--symbols", "BTCUSDT", "--regime", "quiet", "--seed", "3")
    yield exchange
    assert exchange.close() == 0


@pytest.mark.system
def test_a_mirror_outlives_what_its_upstream_sends(upstream):
    addresses = ("--upstream-rest", upstream.rest, "--upstream-stream", upstream.stream)
    mirror = ExchangeProcess("--market", "live", "--symbols", "BTCUSDT", *addresses)

    def status() -> dict:
        return mirror.get("/local/status").json()

    wait_for(lambda: not status()["stale"], "synchronised")
    spoiled = [("malformed", "shape", shape) for shape in ("truncated", "nested")]
    spoiled += [("absurd_price", "value", value) for value in ("zero", "nan")]
    for count, (name, key, value) in enumerate(spoiled, start=1):
        fault = {"name": name, key: value, "stream": "btcusdt@depth@0ms"}
        requests.post(f"{upstream.rest}/local/faults", json=fault, timeout=5.0).raise_for_status()
        resyncs = status()["symbols"]["BTCUSDT"]["resyncs"]

        def is_mended(resyncs: int = resyncs) -> bool:
            row = status()["symbols"]["BTCUSDT"]
            return row["synced"] and row["resyncs"] > resyncs

        wait_for(is_mended, f"mended after {name} {value}")
        row = status()["symbols"]["BTCUSDT"]
        assert row["bad_messages"] + row["gaps"] >= count
    terms: dict = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    wait_for(lambda: mirror.call("order.place", **terms)["status"] == 200, "orders are taken")
    assert mirror.close() == 0
