"""Every REST answer to orders has the keys and types of the examples of other projects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from protocol_shapes import WHOLE_ALGO_KEYS, Known
from protocol_stage import (
    HAS_PROTOCOL,
    SYMBOL,
    WHY_SKIPPED,
    Case,
    Outcomes,
    Stage,
    judge,
    run_cases,
    unused,
)

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(not HAS_PROTOCOL, reason=WHY_SKIPPED),
]
TRADE = "net:Endpoints/Trading/"
SDK_TRADE = "sdk:rest_api/test_trade_api.py::"
V1 = "/fapi/v1"

# Explained differences: case, path, problem, reason.
DROPPED = "the venue took it out of order responses in July 2026"
TRAILING = "trailing stops alone have it, and those live at algoOrder since December 2025"
SHORT = "the venue answers with ids, code and message; binance-net's file shows a whole order"
ICEBERG = "futures have no iceberg orders: it is null in every answer"
KNOWN = (
    Known("order P*", "avgPrice", "missing", DROPPED),
    Known("order *", "cumQuote", "missing", DROPPED),
    Known("order PUT", "cumBase", "missing", DROPPED),
    Known("batchOrders P*", "[].avgPrice", "missing", DROPPED),
    Known("batchOrders *", "[].cumQuote", "missing", DROPPED),
    Known("batchOrders PUT", "[].cumBase", "missing", DROPPED),
    Known("allOrders", "[].cumBase", "missing", DROPPED),
    *(
        Known(case, path, "missing", TRAILING)
        for case in ("order *", "openOrder")
        for path in ("activatePrice", "priceRate")
    ),
    *(
        Known(case, path, "missing", TRAILING)
        for case in ("batchOrders *", "openOrders", "allOrders")
        for path in ("[].activatePrice", "[].priceRate")
    ),
    *(Known("algoOrder DELETE", key, "missing", SHORT) for key in WHOLE_ALGO_KEYS),
    *(
        Known(case, path, "null", ICEBERG)
        for case, path in (
            ("algoOrder POST", "icebergQuantity"),
            ("algoOrder GET", "icebergQuantity"),
            ("openAlgoOrders", "[].icebergQuantity"),
            ("allAlgoOrders", "[].icebergQuantity"),
        )
    ),
)


def modify(stage: Stage) -> object:
    placed = stage.place()
    change = stage.limit_order(quantity="0.011")
    change = {key: change[key] for key in ("symbol", "side", "quantity", "price")}
    return stage.signed("PUT", f"{V1}/order", orderId=placed["orderId"], modifyId=5, **change)


def query(stage: Stage) -> object:
    return by_id(stage, "GET", "order")


def by_id(stage: Stage, method: str, path: str) -> object:
    order = {"symbol": SYMBOL, "orderId": stage.place()["orderId"]}
    return stage.signed(method, f"{V1}/{path}", **order)


def batch_place(stage: Stage) -> object:
    # The second is refused, as in the example: the answer mixes orders and errors.
    orders = [stage.limit_order(), stage.limit_order(side="BUY", reduceOnly="true")]
    orders[1]["symbol"] = "ETHUSDT"
    return stage.signed("POST", f"{V1}/batchOrders", batchOrders=json.dumps(orders))


def batch_modify(stage: Stage) -> object:
    placed = stage.place()
    names = ("symbol", "side", "quantity", "price", "orderId", "modifyId")
    rows = []
    # The second order does not exist: the answer mixes orders and errors, as in the example.
    for order_id in (placed["orderId"], 1):
        change = stage.limit_order(quantity="0.012", orderId=order_id, modifyId=5)
        rows.append({name: str(change[name]) for name in names})
    return stage.signed("PUT", f"{V1}/batchOrders", batchOrders=json.dumps(rows))


def batch_cancel(stage: Stage) -> object:
    ids = json.dumps([stage.place()["orderId"], 1])
    return stage.signed("DELETE", f"{V1}/batchOrders", symbol=SYMBOL, orderIdList=ids)


def with_order(stage: Stage, method: str, path: str) -> object:
    stage.place()
    return stage.signed(method, f"{V1}/{path}", symbol=SYMBOL)


def with_algo(stage: Stage, method: str, path: str) -> object:
    stage.place_algo()
    return stage.signed(method, f"{V1}/{path}", symbol=SYMBOL)


def algo_by_id(stage: Stage, method: str) -> object:
    return stage.signed(method, f"{V1}/algoOrder", algoId=stage.place_algo()["algoId"])


def amendments(stage: Stage) -> object:
    answer = modify(stage)
    assert isinstance(answer, dict), answer
    return stage.signed("GET", f"{V1}/orderAmendment", symbol=SYMBOL, orderId=answer["orderId"])


def trade(name: str, ask: Any, net: str, sdk: str) -> Case:
    return Case(name, ask, (f"{TRADE}{net}", f"{SDK_TRADE}{sdk}"))


CASES = (
    trade("order POST", lambda s: s.place(), "PlaceOrder", "new_order"),
    trade(
        "order POST RESULT",
        lambda s: s.market("BUY", newOrderRespType="RESULT"),
        "PlaceOrder",
        "new_order",
    ),
    trade("order PUT", modify, "EditOrder", "modify_order"),
    trade("orderAmendment", amendments, "GetOrderEditHistory", "get_order_modify_history"),
    trade("order GET", query, "GetOrder", "query_order"),
    trade("order DELETE", lambda s: by_id(s, "DELETE", "order"), "CancelOrder", "cancel_order"),
    trade("batchOrders POST", batch_place, "PlaceMultipleOrders", "place_multiple_orders"),
    trade("batchOrders PUT", batch_modify, "EditMultipleOrders", "modify_multiple_orders"),
    trade("batchOrders DELETE", batch_cancel, "CancelMultipleOrders", "cancel_multiple_orders"),
    trade(
        "openOrder",
        lambda s: by_id(s, "GET", "openOrder"),
        "GetOpenOrder",
        "query_current_open_order",
    ),
    trade(
        "openOrders",
        lambda s: with_order(s, "GET", "openOrders"),
        "GetOpenOrders",
        "current_all_open_orders",
    ),
    trade("allOrders", lambda s: with_order(s, "GET", "allOrders"), "GetOrders", "all_orders"),
    trade(
        "userTrades",
        lambda s: s.signed("GET", f"{V1}/userTrades", symbol=SYMBOL),
        "GetUserTrades",
        "account_trade_list",
    ),
    trade(
        "allOpenOrders",
        lambda s: with_order(s, "DELETE", "allOpenOrders"),
        "CancelAllOrders",
        "cancel_all_open_orders",
    ),
    trade(
        "countdownCancelAll",
        lambda s: s.signed(
            "POST", f"{V1}/countdownCancelAll", symbol=SYMBOL, countdownTime=100_000
        ),
        "CancelAllOrdersAfterTimeout",
        "auto_cancel_all_open_orders",
    ),
    trade("algoOrder POST", lambda s: s.place_algo(), "PlaceConditionalOrder", "new_algo_order"),
    trade(
        "algoOrder GET", lambda s: algo_by_id(s, "GET"), "GetConditionalOrder", "query_algo_order"
    ),
    trade(
        "algoOrder DELETE",
        lambda s: algo_by_id(s, "DELETE"),
        "CancelConditionalOrder",
        "cancel_algo_order",
    ),
    trade(
        "openAlgoOrders",
        lambda s: with_algo(s, "GET", "openAlgoOrders"),
        "GetOpenConditionalOrders",
        "current_all_algo_open_orders",
    ),
    trade(
        "allAlgoOrders",
        lambda s: with_algo(s, "GET", "allAlgoOrders"),
        "GetConditionalOrders",
        "query_all_algo_orders",
    ),
    trade(
        "algoOpenOrders",
        lambda s: with_algo(s, "DELETE", "algoOpenOrders"),
        "CancelAllConditionalOrders",
        "cancel_all_algo_open_orders",
    ),
)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    stage = Stage("--balance", "100000")
    try:
        stage.market("BUY")
        stage.market("SELL", "0.005")
        yield run_cases(stage, CASES)
    finally:
        stage.close()


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_answer_is_as_in_the_examples(outcomes: Outcomes, name: str) -> None:
    assert judge(name, outcomes[name], KNOWN) == []


def test_every_explanation_explains_something(outcomes: Outcomes) -> None:
    assert unused(outcomes, KNOWN) == []
