"""Read one combined stream over a raw socket: counts, delays and a hash, as cheaply as it goes.

Run as a process of its own by `bench.exchange_stream`; the arguments are one JSON object, so is the
line that it prints at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

RECEIVE_BYTES = 1 << 18
PROBE = b'"data":{"e":"probe","due":'
PONG_MASKED = b"\x8a\x80\x00\x00\x00\x00"  # an empty pong under a mask of zeros


@dataclass
class Reading:
    """Hold what one reader found between its two marks."""

    start_ns: int  # the first probe due from here on begins the measurement
    end_ns: int  # the first probe due from here on ends it
    events: int = 0
    byte_count: int = 0
    probe_ns: list[int] = field(default_factory=list)
    event_delays: Counter[int] = field(default_factory=Counter)  # ms of the wall clock since E
    digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=8))
    is_counting: bool = False
    is_over: bool = False

    def take(self, payload: bytes, read_ns: int, read_ms: int) -> None:
        """Take one message."""
        at = payload.find(PROBE)
        if at >= 0:
            self._take_probe(int(payload[at + len(PROBE) : -2]), read_ns)
            return
        if not self.is_counting:
            return
        self.events += 1
        self.byte_count += len(payload)
        self.digest.update(payload)
        at = payload.find(b'"E":')
        self.event_delays[read_ms - int(payload[at + 4 : at + 17])] += 1

    def _take_probe(self, due_ns: int, read_ns: int) -> None:
        if due_ns >= self.end_ns:
            self.is_over, self.is_counting = True, False
        elif due_ns >= self.start_ns:
            self.is_counting = True
        if self.is_counting:
            self.probe_ns.append(read_ns - due_ns)


def connect(host: str, port: int, path: str) -> tuple[socket.socket, bytes]:
    """Return an upgraded connection and what followed the handshake."""
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            raise ConnectionError(f"the handshake ended early: {head[:200]!r}")
        head += more
    answer, _, rest = head.partition(b"\r\n\r\n")
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise ConnectionError(f"no upgrade: {answer[:200]!r}")
    return connection, rest


def read(connection: socket.socket, rest: bytes, reading: Reading) -> None:
    """Read frames until the reading is over. Loop bound: the measurement's end."""
    buffer = rest
    while not reading.is_over:
        more = connection.recv(RECEIVE_BYTES)
        read_ns, read_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
        if not more:
            raise ConnectionError("the exchange closed the connection")
        buffer = buffer + more if buffer else more
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, head = buffer[at + 1], 2
            if length == 126:
                head = 4
                length = int.from_bytes(buffer[at + 2 : at + 4], "big")
            elif length == 127:
                head = 10
                length = int.from_bytes(buffer[at + 2 : at + 10], "big")
            end = at + head + length
            if end > size or at + head > size:
                break
            if buffer[at] == 0x81:
                reading.take(buffer[at + head : end], read_ns, read_ms)
            elif buffer[at] == 0x89:
                connection.sendall(PONG_MASKED)
            at = end
        buffer = buffer[at:]


def main() -> None:
    """Run the reader that the first argument describes."""
    wanted = json.loads(sys.argv[1])
    if wanted.get("core") is not None:
        os.sched_setaffinity(0, {wanted["core"]})
    reading = Reading(wanted["start_ns"], wanted["end_ns"])
    connection, rest = connect(wanted["host"], wanted["port"], wanted["path"])
    with connection:
        read(connection, rest, reading)
    times = os.times()
    found = {
        "events": reading.events,
        "bytes": reading.byte_count,
        "hash": reading.digest.hexdigest(),
        "probe_ns": reading.probe_ns,
        "event_delays": dict(reading.event_delays),
        "cpu_s": times.user + times.system,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
