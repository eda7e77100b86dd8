"""What the tests of fault switches share: arming from outside, orders, events, coverage."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import requests
import websocket
from exchange_process import KEY, SECRET, TIMEOUT_S, ExchangeProcess

ORDER = "/fapi/v1/order"
SYMBOL = "BTCUSDT"
DEPTH = "btcusdt@depth@0ms"
MARKET_BUY = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.002"}


def strikes(*names: str) -> Callable[[Callable], Callable]:
    """Mark a test as the one that shows what these faults do."""

    def mark(test: Callable) -> Callable:
        vars(test)["strikes"] = names
        return test

    return mark


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def arm(exchange: ExchangeProcess, name: str, seed: int = 1, **values: object) -> int:
    """Arm a fault with its seed printed; return its id."""
    print(f"fault={name} seed={seed} {values}")
    body = {"name": name, "seed": seed, **values}
    answer = requests.post(f"{exchange.rest}/local/faults", json=body, timeout=TIMEOUT_S)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def disarm(exchange: ExchangeProcess) -> None:
    requests.delete(f"{exchange.rest}/local/faults", timeout=TIMEOUT_S)


def taken(exchange: ExchangeProcess, fault_id: int) -> int:
    rows = exchange.get("/local/faults").json()["armed"]
    return next(row["taken"] for row in rows if row["id"] == fault_id)


def far_bid(exchange: ExchangeProcess) -> str:
    best = Decimal(exchange.depth(SYMBOL, 5)["bids"][0][0])
    return str((best * Decimal("0.97")).quantize(Decimal("1")))


def limit_buy(exchange: ExchangeProcess, client_id: str) -> dict[str, object]:
    return {
        **MARKET_BUY,
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": far_bid(exchange),
        "newClientOrderId": client_id,
    }


def ws_request(method: str, **params: object) -> str:
    """Return a signed WS-API request as text."""
    params = {"apiKey": KEY, "timestamp": now_ms(), **params}
    text = "&".join(f"{k}={params[k]}" for k in sorted(params))
    params["signature"] = _signature(text)
    return json.dumps({"id": 1, "method": method, "params": params})


def signed_url(exchange: ExchangeProcess, path: str, **params: object) -> str:
    query = urlencode({**params, "timestamp": now_ms()})
    return f"{exchange.rest}{path}?{query}&signature={_signature(query)}"


def _signature(text: str) -> str:
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


def status_of(exchange: ExchangeProcess, client_id: str) -> str | int:
    """Return an order's status, or the code that says that there is none."""
    answer = exchange.signed("GET", ORDER, symbol=SYMBOL, origClientOrderId=client_id).json()
    return answer["status"] if "status" in answer else answer["code"]


def open_ids(exchange: ExchangeProcess) -> list[str]:
    rows = exchange.signed("GET", "/fapi/v1/openOrders", symbol=SYMBOL).json()
    return [row["clientOrderId"] for row in rows]


def messages(line: websocket.WebSocket) -> Iterator[dict[str, Any]]:
    while True:
        yield json.loads(line.recv())


def events_until_fill(line: websocket.WebSocket) -> list[dict[str, Any]]:
    """Read user events up to the first ORDER_TRADE_UPDATE of a fill."""
    events = []
    for event in messages(line):
        events.append(event)
        if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "TRADE":
            return events
    raise AssertionError("unreachable")


@contextmanager
def stream(exchange: ExchangeProcess, path: str) -> Iterator[websocket.WebSocket]:
    """Open a connection that does not insist on UTF-8."""
    line = websocket.create_connection(
        exchange.stream + path, timeout=TIMEOUT_S, skip_utf8_validation=True
    )
    try:
        yield line
    finally:
        line.close(timeout=0.1)  # one that is half open never answers
