"""The live market on loopback: a second exchange is the venue that it mirrors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests
from exchange_process import ExchangeProcess, run_to_end

from exchange.errors import VenueError
from exchange.instruments import INSTRUMENTS
from exchange.markets.live import LiveMarket, LiveSymbol
from exchange.markets.mirror import TradeIds
from exchange.markets.upstream import Backoff, split
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub

BTC = INSTRUMENTS["BTCUSDT"]
DEADLINE_S = 20.0


class Sink:
    """Note what the market says of the account's orders."""

    def __init__(self) -> None:
        self.fills: list[tuple[int, int, bool]] = []
        self.ranges: list[tuple[int, int, int]] = []

    def on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool, trade_id: int
    ) -> None:
        order.executed_lot += quantity_lot
        self.fills.append((price_tick, quantity_lot, is_maker))

    def on_expire(self, order: ClientOrder) -> None:
        raise AssertionError("nothing expires here")

    def on_trades(self, symbol: str, low_tick: int, high_tick: int, last_tick: int) -> None:
        self.ranges.append((low_tick, high_tick, last_tick))


def new_symbol() -> tuple[LiveSymbol, Sink]:
    row = LiveSymbol(BTC, "btcusdt@depth@0ms", Hub(), lambda: 1_000, TradeIds())
    row.sink = sink = Sink()
    return row, sink


def snapshot(last_id: int, bids: list, asks: list) -> dict:
    return {"lastUpdateId": last_id, "T": 1, "E": 1, "bids": bids, "asks": asks}


def diff(first: int, last: int, before: int, bids: list, asks: list) -> dict:
    return {"e": "depthUpdate", "T": 1, "U": first, "u": last, "pu": before, "b": bids, "a": asks}


BIDS, ASKS = [["100.0", "1"]], [["100.1", "1"]]


def test_a_snapshot_is_bridged_by_the_diff_that_contains_it():
    row, _ = new_symbol()
    assert row.on_update(diff(5, 8, 4, [["99.0", "5"]], []))
    assert row.on_update(diff(10, 14, 8, [["99.9", "2"]], []))
    assert row.on_update(diff(15, 20, 14, [["99.8", "3"]], []))
    assert row.on_snapshot(snapshot(12, BIDS, ASKS))
    assert row.is_synced
    assert row.book.last_update_id == 20
    assert [price for price, _ in row.book.top(BUY, 9)] == [1000, 999, 998]
    assert not row.on_update(diff(21, 22, 20, [["99.7", "1"]], []))
    assert (row.book.last_update_id, row.gaps) == (22, 0)


def test_a_snapshot_older_than_the_diffs_is_refused():
    row, _ = new_symbol()
    row.on_update(diff(15, 20, 14, [], []))
    assert not row.on_snapshot(snapshot(12, BIDS, ASKS))
    assert not row.is_synced
    assert row.on_snapshot(snapshot(17, BIDS, ASKS))
    assert row.book.last_update_id == 20


def test_a_gap_makes_the_book_invalid_and_nothing_fills_until_the_next_snapshot():
    row, sink = new_symbol()
    row.on_update(diff(10, 14, 8, [], []))
    row.on_snapshot(snapshot(12, BIDS, ASKS))
    order = ClientOrder(BTC, 1, "1", BUY, "LIMIT", "GTC", 1000, 700, False, 0)
    row.book.submit(order, True, order.price_tick)
    assert order.ahead_lot == 1000
    assert row.on_update(diff(30, 34, 25, [], []))
    assert (row.is_synced, row.gaps) == (False, 1)
    trade = {"t": 1, "T": 1, "E": 1, "p": "100.0", "q": "5", "X": "MARKET", "m": True}
    row.on_trade(trade)
    assert sink.fills == []
    # While the book was lost the level shrank: so did what stood before the order.
    assert row.on_snapshot(snapshot(32, [["100.0", "0.4"]], ASKS))
    assert order.ahead_lot == 400
    row.on_trade({**trade, "q": "0.7"})
    assert sink.fills == [(1000, 300, True)]
    assert sink.ranges == [(1000, 1000, 1000)]


