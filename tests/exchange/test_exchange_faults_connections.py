"""Broken connections of every kind, at every moment, as their clients see them."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
import websocket
from exchange_process import KEY, ExchangeProcess
from fault_tools import (
    DEPTH,
    MARKET_BUY,
    SYMBOL,
    arm,
    disarm,
    limit_buy,
    signed_url,
    status_of,
    stream,
    strikes,
    taken,
    ws_request,
)
from websocket import ABNF

pytestmark = pytest.mark.system
WAYS = ("connection_drop", "connection_half_open", "connection_reset")
SILENCE_S = 0.4


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    made = ExchangeProcess("--seed", "23", "--symbols", SYMBOL, "--rate", "200")
    yield made
    assert made.close() == 0


@pytest.fixture(autouse=True)
def without_faults(exchange) -> Iterator[None]:
    yield
    disarm(exchange)
    # A connection that was held half-open is reset by that: nothing may be sent on it.
    exchange.hang_up()
    exchange.signed("DELETE", "/fapi/v1/allOpenOrders", symbol=SYMBOL)


def path_of(exchange: ExchangeProcess, kind: str) -> str:
    if kind == "private":
        key = exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"]
        return f"/private/ws?listenKey={key}"
    return {"market": f"/public/ws/{DEPTH}", "ws_api": "/ws-fapi/v1"}[kind]


def ending(line: websocket.WebSocket) -> str:
    """Read to the end of a connection; tell how it ends, silence being one of the ways."""
    while True:
        ready, _, _ = select.select([line.sock], [], [], SILENCE_S)
        if not ready:
            return "connection_half_open"
        try:
            opcode, _ = line.recv_data(control_frame=True)
        except ConnectionResetError:
            return "connection_reset"
        except websocket.WebSocketConnectionClosedException:
            return "closed without a close frame"
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return "connection_drop"


@strikes(*WAYS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["market", "private", "ws_api"])
def test_open_connections_break_now(exchange, kind, way):
    others = {"market", "private", "ws_api"} - {kind}
    with stream(exchange, path_of(exchange, kind)) as line:
        with stream(exchange, path_of(exchange, sorted(others)[0])) as other:
            if kind == "market":
                line.recv()
            arm(exchange, way, kind=kind)
            assert ending(line) == way
            other.ping("still there")
            while other.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
                pass
        if way == "connection_half_open":
            line.ping("nobody reads this")
            assert ending(line) == way
            disarm(exchange)
            assert ending(line) in ("connection_reset", "closed without a close frame")
    with stream(exchange, path_of(exchange, kind)) as again:
        again.ping("a new one works")
        while again.recv_data(control_frame=True)[0] != websocket.ABNF.OPCODE_PONG:
            pass


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_breaks_when_it_opens(exchange, way):
    arm(exchange, way, kind="market", at="connect")
    with stream(exchange, path_of(exchange, "market")) as line:
        assert ending(line) == way
    with stream(exchange, path_of(exchange, "market")) as line:
        assert json.loads(line.recv())["e"] == "depthUpdate"


def test_breaking_later(exchange):
    with stream(exchange, path_of(exchange, "market")) as line:
        fault_id = arm(exchange, "connection_drop", kind="market", from_ms=200)
        assert taken(exchange, fault_id) == 0
        assert json.loads(line.recv())["e"] == "depthUpdate"
        assert ending(line) == "connection_drop"
        assert taken(exchange, fault_id) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("at", "found"), [("request", -2013), ("answer", "NEW")])
def test_a_ws_api_request_without_an_answer(exchange, at, found, way):
    client_id = f"ws-{at}-{way}"
    request = ws_request("order.place", **limit_buy(exchange, client_id))
    with stream(exchange, "/ws-fapi/v1") as line:
        arm(exchange, way, kind="ws_api", at=at, path="order.place")
        line.send(json.dumps({"id": 1, "method": "ping"}))
        assert json.loads(line.recv())["status"] == 200
        line.send(request)
        assert ending(line) == way
    assert status_of(exchange, client_id) == found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("at", "found"), [("request", -2013), ("answer", "NEW")])
def test_a_rest_request_without_an_answer(exchange, at, found, way):
    client_id = f"rest-{at}-{way}"
    url = signed_url(exchange, "/fapi/v1/order", **limit_buy(exchange, client_id))
    arm(exchange, way, kind="rest", at=at, path="/fapi/v1/order", method="POST")
    with pytest.raises((requests.ConnectionError, requests.ReadTimeout)) as caught:
        requests.post(url, headers={"X-MBX-APIKEY": KEY}, timeout=SILENCE_S)
    is_silent = isinstance(caught.value, requests.ReadTimeout)
    assert is_silent is (way == "connection_half_open")
    assert ("ConnectionResetError" in repr(caught.value)) is (way == "connection_reset")
    assert status_of(exchange, client_id) == found


@pytest.mark.parametrize("way", WAYS)
def test_kept_rest_connections_break_now(exchange, way):
    address = urlsplit(exchange.rest)
    with socket.create_connection((address.hostname, address.port), timeout=5) as line:
        line.sendall(b"GET /fapi/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 200")
        with stream(exchange, path_of(exchange, "market")) as other:
            arm(exchange, way, kind="rest")
            assert json.loads(other.recv())["e"] == "depthUpdate"
        if way == "connection_half_open":
            assert select.select([line], [], [], SILENCE_S)[0] == []
            line.sendall(b"GET /fapi/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n")
            assert select.select([line], [], [], SILENCE_S)[0] == []
        elif way == "connection_drop":
            assert line.recv(4096) == b""
        else:
            with pytest.raises(ConnectionResetError):
                line.recv(4096)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("at", "found"), [("request", -2013), ("answer", "NEW")])
@pytest.mark.parametrize("delay_ms", [0, 100])
def test_nothing_more_of_a_broken_connection_is_carried_out(exchange, delay_ms, at, found, way):
    ids = [f"{at}-{way[11:]}-{delay_ms}-{number}" for number in range(3)]
    frames = [ws_request("order.place", **limit_buy(exchange, client_id)) for client_id in ids]
    with stream(exchange, "/ws-fapi/v1") as line:
        arm(exchange, "request_latency", delay_ms=delay_ms, path="order.place")
        arm(exchange, way, kind="ws_api", at=at, path="order.place")
        # In one write, so that the server has read all three when it breaks the first.
        line.sock.sendall(b"".join(ABNF.create_frame(f, ABNF.OPCODE_TEXT).format() for f in frames))
        assert ending(line) == way
    late = [client_id for client_id in ids if status_of(exchange, client_id) == "NEW"]
    assert late == ([ids[0]] if found == "NEW" else [])


def test_a_half_open_connection_stays_silent_when_its_pong_is_missing():
    made = ExchangeProcess(
        *("--seed", "24", "--symbols", SYMBOL, "--ping-s", "0.1", "--pong-timeout-s", "0.3")
    )
    with stream(made, path_of(made, "market")) as line, stream(made, "/ws-fapi/v1") as api:
        line.recv()
        arm(made, "connection_half_open")
        began_s = time.monotonic()
        while time.monotonic() - began_s < 1.5:
            assert ending(line) == ending(api) == "connection_half_open"
        assert made.close() == 0


def test_a_fault_that_is_hidden_by_another_is_not_counted(exchange):
    hidden = [
        arm(exchange, name, path="order.place")
        for name in ("error_1006", "ack_latency", "fill_before_ack", "request_latency")
    ]
    cut = arm(exchange, "connection_drop", kind="ws_api", at="request", path="order.place")
    with stream(exchange, "/ws-fapi/v1") as line:
        line.send(ws_request("order.place", **limit_buy(exchange, "hidden")))
        assert ending(line) == "connection_drop"
    assert taken(exchange, cut) == 1
    assert [taken(exchange, fault_id) for fault_id in hidden] == [0, 0, 0, 0]


def test_the_exchange_ends_in_time_with_half_open_connections():
    made = ExchangeProcess("--seed", "24", "--symbols", SYMBOL)
    with stream(made, path_of(made, "market")) as line, stream(made, "/ws-fapi/v1") as api:
        line.recv()
        arm(made, "connection_half_open")
        assert ending(line) == ending(api) == "connection_half_open"
        assert made.signed("POST", "/fapi/v1/order", **MARKET_BUY).status_code == 200
        assert made.close() == 0
