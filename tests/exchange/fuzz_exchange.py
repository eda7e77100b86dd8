"""Throw malformed requests at a running exchange and check what they must not do.

`python -m tests.exchange.fuzz_exchange --requests 100000`. Checked: each is refused with 4xx and a
JSON error that carries a venue code, nothing ends or hangs, the state stays, the memory stays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.exchange.exchange_process import KEY, SECRET, ExchangeProcess
from tests.exchange.fuzz_requests import Fuzz, masked

CONNECTIONS = 8
PIPELINE = 25
PARTS = 4  # the memory is looked at after each
WARM_UP = 10_000  # requests before the memory is measured: buffers and caches have their size then
ANSWER_S_MAX = 10.0
STREAM_MESSAGES_MAX = 9  # Venue: a connection that sends more than 10 a second is ended
RSS_GROWTH_KIB_MAX = 6 * 1024
SHARES = {"http": 0.86, "api": 0.06, "stream": 0.04, "wire": 0.02, "frame": 0.02}
BUDGET = "999999999"
OPTIONS = (
    *("--symbols", "BTCUSDT,ETHUSDT", "--rate", "0.0001"),
    *("--weight-limit", BUDGET, "--orders-10s", BUDGET, "--orders-1m", BUDGET),
)
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# What must be the same afterwards. The first is unsigned and the exchange's own.
WATCHED = (
    "account",
    "openOrders",
    "allOrders",
    "positionRisk",
    "positionSide/dual",
    "openAlgoOrders",
)
VERSIONS = {"account": 3, "positionRisk": 3}


@dataclass(slots=True)
class Tally:
    """Count the answers and keep the first complaints."""

    answers: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def complain(self, text: str, request: bytes) -> None:
        if len(self.complaints) < 50:
            self.complaints.append(f"{text}  request={request[:300]!r}")


def check_refusal(status: int, body: bytes, request: bytes, tally: Tally) -> None:
    """Check one answer: 4xx, JSON, a negative code and a message."""
    try:
        error = json.loads(body)
    except ValueError:
        error = None
    code = error.get("code") if isinstance(error, dict) else None
    tally.answers[f"{status} {code}"] += 1
    if not 400 <= status < 500:
        tally.complain(f"status {status}: {body[:200]!r}", request)
    elif not (isinstance(code, int) and code < 0 and isinstance(error.get("msg"), str)):
        tally.complain(f"no venue code: {status} {body[:200]!r}", request)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    size = 0
    for line in head.split("\r\n"):
        if line.startswith("content-length:"):
            size = int(line.split(":")[1])
    return status, await reader.readexactly(size)


class Client:
    """Send one share of the requests over connections of its own."""

    def __init__(self, host: str, port: int, fuzz: Fuzz, tally: Tally) -> None:
        self._address = (host, port)
        self._fuzz = fuzz
        self._tally = tally

    async def http(self, count: int) -> None:
        """Pipeline requests; open a new connection when the server closes one."""
        batch: list[bytes] = []
        while count or batch:
            reader, writer = await asyncio.open_connection(*self._address)
            answered = 0
            try:
                while count or batch:
                    if not batch:
                        # Drawn just before they are sent: an old timestamp would be the mistake.
                        batch = [self._fuzz.request() for _ in range(min(count, PIPELINE))]
                        count -= len(batch)
                    writer.write(b"".join(batch))
                    while batch:
                        answer = read_answer(reader)
                        status, body = await asyncio.wait_for(answer, ANSWER_S_MAX)
                        check_refusal(status, body, batch.pop(0), self._tally)
                        answered += 1
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
                # A server may end a connection after any answer: what was pipelined is sent again.
                # Only a request that gets no answer on a fresh connection is a complaint.
                if answered == 0 or isinstance(error, TimeoutError):
                    self._tally.complain(f"no answer: {error!r}", batch.pop(0))
            finally:
                writer.close()

    async def wire(self, count: int) -> None:
        """Send what is no HTTP: any 4xx or a closed connection will do."""
        for _ in range(count):
            reader, writer = await asyncio.open_connection(*self._address)
            request = self._fuzz.wire()
            writer.write(request)
            if writer.can_write_eof():
                writer.write_eof()
            answer = await asyncio.wait_for(reader.read(2_000), ANSWER_S_MAX)
            writer.close()
            status = answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/") else "closed"
            self._tally.answers[f"wire {status}"] += 1
            if status.startswith("5"):
                self._tally.complain(f"wire {answer[:200]!r}", request)

    async def texts(self, path: str, count: int) -> None:
        """Send bad messages over one WebSocket; each must be answered with an error."""
        reader, writer = await self._upgrade(path)
        is_api = path.startswith("/ws-fapi")
        for number in range(count):
            if not is_api and number and number % STREAM_MESSAGES_MAX == 0:
                writer.close()
                reader, writer = await self._upgrade(path)
            text = self._fuzz.api_text() if is_api else self._fuzz.stream_text()
            writer.write(masked(0x81, text, b"\x01\x02\x03\x04"))
            answer = await asyncio.wait_for(read_frame(reader), ANSWER_S_MAX)
            if answer is None:
                self._tally.answers[f"{path} closed"] += 1
                self._tally.complain(f"{path} closed the connection", text)
                reader, writer = await self._upgrade(path)
            else:
                self._check_message(path, answer, text)
        writer.close()

    def _check_message(self, path: str, answer: bytes, text: bytes) -> None:
        try:
            message = json.loads(answer)
            code = message["error"]["code"]
            is_refusal = path.startswith("/ws-fapi") is False or 400 <= message["status"] < 500
        except (ValueError, KeyError, TypeError):
            code, is_refusal = None, False
        self._tally.answers[f"{path} {code}"] += 1
        if not is_refusal:
            self._tally.complain(f"{path} answers {answer[:200]!r}", text)

    async def frames(self, path: str, count: int) -> None:
        """Break the protocol: whatever comes, the next connection must be served."""
        for _ in range(count):
            reader, writer = await self._upgrade(path)
            writer.write(self._fuzz.bad_frame())
            writer.write_eof()
            try:
                await asyncio.wait_for(reader.read(), ANSWER_S_MAX)
            except ConnectionError:
                self._tally.answers["frame reset"] += 1
            else:
                self._tally.answers["frame closed"] += 1
            writer.close()

    async def _upgrade(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self._address)
        writer.write(UPGRADE.format(path=path).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S_MAX)
        assert b" 101 " in head, head[:200]
        return reader, writer


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next text of a server's frames, None when the connection ends or is closed."""
    while True:
        try:
            head, size = await reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await reader.readexactly(8))
            payload = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if head & 0x0F == 1:
            return payload
        if head & 0x0F == 8:
            return None


