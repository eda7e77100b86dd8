"""Carry messages to WebSocket clients: frames built once, one write per client and batch."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Protocol

import structlog

BACKLOG_BYTES_MAX = 32 << 20  # a reader further behind than this is disconnected
# Market data that follows a write by less than this waits for the rest of it: a busy exchange
# would spend its time in system calls otherwise. A quiet one writes at once.
PACE_S = 0.001
TEXT = 0x81  # RFC 6455: final fragment, text
CLOSE = 0x88
PING = 0x89
PONG = 0x8A

Listener = Callable[[str], None]


class Tamper(Protocol):
    """Stand between publishers and clients; what it lets through it gives to `Hub.deliver`."""

    @property
    def is_idle(self) -> bool:
        """Tell whether messages may pass by it."""

    def publish(self, stream: str, data: bytes) -> None:
        """Take a message on its way."""

    def forget(self, stream: str) -> None:
        """Drop what waits for the readers of a stream: the last one has left."""


def frame(payload: bytes, head: int = TEXT) -> bytes:
    """Return an unmasked RFC 6455 frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


class Client:
    """Be one WebSocket connection: its transport, what it subscribed to, what waits for it.

    `streams` holds every name that the client asked for; a name maps to False when its data does
    not flow on this connection.
    """

    __slots__ = ("_hub", "combined", "events", "pending", "streams", "transport")

    def __init__(self, hub: Hub, transport: asyncio.WriteTransport, combined: bool) -> None:
        self._hub = hub
        self.transport = transport
        self.combined = combined
        self.pending: list[bytes] = []
        self.streams: dict[str, bool] = {}
        self.events: frozenset[str] = frozenset()  # of user data; empty: all

    def send(self, data: bytes) -> None:
        """Queue one text frame; it is written at the end of the running callback."""
        self.queue(frame(data))

    def queue(self, framed: bytes) -> None:
        """Queue a frame that is built already; it does not wait for market data."""
        if not self.pending:
            self._hub.dirty.append(self)
        self.pending.append(framed)
        self._hub.flush_soon()

    def takes(self, kind: str) -> bool:
        """Tell whether the client wants this kind of user data event."""
        return not self.events or kind in self.events

    def write(self) -> None:
        """Write what is queued in one call; cut a reader that is too far behind."""
        pending, self.pending = self.pending, []
        if self.transport.is_closing():
            return
        self.transport.write(b"".join(pending))
        if self.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
            structlog.get_logger().warning("slow_reader_cut", streams=len(self.streams))
            self.transport.abort()


class Stream:
    """Be one stream: its readers, and its frames, built once for each of the two forms.

    `is_paced` marks market data: it may wait a moment so that more goes with it.
    """

    __slots__ = (
        *("_choosy", "_head", "_hub", "clients", "is_paced", "is_pinned", "name", "plain"),
        "wrapped",
    )

    def __init__(self, hub: Hub, name: str, is_pinned: bool) -> None:
        self._hub = hub
        self._head = b'{"stream":"%b","data":' % name.encode()
        self.name = name
        self.is_pinned = is_pinned
        self.is_paced = is_pinned
        self.clients: dict[Client, None] = {}
        self.plain: list[Client] = []
        self.wrapped: list[Client] = []
        self._choosy = False

    def sort(self) -> None:
        """Part the readers by the form that they want."""
        self.plain = [client for client in self.clients if not client.combined]
        self.wrapped = [client for client in self.clients if client.combined]
        self._choosy = any(client.events for client in self.clients)

    def publish(self, data: bytes) -> None:
        """Queue a message to every reader, wrapped where asked for."""
        if not self.clients:
            return
        tamper = self._hub.tamper
        if tamper is None or tamper.is_idle:
            self.deliver(data)
        else:
            tamper.publish(self.name, data)

    def deliver(self, data: bytes) -> None:
        """Queue a message without looking at fault switches."""
        hub = self._hub
        hub.encoded += 1
        hub.messages += len(self.clients)
        plain, wrapped = self.plain, self.wrapped
        if self._choosy:
            kind = data[6 : data.index(b'"', 6)].decode() if data.startswith(b'{"e":"') else ""
            plain = [client for client in plain if client.takes(kind)]
            wrapped = [client for client in wrapped if client.takes(kind)]
        if plain:
            self._append(plain, data, b"", b"")
        if wrapped:
            self._append(wrapped, data, self._head, b"}")
        if not hub.is_flush_set:
            hub.set_flush(self.is_paced)
        elif not self.is_paced:
            hub.flush_soon()

    def _append(self, clients: list[Client], data: bytes, head: bytes, tail: bytes) -> None:
        size = len(head) + len(data) + len(tail)
        if 126 <= size < 65_536:
            framed = b"\x81\x7e%b%b%b%b" % (size.to_bytes(2, "big"), head, data, tail)
        else:
            framed = frame(head + data + tail)
        dirty = self._hub.dirty
        for client in clients:
            pending = client.pending
            if not pending:
                dirty.append(client)
            pending.append(framed)


