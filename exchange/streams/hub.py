"""Carry messages to WebSocket clients: frames built once, one write per client and batch."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import structlog

BACKLOG_BYTES_MAX = 32 << 20  # a reader further behind than this is disconnected
TEXT = 0x81  # RFC 6455: final fragment, text
PING = 0x89

Listener = Callable[[str], None]


def frame(payload: bytes, head: int = TEXT) -> bytes:
    """Return an unmasked RFC 6455 frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


class Client:
    """Be one WebSocket connection: its transport, what it subscribed to, what waits for it."""

    __slots__ = ("_hub", "combined", "pending", "streams", "transport")

    def __init__(self, hub: Hub, transport: asyncio.WriteTransport, combined: bool) -> None:
        self._hub = hub
        self.transport = transport
        self.combined = combined
        self.pending: list[bytes] = []
        self.streams: dict[str, None] = {}

    def send(self, data: bytes) -> None:
        """Queue one text frame; it is written at the end of the current batch."""
        self.queue(frame(data))

    def queue(self, framed: bytes) -> None:
        """Queue a frame that is built already."""
        if not self.pending:
            self._hub.mark(self)
        self.pending.append(framed)

    def write(self) -> None:
        """Write what is queued in one call; cut a reader that is too far behind."""
        pending, self.pending = self.pending, []
        if self.transport.is_closing():
            return
        self.transport.write(b"".join(pending))
        if self.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
            structlog.get_logger().warning("slow_reader_cut", streams=len(self.streams))
            self.transport.abort()


class Hub:
    """Map stream names to clients and hand them messages."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[Client, None]] = {}
        self._clients: dict[Client, None] = {}
        self._dirty: list[Client] = []
        self.on_subscribe: Listener | None = None
        self.messages = 0

    def connect(self, client: Client) -> None:
        """Count a client in, so that its backlog is watched."""
        self._clients[client] = None

    def disconnect(self, client: Client) -> None:
        """Forget a client and its subscriptions."""
        for stream in list(client.streams):
            self.unsubscribe(client, stream)
        self._clients.pop(client, None)

    def subscribe(self, client: Client, stream: str) -> None:
        """Add a subscription and tell the market of it."""
        client.streams[stream] = None
        self._streams.setdefault(stream, {})[client] = None
        if self.on_subscribe is not None:
            self.on_subscribe(stream)

    def unsubscribe(self, client: Client, stream: str) -> None:
        """Remove a subscription if it is there."""
        client.streams.pop(stream, None)
        clients = self._streams.get(stream)
        if clients is not None:
            clients.pop(client, None)
            if not clients:
                del self._streams[stream]

    def wanted(self, stream: str) -> bool:
        """Tell whether anybody listens, so that nothing is built for nobody."""
        return stream in self._streams

    def publish(self, stream: str, data: bytes) -> None:
        """Queue a message to every subscriber of a stream, wrapped where asked for."""
        clients = self._streams.get(stream)
        if clients is None:
            return
        plain = wrapped = None
        for client in clients:
            if client.combined:
                if wrapped is None:
                    wrapped = frame(b'{"stream":"%b","data":%b}' % (stream.encode(), data))
                client.queue(wrapped)
            else:
                if plain is None:
                    plain = frame(data)
                client.queue(plain)
            self.messages += 1

    def mark(self, client: Client) -> None:
        """Note that a client has frames; all are written when the running callback is over."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self.flush)
        self._dirty.append(client)

    def flush(self) -> None:
        """Write what is queued for every client."""
        dirty, self._dirty = self._dirty, []
        for client in dirty:
            client.write()

    def ping_all(self) -> None:
        """Send a ping frame to every client."""
        for client in list(self._clients):
            client.queue(frame(b"", PING))

    def backlog_bytes(self) -> int:
        """Return the largest number of bytes that a client has not read yet."""
        return max((c.transport.get_write_buffer_size() for c in self._clients), default=0)
