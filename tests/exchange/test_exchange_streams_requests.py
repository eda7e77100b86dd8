"""What clients may say: requests and their refusals, paths, numbers of streams and messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import websocket
from exchange_process import ExchangeProcess

STREAMS_MAX = 1_024


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeProcess]:
    started = ExchangeProcess("--seed", "5", "--symbols", "BTCUSDT", "--legacy-paths", "public")
    yield started
    assert started.close() == 0


def ask(stream: websocket.WebSocket, text: str | dict) -> dict:
    stream.send(text if isinstance(text, str) else json.dumps(text))
    while True:
        message = json.loads(stream.recv())
        if "id" in message and "e" not in message:
            return message


def closing(stream: websocket.WebSocket) -> tuple[int, str]:
    """Return code and reason of the close frame that ends a connection."""
    while True:
        opcode, data = stream.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big"), data[2:].decode()


REFUSED = [
    ("{", 3, "Invalid JSON: expected value at line 1 column"),
    ("[]", 2, "Invalid request"),
    ({"method": "FOO", "id": 1}, 2, "Invalid request: unknown variant `FOO`, expected one of"),
    ({"id": 1}, 2, "Invalid request: missing field `method` at line 1 column 9"),
    ({"method": "SUBSCRIBE", "id": 1}, 2, "Invalid request: missing field `params`"),
    ({"method": "SUBSCRIBE", "params": ["a b"], "id": 1}, 2, "Invalid request: invalid stream"),
    ({"method": "SUBSCRIBE", "params": [5], "id": 1}, 2, "Invalid request: invalid stream"),
    ({"method": "SET_PROPERTY", "params": ["x", True], "id": 1}, 0, "Unknown property"),
    ({"method": "GET_PROPERTY", "params": ["x"], "id": 1}, 0, "Unknown property"),
    (
        {"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1},
        *(1, "Invalid value type: expected Boolean"),
    ),
    (
        {"method": "SET_PROPERTY", "params": [True], "id": 1},
        *(2, "Invalid request: property name must be a string"),
    ),
    (
        {"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1},
        *(2, "Invalid request: too many parameters"),
    ),
    *(
        (
            {"method": "LIST_SUBSCRIPTIONS", "id": value},
            *(2, "Invalid request: request ID must be an unsigned integer"),
        )
        for value in (None, -1, 1.5, True, [], {}, "x" * 37)
    ),
]


@pytest.mark.system
@pytest.mark.parametrize(("request_text", "code", "text"), REFUSED)
def test_refusals(exchange, request_text, code, text):
    stream = exchange.connect("/market/ws")
    answer = ask(stream, request_text)
    assert answer["error"]["code"] == code
    assert answer["error"]["msg"].startswith(text)
    stream.close()


@pytest.mark.system
@pytest.mark.parametrize("request_id", [0, 7, 2**53, "1", "e9d6b4349871b40611412680b3445fac", ""])
def test_ids_come_back(exchange, request_id):
    stream = exchange.connect("/market/stream")
    answer = ask(stream, {"method": "LIST_SUBSCRIPTIONS", "id": request_id})
    assert answer == {"result": [], "id": request_id}
    stream.close()


@pytest.mark.system
def test_the_form_is_a_property(exchange):
    stream = exchange.connect("/public/ws/btcusdt@depth@100ms")
    assert (
        ask(stream, {"method": "GET_PROPERTY", "params": ["combined"], "id": 1})["result"] is False
    )
    assert json.loads(stream.recv())["e"] == "depthUpdate"
    change = {"method": "SET_PROPERTY", "params": ["combined", True], "id": 2}
    assert ask(stream, change) == {"result": None, "id": 2}
    assert (
        ask(stream, {"method": "GET_PROPERTY", "params": ["combined"], "id": 3})["result"] is True
    )
    assert json.loads(stream.recv())["stream"] == "btcusdt@depth@100ms"
    stream.close()


@pytest.mark.system
@pytest.mark.parametrize(
    ("path", "heard", "silent"),
    [
        ("/public", "btcusdt@bookTicker", "btcusdt@aggTrade"),
        ("/market", "btcusdt@aggTrade", "btcusdt@bookTicker"),
        ("/private", None, "btcusdt@bookTicker"),
        ("", "btcusdt@bookTicker", "btcusdt@aggTrade"),
    ],
)
def test_a_stream_on_a_wrong_path_is_taken_and_stays_silent(exchange, path, heard, silent):
    names = [name for name in (heard, silent) if name]
    stream = exchange.connect(f"{path}/ws/0")
    answer = ask(stream, {"method": "SUBSCRIBE", "params": names, "id": 1})
    assert answer == {"result": None, "id": 1}
    assert ask(stream, {"method": "LIST_SUBSCRIPTIONS", "id": 2})["result"] == ["0", *names]
    stream.settimeout(1.5)
    kinds = set()
    try:
        for _ in range(40):
            kinds.add(json.loads(stream.recv())["e"])
    except websocket.WebSocketTimeoutException:
        assert heard is None
    assert kinds == ({heard.partition("@")[2]} if heard else set())
    stream.close()


@pytest.mark.system
def test_user_data_by_every_form_of_its_path(exchange):
    key = exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"]
    raw = [
        exchange.connect(f"/private/ws?listenKey={key}"),
        exchange.connect(f"/private/ws/{key}"),
        exchange.connect(f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/TRADE_LITE"),
    ]
    wrapped = [
        exchange.connect(f"/private/stream?streams={key}"),
        exchange.connect(f"/private/stream?listenKey={key}"),
        exchange.connect("/private/stream"),
    ]
    wrong = exchange.connect("/public/ws")
    for stream in (wrapped[2], wrong):
        answer = ask(stream, {"method": "SUBSCRIBE", "params": [key], "id": "u"})
        assert answer == {"result": None, "id": "u"}
    price = exchange.depth("BTCUSDT", 5)["bids"][-1][0]
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    exchange.signed("POST", "/fapi/v1/order", **order, quantity="0.010", price=price)
    for stream in raw:
        assert json.loads(stream.recv())["e"] == "ORDER_TRADE_UPDATE"
    for stream in wrapped:
        message = json.loads(stream.recv())
        assert (message["stream"], message["data"]["e"]) == (key, "ORDER_TRADE_UPDATE")
    wrong.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        wrong.recv()


@pytest.mark.system
def test_number_of_streams(exchange):
    stream = exchange.connect("/market/ws")
    names = [f"btcusdt@x{number}" for number in range(STREAMS_MAX)]
    assert ask(stream, {"method": "SUBSCRIBE", "params": names, "id": 1})["result"] is None
    over = ask(stream, {"method": "SUBSCRIBE", "params": ["one@more"], "id": 2})
    assert over["error"]["code"] == 2
    assert ask(stream, {"method": "SUBSCRIBE", "params": names[:9], "id": 3})["result"] is None
    assert ask(stream, {"method": "UNSUBSCRIBE", "params": names[:1], "id": 4})["result"] is None
    assert ask(stream, {"method": "SUBSCRIBE", "params": ["one@more"], "id": 5})["result"] is None
    assert len(ask(stream, {"method": "LIST_SUBSCRIPTIONS", "id": 6})["result"]) == STREAMS_MAX
    stream.close()


@pytest.mark.system
@pytest.mark.parametrize("control", [False, True])
def test_more_than_ten_messages_in_a_second_end_the_connection(exchange, control):
    stream = exchange.connect("/market/ws")
    for number in range(11):
        if control and number % 2:
            stream.pong() if number % 4 == 1 else stream.ping()
        else:
            stream.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    assert closing(stream) == (1008, "Too many requests")


@pytest.mark.system
def test_ten_messages_in_a_second_are_answered(exchange):
    stream = exchange.connect("/market/ws")
    for number in range(10):
        stream.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
    assert [json.loads(stream.recv())["id"] for _ in range(10)] == list(range(10))
    stream.close()


@pytest.mark.system
def test_a_message_too_long_is_closed_with_1009(exchange):
    stream = exchange.connect("/market/ws")
    stream.send("x" * ((1 << 20) + 1))
    frame = stream.recv_frame()  # not answered: the exchange does not read on
    assert frame.opcode == websocket.ABNF.OPCODE_CLOSE
    assert frame.data[:2] == (1009).to_bytes(2, "big")


@pytest.mark.system
def test_a_ping_is_answered_with_its_payload(exchange):
    for path in ("/market/ws", "/ws-fapi/v1"):
        stream = exchange.connect(path)
        stream.ping("hello")
        opcode, data = stream.recv_data(control_frame=True)
        assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, b"hello")
        stream.close()


@pytest.mark.system
def test_old_paths_can_be_gone():
    exchange = ExchangeProcess("--symbols", "BTCUSDT", "--legacy-paths", "off")
    try:
        with pytest.raises(websocket.WebSocketBadStatusException):
            exchange.connect("/ws/btcusdt@trade")
        exchange.connect("/public/ws/btcusdt@trade").recv()
    finally:
        assert exchange.close() == 0


@pytest.mark.system
def test_pings_pongs_and_the_life_of_a_connection():
    times = ("--ping-s", "0.2", "--pong-timeout-s", "0.5", "--life-s", "2.5")
    exchange = ExchangeProcess("--symbols", "BTCUSDT", *times)
    try:
        for path in ("/market/ws", "/ws-fapi/v1"):
            silent, alive = exchange.connect(path), exchange.connect(path)
            assert closing(alive) == (1001, "Connection is too old")
            assert silent.recv_frame().opcode == websocket.ABNF.OPCODE_PING
            # Frames are read without the client's own answers: no pong goes back.
            frames = iter(silent.recv_frame, None)
            end = next(f for f in frames if f.opcode == websocket.ABNF.OPCODE_CLOSE)
            assert end.data == (1008).to_bytes(2, "big") + b"Pong timeout"
    finally:
        assert exchange.close() == 0
