"""Requests of several rows, lists, and the endpoints' rules for ids, times and limits."""

from __future__ import annotations

import json

import pytest
from scripted_desk import START_MS, SYMBOL, Bench, refusal

from exchange.api.endpoints_trade import TradeEndpoints

DAY_MS = 24 * 60 * 60 * 1000
GOOD = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
GOOD.update(quantity="0.010", price="63000")


class Api:
    """Call the endpoints by method and path, as the server does after its checks."""

    def __init__(self) -> None:
        self.bench = Bench()
        endpoints = TradeEndpoints(self.bench.desk)
        routes, self.methods = endpoints.routes(), endpoints.methods()
        self._handlers = {(r.method, r.path.removeprefix("/fapi/v1/")): r.handler for r in routes}
        self.rows = {(r.method, r.path.removeprefix("/fapi/v1/")): r for r in routes}

    def __call__(self, method: str, path: str, **params: object):
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        return self._handlers[method, path](texts)


@pytest.fixture
def api() -> Api:
    return Api()


def test_rows_are_answered_one_by_one_in_their_order(api):
    rows = [
        {**GOOD, "newOrderRespType": "RESULT", "newClientOrderId": "a"},
        {**GOOD, "price": "90000"},
        {**GOOD, "quantity": 0.01, "price": 63000, "reduceOnly": None},
        {**GOOD, "symbol": "FOOUSDT"},
        {**GOOD, "quantity": 0.00001},
    ]
    answers = api("POST", "batchOrders", batchOrders=rows)
    assert [row.get("code", row.get("status")) for row in answers] == [
        *("NEW", -4016, "NEW", -1121, -1111)
    ]
    assert answers[0]["clientOrderId"] == "a"
    assert set(answers[1]) == {"code", "msg"}
    register = api.bench.register
    assert register.requests["place"] == 5 == len(register.orders) + 3


