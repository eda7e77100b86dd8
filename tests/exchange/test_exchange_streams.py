"""Market streams of the synthetic market: formats, sync of the book, subscriptions, determinism."""

from __future__ import annotations

import itertools
import json

import pytest
from exchange_process import ExchangeProcess, SyncedBook


def sync(exchange: ExchangeProcess, symbol: str, cadence: str, n_events: int) -> None:
    """Follow snapshot + diffs, then compare with a later snapshot at the same update id."""
    stream = exchange.connect(f"/public/ws/{symbol.lower()}@depth{cadence}")
    book = SyncedBook()
    pending = [json.loads(stream.recv())]
    book.load(exchange.depth(symbol))
    applied = 0
    later: dict | None = None
    while True:
        event = pending.pop(0) if pending else json.loads(stream.recv())
        outcome = book.apply(event)
        if outcome == "gap":
            assert applied == 0, "a gap in a followed stream"
            book.load(exchange.depth(symbol))
            continue
        applied += outcome == "applied"
        if applied >= n_events and (later is None or book.update_id > later["lastUpdateId"]):
            later = exchange.depth(symbol)
        if later is not None and book.update_id == later["lastUpdateId"]:
            break
    limit = 150
    bids, asks = book.top(limit)
    assert bids == later["bids"][:limit]
    assert asks == later["asks"][:limit]
    stream.close()


@pytest.mark.system
@pytest.mark.parametrize(
    ("symbol", "cadence", "n_events"),
    [
        ("BTCUSDT", "@0ms", 300),
        ("ETHUSDT", "@0ms", 200),
    ],
)
def test_snapshot_and_diffs_equal_a_later_snapshot(synthetic, symbol, cadence, n_events):
    sync(synthetic, symbol, cadence, n_events)


@pytest.mark.system
@pytest.mark.parametrize("cadence", ["@100ms", "", "@500ms"])
def test_slower_cadences_chain(synthetic, cadence):
    stream = synthetic.connect(f"/stream?streams=btcusdt@depth{cadence}")
    events = [json.loads(stream.recv()) for _ in range(3)]
    assert {e["stream"] for e in events} == {f"btcusdt@depth{cadence}"}
    for before, after in itertools.pairwise(events):
        assert after["data"]["pu"] == before["data"]["u"]
        assert after["data"]["U"] > before["data"]["u"] + 1
        assert after["data"]["U"] <= after["data"]["u"]


@pytest.mark.system
def test_subscribe_list_unsubscribe(synthetic):
    stream = synthetic.connect("/market/stream")

    def call(method: str, **rest: object) -> dict:
        stream.send(json.dumps({"method": method, "id": 5, **rest}))
        while True:
            message = json.loads(stream.recv())
            if "id" in message:
                return message

    names = ["btcusdt@markPrice", "ethusdt@aggTrade"]
    assert call("SUBSCRIBE", params=names) == {"result": None, "id": 5}
    assert call("LIST_SUBSCRIPTIONS") == {"result": names, "id": 5}
    assert call("UNSUBSCRIBE", params=names[:1]) == {"result": None, "id": 5}
    assert call("LIST_SUBSCRIPTIONS") == {"result": names[1:], "id": 5}
    assert call("FOO")["error"]["code"] == 2
    assert json.loads(stream.recv())["stream"] == "ethusdt@aggTrade"


@pytest.mark.system
def test_trades_and_tickers(synthetic):
    names = "btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker"
    # Trades are on /public, their aggregates on /market: only the old path carries both.
    stream = synthetic.connect(f"/stream?streams={names}")
    trades: list[dict] = []
    aggregates: list[dict] = []
    tickers = 0
    while len(trades) < 60 or tickers < 60 or len(aggregates) < 10:
        message = json.loads(stream.recv())
        data = message["data"]
        if data["e"] == "trade":
            trades.append(data)
        elif data["e"] == "aggTrade":
            aggregates.append(data)
            parts = [t for t in trades if data["f"] <= t["t"] <= data["l"]]
            total = sum(round(float(t["q"]) * 1000) for t in parts)
            assert round(float(data["q"]) * 1000) == total
            assert {t["p"] for t in parts} == {data["p"]}
        else:
            tickers += 1
            assert float(data["b"]) < float(data["a"])
            assert len(data["b"].partition(".")[2]) == 2
    ids = [t["t"] for t in trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.system
def test_public_rest(synthetic):
    assert synthetic.get("/fapi/v1/ping").json() == {}
    info = synthetic.get("/fapi/v1/exchangeInfo").json()
    rows = {s["symbol"]: {f["filterType"]: f for f in s["filters"]} for s in info["symbols"]}
    assert rows["BTCUSDT"]["PRICE_FILTER"]["tickSize"] == "0.10"
    assert rows["BTCUSDT"]["LOT_SIZE"]["stepSize"] == "0.001"
    assert rows["BNBUSDT"]["PRICE_FILTER"]["tickSize"] == "0.010"
    assert float(rows["ETHUSDT"]["MIN_NOTIONAL"]["notional"]) == 20
    for limit in (5, 1000):
        book = synthetic.depth("BTCUSDT", limit)
        assert len(book["bids"]) == min(limit, len(book["bids"]))
        assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    assert len(synthetic.depth("BTCUSDT")["bids"]) >= 200
    assert synthetic.get("/fapi/v1/depth", symbol="BTCUSDT", limit=7).json()["code"] == -1130
    missing = synthetic.get("/fapi/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, -5000)


@pytest.mark.system
def test_weight_is_counted(synthetic):
    def used(path: str, **params: str | int) -> int:
        return int(synthetic.get(path, **params).headers["X-MBX-USED-WEIGHT-1M"])

    steps = []
    # The window may turn over once in between, so the smallest of two tries counts.
    for _ in range(2):
        before = used("/fapi/v1/ping")
        steps.append(used("/fapi/v1/depth", symbol="BTCUSDT", limit=1000) - before)
    assert max(steps) == 20