async def throw(rest: str, count: int, seed: int, tally: Tally) -> None:
    """Send `count` requests of all kinds over connections at once."""
    place = urlsplit(rest)
    assert place.hostname is not None and place.port is not None, rest
    jobs = []
    for number in range(CONNECTIONS):
        fuzz = Fuzz(seed * 1_000 + number, KEY, SECRET)
        client = Client(place.hostname, place.port, fuzz, tally)
        each = {kind: int(count * share / CONNECTIONS) + 1 for kind, share in SHARES.items()}
        jobs += [
            client.http(each["http"]),
            client.texts("/ws-fapi/v1", each["api"]),
            client.texts("/public/stream", each["stream"]),
            client.wire(each["wire"]),
            client.frames(("/ws-fapi/v1", "/market/ws")[number % 2], each["frame"]),
        ]
    await asyncio.gather(*jobs)


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"no VmRSS of pid {pid}")


def state_of(exchange: ExchangeProcess) -> dict[str, Any]:
    """Return what malformed requests must not change."""
    status = exchange.get("/local/status").json()
    state = {name: status[name] for name in ("orders", "duplicate_client_ids")}
    state["faults"] = exchange.get("/local/faults").json()["armed"]
    for path in WATCHED:
        params = {"symbol": "BTCUSDT"} if path == "allOrders" else {}
        target = f"/fapi/v{VERSIONS.get(path, 1)}/{path}"
        response = exchange.signed("GET", target, **params)
        state[path] = response.json() if response.status_code == 200 else response.status_code
    return state


