"""Every WS-API answer has the keys and types of the examples that other projects recorded."""

from __future__ import annotations

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
SOCKET = "net:Socket/"
SDK = "sdk:websocket_api/test_"

# Explained differences: case, path, problem, reason.
DROPPED = "the venue took it out of order responses in July 2026"
TRAILING = "trailing stops alone have it, and those live at algoOrder since December 2025"
SHORT = "the venue answers with ids, code and message; binance-net's file shows a whole order"
LIVE = "live answers have it, as the notes in ccxt's source show"
ICEBERG = "futures have no iceberg orders: it is null in every answer"
KNOWN = (
    Known("order.*", "result.avgPrice", "missing", DROPPED),
    Known("order.*", "result.cumQuote", "missing", DROPPED),
    Known("order.*", "result.activatePrice", "missing", TRAILING),
    Known("order.*", "result.priceRate", "missing", TRAILING),
    Known("order.status", "rateLimits", "extra", "the examples leave it out"),
    *(Known("algoOrder.cancel", f"result.{key}", "missing", SHORT) for key in WHOLE_ALGO_KEYS),
    Known("algoOrder.place", "result.icebergQuantity", "null", ICEBERG),
    Known("account.status", "result.positions[].isolatedMargin", "extra", LIVE),
    Known("account.status", "result.positions[].isolatedWallet", "extra", LIVE),
    Known("account.status", "result.positions[].notional", "extra", LIVE),
    Known(
        "v2/account.position",
        "result[].unrealizedProfit",
        "missing",
        "it is unRealizedProfit, as in the SDK's example; binance-net has it besides",
    ),
    Known("depth", "asks", "missing", "the SDK's example repeats the sides beside the result"),
    Known("depth", "bids", "missing", "the SDK's example repeats the sides beside the result"),
)


def place(stage: Stage) -> dict[str, Any]:
    placed: dict[str, Any] = stage.call("order.place", **stage.limit_order())
    return placed


def by_id(stage: Stage, method: str) -> object:
    return stage.call(method, symbol=SYMBOL, orderId=place(stage)["result"]["orderId"])


def modify(stage: Stage) -> object:
    order = stage.limit_order(quantity="0.011")
    change = {key: order[key] for key in ("symbol", "side", "quantity", "price")}
    change["orderId"] = place(stage)["result"]["orderId"]
    return stage.call("order.modify", modifyId=5, **change)


def place_algo(stage: Stage) -> dict[str, Any]:
    placed: dict[str, Any] = stage.call("algoOrder.place", **stage.algo_order())
    return placed


def cancel_algo(stage: Stage) -> object:
    return stage.call("algoOrder.cancel", algoId=place_algo(stage)["result"]["algoId"])


def open_call(method: str, **params: object) -> Any:
    return lambda stage: stage.call(method, sign=False, **params)


def trade(name: str, ask: Any, net: str, sdk: str) -> Case:
    references = [f"{SOCKET}Trading/{net}"] if net else []
    return Case(name, ask, (*references, f"{SDK}trade_api_ws_api.py::{sdk}"))


def account(name: str, net: str, sdk: str) -> Case:
    references = [f"{SOCKET}Account/{net}"] if net else []
    sdk = f"{SDK}account_api_ws_api.py::{sdk}"
    return Case(name, lambda stage: stage.call(name), (*references, sdk))


def data(name: str, method: str, net: str, sdk: str, **params: object) -> Case:
    references = (f"{SOCKET}ExchangeData/{net}", f"{SDK}market_data_api_ws_api.py::{sdk}")
    return Case(name, open_call(method, **params), references)


def user(name: str, sdk: str) -> Case:
    references = (f"{SDK}user_data_streams_api_ws_api.py::{sdk}",)
    return Case(name, lambda stage: stage.key_only(name), references)


CASES = (
    trade("order.place", place, "PlaceOrder", "new_order"),
    trade("order.modify", modify, "EditOrder", "modify_order"),
    trade("order.status", lambda s: by_id(s, "order.status"), "GetOrder", "query_order"),
    trade("order.cancel", lambda s: by_id(s, "order.cancel"), "CancelOrder", "cancel_order"),
    trade("algoOrder.place", place_algo, "PlaceConditionalOrder", "new_algo_order"),
    trade("algoOrder.cancel", cancel_algo, "CancelConditionalOrder", "cancel_algo_order"),
    trade(
        "account.position",
        lambda s: s.call("account.position", symbol=SYMBOL),
        "",
        "position_information",
    ),
    trade(
        "v2/account.position",
        lambda s: s.call("v2/account.position", symbol=SYMBOL),
        "GetPositions",
        "position_information_v2",
    ),
    account("account.status", "", "account_information"),
    account("v2/account.status", "GetAccountInfo", "account_information_v2"),
    account("account.balance", "", "futures_account_balance"),
    account("v2/account.balance", "GetBalances", "futures_account_balance_v2"),
    data("depth", "depth", "GetOrderBook", "order_book", symbol=SYMBOL, limit=5),
    data("ticker.book", "ticker.book", "GetBookPrice", "symbol_order_book_ticker", symbol=SYMBOL),
    data("ticker.price", "ticker.price", "GetPrice", "symbol_price_ticker", symbol=SYMBOL),
    user("userDataStream.start", "start_user_data_stream"),
    user("userDataStream.ping", "keepalive_user_data_stream"),
    user("userDataStream.stop", "close_user_data_stream"),
)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    stage = Stage("--balance", "100000")
    try:
        stage.market("BUY")
        yield run_cases(stage, CASES)
    finally:
        stage.close()


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_answer_is_as_in_the_examples(outcomes: Outcomes, name: str) -> None:
    assert judge(name, outcomes[name], KNOWN) == []


def test_every_explanation_explains_something(outcomes: Outcomes) -> None:
    assert unused(outcomes, KNOWN) == []
