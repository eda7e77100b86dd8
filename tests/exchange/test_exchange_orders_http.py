"""The order endpoints over real HTTP and WS-API: one pass through each, with its events."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from exchange_process import ExchangeProcess

pytestmark = pytest.mark.system
SYMBOL = "BTCUSDT"
V1 = "/fapi/v1"
LIMIT = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}


def price_below(exchange: ExchangeProcess, percent: int) -> str:
    bid = Decimal(exchange.depth(SYMBOL, 5)["bids"][0][0])
    return str((bid * (100 - percent) / 100).quantize(Decimal("0.1")))


def events_until(stream, wanted) -> list[dict]:
    """Read events until one of them is the wanted one, and return them all."""
    events: list[dict] = []
    while not events or not wanted(events[-1]):
        events.append(json.loads(stream.recv()))
    return events


def test_modify_by_rest_and_ws(synthetic):
    stream = synthetic.user_stream()
    price = price_below(synthetic, 3)
    order = synthetic.signed("POST", f"{V1}/order", **LIMIT, quantity="0.01", price=price).json()
    terms = {"symbol": SYMBOL, "orderId": order["orderId"], "side": "BUY", "quantity": "0.02"}
    by_rest = synthetic.signed("PUT", f"{V1}/order", **terms, price=price, modifyId=9).json()
    assert (by_rest["origQty"], by_rest["modifyId"], by_rest["status"]) == ("0.020", 9, "NEW")
    by_ws = synthetic.call("order.modify", **terms, price=price_below(synthetic, 4))
    assert by_ws["status"] == 200, by_ws
    again = synthetic.call("order.modify", **terms, price=by_ws["result"]["price"])
    assert (again["status"], again["error"]["code"]) == (400, -5027)
    ask = {"symbol": SYMBOL, "orderId": order["orderId"]}
    history = synthetic.signed("GET", f"{V1}/orderAmendment", **ask).json()
    assert [row["amendment"]["count"] for row in history] == [2, 1]
    assert synthetic.signed("GET", f"{V1}/openOrder", **ask).json()["origQty"] == "0.020"
    synthetic.signed("DELETE", f"{V1}/order", **ask)
    assert synthetic.signed("GET", f"{V1}/openOrder", **ask).json()["code"] == -2013
    events = events_until(stream, lambda e: e.get("o", {}).get("X") == "CANCELED")
    told = [e["o"]["x"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
    assert told == ["NEW", "AMENDMENT", "AMENDMENT", "CANCELED"]


def test_batches(synthetic):
    price = price_below(synthetic, 3)
    good = {**LIMIT, "quantity": "0.01", "price": price}
    rows = json.dumps([good, {**good, "price": "1"}])
    answers = synthetic.signed("POST", f"{V1}/batchOrders", batchOrders=rows).json()
    assert answers[0]["status"] == "NEW"
    assert answers[1]["code"] == -4013
    ids = json.dumps([answers[0]["orderId"], 5])
    answers = synthetic.signed("DELETE", f"{V1}/batchOrders", symbol=SYMBOL, orderIdList=ids).json()
    assert (answers[0]["status"], answers[1]["code"]) == ("CANCELED", -2011)


def test_conditional_orders_by_rest_and_ws(synthetic):
    stream = synthetic.user_stream()
    terms = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET"}
    terms.update(quantity="0.01", triggerPrice=price_below(synthetic, 2))
    by_rest = synthetic.signed("POST", f"{V1}/algoOrder", **terms, clientAlgoId="by-rest").json()
    by_ws = synthetic.call("algoOrder.place", **terms)["result"]
    assert (by_rest["algoStatus"], by_ws["algoStatus"]) == ("NEW", "NEW")
    assert set(by_rest) == set(by_ws) | {"activatePrice", "callbackRate"}
    listed = synthetic.signed("GET", f"{V1}/openAlgoOrders").json()
    assert [row["algoId"] for row in listed] == [by_rest["algoId"], by_ws["algoId"]]
    ordinary = synthetic.call("order.status", symbol=SYMBOL, origClientOrderId="by-rest")
    assert ordinary["error"]["code"] == -2013
    synthetic.signed("DELETE", f"{V1}/allOpenOrders", symbol=SYMBOL)
    cancelled = synthetic.call("algoOrder.cancel", clientAlgoId="by-rest")["result"]
    assert (cancelled["code"], cancelled["algoId"]) == ("200", by_rest["algoId"])
    assert synthetic.signed("DELETE", f"{V1}/algoOpenOrders", symbol=SYMBOL).json()["code"] == 200
    found = synthetic.signed("GET", f"{V1}/algoOrder", algoId=by_ws["algoId"]).json()
    assert found["algoStatus"] == "CANCELED"
    events = events_until(stream, lambda e: e.get("o", {}).get("aid") == by_ws["algoId"])
    events += events_until(stream, lambda e: e.get("o", {}).get("X") == "CANCELED")
    assert {e["e"] for e in events} == {"ALGO_UPDATE"}


def test_a_stop_follows_the_market(synthetic):
    """The flow's own trades trigger it; the child is an ordinary order with an id of its own."""
    stream = synthetic.user_stream()
    terms = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "type": "TRAILING_STOP_MARKET"}
    terms.update(side="BUY", quantity="0.01", callbackRate="0.1", clientAlgoId="trail")
    placed = synthetic.signed("POST", f"{V1}/algoOrder", **terms).json()
    assert placed["algoStatus"] == "NEW", placed
    synthetic.signed("DELETE", f"{V1}/algoOrder", algoId=placed["algoId"])
    terms = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "type": "STOP_MARKET", "side": "BUY"}
    market = {"symbol": SYMBOL, "type": "MARKET", "quantity": "0.002"}
    placed: dict = {}
    for _ in range(20):
        # A sale makes the bid the last price, so that a stop to buy at the ask is still to come.
        synthetic.signed("POST", f"{V1}/order", **market, side="SELL")
        ask = synthetic.depth(SYMBOL, 5)["asks"][0][0]
        stop = {**terms, "quantity": "0.01", "triggerPrice": ask}
        placed = synthetic.signed("POST", f"{V1}/algoOrder", **stop).json()
        if placed.get("code") != -2021:
            break
    assert placed["algoStatus"] == "NEW", placed
    bought = synthetic.signed("POST", f"{V1}/order", **market, side="BUY")
    assert bought.status_code == 200, bought.text
    events = events_until(stream, lambda e: e.get("o", {}).get("X") == "FINISHED")
    child_id = events[-1]["o"]["ai"]
    assert events[-1]["o"]["act"] == "MARKET"
    child = synthetic.signed("GET", f"{V1}/order", symbol=SYMBOL, orderId=child_id).json()
    assert (child["status"], child["type"]) == ("FILLED", "MARKET")
    found = synthetic.signed("GET", f"{V1}/algoOrder", algoId=placed["algoId"]).json()
    assert (found["actualOrderId"], found["actualQty"]) == (child_id, "0.010")


def test_the_countdown_runs_against_the_real_clock(synthetic):
    stream = synthetic.user_stream()
    price = price_below(synthetic, 3)
    synthetic.call("order.place", **LIMIT, quantity="0.01", price=price)
    answer = synthetic.signed("POST", f"{V1}/countdownCancelAll", symbol=SYMBOL, countdownTime=50)
    assert answer.json() == {"symbol": SYMBOL, "countdownTime": "50"}
    events = events_until(stream, lambda e: e.get("o", {}).get("X") == "CANCELED")
    new, cancelled = [e for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
    assert 0 <= cancelled["T"] - new["T"] < 5_000
