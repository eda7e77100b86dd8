"""Faults of the account's orders and of the venue's rules."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest
import requests
from exchange_process import TIMEOUT_S, ExchangeProcess
from fault_tools import (
    ORDER,
    SYMBOL,
    arm,
    disarm,
    far_bid,
    limit_buy,
    messages,
    now_ms,
    open_ids,
    status_of,
    strikes,
)

pytestmark = pytest.mark.system
ALL = "/fapi/v1/allOpenOrders"


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    made = ExchangeProcess("--seed", "25", "--symbols", "BTCUSDT,ETHUSDT")
    yield made
    assert made.close() == 0


@pytest.fixture(autouse=True)
def without_faults(exchange) -> Iterator[None]:
    yield
    disarm(exchange)
    exchange.signed("DELETE", ALL, symbol=SYMBOL)


def place(exchange: ExchangeProcess, *client_ids: str) -> None:
    for client_id in client_ids:
        answer = exchange.signed("POST", ORDER, **limit_buy(exchange, client_id))
        assert answer.status_code == 200, answer.text


@strikes("cancel_all_partial")
def test_a_cancel_all_that_does_half_of_it(exchange):
    place(exchange, "part-1", "part-2", "part-3")
    arm(exchange, "cancel_all_partial", keep=2)
    answer = exchange.signed("DELETE", ALL, symbol=SYMBOL)
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    assert open_ids(exchange) == ["part-2", "part-3"]
    exchange.signed("DELETE", ALL, symbol=SYMBOL)
    assert open_ids(exchange) == []


def count_down(exchange: ExchangeProcess, time_ms: int) -> None:
    answer = exchange.signed(
        "POST", "/fapi/v1/countdownCancelAll", symbol=SYMBOL, countdownTime=time_ms
    )
    assert answer.status_code == 200, answer.text


@strikes("dead_man_ignored")
def test_a_dead_mans_switch_that_does_nothing(exchange):
    line = exchange.user_stream()
    place(exchange, "dead-man")
    arm(exchange, "dead_man_ignored", count=1)
    count_down(exchange, 300)
    assert next(messages(line))["o"]["X"] == "NEW"
    assert select.select([line.sock], [], [], 0.8)[0] == []
    assert status_of(exchange, "dead-man") == "NEW"
    count_down(exchange, 300)
    assert next(messages(line))["o"]["X"] == "CANCELED"


@strikes("filters_change")
def test_filters_that_change(exchange):
    place(exchange, "before-change")

    def filters(symbol: str) -> dict[str, dict]:
        rows = exchange.get("/fapi/v1/exchangeInfo").json()["symbols"]
        [row] = [row for row in rows if row["symbol"] == symbol]
        return {f["filterType"]: f for f in row["filters"]}

    before, other = filters(SYMBOL), filters("ETHUSDT")
    arm(exchange, "filters_change", symbol=SYMBOL, tick_step=10, lot_step=2, min_notional=500)
    after = filters(SYMBOL)
    tick = float(before["PRICE_FILTER"]["tickSize"])
    assert float(after["PRICE_FILTER"]["tickSize"]) == pytest.approx(10 * tick)
    step = float(before["LOT_SIZE"]["stepSize"])
    assert float(after["LOT_SIZE"]["stepSize"]) == pytest.approx(2 * step)
    assert after["MIN_NOTIONAL"]["notional"] == "500"
    assert filters("ETHUSDT") == other
    assert status_of(exchange, "before-change") == "NEW"

    price = float(far_bid(exchange))
    order = {**limit_buy(exchange, "after-change"), "quantity": "0.02"}
    off = {**order, "price": f"{price + tick:.1f}"}
    assert exchange.signed("POST", ORDER, **off).json()["code"] == -4014
    odd = {**order, "quantity": "0.021"}
    assert exchange.signed("POST", ORDER, **odd).json()["code"] == -4023
    small = {**order, "quantity": "0.002"}
    assert exchange.signed("POST", ORDER, **small).json()["code"] == -4164
    assert exchange.signed("POST", ORDER, **order).status_code == 200
    refused = {"name": "filters_change", "symbol": "FOOUSDT"}
    answer = requests.post(f"{exchange.rest}/local/faults", json=refused, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["code"]) == (400, -1130)


def test_filters_are_what_they_were_when_the_change_is_disarmed(exchange):
    def filters() -> list[dict]:
        rows = exchange.get("/fapi/v1/exchangeInfo").json()["symbols"]
        return next(row["filters"] for row in rows if row["symbol"] == SYMBOL)

    before = filters()
    first = arm(exchange, "filters_change", symbol=SYMBOL, tick_step=10, min_notional=500)
    changed = filters()
    second = arm(exchange, "filters_change", symbol=SYMBOL, lot_step=5)
    assert before != changed != filters() != before
    delete(exchange, second)
    assert filters() == changed
    delete(exchange, first)
    assert filters() == before
    arm(exchange, "filters_change", symbol=SYMBOL, tick_step=10)
    disarm(exchange)
    assert filters() == before
    arm(exchange, "filters_change", symbol=SYMBOL, tick_step=10, until_ms=200)
    assert filters() != before
    until_ms = now_ms() + 5_000
    while filters() != before:
        assert now_ms() < until_ms


def delete(exchange: ExchangeProcess, fault_id: int) -> None:
    url = f"{exchange.rest}/local/faults"
    gone = requests.delete(url, params={"id": fault_id}, timeout=TIMEOUT_S)
    assert gone.json() == {"disarmed": 1}


@strikes("foreign_order")
def test_an_order_and_a_position_that_nobody_asked_for(exchange):
    line = exchange.user_stream()
    arm(exchange, "foreign_order", symbol=SYMBOL, quantity="0.003", price=far_bid(exchange))
    event = next(messages(line))["o"]
    assert (event["X"], event["q"]) == ("NEW", "0.003")
    assert event["c"].startswith("web_")
    assert open_ids(exchange) == [event["c"]]
    arm(exchange, "foreign_order", symbol=SYMBOL, side="SELL", quantity="0.004")
    [row] = exchange.signed("GET", "/fapi/v2/positionRisk", symbol=SYMBOL).json()
    assert row["positionAmt"] == "-0.004"
    refused = {"name": "foreign_order", "symbol": SYMBOL, "quantity": "x"}
    answer = requests.post(f"{exchange.rest}/local/faults", json=refused, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["code"]) == (400, -1130)
