"""What must not happen at the edges: HTTP on a WebSocket, keys in the log, web pages as clients."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from functools import partial
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from exchange_process import TIMEOUT_S, ExchangeProcess
from structlog.testing import capture_logs
from wired_api import Heard, Wire, broken

from exchange.api.answers import IS_UPGRADED, in_venue_shape, listen
from exchange.api.local_guard import is_loopback
from exchange.api.rest import Route
from exchange.api.sockets import Sockets
from exchange.api.ws_api import Method
from exchange.faults.arming import read_fault
from exchange.streams.hub import Hub

CANARY = "canary0123456789"
RESETS = 60
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def unsendable(params: object) -> object:
    return {"a": object()}


@pytest.mark.parametrize("is_armed", [False, True])
@pytest.mark.parametrize("handler", [broken, unsendable])
def test_what_goes_wrong_is_answered_on_the_socket(handler, is_armed):
    wire = Wire([Method("wrong", handler)])
    if is_armed:
        wire.switches.arm(*read_fault("error_1008", {"path": "other"}))
    heard = Heard()
    session = wire.ws_api.open_session()
    with capture_logs() as logs:
        wire.ws_api.receive('{"id":"x7","method":"wrong"}', session, heard)
    [answer] = heard.messages
    assert (answer["id"], answer["status"], answer["error"]["code"]) == ("x7", 500, -1000)
    assert [row["event"] for row in logs] == ["request_failed"]


@pytest.mark.parametrize("text", ["{", '{"id":1,"method":"ping"}'])
def test_an_answer_that_cannot_be_made_is_answered_too(monkeypatch, text):
    wire = Wire([Method("ping", lambda params: {})])
    monkeypatch.setattr(wire.ws_api._limits, "used", unsendable)
    heard = Heard()
    with capture_logs() as logs:
        wire.ws_api.receive(text, wire.ws_api.open_session(), heard)
    [answer] = heard.messages
    assert (answer["status"], answer["error"]["code"]) == (500, -1000)
    assert [row["event"] for row in logs] == ["request_failed"]


def test_a_stream_request_that_fails_closes_its_connection(monkeypatch):
    sockets = Sockets(Hub(), Wire().ws_api)
    monkeypatch.setattr(sockets._requests, "answer", broken)
    app = web.Application(middlewares=[in_venue_shape])
    sockets.add_to(app)

    async def talk() -> aiohttp.WSMessage:
        runner = web.AppRunner(app)
        await runner.setup()
        server = await listen(runner, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/market/ws"
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as line:
                await line.send_str('{"id":1}')
                return await line.receive(TIMEOUT_S)
        finally:
            server.close()
            await sockets.close()
            await runner.cleanup()

    with capture_logs() as logs:
        message = asyncio.run(talk())
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1011)
    assert [row["event"] for row in logs] == ["client_connected", "request_failed"]


def test_a_request_that_fails_after_a_delay_is_answered_too():
    wire = Wire([Method("wrong", unsendable)])
    heard = Heard()

    async def talk() -> None:
        wire.switches.arm(*read_fault("request_latency", {"delay_ms": 1}))
        wire.ws_api.receive('{"id":3,"method":"wrong"}', wire.ws_api.open_session(), heard)
        assert heard.messages == []
        async with asyncio.timeout(TIMEOUT_S):
            while not heard.messages:
                await asyncio.sleep(0)

    with capture_logs():
        asyncio.run(talk())
    [answer] = heard.messages
    assert (answer["id"], answer["error"]["code"]) == (3, -1000)


class Line(asyncio.Transport):
    """Stand in for a connection: tell whether it was aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default


# How a handler ends, whether the connection speaks WebSocket by then; is it aborted, logged as
ENDS = [
    (ConnectionResetError("gone"), False, True, "client_gone"),
    (ConnectionResetError("gone"), True, True, "client_gone"),
    (RuntimeError("broken"), False, False, "request_failed"),
    (RuntimeError("broken"), True, True, "request_failed"),
]


@pytest.mark.parametrize(("error", "is_upgraded", "is_aborted", "event"), ENDS)
def test_nothing_but_frames_follows_an_upgrade(error, is_upgraded, is_aborted, event):
    line = Line()

    async def talk() -> web.StreamResponse:
        request = make_mocked_request("GET", f"/ws/{CANARY}", transport=line)

        async def handler(_: web.Request) -> web.StreamResponse:
            if is_upgraded:
                request[IS_UPGRADED] = True
            raise error

        return await in_venue_shape(request, handler)

    with capture_logs() as logs:
        asyncio.run(talk())
    assert line.is_aborted is is_aborted
    assert [row["event"] for row in logs] == [event]
    assert CANARY not in repr(logs)


