"""Draw malformed requests: each has at least one mistake that must be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import struct
import time
from urllib.parse import quote

SYMBOLS = ("BTCUSDT", "ETHUSDT")
JUNK = (
    "NaN",
    "-NaN",
    "Infinity",
    "1e309",
    "-1e309",
    "0x10",
    "1_000",
    "1,5",
    "--1",
    "+",
    ".",
    "-",
    "١٢٣",
    "１２",
    "\x00",
    "\x01\x02\x7f",
    "\r\nX-Injected: 1",
    "'; DROP TABLE orders; --",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "<script>",
    "{{7*7}}",
    '{"a":{"b":[1,2,{"c":null}]}}',
    "[[[[[[[[[[]]]]]]]]]]",
    "null",
    "true",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "\u202e\u0000\ufeff",
    "9" * 400,
    "0." + "0" * 300 + "1",
    "A" * 3_000,
    " ",
    "%",
    "%%%s%n%x",
)
PUBLIC_PATHS = ("depth", "trades", "aggTrades", "klines", "exchangeInfo", "premiumIndex")
SIGNED_PATHS = (
    ("POST", "order"),
    ("PUT", "order"),
    ("DELETE", "order"),
    ("GET", "order"),
    ("POST", "algoOrder"),
    ("DELETE", "algoOrder"),
    ("GET", "algoOrder"),
    ("POST", "batchOrders"),
    ("DELETE", "batchOrders"),
    ("POST", "leverage"),
    ("POST", "marginType"),
    ("POST", "positionSide/dual"),
    ("POST", "countdownCancelAll"),
    ("GET", "openOrder"),
    ("GET", "userTrades"),
    ("GET", "allOrders"),
    ("GET", "income"),
)
GOOD_ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.010",
    "price": "60000",
    "orderId": "77",
    "algoId": "77",
    "algoType": "CONDITIONAL",
    "triggerPrice": "50000",
    "leverage": "10",
    "marginType": "CROSSED",
    "dualSidePosition": "false",
    "countdownTime": "0",
    "limit": "10",
}
# Fields whose every junk value must be refused, for each path that reads them.
DECISIVE = {
    "order": ("symbol", "side", "type", "quantity", "price", "timeInForce"),
    "algoOrder": ("symbol", "side", "type", "quantity", "triggerPrice", "algoType"),
    "batchOrders": ("batchOrders", "symbol", "orderIdList"),
    "leverage": ("symbol", "leverage"),
    "marginType": ("symbol", "marginType"),
    "positionSide/dual": ("dualSidePosition",),
    "countdownCancelAll": ("symbol", "countdownTime"),
    "openOrder": ("symbol",),
    "userTrades": ("symbol",),
    "allOrders": ("symbol",),
    "income": ("startTime", "limit"),
}
BY_ID = {("GET", "order"), ("DELETE", "order"), ("PUT", "order")}
LINE_BYTES_MAX = 16_000  # more would fill the caches of parsed URLs; `wire` sends what is too long
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
CONTENT_TYPES = (
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=no-such-charset",
    "application/json",
    "multipart/form-data; boundary=x",
    "text/plain",
    "\xff\xfe",
    "",
)


class Fuzz:
    """Draw requests from one seed; `key` and `secret` let some of them pass the signature."""

    def __init__(self, seed: int, key: str, secret: str) -> None:
        self.random = random.Random(seed)
        self._key, self._secret = key, secret
        self._makers = (
            (self._unknown_path, 2),
            (self._public, 3),
            (self._unsigned, 2),
            (self._badly_signed, 2),
            (self._bad_parameter, 8),
            (self._odd_body, 3),
            (self._packed_body, 1),
            (self._local, 1),
        )

    def request(self) -> bytes:
        """Return one whole HTTP/1.1 request that must be refused with 4xx."""
        makers, weights = zip(*self._makers, strict=True)
        while True:
            request = bytes(self.random.choices(makers, weights)[0]())
            if request.index(b"\r\n") < LINE_BYTES_MAX:
                return request

    def junk(self) -> str:
        if self.random.random() < 0.7:
            return self.random.choice(JUNK)
        size = self.random.randint(1, 40)
        # The first character makes sure that no number or word comes about by chance.
        return "¿" + "".join(
            chr(self.random.choice((*range(1, 0x250), 0x1F4A9))) for _ in range(size)
        )

    def _unknown_path(self) -> bytes:
        parts = [quote(self.junk()[:200], safe="") for _ in range(self.random.randint(1, 4))]
        root = self.random.choice(
            ("/fapi/v1/", "/fapi/v9/", "/", "/api/v3/", "/local/", "/ws-fapi/")
        )
        return self._build(self.random.choice(METHODS), root + "no-" + "/".join(parts))

    def _public(self) -> bytes:
        symbol = quote("x" + self.junk()[:300])
        limit = quote(self.junk()[:100])
        path = self.random.choice(PUBLIC_PATHS)
        return (
            self._build(
                "GET", f"/fapi/v1/{path}?symbol={symbol}&limit={limit}&interval={limit}&x={symbol}"
            )
            if path != "exchangeInfo"
            else self._build("PATCH", f"/fapi/v1/{path}")
        )

    def _unsigned(self) -> bytes:
        method, path = self.random.choice(SIGNED_PATHS)
        query = f"symbol=BTCUSDT&timestamp={quote(self.junk()[:100])}"
        headers = {} if self.random.random() < 0.5 else {"X-MBX-APIKEY": "no-such-key"}
        return self._build(method, f"/fapi/v1/{path}?{query}", headers)

    def _badly_signed(self) -> bytes:
        method, path = self.random.choice(SIGNED_PATHS)
        text = self._text(dict(GOOD_ORDER))
        wrong = self.random.choice(("", "0" * 64, "zz", quote(self.junk()[:200]), "a" * 10_000))
        return self._build(method, f"/fapi/v1/{path}?{text}&signature={wrong}", self._keyed())

    def _bad_parameter(self) -> bytes:
        """Sign everything properly; one decisive parameter is junk, missing or doubled."""
        method, path = self.random.choice(SIGNED_PATHS)
        params = dict(GOOD_ORDER)
        if (method, path) in BY_ID or (method, path) in (
            ("DELETE", "algoOrder"),
            ("GET", "algoOrder"),
        ):
            # An order that does not exist, or a junk id.
            params["orderId"] = params["algoId"] = self.random.choice(("77", "-1", self.junk()))
        name = self.random.choice(DECISIVE[path])
        params[name] = self.junk() if name not in ("symbol", "side") else "Q" + self.junk()
        if path == "batchOrders":
            params.update(self._bad_batch(method))
        names = list(params)
        self.random.shuffle(names)
        text = self._text({key: params[key] for key in names})
        if self.random.random() < 0.2:
            text += f"&{name}={quote(params[name])}"
        signed = f"{text}&signature={self._signature(text)}"
        if method in ("POST", "PUT") and self.random.random() < 0.5:
            headers = {**self._keyed(), "Content-Type": CONTENT_TYPES[0]}
            return self._build(method, f"/fapi/v1/{path}", headers, signed.encode())
        return self._build(method, f"/fapi/v1/{path}?{signed}", self._keyed())

    def _bad_batch(self, method: str) -> dict[str, str]:
        if method == "DELETE":
            return {"symbol": "QQQ", "orderIdList": self.random.choice(("[", "[[]]", "{}", "[77]"))}
        depth = self.random.randint(1, 200)
        values = ("[", "{}", "5", '"x"', "[" * depth + "]" * depth, "[null]", "[[]]", '[{"a":1}')
        return {"batchOrders": self.random.choice(values), "symbol": "QQQ"}

    def _odd_body(self) -> bytes:
        size = self.random.randint(0, 300)
        bodies = (
            self.random.randbytes(size),
            json.dumps({"symbol": {"nested": [self.junk()]}}).encode(),
            "symbol=BTCUSDT&side=BUY".encode("utf-16"),
            b"symbol=%ZZ&side=%&type=%E4%FF",
            b"&&&===;;;" * 50,
            b"symbol=BTCUSDT&" * 200,
        )
        method, path = self.random.choice([row for row in SIGNED_PATHS if row[0] != "GET"])
        headers = {**self._keyed(), "Content-Type": self.random.choice(CONTENT_TYPES)}
        body = self.random.choice(bodies)
        target = f"/fapi/v1/{path}"
        if self.random.random() < 0.3:
            target += "?%FF%FE=%00&symbol=%ED%A0%80"
        return self._build(method, target, headers, body)

    def _packed_body(self) -> bytes:
        """Return a request whose body is not what its Content-Encoding says, or too large."""
        method, path = self.random.choice([row for row in SIGNED_PATHS if row[0] != "GET"])
        body = self.random.randbytes(self.random.randint(1, 300))
        # A valid start of a zlib or gzip stream, then noise, is unpacked for a while.
        head = self.random.choice((b"", b"x\x9c", b"\x1f\x8b\x08\x00", b"\xff\xfe"))
        headers = {
            **self._keyed(),
            "Content-Type": self.random.choice(CONTENT_TYPES[:3]),
            "Content-Encoding": self.random.choice(("deflate", "gzip", "br", "zstd", "nope")),
        }
        return self._build(method, f"/fapi/v1/{path}", headers, head + body)

    def _local(self) -> bytes:
        """Return a request to the fault switches that no page and no mistake may bring about."""
        good = b'{"name": "user_stream_silent"}'
        samples: tuple[tuple[dict[str, str], bytes], ...] = (
            ({"Origin": self.random.choice(("null", "https://x.example"))}, good),
            ({"Host": "x.example"}, good),
            ({"Content-Encoding": "deflate"}, b"\xff" + self.random.randbytes(20)),
            ({"Content-Type": "application/json; charset=nope"}, b"\xff\xfe"),
            ({}, self.random.randbytes(self.random.randint(0, 99)) + b"\xff"),
            ({}, json.dumps({"name": self.junk()}).encode()),
            ({}, json.dumps({"name": "error_1008", self.junk() + "?": 1}).encode()),
            ({}, json.dumps({"name": ["error_1008"], "count": {"a": [1]}}).encode()),
            ({}, b'{"name":"' + b"\\ud800" + b'"}'),
        )
        headers, body = self.random.choice(samples)
        return self._build("POST", "/local/faults", headers, body)

    def _text(self, params: dict[str, str]) -> str:
        params["timestamp"] = str(time.time_ns() // 1_000_000)
        return "&".join(f"{quote(k)}={quote(v, errors='replace')}" for k, v in params.items())

    def _signature(self, text: str) -> str:
        return hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _keyed(self) -> dict[str, str]:
        return {"X-MBX-APIKEY": self._key}

    @staticmethod
    def _build(
        method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        lines = [f"{method} {target} HTTP/1.1"]
        fields = {"Host": "127.0.0.1", **(headers or {})}
        lines += [f"{name}: {value}" for name, value in fields.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def wire(self) -> bytes:
        """Return bytes that are no HTTP request at all."""
        samples = (
            self.random.randbytes(self.random.randint(1, 400)) + b"\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /fapi/v1/ping HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"POST /fapi/v1/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc",
            b"GET /fapi/v1/ping HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.random.randbytes(32),
            b"GET /fapi/v1/ping\r\n\r\n",
            b"GET /fapi/v1/ping HTTP/1.1\nHost x\n\n",
        )
        return self.random.choice(samples)

    def api_text(self) -> bytes:
        """Return a text message to the WS-API that must be answered with an error."""
        numbers = (1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), -(1 << 63) - 1, 1 - 10**19)
        number = self.random.choice(numbers)
        identity = self.random.choice((number, "x", None, 1.5, [1], {"a": 1}, self.junk()))
        surrogate = self.random.choice(("\\ud800", "\\udfff", "a\\udc80b"))
        value = self.random.choice(('"x"', "[]", "{}", "1", '"\\ud800"'))
        method = self.random.choice(
            ("order.place", "order.cancel", "no.such", self.junk(), 5, None)
        )
        params: object = self.random.choice(
            ({}, [], "x", 5, {"symbol": {"a": [1]}}, {"apiKey": self.junk()})
        )
        samples = (
            json.dumps({"id": identity, "method": method, "params": params}).encode(),
            json.dumps({"method": method, "params": {"symbol": self.junk(), "q": 1e308}}).encode(),
            f'{{"id":{number},"method":"ping","params":{{"{surrogate}":{value}}}}}'.encode(),
            f'{{"id":{number},"method":"{surrogate}"}}'.encode(),
            b'{"id":1,"id":2,"method":"order.place","params":{"symbol":1,"symbol":2}}',
            b"{" * self.random.randint(1, 2_000),
            b"[1,2,3]",
            b"NaN",
            b'"text"',
            self.junk().encode(errors="replace"),
        )
        return self.random.choice(samples)

    def stream_text(self) -> bytes:
        """Return a text message to a stream connection that must be answered with an error."""
        samples = (
            json.dumps({"id": 1, "method": self.junk(), "params": ["a"]}).encode(),
            b"{" * self.random.randint(1, 500),
            b"[1]",
            b"5",
            b'{"method":null}',
            self.junk().encode(errors="replace"),
        )
        return self.random.choice(samples)

    def bad_frame(self) -> bytes:
        """Return bytes that break the WebSocket protocol."""
        mask = self.random.randbytes(4)
        size = self.random.randint(0, 100)
        samples = (
            bytes((0x80 | self.random.choice((3, 4, 5, 6, 7, 11, 15)), 0x80)) + mask,
            bytes((0x81, 3)) + b"abc",  # not masked
            bytes((0xF1, 0x80)) + mask,  # reserved bits
            bytes((0x80, 0x80)) + mask,  # a continuation of nothing
            masked(0x01, b"{", mask) + masked(0x81, b"}", mask),  # text inside text
            masked(0x81, b"\xff\xfe\xed\xa0\x80", mask),  # not UTF-8
            bytes((0x81, 0xFF)) + struct.pack("!Q", 1 << 62) + mask,  # oversized
            bytes((0x89, 0xFE)) + struct.pack("!H", 400) + mask + bytes(400),  # a long ping
            bytes((0x88, 0x81)) + mask + b"x",  # a close with half a code
            self.random.randbytes(size),
        )
        return self.random.choice(samples)


def masked(head: int, payload: bytes, mask: bytes) -> bytes:
    """Return a masked RFC 6455 frame, as a client sends it."""
    size = len(payload)
    if size < 126:
        start = bytes((head, 0x80 | size))
    elif size < 65_536:
        start = struct.pack("!BBH", head, 0x80 | 126, size)
    else:
        start = struct.pack("!BBQ", head, 0x80 | 127, size)
    return start + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