class Hub:
    """Map stream names to clients and hand them messages."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}
        self._clients: dict[Client, None] = {}
        self._flush_handle: asyncio.Handle | None = None
        self._is_soon = False
        self._flushed_s = 0.0
        self.is_flush_set = False
        self.dirty: list[Client] = []
        self.on_subscribe: Listener | None = None
        self.tamper: Tamper | None = None
        self.messages = 0  # frames queued to clients
        self.encoded = 0  # messages with at least one reader

    def stream(self, name: str) -> Stream:
        """Return a stream that is kept for its publisher, whether it has readers or not."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self, name, is_pinned=True)
        stream.is_pinned = stream.is_paced = True
        return stream

    def connect(self, client: Client) -> None:
        """Count a client in, so that its backlog is watched."""
        self._clients[client] = None

    def disconnect(self, client: Client) -> None:
        """Forget a client and its subscriptions."""
        for name in list(client.streams):
            self.unsubscribe(client, name)
        self._clients.pop(client, None)

    def subscribe(self, client: Client, name: str, is_served: bool = True) -> None:
        """Add a subscription and tell the market of it; one that is not served stays silent."""
        if client.streams.get(name) == is_served:
            return
        client.streams[name] = is_served
        if not is_served:
            return
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self, name, is_pinned=False)
        stream.clients[client] = None
        stream.sort()
        if self.on_subscribe is not None:
            self.on_subscribe(name)

    def unsubscribe(self, client: Client, name: str) -> None:
        """Remove a subscription if it is there."""
        client.streams.pop(name, None)
        stream = self._streams.get(name)
        if stream is None or client not in stream.clients:
            return
        del stream.clients[client]
        stream.sort()
        if not stream.clients and self.tamper is not None:
            self.tamper.forget(name)
        if not stream.clients and not stream.is_pinned:
            del self._streams[name]

    def set_combined(self, client: Client, combined: bool) -> None:
        """Change the form that a client gets."""
        client.combined = combined
        for name in client.streams:
            stream = self._streams.get(name)
            if stream is not None:
                stream.sort()

    def wanted(self, name: str) -> bool:
        """Tell whether anybody listens, so that nothing is built for nobody."""
        stream = self._streams.get(name)
        return stream is not None and bool(stream.clients)

    def publish(self, name: str, data: bytes) -> None:
        """Queue a message to every subscriber of a stream, wrapped where asked for."""
        stream = self._streams.get(name)
        if stream is not None:
            stream.publish(data)

    def deliver(self, name: str, data: bytes) -> None:
        """Queue a message past the fault switches."""
        stream = self._streams.get(name)
        if stream is not None and stream.clients:
            stream.deliver(data)

    def set_flush(self, is_paced: bool) -> None:
        """Plan the next write: at once, or a moment after the last one."""
        loop = asyncio.get_running_loop()
        due_s = self._flushed_s + PACE_S
        self.is_flush_set = True
        self._is_soon = not (is_paced and loop.time() < due_s)
        if self._is_soon:
            self._flush_handle = loop.call_soon(self.flush)
        else:
            self._flush_handle = loop.call_at(due_s, self.flush)

    def flush_soon(self) -> None:
        """Write at the end of the running callback, whatever was planned."""
        if self._is_soon:
            return
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        self.set_flush(is_paced=False)

    def flush(self) -> None:
        """Write what is queued for every client."""
        self._flush_handle = None
        self.is_flush_set = self._is_soon = False
        dirty, self.dirty = self.dirty, []
        for client in dirty:
            client.write()
        self._flushed_s = asyncio.get_running_loop().time()

    def backlog_bytes(self) -> int:
        """Return the largest number of bytes that a client has not read yet."""
        return max((c.transport.get_write_buffer_size() for c in self._clients), default=0)