def test_a_book_that_came_back_beyond_an_order_fills_it():
    row, sink = new_symbol()
    row.on_update(diff(10, 14, 8, [], []))
    row.on_snapshot(snapshot(12, BIDS, ASKS))
    order = ClientOrder(BTC, 1, "1", BUY, "LIMIT", "GTC", 1000, 700, False, 0)
    row.book.submit(order, True, order.price_tick)
    row.lose()
    row.on_update(diff(50, 54, 48, [], []))
    assert row.on_snapshot(snapshot(52, [["99.0", "1"]], [["99.5", "9"]]))
    assert sink.fills == [(1000, 700, True)]


def test_an_unsynchronised_symbol_takes_no_order():
    row = {
        "symbol": "BTCUSDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "9", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9", "stepSize": "0.001"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "7", "stepSize": "0"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "50"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95"},
        ],
    }
    url = "http://127.0.0.1:1"
    market = LiveMarket(Hub(), [row], ["BTCUSDT"], url, url, "depth@0ms", lambda: 1_000, 7)
    assert market.instruments["BTCUSDT"].tick_unit == 10
    assert market.instruments["BTCUSDT"].market_lot_max == 7_000
    with pytest.raises(VenueError) as caught:
        market.check_open("BTCUSDT")
    assert caught.value.code == -1008
    market.rows["BTCUSDT"].is_synced = True
    market.check_open("BTCUSDT")


def test_combined_messages_are_split_without_touching_the_data():
    assert split(b'{"stream":"a@trade","data":{"p": "1" }}') == ("a@trade", b'{"p": "1" }')
    assert split(b'{ "stream": "a@trade", "data": {"p":1} } \n') == (
        "a@trade",
        b' {"p":1} '.strip(),
    )
    assert split(b'{"result":null,"id":1}') == ("", b"")


def test_waits_grow_with_jitter_and_begin_anew():
    class High:
        def uniform(self, low: float, high: float) -> float:
            assert (low, high) == (0.5, 1.0)
            return high

    backoff = Backoff(High())  # type: ignore[arg-type]
    waits = [backoff.next_s() for _ in range(8)]
    assert waits[:4] == [0.25, 0.5, 1.0, 2.0]
    assert waits[-1] == 10.0
    backoff.reset()
    assert backoff.next_s() == 0.25


def wait_for(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        pause.wait(0.02)


def start_live(upstream: ExchangeProcess, *arguments: str) -> ExchangeProcess:
    return ExchangeProcess(
        *("--market", "live", "--symbols", "BTCUSDT,ETHUSDT"),
        *("--upstream-rest", upstream.rest, "--upstream-stream", upstream.stream),
        *arguments,
    )


def is_synced(exchange: ExchangeProcess) -> bool:
    return not exchange.get("/local/status").json()["stale"]


@pytest.fixture
def upstream() -> Iterator[ExchangeProcess]:
    arguments = ("--symbols", "BTCUSDT,ETHUSDT", "--regime", "quiet", "--balance", "90000000")
    exchange = ExchangeProcess(*arguments, "--seed", "3")
    yield exchange
    exchange.close()


@pytest.mark.system
def test_the_mirror_shows_upstreams_book_and_fills_from_its_trades(upstream):
    mirror = start_live(upstream)
    wait_for(lambda: is_synced(mirror), "synchronised")
    stream = mirror.connect("/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@trade")
    kinds: set[str] = set()
    while len(kinds) < 3:
        kinds.add(json.loads(stream.recv())["data"]["e"])

    def same_book() -> bool:
        ours, theirs = mirror.depth("BTCUSDT", 50), upstream.depth("BTCUSDT", 50)
        if ours["lastUpdateId"] != theirs["lastUpdateId"]:
            return False
        assert (ours["bids"], ours["asks"]) == (theirs["bids"], theirs["asks"])
        return True

    wait_for(same_book, "both at one update id")
    terms = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010"}
    taken = mirror.call("order.place", **terms, type="MARKET", newOrderRespType="RESULT")["result"]
    assert (taken["status"], taken["executedQty"]) == ("FILLED", "0.010")
    best = mirror.depth("BTCUSDT", 5)["bids"][0][0]
    limit = {"type": "LIMIT", "timeInForce": "GTX", "price": best}
    placed = mirror.call("order.place", **terms, **limit)["result"]
    # Large sellers upstream trade through our price; upstream knows nothing of our order.
    low = f"{float(best) * 0.999:.1f}"

    sell = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "IOC"}

    def filled() -> bool:
        found = mirror.call("order.status", symbol="BTCUSDT", orderId=placed["orderId"])["result"]
        if found["status"] == "FILLED":
            return True
        sold = upstream.call(
            "order.place",
            **sell,
            quantity="20.000",
            price=low,
        )
        assert sold["status"] == 200, sold
        return False

    wait_for(filled, "our order filled by upstream's trades")
    status = mirror.get("/local/status").json()
    assert status["symbols"]["BTCUSDT"]["gaps"] == 0
    assert mirror.close() == 0


