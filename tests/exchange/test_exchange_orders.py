"""Orders against a real exchange: refusals, life cycles, and what the user stream tells."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal

import pytest
import requests
from exchange_process import KEY, ExchangeProcess

pytestmark = pytest.mark.system
ORDER = "/fapi/v1/order"


def prices(exchange: ExchangeProcess, symbol: str = "BTCUSDT") -> tuple[Decimal, Decimal]:
    book = exchange.depth(symbol, 5)
    return Decimal(book["bids"][0][0]), Decimal(book["asks"][0][0])


def far_bid(exchange: ExchangeProcess) -> str:
    """A buy price 3 % below the market, on the tick."""
    return str((prices(exchange)[0] * Decimal("0.97")).quantize(Decimal("0.1")))


def events_until(stream, wanted) -> list[dict]:
    """Read events until one of them is the wanted one, and return them all."""
    events: list[dict] = []
    while not events or not wanted(events[-1]):
        events.append(json.loads(stream.recv()))
    return events


def flat(exchange: ExchangeProcess) -> None:
    exchange.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    for row in exchange.signed("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT").json():
        amount = Decimal(row["positionAmt"])
        if amount:
            side = "SELL" if amount > 0 else "BUY"
            terms = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "reduceOnly": "true"}
            exchange.signed("POST", ORDER, **terms, quantity=str(abs(amount)))


LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
REFUSED = [
    ({**MARKET, "quantity": "0.002", "symbol": "FOOUSDT"}, -1121),
    ({**MARKET}, -1102),
    ({**MARKET, "quantity": "x"}, -1102),
    ({**MARKET, "quantity": "0.0005"}, -1111),
    ({**MARKET, "quantity": "0"}, -4003),
    ({**MARKET, "quantity": "99999"}, -4005),
    ({**MARKET, "quantity": "100"}, -2019),
    ({**MARKET, "quantity": "0.002", "side": "LONG"}, -1117),
    ({**MARKET, "quantity": "0.002", "type": "FOO"}, -1116),
    ({**MARKET, "quantity": "0.002", "type": "STOP_MARKET", "stopPrice": "1"}, -4120),
    ({**MARKET, "quantity": "0.002", "reduceOnly": "true"}, -2022),
    ({**MARKET, "quantity": "0.002", "positionSide": "LONG"}, -4061),
    ({**MARKET, "quantity": "0.002", "newClientOrderId": "a b"}, -1100),
    ({**MARKET, "quantity": "0.002", "newClientOrderId": "a" * 37}, -4015),
    ({**MARKET, "quantity": "0.002", "price": "1"}, -1106),
    ({**LIMIT, "quantity": "0.002"}, -1102),
    ({**LIMIT, "quantity": "0.002", "price": "64000.05"}, -4014),
    ({**LIMIT, "quantity": "0.002", "price": "64000.001"}, -1111),
    ({**LIMIT, "quantity": "0.002", "price": "99000"}, -4016),
    ({**LIMIT, "quantity": "0.002", "price": "1000", "side": "SELL"}, -4024),
    ({**LIMIT, "quantity": "0.001", "price": "40000"}, -4164),
    ({**LIMIT, "quantity": "0.002", "price": "60000", "timeInForce": "FOO"}, -1115),
    ({**LIMIT, "quantity": "0.002", "price": "65000", "timeInForce": "GTX"}, -5022),
]


@pytest.mark.parametrize(("params", "code"), REFUSED)
def test_refusals_are_the_same_by_rest_and_ws(synthetic, params, code):
    by_rest = synthetic.signed("POST", ORDER, **params)
    assert (by_rest.status_code, by_rest.json()["code"]) == (400, code), by_rest.text
    by_ws = synthetic.call("order.place", **params)
    assert (by_ws["status"], by_ws["error"]) == (400, by_rest.json())


def test_authentication(synthetic):
    url = synthetic.rest + "/fapi/v2/account"
    assert synthetic.get("/fapi/v2/account").json()["code"] == -2014
    wrong = requests.get(url, headers={"X-MBX-APIKEY": "nobody"}, timeout=5)
    assert (wrong.status_code, wrong.json()["code"]) == (401, -2015)
    header = {"X-MBX-APIKEY": KEY}
    assert requests.get(url, headers=header, timeout=5).json()["code"] == -1102
    answer = synthetic.signed("GET", "/fapi/v2/account", timestamp=1)
    assert (answer.status_code, answer.json()["code"]) == (400, -1021)
    now_ms = synthetic.get("/fapi/v1/time").json()["serverTime"]
    forged = f"{url}?timestamp={now_ms}&signature={'0' * 64}"
    answer = requests.get(forged, headers=header, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, -1022)
    assert synthetic.call("order.status", sign=False, symbol="BTCUSDT")["error"]["code"] == -2014
    unsigned = synthetic.call("order.status", sign=False, apiKey=KEY, symbol="BTCUSDT")
    assert unsigned["error"]["code"] == -1102


def test_parameters_in_query_and_body(synthetic):
    now_ms = synthetic.get("/fapi/v1/time").json()["serverTime"]
    query, body = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC",
        (f"quantity=0.002&price={far_bid(synthetic)}&timestamp={now_ms}"),
    )
    signature = hmac.new(b"test-secret", (query + body).encode(), hashlib.sha256).hexdigest()
    answer = requests.post(
        f"{synthetic.rest}{ORDER}?{query}",
        data=f"{body}&signature={signature}",
        headers={**synthetic.key_header(), "Content-Type": "application/x-www-form-urlencoded"},
        timeout=5,
    )
    assert answer.json()["status"] == "NEW", answer.text
    assert int(answer.headers["X-MBX-ORDER-COUNT-10S"]) >= 1
    flat(synthetic)


def test_limit_order_lives_and_is_cancelled(synthetic):
    stream = synthetic.user_stream()
    terms = {**LIMIT, "quantity": "0.002", "price": far_bid(synthetic), "newClientOrderId": "L-1"}
    placed = synthetic.call("order.place", **terms)["result"]
    assert (placed["status"], placed["clientOrderId"]) == ("NEW", "L-1")
    assert not {"cumQuote", "avgPrice", "cumBase"} & set(placed)
    duplicate = synthetic.call("order.place", **terms)
    assert duplicate["error"]["code"] == -4116
    found = synthetic.signed("GET", ORDER, symbol="BTCUSDT", origClientOrderId="L-1").json()
    assert (found["status"], Decimal(found["avgPrice"])) == ("NEW", 0)
    book = dict(synthetic.depth("BTCUSDT")["bids"])
    assert Decimal(book.get(found["price"], "0")) >= Decimal("0.002") or len(book) == 1000
    opened = synthetic.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT").json()
    assert [row["orderId"] for row in opened] == [placed["orderId"]]
    cancelled = synthetic.call("order.cancel", symbol="BTCUSDT", orderId=placed["orderId"])
    assert cancelled["result"]["status"] == "CANCELED"
    again = synthetic.signed("DELETE", ORDER, symbol="BTCUSDT", origClientOrderId="L-1")
    assert again.json()["code"] == -2011
    unknown = synthetic.call("order.status", symbol="BTCUSDT", origClientOrderId="L-0")
    assert unknown["error"]["code"] == -2013
    events = events_until(stream, lambda e: e.get("o", {}).get("x") == "CANCELED")
    assert [(e["o"]["x"], e["o"]["X"], e["o"]["c"]) for e in events] == [
        ("NEW", "NEW", "L-1"),
        ("CANCELED", "CANCELED", "L-1"),
    ]


def test_market_round_trip_reconciles(synthetic):
    flat(synthetic)
    stream = synthetic.user_stream()
    before = Decimal(synthetic.signed("GET", "/fapi/v3/balance").json()[0]["balance"])
    for side, name in (("BUY", "M-1"), ("SELL", "M-2")):
        terms = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": "0.5"}
        answer = synthetic.call(
            "order.place", **terms, newOrderRespType="RESULT", newClientOrderId=name
        )["result"]
        assert (answer["status"], answer["executedQty"]) == ("FILLED", "0.500")
    events = events_until(
        stream, lambda e: e.get("o", {}).get("c") == "M-2" and e["o"]["X"] == "FILLED"
    )
    fills = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["x"] == "TRADE"]
    for name in ("M-1", "M-2"):
        own = [f for f in fills if f["c"] == name]
        assert sum(Decimal(f["l"]) for f in own) == Decimal("0.5") == Decimal(own[-1]["z"])
    realised = sum(Decimal(f["rp"]) for f in fills)
    fees = sum(Decimal(f["n"]) for f in fills)
    after = Decimal(synthetic.signed("GET", "/fapi/v3/balance").json()[0]["balance"])
    assert after == before + realised - fees
    accounts = [e["a"] for e in events if e["e"] == "ACCOUNT_UPDATE"]
    assert len(accounts) == len(fills) == sum(e["e"] == "TRADE_LITE" for e in events)
    assert Decimal(accounts[-1]["B"][0]["wb"]) == after
    assert Decimal(accounts[-1]["P"][0]["pa"]) == 0
    trades = synthetic.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", limit=1000).json()
    assert {f["t"] for f in fills} <= {t["id"] for t in trades}


def test_time_in_force(synthetic):
    bid, ask = prices(synthetic)
    base = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "newOrderRespType": "RESULT"}
    low, high = str(bid - 500), str(ask + 500)
    ioc = synthetic.call("order.place", **base, timeInForce="IOC", quantity="0.01", price=low)
    assert (ioc["result"]["status"], ioc["result"]["executedQty"]) == ("EXPIRED", "0.000")
    fok = synthetic.call("order.place", **base, timeInForce="FOK", quantity="0.01", price=low)
    assert (fok["status"], fok["error"]["code"]) == (400, -5021)
    fok = synthetic.call("order.place", **base, timeInForce="FOK", quantity="0.01", price=high)
    assert (fok["result"]["status"], fok["result"]["executedQty"]) == ("FILLED", "0.010")
    gtx = synthetic.call("order.place", **base, timeInForce="GTX", quantity="0.01", price=low)
    assert gtx["result"]["status"] == "NEW"
    flat(synthetic)


def test_reduce_only_is_shrunk_and_never_flips(synthetic):
    flat(synthetic)
    synthetic.call("order.place", **MARKET, quantity="0.004")
    ask = prices(synthetic)[1]
    resting = synthetic.call(
        "order.place",
        **{**LIMIT, "side": "SELL", "quantity": "0.009", "price": str(ask + 1000)},
        reduceOnly="true",
    )["result"]
    assert resting["origQty"] == "0.004"
    exit_terms = {**MARKET, "side": "SELL", "reduceOnly": "true", "newOrderRespType": "RESULT"}
    part = synthetic.call("order.place", **exit_terms, quantity="0.001")["result"]
    assert part["executedQty"] == "0.001"
    query = {"symbol": "BTCUSDT", "orderId": resting["orderId"]}
    assert synthetic.call("order.status", **query)["result"]["origQty"] == "0.003"
    rest = synthetic.call("order.place", **exit_terms, quantity="9")["result"]
    assert (rest["origQty"], rest["status"]) == ("0.003", "FILLED")
    assert synthetic.call("order.status", **query)["result"]["status"] == "EXPIRED"
    assert synthetic.signed("GET", "/fapi/v3/positionRisk", symbol="BTCUSDT").json() == []


def test_resting_order_is_filled_by_the_flow(synthetic):
    """With a bid and an offer at the touch of a busy book, the flow fills one before long."""
    flat(synthetic)
    stream = synthetic.user_stream()
    names: set[str] = set()
    while len(names) < 2:
        # A touch that moved before the order came in makes it cross, and it is refused.
        for side, price in zip(("BUY", "SELL"), prices(synthetic), strict=True):
            terms = {**LIMIT, "side": side, "timeInForce": "GTX", "price": str(price)}
            answer = synthetic.call("order.place", **terms, quantity="0.002")
            if "result" in answer:
                names.add(answer["result"]["clientOrderId"])
    fill = events_until(stream, lambda e: e.get("o", {}).get("x") == "TRADE")[-1]["o"]
    assert fill["c"] in names
    assert fill["m"] is True
    assert fill["L"] == fill["p"]
    fee = Decimal(fill["l"]) * Decimal(fill["L"]) * Decimal("0.0002")
    assert Decimal(fill["n"]) == fee.quantize(Decimal("1e-8"))
    flat(synthetic)


def test_leverage_and_account_views(synthetic):
    flat(synthetic)
    changed = synthetic.signed("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage=10).json()
    assert (changed["symbol"], changed["leverage"]) == ("ETHUSDT", 10)
    refused = synthetic.signed("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage=500)
    assert refused.json()["code"] == -4028
    rows = synthetic.signed("GET", "/fapi/v2/positionRisk").json()
    assert {r["symbol"]: r["leverage"] for r in rows}["ETHUSDT"] == "10"
    dual = synthetic.signed("GET", "/fapi/v1/positionSide/dual").json()
    assert dual == {"dualSidePosition": False}
    for version in (2, 3):
        body = synthetic.signed("GET", f"/fapi/v{version}/account").json()
        wallet = Decimal(body["totalWalletBalance"])
        assert wallet == Decimal(body["assets"][0]["walletBalance"])
        assert Decimal(body["availableBalance"]) <= wallet
    positions = synthetic.call("account.position")["result"]
    assert {row["symbol"] for row in positions} == {"BTCUSDT", "ETHUSDT", "BNBUSDT"}


def test_listen_key_is_shared_and_deleted(synthetic):
    path = "/fapi/v1/listenKey"
    first = synthetic.keyed("POST", path).json()
    assert synthetic.keyed("POST", path).json() == first
    assert synthetic.keyed("PUT", path).json() == first
    synthetic.keyed("DELETE", path)
    assert synthetic.keyed("PUT", path).json()["code"] == -1125
    assert synthetic.keyed("POST", path).json() != first


def test_register_proves_what_was_accepted(synthetic):
    before = synthetic.get("/local/orders").json()
    name = "R-1"
    synthetic.call("order.place", **MARKET, quantity="0.001", newClientOrderId=name)
    synthetic.call("order.place", **MARKET, quantity="0", newClientOrderId="R-2")
    late = {**MARKET, "quantity": "0.001", "newClientOrderId": "R-3"}
    synthetic.signed("POST", ORDER, **late, timestamp=1)
    after = synthetic.get("/local/orders").json()
    assert after["requests"]["place"] == before["requests"].get("place", 0) + 3
    assert sum(after["rejections"].values()) == sum(before["rejections"].values()) + 2
    refused = [(r["clientOrderId"], r["code"]) for r in after["refused"][-2:]]
    assert refused == [("R-2", -4003), ("R-3", -1021)]
    assert len(after["orders"]) == len(before["orders"]) + 1
    row = after["orders"][-1]
    assert (row["clientOrderId"], row["status"], row["executedQty"]) == (name, "FILLED", "0.001")
    assert after["requests"]["place"] == len(after["orders"]) + sum(after["rejections"].values())
    assert after["duplicate_client_ids"] == before["duplicate_client_ids"]
    synthetic.call("order.place", **MARKET, quantity="0.001", newClientOrderId=name)
    twice = synthetic.get("/local/status").json()["duplicate_client_ids"]
    assert twice == before["duplicate_client_ids"] + 1
    flat(synthetic)
