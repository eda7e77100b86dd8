"""What is no proper request: always the venue's error JSON, never a page of the HTTP library."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests
import structlog
from aiohttp import web
from exchange_process import KEY, TIMEOUT_S, ExchangeProcess
from structlog.testing import capture_logs
from wired_api import Wire, broken

from exchange.api.answers import in_venue_shape, internal_error, listen
from exchange.api.rest import Route
from exchange.api.ws_request import MalformedError, read_request
from exchange.errors import ERRORS
from exchange.logs import log_to

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def raw(exchange: ExchangeProcess, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes and return status, headers and body of the answer, until it is complete."""
    address = urlsplit(exchange.rest)
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S) as line:
        line.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data.removeprefix(CONTINUE):
            data += line.recv(65_536)
        data = data.removeprefix(CONTINUE)
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, v in (row.split(": ", 1) for row in lines)}
        while len(body) < int(headers["content-length"]):
            body += line.recv(65_536)
        return int(first.split()[1]), headers, body


def checked(status: int, headers: dict[str, str], body: bytes) -> tuple[int, int]:
    assert headers["content-type"].startswith("application/json"), (status, headers, body)
    error = json.loads(body)
    assert set(error) == {"code", "msg"}
    assert isinstance(error["code"], int) and isinstance(error["msg"], str) and error["msg"]
    return status, error["code"]


LINE = b" HTTP/1.1\r\nHost: x\r\n"
RAW = [
    (b"GET /no/such/path" + LINE + b"\r\n", 404, -5000),
    (b"GET /" + LINE + b"\r\n", 404, -5000),
    (b"GET //fapi//v1/time" + LINE + b"\r\n", 404, -5000),
    (b"PATCH /fapi/v1/time" + LINE + b"\r\n", 404, -5000),
    (b"FOO /fapi/v1/time" + LINE + b"\r\n", 400, -1100),
    (b"GET /fapi/v1/depth?symbol=%zz" + LINE + b"\r\n", 400, -1100),
    (b"GET /fapi/v1/depth?symbol=%" + LINE + b"\r\n", 400, -1100),
    (b"GET /fapi/v1/depth?symbol=%ff%fe" + LINE + b"\r\n", 400, -1100),
    (b"GET /fapi/v1/depth?symbol=BTCUSDT&symbol=BTCUSDT" + LINE + b"\r\n", 400, -1101),
    (
        b"GET /fapi/v1/depth?" + b"&".join(b"a%d=1" % i for i in range(150)) + LINE + b"\r\n",
        400,
        -1101,
    ),
    (b"GET /fapi/v1/depth?symbol=" + b"x" * 20_000 + LINE + b"\r\n", 400, -1121),
    (b"GET /fapi/v1/depth?symbol=" + b"x" * 70_000 + LINE + b"\r\n", 400, -1100),
    (b"GET /fapi/v1/time" + LINE + b"X-A: " + b"y" * 20_000 + b"\r\n\r\n", 400, -1100),
    (b"GET /fapi/v1/time" + LINE + b"Content-Length: 3\r\n\r\na=1", 400, -1130),
    (b"GARBAGE\r\n\r\n", 400, -1100),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, -1100),
    (b"GET /fapi/v1/time HTTP/9.9\r\nHost: x\r\n\r\n", 400, -1100),
    (b"POST /fapi/v1/order" + LINE + b"Content-Length: x\r\n\r\n", 400, -1100),
    (b"POST /fapi/v1/order" + LINE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, -1100),
    (b"GET /ws/btcusdt@depth" + LINE + b"\r\n", 400, -1100),
    (b"GET /ws-fapi/v1" + LINE + b"\r\n", 400, -1100),
    (b"POST /ws-fapi/v1" + LINE + b"Content-Length: 0\r\n\r\n", 404, -5000),
]


@pytest.mark.system
@pytest.mark.parametrize(("request_bytes", "status", "code"), RAW)
def test_bytes_that_are_no_request_of_the_venue(synthetic, request_bytes, status, code):
    answer = raw(synthetic, request_bytes)
    assert checked(*answer) == (status, code)


