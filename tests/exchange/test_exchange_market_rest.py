"""Market data by REST and WS-API: rows that follow from the streams, limits, weights, refusals."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from exchange_process import ExchangeProcess

BAR_FIELDS = 12


def used(exchange: ExchangeProcess, path: str, **params: str | int) -> int:
    """Return what a request costs; the window may turn over once, so two tries are made."""
    steps = []
    for _ in range(2):
        before = exchange.get("/fapi/v1/ping").headers["X-MBX-USED-WEIGHT-1M"]
        after = exchange.get(path, **params).headers["X-MBX-USED-WEIGHT-1M"]
        steps.append(int(after) - int(before))
    return max(steps)


@pytest.mark.system
@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("trades", {"symbol": "BTCUSDT"}, 5),
        ("aggTrades", {"symbol": "BTCUSDT"}, 20),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 99}, 1),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 499}, 2),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}, 5),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1500}, 10),
        ("ticker/24hr", {"symbol": "BTCUSDT"}, 1),
        ("ticker/24hr", {}, 40),
        ("ticker/price", {"symbol": "BTCUSDT"}, 1),
        ("ticker/price", {}, 2),
        ("ticker/bookTicker", {"symbol": "BTCUSDT"}, 2),
        ("ticker/bookTicker", {}, 5),
        ("openInterest", {"symbol": "BTCUSDT"}, 1),
        ("depth", {"symbol": "BTCUSDT", "limit": 100}, 5),
    ],
)
def test_weights(synthetic, path, params, weight):
    assert used(synthetic, f"/fapi/v1/{path}", **params) == weight


@pytest.mark.system
def test_trades_are_those_of_the_stream(synthetic):
    streams = "btcusdt@trade/btcusdt@aggTrade"
    stream = synthetic.connect(f"/stream?streams={streams}")
    trades: list[dict] = []
    aggregates: list[dict] = []
    while len(trades) < 30 or len(aggregates) < 10:
        data = json.loads(stream.recv())["data"]
        (trades if data["e"] == "trade" else aggregates).append(data)
    stream.close()
    rows = {r["id"]: r for r in synthetic.get("/fapi/v1/trades", symbol="BTCUSDT").json()}
    for trade in trades:
        row = rows[trade["t"]]
        assert (row["price"], row["qty"], row["time"]) == (trade["p"], trade["q"], trade["T"])
        assert row["isBuyerMaker"] == trade["m"]
        assert Fraction(row["quoteQty"]) == Fraction(row["price"]) * Fraction(row["qty"])
    first = aggregates[0]
    rows = synthetic.get(
        "/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=first["a"], limit=len(aggregates)
    ).json()
    keys = ("a", "p", "q", "nq", "f", "l", "T", "m")
    assert rows == [{key: row[key] for key in keys} for row in aggregates]
    span = {"startTime": first["T"], "endTime": aggregates[-1]["T"]}
    timed = synthetic.get("/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1000, **span).json()
    assert {row["a"] for row in rows} <= {row["a"] for row in timed}
    assert all(span["startTime"] <= row["T"] <= span["endTime"] for row in timed)
    key = synthetic.key_header()
    url = (
        f"{synthetic.rest}/fapi/v1/historicalTrades?symbol=BTCUSDT&fromId={trades[3]['t']}&limit=2"
    )
    old = synthetic._session.get(url, headers=key, timeout=10).json()
    assert [row["id"] for row in old] == [trades[3]["t"], trades[3]["t"] + 1]


@pytest.mark.system
def test_bars_are_the_sum_of_all_trades(synthetic):
    """The exchange is younger than its tape is long: every trade since the start is on it."""
    query = {"symbol": "BTCUSDT", "interval": "1M"}
    while True:
        before = synthetic.get("/fapi/v1/klines", **query).json()
        trades = synthetic.get("/fapi/v1/trades", symbol="BTCUSDT", limit=1000).json()
        day = synthetic.get("/fapi/v1/ticker/24hr", symbol="BTCUSDT").json()
        # Only what stood still while it was read can be compared.
        if synthetic.get("/fapi/v1/klines", **query).json() == before:
            break
    assert len(trades) < 1000, "more trades than one answer holds"
    (bar,) = before
    assert len(bar) == BAR_FIELDS
    prices = [Fraction(t["price"]) for t in trades]
    volume = sum(Fraction(t["qty"]) for t in trades)
    cost = sum(Fraction(t["quoteQty"]) for t in trades)
    buys = [t for t in trades if not t["isBuyerMaker"]]
    assert [Fraction(text) for text in bar[1:6]] == [
        *(prices[0], max(prices), min(prices), prices[-1], volume)
    ]
    assert (Fraction(bar[7]), bar[8]) == (cost, len(trades))
    assert Fraction(bar[9]) == sum(Fraction(t["qty"]) for t in buys)
    assert Fraction(bar[10]) == sum(Fraction(t["quoteQty"]) for t in buys)
    assert (day["count"], day["firstId"], day["lastId"]) == (
        *(len(trades), trades[0]["id"], trades[-1]["id"]),
    )
    assert (Fraction(day["volume"]), Fraction(day["quoteVolume"])) == (volume, cost)
    assert Fraction(day["priceChange"]) == prices[-1] - prices[0]
    assert abs(Fraction(day["weightedAvgPrice"]) - cost / volume) <= Fraction(1, 200)
    assert (day["lastQty"], day["highPrice"]) == (trades[-1]["qty"], bar[2])


@pytest.mark.system
def test_bars_of_other_prices_and_spans(synthetic):
    symbol, pair = {"symbol": "BTCUSDT"}, {"pair": "BTCUSDT"}
    perpetual = {**pair, "contractType": "PERPETUAL"}
    for path, params in (
        ("continuousKlines", perpetual),
        ("markPriceKlines", symbol),
        ("indexPriceKlines", pair),
        ("premiumIndexKlines", symbol),
    ):
        rows = synthetic.get(f"/fapi/v1/{path}", interval="1m", **params).json()
        assert rows, path
        assert all(len(row) == BAR_FIELDS and row[6] == row[0] + 59_999 for row in rows)
    quarter = {**pair, "contractType": "CURRENT_QUARTER", "interval": "1m"}
    assert synthetic.get("/fapi/v1/continuousKlines", **quarter).json() == []
    first = synthetic.get("/fapi/v1/klines", interval="1m", **symbol).json()[0][0]
    for span, count in (({"startTime": first + 1}, 0), ({"endTime": first - 1}, 0)):
        rows = synthetic.get("/fapi/v1/klines", interval="1d", **symbol, **span).json()
        assert len(rows) <= 1 - count or not rows
    rows = synthetic.get("/fapi/v1/klines", interval="1m", startTime=first, limit=1, **symbol)
    assert [row[0] for row in rows.json()] == [first]


@pytest.mark.system
@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("trades", {}, -1102),
        ("trades", {"symbol": "NOPE"}, -1121),
        ("trades", {"symbol": "BTCUSDT", "limit": 1001}, -1130),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": 2, "endTime": 1}, -1023),
        ("aggTrades", {"symbol": "BTCUSDT", "startTime": 1, "endTime": 3_600_002}, -1127),
        ("aggTrades", {"symbol": "BTCUSDT", "startTime": 1, "fromId": 1}, -1128),
        ("continuousKlines", {"pair": "NOPE", "interval": "1m", "contractType": "x"}, -1121),
        ("ticker/24hr", {"symbol": "NOPE"}, -1121),
    ],
)
def test_refusals(synthetic, path, params, code):
    answer = synthetic.get(f"/fapi/v1/{path}", **params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.system
def test_prices_now(synthetic):
    for path in ("v1", "v2"):
        rows = synthetic.get(f"/fapi/{path}/ticker/price").json()
        assert {row["symbol"] for row in rows} == {"BTCUSDT", "ETHUSDT", "BNBUSDT"}
        one = synthetic.get(f"/fapi/{path}/ticker/price", symbol="ETHUSDT").json()
        assert set(one) == {"symbol", "price", "time"}
    book = synthetic.get("/fapi/v1/ticker/bookTicker", symbol="BTCUSDT").json()
    assert float(book["bidPrice"]) < float(book["askPrice"])
    for method, params in (
        ("ticker.price", {"symbol": "BTCUSDT"}),
        ("ticker.book", {"symbol": "BTCUSDT"}),
        ("depth", {"symbol": "BTCUSDT", "limit": 5}),
        ("time", {}),
        ("ping", {}),
    ):
        answer = synthetic.call(method, sign=False, **params)
        assert answer["status"] == 200, answer
        assert answer["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
    assert len(synthetic.call("ticker.book", sign=False)["result"]) == 3


@pytest.mark.system
def test_exchange_information_is_whole(synthetic):
    info = synthetic.get("/fapi/v1/exchangeInfo").json()
    row = next(row for row in info["symbols"] if row["symbol"] == "BTCUSDT")
    assert {"STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"} <= set(
        row["orderTypes"]
    )
    assert "GTD" in row["timeInForce"]
    assert (row["baseAsset"], row["quoteAsset"], row["contractType"]) == (
        "BTC",
        "USDT",
        "PERPETUAL",
    )
    kinds = {f["filterType"] for f in row["filters"]}
    assert {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL", "PERCENT_PRICE"} <= kinds
    assert isinstance(row["permissionSets"], list)
