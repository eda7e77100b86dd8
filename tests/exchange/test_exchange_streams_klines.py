"""Kline and ticker streams by a clock that the test moves: what is sent when, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from exchange.instruments import INSTRUMENTS
from exchange.markets.market import DepthView
from exchange.markets.marks import MarkView
from exchange.streams.hub import Client, Hub
from exchange.streams.market_streams import MarketStreams
from exchange.streams.publisher import Publisher

MINUTE_MS = 60_000
START_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC


class Reader:
    """A client in memory."""

    def __init__(self, hub: Hub) -> None:
        self.client = Client(hub, self, True)  # type: ignore[arg-type]
        self._data = b""

    def write(self, data: bytes) -> None:
        self._data += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def messages(self, hub: Hub) -> list[dict]:
        """Return what came since the last call."""
        hub.flush()
        data, found, self._data = self._data, [], b""
        while data:
            long = data[1] == 126
            head = 4 if long else 2
            length = int.from_bytes(data[2:4], "big") if long else data[1]
            found.append(json.loads(data[head : head + length]))
            data = data[head + length :]
        return found


class Bench:
    """One symbol's streams under a clock of its own."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.hub = Hub()
        instrument = INSTRUMENTS["BTCUSDT"]
        self.publisher = Publisher(self.hub, instrument, lambda: self.now_ms)
        self.streams = MarketStreams(
            self.hub,
            {"BTCUSDT": self.publisher},
            lambda: self.now_ms,
            lambda symbol, limit: DepthView(7, self.now_ms, [(1, 1)], [(2, 1)]),
            lambda symbol: MarkView(10**8, 10**8, 10**8, 0, START_MS, self.now_ms),
        )
        self.hub.on_subscribe = self.streams.on_subscribe
        self.reader = Reader(self.hub)

    def trade(self, number: int, price_tick: int, at_ms: int) -> None:
        self.now_ms = at_ms
        self.publisher.trade(number, price_tick, 5, False)
        self.publisher.end_aggregate()

    def beat(self, at_ms: int) -> list[dict]:
        """Let the timers of klines and tickers fire once; return what was sent."""
        self.now_ms = at_ms
        row = self.streams.symbols["BTCUSDT"]
        row._send_klines()
        row._send_tickers()
        return self.reader.messages(self.hub)


def run(test: Callable[[Bench], None]) -> None:
    async def scenario() -> None:
        test(Bench())

    asyncio.run(scenario())


def test_a_bar_is_told_when_it_changes_and_closes_once():
    def scenario(bench: Bench) -> None:
        bench.hub.subscribe(bench.reader.client, "btcusdt@kline_1m")
        assert bench.beat(START_MS + 250) == []
        bench.trade(1, 640_000, START_MS + 300)
        (first,) = bench.beat(START_MS + 500)
        assert (first["data"]["k"]["n"], first["data"]["k"]["x"]) == (1, False)
        assert bench.beat(START_MS + 750) == []
        bench.trade(2, 640_010, START_MS + MINUTE_MS - 1)
        closed, opened = (m["data"]["k"] for m in bench.beat(START_MS + MINUTE_MS + 1))
        assert (closed["x"], closed["n"], closed["L"], closed["c"]) == (True, 2, 2, "64001.00")
        assert (opened["x"], opened["n"], opened["f"], opened["o"]) == (False, 0, -1, "64001.00")
        assert opened["t"] == closed["T"] + 1
        assert bench.beat(START_MS + MINUTE_MS + 251) == []

    run(scenario)


def test_bars_that_ended_between_two_looks_are_all_told():
    def scenario(bench: Bench) -> None:
        bench.hub.subscribe(bench.reader.client, "btcusdt@kline_1m")
        bench.trade(1, 640_000, START_MS)
        bench.beat(START_MS + 250)
        bench.trade(2, 640_020, START_MS + 3 * MINUTE_MS)
        bars = [m["data"]["k"] for m in bench.beat(START_MS + 3 * MINUTE_MS + 250)]
        assert [bar["x"] for bar in bars] == [True, True, True, False]
        assert [bar["n"] for bar in bars] == [1, 0, 0, 1]

    run(scenario)


def test_long_intervals_hold_the_closed_minutes():
    def scenario(bench: Bench) -> None:
        names = ("btcusdt@kline_5m", "btcusdt_perpetual@continuousKline_1M")
        for name in names:
            bench.hub.subscribe(bench.reader.client, name)
        for minute in range(4):
            bench.trade(minute, 640_000 + minute, START_MS + minute * MINUTE_MS)
        messages = {m["stream"]: m["data"] for m in bench.beat(START_MS + 4 * MINUTE_MS - 1)}
        assert [messages[name]["k"]["n"] for name in names] == [4, 4]
        assert messages[names[1]]["ct"] == "PERPETUAL"
        assert messages[names[1]]["k"]["T"] == START_MS + 31 * 24 * 60 * MINUTE_MS - 1

    run(scenario)


def test_a_second_reader_begins_with_the_running_bar():
    def scenario(bench: Bench) -> None:
        client = bench.reader.client
        bench.hub.subscribe(client, "btcusdt@kline_1m")
        bench.trade(1, 640_000, START_MS)
        bench.beat(START_MS + 250)
        bench.hub.unsubscribe(client, "btcusdt@kline_1m")
        bench.beat(START_MS + 500)
        bench.trade(2, 640_000, START_MS + 5 * MINUTE_MS)
        bench.hub.subscribe(client, "btcusdt@kline_1m")
        (bar,) = bench.beat(START_MS + 5 * MINUTE_MS + 250)
        assert bar["data"]["k"]["t"] == START_MS + 5 * MINUTE_MS

    run(scenario)


def test_tickers_are_sent_when_something_traded():
    def scenario(bench: Bench) -> None:
        bench.hub.subscribe(bench.reader.client, "btcusdt@ticker")
        assert bench.beat(START_MS) == []
        bench.trade(1, 640_000, START_MS + 1)
        bench.trade(2, 640_064, START_MS + 2)
        (ticker,) = (m["data"] for m in bench.beat(START_MS + 2_000))
        assert (ticker["p"], ticker["P"], ticker["n"], ticker["Q"]) == ("6.40", "0.010", 2, "0.005")
        assert (ticker["O"], ticker["C"]) == (START_MS - 24 * 60 * MINUTE_MS, START_MS + 2_000)
        assert bench.beat(START_MS + 4_000) == []

    run(scenario)


def test_timers_run_only_for_readers():
    def scenario(bench: Bench) -> None:
        row = bench.streams.symbols["BTCUSDT"]
        assert not row._kline_beat.is_on
        bench.hub.subscribe(bench.reader.client, "btcusdt@kline_1h")
        assert row._kline_beat.is_on
        assert not row._ticker_beat.is_on
        bench.hub.disconnect(bench.reader.client)
        assert row._send_klines() is False
        row._kline_beat.stop()
        bench.streams.close()

    run(scenario)
