"""Every stream and user event has the keys and types of the examples of other projects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from protocol_shapes import Known
from protocol_stage import (
    HAS_PROTOCOL,
    SYMBOL,
    WAIT_S,
    WHY_SKIPPED,
    Case,
    Listener,
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
NAME = SYMBOL.lower()
NET = "net:Subscriptions/"
SDK_MARKET = "sdk:websocket_streams/test_market_api_ws_streams.py::"
SDK_PUBLIC = "sdk:websocket_streams/test_public_api_ws_streams.py::"
# A fee that eats the margin at once: the account is called, or liquidated, with its first fill.
CALLED = ("--balance", "100", "--taker-fee", "0.0045")
LIQUIDATED = ("--balance", "100", "--taker-fee", "0.006")

# Explained differences: case, path, problem, reason.
FIELDS_OF_2026 = "a field of 2026, younger than the example"
KNOWN = (
    Known(f"{NAME}@trade", "st", "extra", FIELDS_OF_2026),
    Known("forceOrder", "ps", "extra", FIELDS_OF_2026),
    Known("forceOrder", "st", "extra", FIELDS_OF_2026),
    Known("ORDER_TRADE_UPDATE *", "o.AP", "missing", "trailing stops alone have it"),
    Known("ORDER_TRADE_UPDATE *", "o.cr", "missing", "trailing stops alone have it"),
    Known("ACCOUNT_UPDATE", "a.P[].ma", "extra", "live events have it: the margin asset"),
    Known("ACCOUNT_CONFIG_UPDATE", "ai", "missing", "instead of ac, when the mode is changed"),
)


def stream(name: str, path: str, *references: str) -> Case:
    def ask(stage: Stage) -> object:
        listener = stage.listen(f"/{path}/ws/{name}")
        wanted = "[" if name.endswith("@arr") else "{"
        return listener.wait_for(lambda m: isinstance(m, list) == (wanted == "["), name)

    return Case(name, ask, references)


STREAM_CASES = (
    stream(f"{NAME}@trade", "public", f"rec:{NAME}@trade"),
    stream(
        f"{NAME}@aggTrade",
        "market",
        f"{NET}AggTrades",
        f"{SDK_MARKET}aggregate_trade_streams",
        "api:aggregateTradeEvent",
    ),
    stream(
        f"{NAME}@depth@100ms",
        "public",
        f"{NET}Book",
        f"{SDK_PUBLIC}diff_book_depth_streams",
        "api:diffDepthEvent",
    ),
    stream(
        f"{NAME}@depth5@100ms",
        "public",
        f"{NET}PartialBook",
        f"{SDK_PUBLIC}partial_book_depth_streams",
        "api:partialDepthEvent",
    ),
    stream(
        f"{NAME}@bookTicker",
        "public",
        f"{NET}BookTicker",
        f"{SDK_PUBLIC}individual_symbol_book_ticker_streams",
        "api:bookTickerEvent",
    ),
    stream(
        f"{NAME}@kline_1m",
        "market",
        f"{NET}Klines",
        f"{SDK_MARKET}kline_candlestick_streams",
        "api:klineEvent",
    ),
    stream(
        f"{NAME}@markPrice@1s",
        "market",
        f"{NET}MarkPrice",
        f"{SDK_MARKET}mark_price_stream",
        "api:markPriceEvent",
    ),
    stream("!markPrice@arr", "market", f"{SDK_MARKET}mark_price_stream_for_all_market"),
    stream(
        f"{NAME}@miniTicker",
        "market",
        f"{NET}MiniTicker",
        f"{SDK_MARKET}individual_symbol_mini_ticker_stream",
        "api:miniTickerEvent",
    ),
    stream("!miniTicker@arr", "market", f"{SDK_MARKET}all_market_mini_tickers_stream"),
    stream(
        f"{NAME}@ticker",
        "market",
        f"{NET}Ticker",
        f"{SDK_MARKET}individual_symbol_ticker_streams",
        "api:tickerEvent",
    ),
    stream("!ticker@arr", "market", f"{SDK_MARKET}all_market_tickers_streams"),
)


def an_event(listener: Listener, name: str, accept: Any = None) -> object:
    def accepted(message: Any) -> bool:
        return message.get("e") == name and (accept is None or accept(message))

    return listener.wait_for(accepted, name)


def order_update(stage: Stage) -> object:
    with_fill = stage.user_events()
    stage.market("BUY")
    return an_event(with_fill, "ORDER_TRADE_UPDATE", lambda m: m["o"]["x"] == "TRADE")


def new_order_update(stage: Stage) -> object:
    events = stage.user_events()
    stage.place()
    return an_event(events, "ORDER_TRADE_UPDATE", lambda m: m["o"]["x"] == "NEW")


def after_fill(name: str) -> Any:
    def ask(stage: Stage) -> object:
        events = stage.user_events()
        stage.market("BUY")
        return an_event(events, name)

    return ask


def algo_update(stage: Stage) -> object:
    events = stage.user_events()
    stage.place_algo()
    return an_event(events, "ALGO_UPDATE")


def leverage_update(stage: Stage) -> object:
    events = stage.user_events()
    stage.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=17)
    return an_event(events, "ACCOUNT_CONFIG_UPDATE")


def key_expired(stage: Stage) -> object:
    events = stage.user_events()
    response = requests.post(
        f"{stage.exchange.rest}/local/faults", json={"name": "listen_key_expire"}, timeout=WAIT_S
    )
    assert response.status_code == 200, response.text
    return an_event(events, "listenKeyExpired")


def stretch(stage: Stage) -> None:
    """Take a position that uses the whole margin."""
    stage.signed("POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage=125)
    stage.market("BUY", "0.170")


def margin_call(_: Stage) -> object:
    with closing(Stage(*CALLED)) as stage:
        events = stage.user_events()
        stretch(stage)
        return an_event(events, "MARGIN_CALL")


def forced_order(_: Stage) -> object:
    with closing(Stage(*LIQUIDATED)) as stage:
        orders = stage.listen(f"/market/ws/{NAME}@forceOrder")
        stretch(stage)
        return an_event(orders, "forceOrder")


def liquidation_update(_: Stage) -> object:
    with closing(Stage(*LIQUIDATED)) as stage:
        events = stage.user_events()
        stretch(stage)
        return an_event(
            events, "ORDER_TRADE_UPDATE", lambda m: m["o"]["c"].startswith("autoclose-")
        )


ORDER_REFERENCES = (f"{NET}OrderUpdate", "api:orderTradeUpdateEvent")
EVENT_CASES = (
    Case("ORDER_TRADE_UPDATE NEW", new_order_update, ORDER_REFERENCES),
    Case("ORDER_TRADE_UPDATE TRADE", order_update, ORDER_REFERENCES),
    Case("ORDER_TRADE_UPDATE autoclose", liquidation_update, ORDER_REFERENCES),
    Case("TRADE_LITE", after_fill("TRADE_LITE"), (f"{NET}TradeUpdate", "api:tradeLiteEvent")),
    Case(
        "ACCOUNT_UPDATE",
        after_fill("ACCOUNT_UPDATE"),
        (f"{NET}AccountUpdate", "api:accountUpdateEvent"),
    ),
    Case("ALGO_UPDATE", algo_update, (f"{NET}AlgoOrderUpdate",)),
    Case(
        "ACCOUNT_CONFIG_UPDATE",
        leverage_update,
        (f"{NET}Leverage", "api:accountConfigUpdateEvent"),
    ),
    Case("MARGIN_CALL", margin_call, (f"{NET}MarginUpdate", "api:marginCallEvent")),
    Case("listenKeyExpired", key_expired, ("api:listenKeyExpiredEvent",)),
    Case(
        "forceOrder",
        forced_order,
        (
            f"{NET}Liquidations",
            f"{SDK_MARKET}liquidation_order_streams",
            "api:liquidationEvent",
        ),
    ),
)
CASES = STREAM_CASES + EVENT_CASES


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    stage = Stage("--balance", "100000")
    try:
        yield run_cases(stage, CASES)
    finally:
        stage.close()


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_event_is_as_in_the_examples(outcomes: Outcomes, name: str) -> None:
    assert judge(name, outcomes[name], KNOWN) == []


def test_every_explanation_explains_something(outcomes: Outcomes) -> None:
    assert unused(outcomes, KNOWN) == []