@pytest.mark.system
def test_a_gap_upstream_is_noticed_and_the_book_taken_anew(upstream):
    mirror = start_live(upstream)
    wait_for(lambda: is_synced(mirror), "synchronised")
    fault = {"name": "depth_gap", "symbol": "ETHUSDT", "count": 1}
    armed = requests.post(f"{upstream.rest}/local/faults", json=fault, timeout=5.0)
    assert armed.status_code == 200, armed.text

    def eth() -> dict:
        return mirror.get("/local/status").json()["symbols"]["ETHUSDT"]

    wait_for(lambda: eth()["gaps"] == 1, "the gap seen")
    wait_for(lambda: eth()["synced"] and eth()["resyncs"] == 2, "the book taken anew")
    assert mirror.get("/local/status").json()["symbols"]["BTCUSDT"]["gaps"] == 0
    assert mirror.close() == 0


@pytest.mark.system
def test_a_lost_connection_comes_back_and_a_dead_upstream_refuses_orders(upstream):
    mirror = start_live(upstream)
    wait_for(lambda: is_synced(mirror), "synchronised")
    upstream.process.kill()
    upstream.process.wait()
    wait_for(lambda: not mirror.get("/local/status").json()["symbols"]["BTCUSDT"]["synced"], "lost")
    terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    refused = mirror.call("order.place", **terms)
    assert (refused["status"], refused["error"]["code"]) == (503, -1008)
    port = upstream.rest.rpartition(":")[2]
    again = ExchangeProcess("--symbols", "BTCUSDT,ETHUSDT", "--regime", "quiet", "--port", port)
    wait_for(lambda: is_synced(mirror), "synchronised again")
    status = mirror.get("/local/status").json()
    assert status["upstream"]["public"]["connects"] == 2
    assert status["symbols"]["BTCUSDT"]["resyncs"] >= 2
    assert mirror.call("order.place", **terms)["status"] == 200
    assert mirror.close() == 0
    assert again.close() == 0


@pytest.mark.system
def test_options_of_the_live_market_are_checked():
    done = run_to_end("--market", "live")
    assert done.returncode == 2
    assert "--upstream-rest" in done.stderr
    done = run_to_end("--upstream-rest", "http://127.0.0.1:1")
    assert "needs --market live" in done.stderr
    urls = ("--upstream-rest", "http://127.0.0.1:1", "--upstream-stream", "ws://127.0.0.1:1")
    done = run_to_end("--market", "live", *urls)
    assert done.returncode == 2
    assert "upstream does not answer: url=http://127.0.0.1:1" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
