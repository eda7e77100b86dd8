"""Faults of messages, as a client of the streams sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from exchange_process import ExchangeProcess
from fault_tools import (
    DEPTH,
    MARKET_BUY,
    ORDER,
    arm,
    disarm,
    events_until_fill,
    messages,
    now_ms,
    stream,
    strikes,
    taken,
)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    made = ExchangeProcess("--seed", "21", "--symbols", "BTCUSDT,ETHUSDT", "--rate", "300")
    yield made
    assert made.close() == 0


@pytest.fixture(autouse=True)
def without_faults(exchange) -> Iterator[None]:
    yield
    disarm(exchange)


def updates(exchange: ExchangeProcess, name: str, **values: object) -> list[dict]:
    """Return depth messages up to 0.5 s after the fault was armed, which is after the third."""
    with stream(exchange, f"/public/ws/{DEPTH}") as line:
        source = messages(line)
        found = [next(source) for _ in range(3)]
        fault_id = arm(exchange, name, **values)
        until_ms = now_ms() + 500
        while found[-1]["E"] < until_ms:
            found.append(next(source))
        assert taken(exchange, fault_id) == 1
        return found


def breaks(events: list[dict]) -> list[int]:
    """Return where a message does not follow the one before it."""
    return [i for i, (a, b) in enumerate(pairwise(events), 1) if b["pu"] != a["u"]]


@strikes("depth_gap")
def test_a_gap_leaves_one_message_out(exchange):
    events = updates(exchange, "depth_gap", symbol="BTCUSDT")
    [place] = breaks(events)
    assert events[place]["pu"] > events[place - 1]["u"]


@strikes("depth_duplicate")
def test_a_duplicate_repeats_a_message(exchange):
    events = updates(exchange, "depth_duplicate", stream=DEPTH)
    [place] = breaks(events)
    assert events[place] == events[place - 1]


@strikes("depth_reorder")
def test_a_message_leaves_after_the_next(exchange):
    events = updates(exchange, "depth_reorder")
    assert len(breaks(events)) == 3
    assert breaks(sorted(events, key=lambda event: event["u"])) == []


def test_only_the_named_stream_is_struck(exchange):
    with stream(exchange, f"/public/ws/{DEPTH}") as line:
        source = messages(line)
        arm(exchange, "depth_gap", count=0, stream="ethusdt@depth@0ms")
        assert breaks([next(source) for _ in range(40)]) == []


@strikes("market_latency")
def test_late_market_data_keep_their_order(exchange):
    with stream(exchange, f"/public/ws/{DEPTH}") as line:
        source = messages(line)
        prompt = [now_ms() - next(source)["E"] for _ in range(20)]
        arm(exchange, "market_latency", delay_ms=300, jitter_ms=200)
        events, late = [], []
        for event in source:
            events.append(event)
            late.append(now_ms() - event["E"])
            if len(late) == 60:
                break
        assert sorted(prompt)[10] < 150
        assert min(late[-20:]) >= 300
        assert breaks(events) == []
        disarm(exchange)
        assert breaks([events[-1], *(next(source) for _ in range(60))]) == []


@strikes("crossed_book")
def test_crossed_books(exchange):
    with stream(exchange, "/stream?streams=btcusdt@bookTicker") as line:
        arm(exchange, "crossed_book", stream="btcusdt@bookTicker")
        tickers = (message["data"] for message in messages(line))
        crossed = next(t for t in tickers if float(t["b"]) > float(t["a"]))
        assert crossed["s"] == "BTCUSDT"
        after = next(tickers)
        assert float(after["b"]) < float(after["a"])
    ask = float(exchange.depth("BTCUSDT", 5)["asks"][0][0])
    events = updates(exchange, "crossed_book", stream=DEPTH)
    crossing = [e for e in events for price, _ in e["b"] if float(price) > ask * 1.1]
    assert len(crossing) == 1
    assert breaks(events) == []


@strikes("absurd_price")
@pytest.mark.parametrize(
    ("value", "is_so"),
    [
        ("zero", lambda p: float(p) == 0),
        ("negative", lambda p: p.startswith("-")),
        ("nan", lambda p: p == "NaN"),
        ("huge", lambda p: float(p) > 1e12),
    ],
)
def test_absurd_prices(exchange, value, is_so):
    path = f"/stream?streams=btcusdt@bookTicker/{DEPTH}"
    with stream(exchange, path) as line:
        arm(exchange, "absurd_price", value=value, stream=DEPTH)
        arm(exchange, "absurd_price", value=value, stream="btcusdt@bookTicker")
        seen: dict[str, list[str]] = {"bookTicker": [], "depthUpdate": []}
        for message in messages(line):
            event = message["data"]
            prices = [event["b"]] if event["e"] == "bookTicker" else first_price(event)
            seen[event["e"]] += [price for price in prices if is_so(price)]
            if all(seen.values()):
                break
        assert all(len(prices) == 1 for prices in seen.values())


def first_price(event: dict[str, Any]) -> list[str]:
    rows = event["b"] or event["a"]
    return [rows[0][0]] if rows else []


@strikes("malformed")
@pytest.mark.parametrize("shape", ["truncated", "nested", "binary", "padded"])
def test_malformed_messages(exchange, shape):
    with stream(exchange, f"/public/ws/{DEPTH}") as line:
        source = messages(line)
        next(source)
        arm(exchange, "malformed", shape=shape, size=70_000)
        for _ in range(1000):
            _, data = line.recv_data()
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                assert shape != "padded"
                break
            if event["e"] == "padding":
                assert shape == "padded" and len(data) > 70_000
                break
        else:
            pytest.fail("nothing was malformed")
        assert next(source)["e"] == "depthUpdate"


def buy(exchange: ExchangeProcess) -> None:
    answer = exchange.signed("POST", ORDER, **MARKET_BUY)
    assert answer.status_code == 200, answer.text


@strikes("fill_latency")
def test_late_fills(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_latency", delay_ms=400)
    began_ms = now_ms()
    buy(exchange)
    assert now_ms() - began_ms < 350
    kinds = [event["e"] for event in events_until_fill(line)]
    assert now_ms() - began_ms >= 400
    assert kinds.count("TRADE_LITE") == kinds.count("ACCOUNT_UPDATE") == 1


def trades(events: list[dict]) -> list[int]:
    """Return the trade ids of ORDER_TRADE_UPDATE, in the order in which they were told."""
    orders = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
    return [order["t"] for order in orders if order["x"] == "TRADE"]


def true_trades(exchange: ExchangeProcess, last: int) -> list[int]:
    rows = exchange.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT").json()
    return [row["id"] for row in rows][-last:]


def events_until(line: Any, number: int) -> list[dict]:
    """Read user events up to that many ORDER_TRADE_UPDATE of fills."""
    events: list[dict] = []
    while len(trades(events)) < number:
        events += events_until_fill(line)
    return events


@strikes("fill_duplicate")
def test_a_fill_is_told_twice(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_duplicate")
    buy(exchange)
    buy(exchange)
    events = events_until(line, 3)
    first, second = true_trades(exchange, 2)
    assert trades(events) == [first, first, second]
    assert [event["e"] for event in events].count("TRADE_LITE") == 2


@strikes("fill_reorder")
def test_a_fill_is_told_after_the_next_one(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_reorder")
    buy(exchange)
    buy(exchange)
    events = events_until(line, 2)
    first, second = true_trades(exchange, 2)
    assert first < second
    assert trades(events) == [second, first]
    # Neither the hints nor the second order's NEW let the first fill go.
    kinds = [(event["e"], event.get("o", {}).get("x")) for event in events[-2:]]
    assert kinds == [("ORDER_TRADE_UPDATE", "TRADE")] * 2
    assert [event["e"] for event in events].count("ACCOUNT_UPDATE") == 2


def test_a_fill_that_nothing_follows_is_told_after_the_hold_time(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_reorder", hold_ms=300, symbol="BTCUSDT")
    began_ms = now_ms()
    buy(exchange)
    events_until_fill(line)
    assert now_ms() - began_ms >= 300


def test_the_account_can_be_told_out_of_order_too(exchange):
    line = exchange.user_stream()
    fault_id = arm(exchange, "fill_reorder", stream="ACCOUNT_UPDATE", symbol="BTCUSDT")
    buy(exchange)
    buy(exchange)
    held = [event["a"]["P"][0]["pa"] for event in account_updates(line, 2)]
    assert float(held[0]) > float(held[1])
    assert taken(exchange, fault_id) == 1


def account_updates(line: Any, number: int) -> list[dict]:
    found: list[dict] = []
    for event in messages(line):
        found += [event] if event["e"] == "ACCOUNT_UPDATE" else []
        if len(found) == number:
            break
    return found


@strikes("fill_lost")
def test_a_fill_is_not_told(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_lost")
    buy(exchange)
    buy(exchange)
    events = events_until(line, 1)
    assert trades(events) == true_trades(exchange, 1)
    assert [event["e"] for event in events].count("TRADE_LITE") == 2


@pytest.mark.parametrize(
    ("name", "values"),
    [("fill_latency", {"delay_ms": 600_000}), ("fill_reorder", {"hold_ms": 600_000})],
)
def test_disarming_lets_go_what_is_kept_back(exchange, name, values):
    line = exchange.user_stream()
    arm(exchange, name, **values)
    buy(exchange)
    disarm(exchange)
    events = events_until_fill(line)
    assert [event["e"] for event in events] == [
        *("ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE")
    ]
    buy(exchange)
    assert len(events_until_fill(line)) == 4


@strikes("user_stream_silent")
def test_a_user_stream_that_says_nothing(exchange):
    line = exchange.user_stream()
    arm(exchange, "user_stream_silent")
    buy(exchange)
    line.ping("still there")
    opcode, _ = line.recv_data(control_frame=True)
    assert opcode == 0xA  # the pong is the first that comes
    disarm(exchange)
    buy(exchange)
    kinds = [event["e"] for event in events_until_fill(line)]
    assert kinds.count("TRADE_LITE") == 1


@strikes("listen_key_expire")
def test_a_listen_key_that_runs_out(exchange):
    line = exchange.user_stream()
    key = exchange.keyed("PUT", "/fapi/v1/listenKey").json()["listenKey"]
    arm(exchange, "listen_key_expire", from_ms=50)
    event = json.loads(line.recv())
    assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
    assert exchange.keyed("PUT", "/fapi/v1/listenKey").json()["code"] == -1125
    assert exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"] != key