def run(count: int, seed: int) -> tuple[Tally, list[str]]:
    """Fuzz a fresh exchange; return the tally and every complaint. Prints what was measured."""
    tally = Tally()
    # A pipe that nobody reads would stop the exchange when it is full, hence files.
    with tempfile.TemporaryDirectory() as place:
        log, errors = Path(place) / "log", Path(place) / "stderr"
        with errors.open("wb") as stream:
            exchange = ExchangeProcess(*OPTIONS, "--log-file", str(log), stderr=stream)
            complaints = _run(exchange, count, seed, tally)
        for file in (log, errors):
            if file.exists():
                complaints += complaints_of_log(file.read_text(errors="replace"))
    return tally, complaints


def complaints_of_log(text: str) -> list[str]:
    """Return the first lines that tell of an exception: nobody's mistake may cause one."""
    words = ("Traceback", "loop_failure", "Unhandled")
    lines = text.splitlines()
    found = [number for number, line in enumerate(lines) if any(w in line for w in words)]
    # The exception's own line ends a traceback: the first that is not indented.
    ends = (next((t for t in lines[n + 1 :] if t[:1] not in (" ", "")), "") for n in found)
    pairs = zip(found, ends, strict=True)
    # What is no HTTP is told by the server's library with a traceback of its own.
    kinds = dict.fromkeys(
        f"log: {lines[number][:200]} {end[:200]}"
        for number, end in pairs
        if not end.startswith("aiohttp.http_exceptions.")
    )
    return list(kinds)[:8]


def _run(exchange: ExchangeProcess, count: int, seed: int, tally: Tally) -> list[str]:
    try:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = exchange.signed("POST", "/fapi/v1/order", **order, quantity="0.01", price="60000")
        assert placed.status_code == 200, placed.text
        before = state_of(exchange)
        asyncio.run(throw(exchange.rest, min(WARM_UP, count), seed, tally))
        pid = exchange.process.pid
        rss = [rss_kib(pid)]
        began_s = time.monotonic()
        for part in range(PARTS):
            asyncio.run(throw(exchange.rest, count // PARTS, seed + 1 + part, tally))
            rss.append(rss_kib(pid))
        took_s = time.monotonic() - began_s
        after = state_of(exchange)
        complaints = list(tally.complaints)
        complaints += [
            f"state of {name} changed: {before[name]} -> {after[name]}"
            for name in before
            if before[name] != after[name]
        ]
        if rss[-1] - rss[0] > RSS_GROWTH_KIB_MAX:
            complaints.append(f"memory grew: {rss[0]} KiB -> {rss[-1]} KiB")
    finally:
        code = exchange.close()
    if code != 0:
        complaints.append(f"the exchange ended with {code}")
    print(f"seed={seed} requests={count} seconds={took_s:.1f} per_second={count / took_s:.0f}")
    print(f"rss_kib before={rss[0]} after={rss[-1]} on the way={rss[1:-1]}")
    for answer, number in sorted(tally.answers.items(), key=lambda row: -row[1]):
        print(f"  {number:7d} {answer}")
    return complaints


def main() -> int:
    """Run from the command line; exit code 1 when there is a complaint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    _, complaints = run(given.requests, given.seed)
    for complaint in complaints:
        print(f"FAIL {complaint}")
    print("failed" if complaints else "all refused, nothing changed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