BODIES = [
    (b"a=1&a=2", FORM, 400, -1101),
    (b"a=%zz", FORM, 400, -1100),
    (b"a=\xff\xfe", FORM, 400, -1100),
    (b"\xff\xfe", {**FORM, "Content-Encoding": "deflate"}, 400, -1100),
    (b"\xff\xfe", {**FORM, "Content-Encoding": "gzip"}, 400, -1100),
    (b"{}", {"Content-Type": "application/json"}, 400, -1130),
    (b"<a/>", {"Content-Type": "text/xml; charset=utf-8"}, 400, -1130),
]


@pytest.mark.system
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(("body", "headers", "status", "code"), BODIES)
def test_bodies_that_are_no_form(synthetic, method, body, headers, status, code):
    url = f"{synthetic.rest}/fapi/v1/listenKey"
    headers = {**headers, **synthetic.key_header()}
    answer = requests.request(method, url, data=body, headers=headers, timeout=TIMEOUT_S)
    lowered = {k.lower(): v for k, v in answer.headers.items()}
    assert checked(answer.status_code, lowered, answer.content) == (status, code)


@pytest.mark.system
def test_a_body_that_is_too_large(synthetic):
    url = f"{synthetic.rest}/fapi/v1/listenKey"
    answer = requests.post(url, data=b"a=" + b"x" * 2_000_000, headers=FORM, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["code"]) == (413, -1100)


@pytest.mark.system
def test_what_is_taken_all_the_same(synthetic):
    ask = "/fapi/v1/depth?symbol=BTCUSDT&limit=5&"
    for extra in ("timestamp=1&recvWindow=10000", "unknown=1", "empty=", "x=%E2%82%AC"):
        assert requests.get(synthetic.rest + ask + extra, timeout=TIMEOUT_S).status_code == 200
    line = b"POST /fapi/v1/listenKey HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: " + KEY.encode()
    for more in (b"Expect: a miracle", b"Expect: 100-continue", b"Content-Type: text/plain"):
        status, _, _ = raw(synthetic, line + b"\r\n" + more + b"\r\nContent-Length: 0\r\n\r\n")
        assert status == 200


ID = '"id":"a","method":"time"'
MALFORMED = [  # message, id that comes back, status, code
    ("", None, 400, -1100),
    ("{", None, 400, -1100),
    ("null", None, 400, -1100),
    ("[]", None, 400, -1100),
    ('[{"id":1,"method":"time"}]', None, 400, -1100),
    ("7", None, 400, -1100),
    ("[" * 100_000, None, 400, -1100),
    ("{" + ID + ',"params":' + "[" * 50_000 + "]" * 50_000 + "}", None, 400, -1100),
    ('{"id":1,"id":2,"method":"time"}', None, 400, -1101),
    ('{"id":1,"method":"time","params":{"a":1,"a":2}}', None, 400, -1101),
    ('{"id":NaN,"method":"time"}', None, 400, -1100),
    ('{"id":1.5,"method":"time"}', None, 400, -1100),
    ('{"id":true,"method":"time"}', None, 400, -1100),
    ('{"id":{},"method":"time"}', None, 400, -1100),
    ('{"id":"a b","method":"time"}', None, 400, -1100),
    ('{"id":"' + "x" * 37 + '","method":"time"}', None, 400, -1100),
    ('{"id":' + "9" * 5_000 + ',"method":"time"}', None, 400, -1100),
    ('{"id":9999999999999999999,"method":"ping","params":[]}', 9999999999999999999, 400, -1130),
    ('{"id":18446744073709551615}', 18446744073709551615, 400, -1102),
    ('{"id":18446744073709551616}', None, 400, -1100),
    ('{"id":-9223372036854775808}', -9223372036854775808, 400, -1102),
    ('{"id":-9223372036854775809,"method":"ping"}', None, 400, -1100),
    ('{"id":-9999999999999999999,"method":"ping"}', None, 400, -1100),
    ('{"id":-99999999999999999999,"method":"ping"}', None, 400, -1100),
    ('{"id":5}', 5, 400, -1102),
    ('{"id":5,"method":7}', 5, 400, -1102),
    ('{"id":5,"method":null}', 5, 400, -1102),
    ('{"id":5,"method":"no.such"}', 5, 404, -5000),
    ('{"id":5,"method":"time","params":[]}', 5, 400, -1130),
    ('{"id":5,"method":"time","params":"x"}', 5, 400, -1130),
    ('{"id":5,"method":"time","params":{"a":[1]}}', 5, 400, -1130),
    ('{"id":5,"method":"time","params":{"a":{}}}', 5, 400, -1130),
    ('{"id":5,"method":"time","params":{"a":"\\ud800"}}', 5, 400, -1100),
    ('{"id":5,"method":"\\ud800"}', 5, 400, -1100),
    ('{"id":5,"method":"ping","params":{"\\ud800":[]}}', 5, 400, -1100),
    ('{"id":5,"method":"ping","params":{"\\ud800":{"a":1}}}', 5, 400, -1100),
    ('{"id":5,"method":"ping","params":{"\\ud800":null}}', 5, 400, -1100),
    ('{"id":5,"method":"ping","params":{"\\ud800":"x"}}', 5, 400, -1100),
    ('{"id":5,"method":"ping","params":{"\\ud800":1,"\\ud800":2}}', None, 400, -1101),
    ('{"id":null,"method":"order.place"}', None, 401, -2014),
    ('{"method":"order.place"}', None, 401, -2014),
]