WRONG = [
    ({}, -1102),
    ({"batchOrders": "not json"}, -1130),
    ({"batchOrders": {"symbol": SYMBOL}}, -1130),
    ({"batchOrders": [1]}, -1130),
    ({"batchOrders": []}, -4082),
    ({"batchOrders": [GOOD] * 6}, -4082),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(("params", "code"), WRONG)
def test_a_wrong_list_is_refused_as_a_whole(api, method, params, code):
    assert refusal(api, method, "batchOrders", **params) == code
    assert api.bench.register.orders == {}


def test_rows_are_modified_one_by_one(api):
    first, second = api("POST", "batchOrders", batchOrders=[GOOD, GOOD])
    base = {"symbol": SYMBOL, "side": "BUY", "quantity": "0.010"}
    rows = [
        {**base, "orderId": first["orderId"], "price": 63100.5, "modifyId": 3},
        {**base, "orderId": second["orderId"], "price": "63000"},
    ]
    answers = api("PUT", "batchOrders", batchOrders=rows)
    assert (answers[0]["price"], answers[0]["modifyId"]) == ("63100.50", 3)
    assert answers[1]["code"] == -5027


def test_cancel_by_list(api):
    placed = api("POST", "batchOrders", batchOrders=[{**GOOD, "newClientOrderId": "x"}, GOOD])
    ids = [placed[1]["orderId"], 1]
    answers = api("DELETE", "batchOrders", symbol=SYMBOL, orderIdList=ids)
    assert [row.get("code", row.get("status")) for row in answers] == ["CANCELED", -2011]
    answers = api("DELETE", "batchOrders", symbol=SYMBOL, origClientOrderIdList=["x", "x"])
    assert [row.get("code", row.get("status")) for row in answers] == ["CANCELED", -2011]
    many = list(range(11))
    assert refusal(api, "DELETE", "batchOrders", symbol=SYMBOL, orderIdList=many) == -4032
    assert refusal(api, "DELETE", "batchOrders", symbol=SYMBOL) == -1102
    assert refusal(api, "DELETE", "batchOrders", orderIdList=[1]) == -1102


def test_open_order_is_only_for_open_ones(api):
    order_id = api("POST", "order", **GOOD)["orderId"]
    assert api("GET", "openOrder", symbol=SYMBOL, orderId=order_id)["status"] == "NEW"
    api("DELETE", "order", symbol=SYMBOL, orderId=order_id)
    assert refusal(api, "GET", "openOrder", symbol=SYMBOL, orderId=order_id) == -2013
    assert api("GET", "order", symbol=SYMBOL, orderId=order_id)["status"] == "CANCELED"


def test_the_test_endpoint_answers_with_an_order(api):
    body = api("POST", "order/test", **GOOD)
    assert (body["status"], body["origQty"], body["orderId"]) == ("NEW", "0.010", 0)
    assert {"cumQuote", "cumQty", "avgPrice", "updateTime"} <= set(body)
    assert api.bench.register.orders == {}


@pytest.mark.parametrize("path", ["allOrders", "userTrades", "allAlgoOrders"])
def test_spans_of_time(api, path):
    ask = {"symbol": SYMBOL}
    span = {"startTime": START_MS, "endTime": START_MS + 7 * DAY_MS}
    assert api("GET", path, **ask, **span) == []
    span["endTime"] += 1
    assert refusal(api, "GET", path, **ask, **span) == -4165
    span["endTime"] = START_MS - 1
    assert refusal(api, "GET", path, **ask, **span) == -1023
    assert refusal(api, "GET", path, **ask, limit=1001) == -1130
    assert refusal(api, "GET", path, **ask, limit=0) == -1130
    assert refusal(api, "GET", path, **ask, limit="ten") == -1102
    assert refusal(api, "GET", path) == -1102


def test_all_orders_by_id_time_and_limit(api):
    ids = []
    for _ in range(5):
        ids.append(api("POST", "order", **GOOD)["orderId"])
        api.bench.time.advance(DAY_MS)

    def found(**params):
        return [row["orderId"] for row in api("GET", "allOrders", symbol=SYMBOL, **params)]

    assert found() == ids
    assert found(limit=2) == ids[-2:]
    assert found(orderId=ids[1], limit=2) == ids[1:3]
    assert found(startTime=START_MS + DAY_MS, limit=2) == ids[1:3]
    assert found(endTime=START_MS + DAY_MS) == ids[:2]
    api.bench.time.advance(5 * DAY_MS)
    assert found() == ids[3:]  # of the last seven days


def test_user_trades_by_id_order_and_time(api):
    for _ in range(3):
        api("POST", "order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010")
        api.bench.time.advance(DAY_MS)

    def found(**params):
        return [row["id"] for row in api("GET", "userTrades", symbol=SYMBOL, **params)]

    every = found()
    assert len(every) == 3
    assert found(fromId=every[1]) == every[1:]
    assert found(fromId=every[0], limit=2) == every[:2]
    assert found(startTime=START_MS, limit=1) == every[:1]
    assert found(limit=1) == every[-1:]
    row = api("GET", "userTrades", symbol=SYMBOL)[1]
    assert found(orderId=row["orderId"]) == [every[1]]
    assert row["positionSide"] == "BOTH"
    assert refusal(found, fromId=every[0], startTime=START_MS) == -1128


#  parameters                                       client order ids
FORCED = """
   -                                                autoclose-1 adl_autoclose
   symbol=BTCUSDT                                   autoclose-1 adl_autoclose
   autoCloseType=LIQUIDATION                        autoclose-1
   symbol=BTCUSDT,autoCloseType=ADL                 adl_autoclose
   startTime={later}                                adl_autoclose
   endTime={first}                                  autoclose-1
   startTime={first},endTime={later},limit=1        adl_autoclose
   startTime={after}                                -
"""


@pytest.mark.parametrize("line", FORCED.split("\n")[1:-1])
def test_forced_orders_are_told_by_their_client_id(api, line):
    times = {"first": START_MS, "later": START_MS + 1_000, "after": START_MS + 1_001}
    for client_id in ("autoclose-1", "adl_autoclose", "mine"):
        api.bench.place("BUY", "LIMIT", "0.010", "63000", newClientOrderId=client_id)
        api.bench.time.advance(1_000)
    text, *ids = line.format(**times).split()
    params = dict(part.split("=") for part in text.split(",")) if text != "-" else {}
    rows = api("GET", "forceOrders", **params)
    assert [row["clientOrderId"] for row in rows] == [name for name in ids if name != "-"]


def test_forced_orders_are_asked_for_properly(api):
    assert refusal(api, "GET", "forceOrders", autoCloseType="FOO") == -1130
    assert refusal(api, "GET", "forceOrders", symbol="FOOUSDT") == -1121
    weight = api.rows["GET", "forceOrders"].weight
    assert (weight({}), weight({"symbol": SYMBOL})) == (50, 20)
    assert api.rows["GET", "forceOrders"].security == "SIGNED"


# Venue: weight, X-MBX-ORDER-COUNT-10S, X-MBX-ORDER-COUNT-1M
COSTS = """
    POST    order         0  1  1
    PUT     order         0  1  1
    DELETE  order         1  0  0
    POST    batchOrders   5  5  1
    PUT     batchOrders   5  5  1
    DELETE  batchOrders   1  0  0
    POST    algoOrder     0  1  1
"""


@pytest.mark.parametrize("line", COSTS.split("\n")[1:-1])
def test_what_requests_cost(api, line):
    method, path, *costs = line.split()
    row = api.rows[method, path]
    assert [row.weight, row.orders_10s, row.orders_1m] == [int(cost) for cost in costs]


def test_the_same_requests_are_slow_by_rest_and_ws_api(api):
    slow = {row.name for row in api.methods if row.is_action}
    orders = {"order.place", "order.modify", "order.cancel"}
    assert slow == orders | {"algoOrder.place", "algoOrder.cancel"}
    paths = {(m, p) for (m, p), row in api.rows.items() if row.is_action}
    verbs = {("POST", "order"), ("PUT", "order"), ("DELETE", "order")}
    assert verbs | {("POST", "algoOrder"), ("DELETE", "algoOrder")} <= paths
    assert not any(method == "GET" for method, _ in paths)


def test_algo_lists(api):
    stop = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET"}
    stop.update(quantity="0.010", triggerPrice="63000")
    ids = [api("POST", "algoOrder", **stop)["algoId"] for _ in range(3)]
    cancelled = api("DELETE", "algoOrder", algoId=ids[0])
    assert cancelled == {
        "algoId": ids[0],
        "clientAlgoId": f"x-{ids[0]}",
        "code": "200",
        "msg": "success",
    }
    assert [row["algoId"] for row in api("GET", "openAlgoOrders")] == ids[1:]
    assert [r["algoId"] for r in api("GET", "openAlgoOrders", algoId=ids[2])] == ids[2:]
    assert refusal(api, "GET", "openAlgoOrders", algoType="VP") == -1130
    assert [r["algoId"] for r in api("GET", "allAlgoOrders", symbol=SYMBOL)] == ids
    assert [r["algoId"] for r in api("GET", "allAlgoOrders", symbol=SYMBOL, limit=1)] == ids[2:]
    later = api("GET", "allAlgoOrders", symbol=SYMBOL, algoId=ids[1], limit=1)
    assert [row["algoId"] for row in later] == [ids[1]]
    assert api("DELETE", "algoOpenOrders", symbol=SYMBOL)["code"] == 200
    assert api("GET", "openAlgoOrders", symbol=SYMBOL) == []
    assert api("GET", "algoOrder", algoId=ids[1])["algoStatus"] == "CANCELED"
    assert refusal(api, "DELETE", "algoOpenOrders") == -1102


def test_countdown_answers_with_a_string(api):
    body = api("POST", "countdownCancelAll", symbol=SYMBOL, countdownTime=100000)
    assert body == {"symbol": SYMBOL, "countdownTime": "100000"}
    assert refusal(api, "POST", "countdownCancelAll", symbol=SYMBOL) == -1102
    assert refusal(api, "POST", "countdownCancelAll", symbol=SYMBOL, countdownTime=-1) == -1102
