"""Faults of requests, as REST and WS-API clients see them."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import requests
from exchange_process import KEY, TIMEOUT_S, ExchangeProcess
from fault_tools import (
    MARKET_BUY,
    ORDER,
    SYMBOL,
    arm,
    disarm,
    events_until_fill,
    limit_buy,
    now_ms,
    status_of,
    stream,
    strikes,
    taken,
    ws_request,
)

pytestmark = pytest.mark.system
NO_SUCH_ORDER = -2013
BATCH = "/fapi/v1/batchOrders"


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    made = ExchangeProcess("--seed", "22", "--symbols", f"{SYMBOL},ETHUSDT")
    yield made
    counts = made.get("/local/orders").json()
    refused = sum(counts["rejections"].values())
    assert counts["requests"]["place"] == len(counts["orders"]) + refused
    assert made.close() == 0


@pytest.fixture(autouse=True)
def without_faults(exchange) -> Iterator[None]:
    yield
    disarm(exchange)
    exchange.signed("DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)


def place(exchange: ExchangeProcess, way: str, **order: object) -> tuple[int, dict]:
    """Place an order by REST or WS-API; return the status and the body or error."""
    if way == "rest":
        answer = exchange.signed("POST", ORDER, **order)
        return answer.status_code, answer.json()
    answer = exchange.call("order.place", **order)
    return answer["status"], answer.get("error") or answer["result"]


@strikes("request_latency")
def test_a_request_that_arrives_late(exchange):
    arm(exchange, "request_latency", delay_ms=300, path="/fapi/v1/time")
    arm(exchange, "request_latency", delay_ms=300, path="time", method="WS")
    began_ms = now_ms()
    assert exchange.get("/fapi/v1/time").json()["serverTime"] - began_ms >= 300
    began_ms = now_ms()
    assert exchange.call("time", sign=False)["result"]["serverTime"] - began_ms >= 300
    began_ms = now_ms()
    exchange.get("/fapi/v1/ping")
    assert now_ms() - began_ms < 250


def test_a_request_that_arrives_too_late_is_refused(exchange):
    arm(exchange, "request_latency", delay_ms=400, path=ORDER)
    answer = exchange.signed("POST", ORDER, **MARKET_BUY, recvWindow=200)
    assert answer.json()["code"] == -1021


@strikes("ack_latency")
def test_an_answer_that_leaves_late(exchange):
    arm(exchange, "ack_latency", delay_ms=300, method="GET")
    began_ms = now_ms()
    served = exchange.get("/fapi/v1/time").json()["serverTime"]
    assert served - began_ms < 250 <= 300 <= now_ms() - began_ms
    disarm(exchange)
    arm(exchange, "ack_latency", delay_ms=300, method="WS")
    began_ms = now_ms()
    served = exchange.call("time", sign=False)["result"]["serverTime"]
    assert served - began_ms < 250 <= 300 <= now_ms() - began_ms


@strikes("fill_before_ack")
def test_a_fill_that_is_told_before_the_answer(exchange):
    line = exchange.user_stream()
    arm(exchange, "fill_before_ack", delay_ms=500)
    with stream(exchange, "/ws-fapi/v1") as api:
        api.send(ws_request("order.place", **MARKET_BUY))
        events_until_fill(line)
        assert select.select([api.sock], [], [], 0)[0] == []
        assert json.loads(api.recv())["status"] == 200


@strikes("fill_before_cancel")
@pytest.mark.parametrize("way", ["rest", "ws"])
def test_a_fill_that_crosses_the_cancellation(exchange, way):
    client_id = f"cross-{way}"
    assert place(exchange, way, **limit_buy(exchange, client_id))[0] == 200
    line = exchange.user_stream()
    arm(exchange, "fill_before_cancel")
    named = {"symbol": SYMBOL, "origClientOrderId": client_id}
    if way == "rest":
        code = exchange.signed("DELETE", ORDER, **named).json()["code"]
    else:
        code = exchange.call("order.cancel", **named)["error"]["code"]
    assert code == -2011
    assert events_until_fill(line)[-1]["o"]["X"] == "FILLED"
    assert status_of(exchange, client_id) == "FILLED"


UNKNOWN = [("unknown_503", 503, -1000), ("error_1006", 500, -1006), ("error_1007", 408, -1007)]
OUTCOMES = [("live", "NEW"), ("filled", "FILLED"), ("absent", NO_SUCH_ORDER)]


@strikes("unknown_503", "error_1006", "error_1007")
@pytest.mark.parametrize("way", ["rest", "ws"])
@pytest.mark.parametrize(("outcome", "found"), OUTCOMES)
@pytest.mark.parametrize(("name", "status", "code"), UNKNOWN)
def test_an_order_whose_fate_is_not_told(exchange, name, status, code, outcome, found, way):
    client_id = f"{name}-{outcome}-{way}"
    order = limit_buy(exchange, client_id)
    fault_id = arm(exchange, name, outcome=outcome)
    assert exchange.get("/fapi/v1/ping").status_code == 200  # no new order, not struck
    shown, error = place(exchange, way, **order)
    assert (shown, error["code"]) == (status, code)
    if name == "unknown_503":
        assert error["msg"] == "Unknown error, please check your request or try again later."
    assert status_of(exchange, client_id) == found
    assert taken(exchange, fault_id) == 1
    if found == NO_SUCH_ORDER:
        assert place(exchange, way, **order)[0] == 200


def nameless(exchange: ExchangeProcess) -> dict[str, object]:
    order = limit_buy(exchange, "none")
    del order["newClientOrderId"]
    return order


def last_order(exchange: ExchangeProcess) -> dict:
    return exchange.signed("GET", "/fapi/v1/allOrders", symbol=SYMBOL).json()[-1]


@pytest.mark.parametrize("way", ["rest", "ws"])
def test_an_order_without_a_client_id_fills_too(exchange, way):
    arm(exchange, "error_1007", outcome="filled")
    assert place(exchange, way, **nameless(exchange))[1]["code"] == -1007
    assert last_order(exchange)["status"] == "FILLED"


def test_orders_of_a_batch_fill_too(exchange):
    rows = [limit_buy(exchange, f"batch-{number}") for number in range(2)]
    fault_id = arm(exchange, "unknown_503", outcome="filled", symbol=SYMBOL)
    answer = exchange.signed("POST", BATCH, batchOrders=json.dumps(rows))
    assert (answer.status_code, answer.json()["code"]) == (503, -1000)
    assert [status_of(exchange, f"batch-{number}") for number in range(2)] == ["FILLED"] * 2
    assert taken(exchange, fault_id) == 1
    other = arm(exchange, "unknown_503", symbol="ETHUSDT")
    answer = exchange.signed("POST", BATCH, batchOrders=json.dumps(rows[:1]))
    assert answer.status_code == 200 and taken(exchange, other) == 0


def test_what_cannot_fill_is_not_struck(exchange):
    fault_id = arm(exchange, "unknown_503", outcome="filled")
    algo = {
        **MARKET_BUY,
        "algoType": "CONDITIONAL",
        "type": "STOP_MARKET",
        "triggerPrice": "900000",
    }
    answer = exchange.signed("POST", "/fapi/v1/algoOrder", **algo)
    assert answer.status_code == 200, answer.text
    exchange.signed("DELETE", "/fapi/v1/algoOpenOrders", symbol=SYMBOL)
    refused = {**nameless(exchange), "quantity": "0"}
    assert place(exchange, "rest", **refused)[1]["code"] == -4003
    ended = {**nameless(exchange), "timeInForce": "IOC", "newOrderRespType": "RESULT"}
    assert place(exchange, "rest", **ended)[1]["status"] == "EXPIRED"
    assert taken(exchange, fault_id) == 0
    assert place(exchange, "rest", **nameless(exchange))[0] == 503
    assert taken(exchange, fault_id) == 1


def test_modifications_are_no_new_orders(exchange):
    order = limit_buy(exchange, "modified")
    assert place(exchange, "rest", **order)[0] == 200
    faults = [arm(exchange, name, count=0) for name in ("unknown_503", "unavailable_503")]
    change = {
        "symbol": SYMBOL,
        "side": "BUY",
        "price": order["price"],
        "origClientOrderId": "modified",
    }
    one = {**change, "quantity": "0.003"}
    assert exchange.signed("PUT", ORDER, **one).status_code == 200
    rows = json.dumps([{**change, "quantity": "0.004"}])
    assert exchange.signed("PUT", BATCH, batchOrders=rows).status_code == 200
    assert exchange.call("order.modify", **{**change, "quantity": "0.005"})["status"] == 200
    assert [taken(exchange, fault_id) for fault_id in faults] == [0, 0]
    assert place(exchange, "ws", **nameless(exchange))[0] == 503


@pytest.mark.parametrize("way", ["rest", "ws"])
def test_a_request_that_is_refused_for_its_signature_moves_nothing(exchange, way):
    client_id = f"forged-{way}"
    assert place(exchange, way, **limit_buy(exchange, client_id))[0] == 200
    crossing = arm(exchange, "fill_before_cancel")
    unknown = arm(exchange, "unknown_503", outcome="filled")
    named = {"symbol": SYMBOL, "origClientOrderId": client_id}
    if way == "rest":
        url = f"{exchange.rest}{ORDER}?{urlencode({**named, 'timestamp': now_ms()})}&signature=00"
        refused = requests.delete(url, headers=exchange.key_header(), timeout=TIMEOUT_S).json()
        other = requests.post(url, headers=exchange.key_header(), timeout=TIMEOUT_S).json()
    else:
        forged = {**named, "apiKey": KEY, "timestamp": now_ms(), "signature": "00"}
        refused = exchange.call("order.cancel", sign=False, **forged)["error"]
        other = exchange.call("order.place", sign=False, **forged)["error"]
    assert (refused["code"], other["code"]) == (-1022, -1022)
    assert status_of(exchange, client_id) == "NEW"
    assert taken(exchange, crossing) == taken(exchange, unknown) == 0
    missing = {**named, "origClientOrderId": "no-such-order"}
    assert exchange.signed("DELETE", ORDER, **missing).json()["code"] == -2011
    assert taken(exchange, crossing) == 0
    assert exchange.signed("DELETE", ORDER, **named).json()["code"] == -2011
    assert status_of(exchange, client_id) == "FILLED"
    assert taken(exchange, crossing) == 1


@strikes("unavailable_503", "error_1008")
@pytest.mark.parametrize("way", ["rest", "ws"])
@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("unavailable_503", -1000, "Service Unavailable."),
        ("error_1008", -1008, "Request throttled by system-level protection."),
    ],
)
def test_an_order_that_failed_for_certain(exchange, name, code, text, way):
    client_id = f"{name}-{way}"
    order = limit_buy(exchange, client_id)
    arm(exchange, name, count=2)
    for _ in range(2):
        status, error = place(exchange, way, **order)
        assert (status, error["code"]) == (503, code)
        assert error["msg"].startswith(text)
        assert status_of(exchange, client_id) == NO_SUCH_ORDER
    assert place(exchange, way, **order)[0] == 200


def test_overload_exempts_orders_that_reduce(exchange):
    assert place(exchange, "rest", **MARKET_BUY)[0] == 200
    fault_id = arm(exchange, "error_1008", count=0)
    reducing = {**MARKET_BUY, "side": "SELL", "reduceOnly": "true"}
    assert place(exchange, "rest", **reducing)[0] == 200
    assert place(exchange, "rest", **MARKET_BUY)[0] == 503
    shouted = {**MARKET_BUY, "side": "SELL", "reduceOnly": "TRUE"}
    assert place(exchange, "rest", **shouted)[1].get("code") != -1008
    batch = [{**reducing, "reduceOnly": True}, reducing]
    assert exchange.signed("POST", BATCH, batchOrders=json.dumps(batch)).status_code == 200
    assert taken(exchange, fault_id) == 1
    mixed = json.dumps([reducing, MARKET_BUY])
    assert exchange.signed("POST", BATCH, batchOrders=mixed).json()["code"] == -1008


def test_with_a_path_other_requests_are_struck(exchange):
    arm(exchange, "unknown_503", path="/fapi/v1/openOrders")
    arm(exchange, "unavailable_503", path="/fapi/v1/listenKey", method="PUT")
    assert exchange.signed("GET", "/fapi/v1/openOrders", symbol=SYMBOL).status_code == 503
    assert exchange.signed("GET", "/fapi/v1/openOrders", symbol=SYMBOL).status_code == 200
    assert exchange.keyed("POST", "/fapi/v1/listenKey").status_code == 200
    assert exchange.keyed("PUT", "/fapi/v1/listenKey").status_code == 503


@strikes("too_many_requests", "banned")
@pytest.mark.parametrize(("name", "status"), [("too_many_requests", 429), ("banned", 418)])
def test_limits_on_command(exchange, name, status):
    arm(exchange, name, retry_after_s=7, path="/fapi/v1/ping")
    answer = exchange.get("/fapi/v1/ping")
    assert (answer.status_code, answer.json()["code"]) == (status, -1003)
    assert answer.headers["Retry-After"] == "7"
    assert ("banned until" in answer.json()["msg"]) is (status == 418)
    assert exchange.get("/fapi/v1/ping").status_code == 200
    arm(exchange, name, retry_after_s=7, path="ping")
    refused = exchange.call("ping", sign=False)
    assert (refused["status"], refused["error"]["code"]) == (status, -1003)
    times = refused["error"]["data"]
    assert times["retryAfter"] - times["serverTime"] == pytest.approx(7_000, abs=1_000)


@strikes("clock_offset")
def test_a_clock_that_steps(exchange):
    assert exchange.signed("GET", "/fapi/v2/balance").status_code == 200
    arm(exchange, "clock_offset", offset_ms=6_000)
    served = exchange.get("/fapi/v1/time").json()["serverTime"]
    assert 5_500 < served - now_ms() < 6_500
    refused = exchange.signed("GET", "/fapi/v2/balance")
    assert refused.json()["code"] == -1021
    stamp = time.time_ns() // 1_000_000 + 6_000
    assert exchange.signed("GET", "/fapi/v2/balance", timestamp=stamp).status_code == 200
    disarm(exchange)
    arm(exchange, "clock_offset", offset_ms=-2_000)
    assert exchange.call("v2/account.balance")["error"]["code"] == -1021


@strikes("stale_snapshot")
def test_a_snapshot_that_is_old(exchange):
    fresh = exchange.depth(SYMBOL)["lastUpdateId"]
    arm(exchange, "stale_snapshot", behind=5_000_000)
    assert fresh - 5_000_000 <= exchange.depth(SYMBOL)["lastUpdateId"] < fresh
    assert exchange.depth(SYMBOL)["lastUpdateId"] >= fresh
    arm(exchange, "stale_snapshot", behind=5_000_000, path="depth")
    old = exchange.call("depth", sign=False, symbol=SYMBOL)["result"]["lastUpdateId"]
    assert old < fresh