@pytest.mark.system
def test_every_malformed_message_has_one_answer(synthetic):
    line = synthetic.connect("/ws-fapi/v1")
    for text, request_id, status, code in MALFORMED:
        line.send(text)
        answer = json.loads(line.recv())
        shown = (text[:60], answer)
        assert answer["id"] == request_id, shown
        assert (answer["status"], answer["error"]["code"]) == (status, code), shown
        assert isinstance(answer["rateLimits"], list)
        line.send('{"id":0,"method":"ping"}')
        assert json.loads(line.recv())["id"] == 0, shown


def test_numbers_keep_the_text_that_was_signed():
    text = '{"id":-3,"method":"m","params":{"a":0.10,"b":1e-7,"c":12,"d":true,"e":"x","f":null}}'
    request = read_request(text)
    assert request.request_id == -3
    assert request.params == {"a": "0.10", "b": "1e-7", "c": "12", "d": "true", "e": "x"}
    with pytest.raises(MalformedError):
        read_request('{"id":1,"method":"m","params":{"a":Infinity}}')


def test_the_table_is_in_order():
    codes = list(ERRORS)
    assert codes == sorted(codes, reverse=True)
    for status, text in ERRORS.values():
        assert 400 <= status <= 599 and text


async def ask(path: str) -> tuple[int, dict]:
    wire = Wire()
    app = web.Application(middlewares=[in_venue_shape])
    wire.rest.add_to(app, [Route("GET", "/broken", broken), Route("GET", "/local/broken", broken)])
    runner = web.AppRunner(app)
    await runner.setup()
    server = await listen(runner, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return answer.status, await answer.json()
    finally:
        server.close()
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/broken", "/local/broken"])
def test_a_broken_handler_is_logged_and_answered(path):
    with capture_logs() as logs:
        status, body = asyncio.run(ask(path))
    assert (status, body["code"]) == (500, -1000)
    assert "RuntimeError" not in body["msg"]
    [row] = [row for row in logs if row["event"] == "request_failed"]
    assert row["exc_info"]


def test_the_log_holds_the_traceback_in_one_line(tmp_path):
    file = tmp_path / "exchange.log"
    with log_to(file):
        try:
            broken(None)
        except RuntimeError:
            internal_error("/somewhere")
    structlog.reset_defaults()  # the file is closed
    [line] = file.read_text().splitlines()
    assert "Traceback" in line and "RuntimeError: a handler is broken" in line


def test_a_broken_method_is_logged_and_answered():
    wire = Wire()
    with capture_logs() as logs:
        answer = wire.ws_api.answer('{"id":1,"method":"broken"}', wire.ws_api.open_session())
    assert json.loads(answer)["status"] == 500
    assert json.loads(answer)["error"]["code"] == -1000
    assert [row["event"] for row in logs] == ["request_failed"]


@pytest.mark.system
def test_a_client_that_resets_disturbs_nobody(synthetic):
    address = urlsplit(synthetic.rest)
    for request in (b"GET /fapi/v1/exchangeInfo" + LINE + b"\r\n", b"GET /fapi"):
        line = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.sendall(request)
        line.close()
    assert synthetic.get("/fapi/v1/ping").status_code == 200
