"""The capture market: replay byte for byte, a book that can be followed, orders that meet it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from capture_recording import write_recording
from exchange_process import ExchangeProcess, SyncedBook, received_bytes

from exchange.instruments import INSTRUMENTS
from exchange.markets.recorded_book import RecordedBook
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder

BTC = INSTRUMENTS["BTCUSDT"]


class Bench:
    """A recorded book with its fills; update ids and order ids count themselves."""

    def __init__(self) -> None:
        self.fills: list[tuple[int, int, int, bool]] = []
        self.expired: list[int] = []
        self.book = RecordedBook(self.on_fill, lambda order: self.expired.append(order.order_id))
        self.book.load(1, 0, [(100, 10), (99, 20)], [(101, 10), (102, 20)])
        self.next_id = 1

    def on_fill(self, order: ClientOrder, price: int, lot: int, is_maker: bool) -> None:
        order.executed_lot += lot
        self.fills.append((order.order_id, price, lot, is_maker))

    def order(self, side: int, price: int, lot: int) -> ClientOrder:
        self.next_id += 1
        name = str(self.next_id)
        return ClientOrder(BTC, self.next_id, name, side, "LIMIT", "GTC", price, lot, False, 0)

    def rest(self, side: int, price: int, lot: int) -> ClientOrder:
        order = self.order(side, price, lot)
        self.book.submit(order, True, price)
        return order

    def update(self, bids=(), asks=()) -> None:
        self.book.apply(self.book.last_update_id + 1, 0, list(bids), list(asks))
        self.book.settle()


def test_taker_walks_levels_and_what_it_took_is_gone():
    bench = Bench()
    first, second = bench.order(BUY, 102, 15), bench.order(BUY, 102, 50)
    assert bench.book.available_lot(second) == 30
    bench.book.submit(first, False, first.price_tick)
    assert bench.fills == [(2, 101, 10, False), (2, 102, 5, False)]
    assert bench.book.available_lot(second) == 15
    bench.update(asks=[(101, 4)])
    bench.book.submit(second, False, second.price_tick)
    assert bench.fills[2:] == [(3, 101, 4, False), (3, 102, 15, False)]
    assert second.remaining_lot == 31


def test_market_order_in_an_empty_book_stays_unfilled():
    bench = Bench()
    bench.update(bids=[(100, 0), (99, 0)])
    order = bench.order(SELL, 0, 5)
    bench.book.submit(order, False, order.price_tick)
    assert (bench.fills, order.remaining_lot) == ([], 5)


def test_trades_use_up_the_queue_first():
    bench = Bench()
    order = bench.rest(BUY, 100, 5)
    assert order.ahead_lot == 10
    bench.book.on_trade(100, 4, SELL)
    assert (bench.fills, order.ahead_lot) == ([], 6)
    bench.book.on_trade(100, 8, SELL)
    assert bench.fills == [(2, 100, 2, True)]
    bench.book.on_trade(100, 8, SELL)
    assert bench.fills[1:] == [(2, 100, 3, True)]
    assert bench.book.orders == {}


def test_a_shrinking_level_moves_the_order_forward():
    bench = Bench()
    order = bench.rest(BUY, 100, 5)
    bench.update(bids=[(100, 3)])
    assert order.ahead_lot == 3
    bench.update(bids=[(100, 30)])
    assert order.ahead_lot == 3
    bench.book.on_trade(100, 4, SELL)
    assert bench.fills == [(2, 100, 1, True)]


def test_a_trade_through_the_price_fills_without_a_queue():
    bench = Bench()
    bench.rest(SELL, 101, 5)
    bench.book.on_trade(100, 50, BUY)
    assert bench.fills == []
    bench.book.on_trade(102, 3, BUY)
    assert bench.fills == [(2, 101, 3, True)]


def test_trades_of_the_same_side_do_not_fill():
    bench = Bench()
    bench.rest(SELL, 101, 5)
    bench.book.on_trade(101, 50, SELL)
    assert bench.fills == []


def test_two_orders_share_one_trade():
    bench = Bench()
    bench.rest(BUY, 98, 5)
    bench.rest(BUY, 98, 5)
    bench.book.on_trade(98, 7, SELL)
    assert bench.fills == [(2, 98, 5, True), (3, 98, 2, True)]


def test_a_crossing_book_fills_at_the_orders_price():
    bench = Bench()
    bench.rest(BUY, 100, 5)
    bench.update(bids=[(100, 0)], asks=[(99, 2), (100, 2)])
    assert bench.fills == [(2, 100, 2, True), (2, 100, 2, True)]
    bench.update(asks=[(98, 1)])
    assert bench.fills[2:] == [(2, 100, 1, True)]


def test_what_a_taker_leaves_rests_and_fills_later():
    bench = Bench()
    order = bench.rest(BUY, 101, 25)
    assert bench.fills == [(2, 101, 10, False)]
    assert (order.remaining_lot, order.ahead_lot) == (15, 0)
    bench.book.on_trade(101, 4, SELL)
    assert bench.fills[1:] == [(2, 101, 4, True)]
    assert bench.book.traded() == (101, 101, 101)
    assert bench.book.traded() is None


def test_consumed_liquidity_is_back_only_when_the_recording_updates_the_level():
    bench = Bench()
    bench.rest(BUY, 101, 10)
    again = bench.order(BUY, 102, 30)
    assert bench.book.available_lot(again) == 20
    bench.update(asks=[(103, 5)])
    assert bench.book.available_lot(again) == 20
    bench.update(asks=[(101, 10)])
    assert bench.book.available_lot(again) == 30


# mode -> the resting order expires, the taker expires, the taker's fills
PREVENTION = [
    ("NONE", False, False, [(100, 4), (100, 3), (100, 6), (99, 2)]),
    ("EXPIRE_MAKER", True, False, [(100, 4), (100, 6), (99, 5)]),
    ("EXPIRE_TAKER", False, True, [(100, 4)]),
    ("EXPIRE_BOTH", True, True, [(100, 4)]),
]


@pytest.mark.parametrize(("mode", "maker_ends", "taker_ends", "taken"), PREVENTION)
def test_orders_of_the_account_do_not_trade_together(mode, maker_ends, taker_ends, taken):
    """Four lots are displayed ahead of our bid of three, six behind it, then comes the next."""
    bench = Bench()
    bench.update(bids=[(100, 4)])
    maker = bench.rest(BUY, 100, 3)
    bench.update(bids=[(100, 10)])
    taker = bench.order(SELL, 99, 15)
    taker.stp_mode = mode
    bench.book.submit(taker, True, taker.price_tick)
    ends = [maker.order_id] * maker_ends + [taker.order_id] * taker_ends
    assert bench.expired == ends
    fills = [(price, lot) for order_id, price, lot, _ in bench.fills if order_id == taker.order_id]
    assert fills == taken
    assert (maker.order_id in bench.book.orders) == (mode == "EXPIRE_TAKER")
    assert taker.order_id not in bench.book.orders


def test_an_amended_order_goes_to_the_end_of_its_queue_or_takes():
    bench = Bench()
    order = bench.rest(BUY, 100, 5)
    bench.book.on_trade(100, 4, SELL)
    assert order.ahead_lot == 6
    order.remaining_lot = 3
    bench.book.amend(order)
    assert (order.ahead_lot, order.remaining_lot) == (10, 3)
    order.remaining_lot = 8
    bench.book.amend(order)
    assert (order.ahead_lot, order.remaining_lot) == (10, 8)
    bench.book.on_trade(100, 12, SELL)
    assert bench.fills == [(2, 100, 2, True)]
    order.price_tick, order.remaining_lot = 101, 7
    bench.book.amend(order)
    assert bench.fills[1:] == [(2, 101, 7, False)]
    assert (order.executed_lot, order.remaining_lot) == (9, 0)
    assert bench.book.orders == {}


@pytest.fixture
def small(tmp_path) -> Iterator[tuple[ExchangeProcess, list[bytes]]]:
    path = tmp_path / "new.gz"
    parts = write_recording(path)
    exchange = ExchangeProcess("--market", "capture", "--capture", str(path), "--speed", "max")
    yield exchange, parts
    assert exchange.close() == 0


@pytest.mark.system
def test_small_recording_with_orders(small):
    exchange, parts = small
    assert exchange.ready["symbols"] == ["NEWUSDT"]
    info = exchange.get("/fapi/v1/exchangeInfo").json()["symbols"][0]
    filters = {f["filterType"]: f for f in info["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.0001"
    assert filters["LOT_SIZE"]["stepSize"] == "0.1"
    # The clock stands until the book is read: the snapshot is there, nothing has been played.
    book = exchange.depth("NEWUSDT")
    assert (book["lastUpdateId"], book["bids"]) == (100, [["1.2345", "7.5"]])
    assert exchange.get("/local/status").json()["events"] == 0
    terms = {"symbol": "NEWUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    resting = exchange.call("order.place", **terms, quantity="20", price="1.2345")["result"]
    stream = exchange.connect("/public/ws/newusdt@trade")
    stream.send(json.dumps({"method": "SUBSCRIBE", "params": ["newusdt@depth@0ms"], "id": 1}))
    received: list[bytes] = []
    while len(received) < len(parts):
        message = received_bytes(stream)
        if b'"result"' not in message:
            received.append(message)
    assert received == parts
    # 7.5 were ahead, 200 × 1.0 traded at the price: all of the 20 filled, as maker.
    found = exchange.call("order.status", symbol="NEWUSDT", orderId=resting["orderId"])["result"]
    assert (found["status"], found["executedQty"]) == ("FILLED", "20.0")
    taken = exchange.call(
        "order.place",
        symbol="NEWUSDT",
        side="SELL",
        type="MARKET",
        reduceOnly="true",
        quantity="20",
        newOrderRespType="RESULT",
    )["result"]
    assert taken["executedQty"] == "20.0"
    status = exchange.get("/local/status").json()
    assert (status["finished"], status["failure"], status["orders"]) == (True, "", 2)
    assert status["events"] == len(parts) + 1


@pytest.mark.system
def test_recording_without_a_snapshot_builds_from_diffs(tmp_path):
    path, log = tmp_path / "new.gz", tmp_path / "log"
    parts = write_recording(path, with_snapshot=False)
    arguments = ("--market", "capture", "--capture", str(path), "--speed", "max")
    exchange = ExchangeProcess(*arguments, "--log-file", str(log))
    assert exchange.depth("NEWUSDT")["bids"] == []
    stream = exchange.connect("/stream?streams=newusdt@depth@0ms/newusdt@trade")
    for part in parts:
        assert received_bytes(stream).endswith(b'"data":' + part + b"}")
    assert exchange.depth("NEWUSDT")["bids"] == [["1.2344", "200.0"]]
    assert exchange.close() == 0
    assert log.read_text().count("no_snapshot_in_recording") == 1


def recorded_parts(*paths: Path) -> Iterator[bytes]:
    for path in paths:
        with gzip.open(path, "rb") as stream:
            for line in stream:
                _, mark, rest = line.partition(b'"data":')
                if mark:
                    yield rest.strip()[:-1]


@pytest.mark.recordings
@pytest.mark.system
def test_chain_of_recordings_byte_for_byte_and_in_sync(recordings):
    """Both days of BTCUSDT at full speed: every byte, and a book that equals REST depth."""
    paths = [recordings / f"usdm_btcusdt_{day}.gz" for day in ("20240718", "20240719")]
    arguments = ["--market", "capture", "--speed", "max", "--capture"]
    exchange = ExchangeProcess(*arguments, *(str(p) for p in reversed(paths)))
    names = "btcusdt@depth@0ms/btcusdt@trade/btcusdt@bookTicker"
    book = SyncedBook()
    book.load(exchange.depth("BTCUSDT"))
    stream = exchange.connect(f"/public/stream?streams={names}")
    outcomes = {"old": 0, "applied": 0, "gap": 0}
    count = compared = 0
    for part in recorded_parts(*paths):
        message = received_bytes(stream)
        assert message.endswith(b'"data":' + part + b"}")
        count += 1
        if b'"depthUpdate"' not in message:
            continue
        outcomes[book.apply(json.loads(message)["data"])] += 1
        compared += 1
    later = exchange.depth("BTCUSDT")
    assert count == 71_983  # 71,984 lines, one of them the snapshot
    assert compared == 9_022
    assert outcomes["gap"] == 0
    assert outcomes["applied"] > 9_000
    assert book.update_id == later["lastUpdateId"]
    assert book.top(1000) == (later["bids"], later["asks"])
    status = exchange.get("/local/status").json()
    assert (status["finished"], status["events"]) == (True, 71_984)
    assert exchange.close() == 0


@pytest.mark.recordings
@pytest.mark.system
def test_aggregates_cover_all_trades(recordings):
    path = recordings / "usdm_ethusdt_20240718.gz"
    exchange = ExchangeProcess("--market", "capture", "--speed", "max", "--capture", str(path))
    names = "ethusdt@aggTrade/ethusdt@trade/ethusdt@depth@0ms"
    stream = exchange.connect(f"/stream?streams={names}")
    trades = [p for p in map(json.loads, recorded_parts(path)) if p["e"] == "trade"]
    covered = 0
    while covered < len(trades):
        data = json.loads(stream.recv())["data"]
        if data["e"] != "aggTrade":
            continue
        parts = trades[covered : covered + data["l"] - data["f"] + 1]
        assert (parts[0]["t"], parts[-1]["t"]) == (data["f"], data["l"])
        assert {(p["p"], p["m"], p["T"]) for p in parts} == {(data["p"], data["m"], data["T"])}
        total = sum(round(float(p["q"]) * 1000) for p in parts)
        assert total == round(float(data["q"]) * 1000)
        covered += len(parts)
    assert exchange.close() == 0
