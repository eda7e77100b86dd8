"""Break connections: close them, reset them, or leave them open and silent."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from exchange.faults.line import Line
from exchange.faults.switches import Fault, Switches, Texts

CLOSE_FRAME = b"\x88\x02\x03\xe9"  # RFC 6455: close with 1001, going away
CLOSE_S = 1.0  # how long the peer has to answer a close frame
GRACE_S = 0.02
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: close sends RST
WAYS = ("connection_drop", "connection_half_open", "connection_reset")


class Peer(Protocol):
    """Be a WebSocket connection: whatever is sent to it goes through `transport`."""

    transport: asyncio.WriteTransport


def is_cut(transport: asyncio.BaseTransport | None) -> bool:
    """Tell whether a fault broke this connection: what it still asks for is not carried out."""
    return isinstance(transport, Line) and transport.is_cut


class Connections:
    """Know the open WebSocket connections by kind, and break those that a fault strikes."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._kinds: dict[Peer, str] = {}
        self._half_open: list[asyncio.Transport] = []
        # Gives the transports of REST connections; set by whoever serves them.
        self.rest_transports: Callable[[], Iterable[asyncio.BaseTransport]] = tuple
        for way in WAYS:
            switches.actions[way] = self._break_open
        switches.on_disarm_all.append(self.end_half_open)

    def opened(self, peer: Peer, kind: str) -> None:
        """Count a connection in; a fault that waits for one may strike it at once."""
        self._kinds[peer] = kind
        if self._switches.on_connections:
            way = self.struck(kind, "connect")
            if way is not None:
                asyncio.get_running_loop().call_soon(self.cut, peer, way)

    def closed(self, peer: Peer) -> None:
        """Forget a connection."""
        self._kinds.pop(peer, None)

    def struck(self, kind: str, moment: str, **where: Texts) -> str | None:
        """Return the way in which a connection is to be broken at this moment, or None."""
        for way in WAYS:
            if self._switches.take(way, kind=kind, at=moment, **where) is not None:
                return way
        return None

    def cut(self, peer: Peer, way: str) -> None:
        """Break a WebSocket connection."""
        self._break(peer.transport, way, CLOSE_FRAME)

    def cut_transport(self, transport: asyncio.BaseTransport, way: str) -> None:
        """Break a connection that has no close frames."""
        self._break(transport, way, b"")

    def end_half_open(self) -> None:
        """Abort the connections that were left open and silent."""
        for transport in self._half_open:
            if not transport.is_closing():
                transport.abort()
        self._half_open.clear()

    def _break(self, line: asyncio.BaseTransport, way: str, farewell: bytes) -> None:
        """Break a connection that is neither broken nor closing already."""
        assert isinstance(line, Line), "the server wraps every connection that it accepts"
        if line.is_closing():
            return
        transport = line.cut()
        if way == "connection_half_open":
            # What is not read is not answered either: no pong, no close frame.
            transport.pause_reading()
            self._half_open.append(transport)
        elif way == "connection_drop" and farewell:
            transport.write(farewell)
            asyncio.get_running_loop().call_later(CLOSE_S, transport.close)
        else:
            if way == "connection_reset":
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()

    def _break_open(self, fault: Fault) -> None:
        """Break all open connections of the fault's kind."""
        kind, way = fault.text("kind"), fault.row.name
        for peer in [p for p, k in self._kinds.items() if kind in (k, "all")]:
            self.cut(peer, way)
        if kind in ("rest", "all"):
            # The request that armed the fault is answered first.
            asyncio.get_running_loop().call_later(GRACE_S, self._break_rest, way)

    def _break_rest(self, way: str) -> None:
        sockets = {peer.transport for peer in self._kinds}
        for transport in [t for t in self.rest_transports() if t not in sockets]:
            self.cut_transport(transport, way)