@pytest.mark.system
def test_no_listen_key_is_logged_when_a_client_resets_during_the_upgrade(tmp_path):
    log, errors = tmp_path / "log", tmp_path / "stderr"
    with errors.open("wb") as stream:
        exchange = ExchangeProcess("--log-file", str(log), stderr=stream)
    address = urlsplit(exchange.rest)
    paths = (f"/private/ws/{CANARY}", f"/ws/{CANARY}", f"/private/stream?listenKey={CANARY}")
    for number in range(RESETS):
        request = UPGRADE.format(path=paths[number % len(paths)]).encode()
        with socket.create_connection((address.hostname, address.port), TIMEOUT_S) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(request)
    assert exchange.get("/fapi/v1/ping").status_code == 200
    assert exchange.close() == 0
    text = log.read_text() + errors.read_text()
    assert CANARY not in text
    assert "Traceback" not in text
    told = text.count("event=client_gone") + text.count("event=client_connected")
    assert told <= RESETS, "each upgrade ends in one of the two, or is never read"
    assert "event=client_gone" in text


@pytest.mark.system
def test_a_url_may_name_1024_streams(synthetic):
    names = [f"1000000mog{number:04d}usdt@continuousKline_15m" for number in range(1_023)]
    line = synthetic.connect(f"/stream?streams={'/'.join(['btcusdt@bookTicker', *names])}")
    assert json.loads(line.recv())["stream"] == "btcusdt@bookTicker"
    line.send('{"id":1,"method":"LIST_SUBSCRIPTIONS"}')
    while "result" not in (message := json.loads(line.recv())):
        assert message["stream"] == "btcusdt@bookTicker"
    assert len(message["result"]) == 1_024


HOSTS = [
    ("127.0.0.1", True),
    ("127.0.0.1:80", True),
    ("127.9.9.9:1", True),
    ("localhost", True),
    ("LocalHost:8080", True),
    ("[::1]:80", True),
    ("[::1]", True),
    ("", False),
    ("0.0.0.0", False),
    ("10.0.0.1:80", False),
    ("localhost.evil.example", False),
    ("127.0.0.1.evil.example:80", False),
    ("evil.example:80", False),
    ("[fe80::1]:80", False),
    ("[", False),
]


@pytest.mark.parametrize(("host", "answer"), HOSTS)
def test_loopback_hosts(host, answer):
    assert is_loopback(host) is answer


@pytest.mark.system
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
    ],
)
def test_web_pages_reach_nothing_under_local(synthetic, method, headers):
    ask = partial(requests.request, timeout=TIMEOUT_S)
    url = f"{synthetic.rest}/local/faults"
    body = b'{"name": "user_stream_silent"}' if method == "POST" else b""
    refused = ask(method, url, data=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, -2015)
    assert ask("GET", url).json()["armed"] == []


BODIES = [
    (b"\xff\xfe", {}),
    (b"\xff\xfe", {"Content-Encoding": "deflate"}),
    (b"\xff\xfe", {"Content-Type": "application/json; charset=nope"}),
    (b"{}x", {"Content-Type": "text/plain; charset=utf-16"}),
    (b"[]", {}),
    (b"x" * 2_000_000, {}),
]


@pytest.mark.system
@pytest.mark.parametrize(("body", "headers"), BODIES)
def test_no_body_breaks_the_fault_switches(synthetic, body, headers):
    url = f"{synthetic.rest}/local/faults"
    answer = requests.post(url, data=body, headers=headers, timeout=TIMEOUT_S)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["code"] in (-1100, -1130)


@pytest.mark.system
def test_a_body_that_cannot_be_unpacked_is_charged(synthetic):
    before = int(synthetic.get("/fapi/v1/ping").headers["X-MBX-USED-WEIGHT-1M"])
    answer = requests.post(
        f"{synthetic.rest}/fapi/v1/order",
        data=b"no deflate",
        headers={"Content-Encoding": "deflate"},
        timeout=TIMEOUT_S,
    )
    assert (answer.status_code, answer.json()["code"]) == (400, -1100)
    used = int(answer.headers["X-MBX-USED-WEIGHT-1M"])
    assert used == before + 1 or used < before  # the minute may have ended between the two


def test_nothing_is_served_twice():
    wire = Wire()
    app = web.Application()
    wire.rest.add_to(app, [Route("GET", "/a", broken), Route("POST", "/a", broken)])
    with pytest.raises(AssertionError, match="served twice: GET /a"):
        wire.rest.add_to(app, [Route("GET", "/a", broken)])
    for names in (("a", "a"), ("session.logon",)):
        with pytest.raises(AssertionError, match=f"served twice: {names[0]}"):
            Wire([Method(name, broken) for name in names])


@pytest.mark.parametrize("is_armed", [False, True])
def test_only_what_acts_is_answered_late(is_armed):
    methods = [Method("act", lambda params: {}, is_action=True), Method("ask", lambda params: {})]
    wire = Wire(methods, ack_latency_ms=1.0)
    heard = Heard()

    async def talk() -> None:
        if is_armed:
            wire.switches.arm(*read_fault("error_1008", {"path": "other"}))
        session = wire.ws_api.open_session()
        for text in ('{"id":1,"method":"act"}', '{"id":2,"method":"ask"}', '{"id":3}'):
            wire.ws_api.receive(text, session, heard)
        assert [row["id"] for row in heard.messages] == [2, 3]
        async with asyncio.timeout(TIMEOUT_S):
            while len(heard.messages) < 3:
                await asyncio.sleep(0)

    asyncio.run(talk())
    assert [row["id"] for row in heard.messages] == [2, 3, 1]
