"""The venue's market data as addresses: stream URLs, the snapshot request, connecting.

Venue: "Important WebSocket Change Notice": depth, best prices and single trades live under /public,
aggregated trades and mark prices under /market; `…/stream?streams=a/b` subscribes with the
handshake itself.
"""

from __future__ import annotations

import ctypes
import socket
import ssl
from typing import Any, NamedTuple

import websocket

from config.settings import Venue
from config.venues import Endpoints

SNAPSHOT_PATH = "/fapi/v1/depth"
# The update speed whose stream has no suffix. Venue: "Diff. Book Depth Streams".
DEPTH_SPEED_UNNAMED = "250ms"
BUSY_POLL_US = 50
SO_BUSY_POLL = 46  # not in Python's socket module


class Stream(NamedTuple):
    """One planned connection: what it carries and where it connects to."""

    symbol: int
    label: str
    url: str
    carries_depth: bool
    carries_trades: bool


def streams(endpoints: Endpoints, venue: Venue, symbols: tuple[str, ...]) -> list[Stream]:
    """Return the connections that are wanted: one per symbol, two where trades are aggregated.

    The mark prices of all symbols come by one more: they are few, and limits alone look at them.
    """
    suffix = "" if venue.depth_stream == DEPTH_SPEED_UNNAMED else f"@{venue.depth_stream}"
    aggregated = venue.trade_stream == "aggTrade"
    planned = []
    for index, symbol in enumerate(symbols):
        name = symbol.lower()
        wanted = [f"{name}@depth{suffix}", f"{name}@bookTicker"]
        if not aggregated:
            wanted.insert(1, f"{name}@trade")
        url = _url(endpoints.stream_url, endpoints.public_path, wanted)
        planned.append(Stream(index, f"{symbol} public", url, True, not aggregated))
        if aggregated:
            url = _url(endpoints.stream_url, endpoints.market_path, [f"{name}@aggTrade"])
            planned.append(Stream(index, f"{symbol} market", url, False, True))
    marks = [f"{symbol.lower()}@markPrice@1s" for symbol in symbols]
    url = _url(endpoints.stream_url, endpoints.market_path, marks)
    planned.append(Stream(0, "mark prices", url, False, False))
    return planned


def _url(base: str, path: str, names: list[str]) -> str:
    return f"{base.rstrip('/')}{path}/stream?streams={'/'.join(names)}"


def snapshot_request(
    endpoints: Endpoints, venue: Venue, symbol: str
) -> tuple[str, dict[str, str | int]]:
    """Return (URL, parameters) of a depth snapshot."""
    url = endpoints.rest_url.rstrip("/") + SNAPSHOT_PATH
    return url, {"symbol": symbol, "limit": venue.snapshot_limit}


class Opened(NamedTuple):
    """A connection after its handshake."""

    client: Any  # websocket.WebSocket: answers control frames, closes
    socket: Any  # non-blocking
    leftover: bytes  # bytes of the stream that the handshake has read already
    is_encrypted: bool


def open_stream(url: str, timeout_s: float) -> Opened:
    """Connect and shake hands; blocking, for a worker thread.

    Raises:
        OSError, websocket.WebSocketException: as they come.
    """
    client = websocket.create_connection(
        url,
        timeout=timeout_s,
        sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        enable_multithread=False,
        skip_utf8_validation=True,
        suppress_origin=True,
    )
    # The client reads headers byte by byte, so nothing should be left; if that changes, no frame
    # may be lost by it.
    leftover = b"".join(client.frame_buffer.recv_buffer)
    client.frame_buffer.recv_buffer.clear()
    client.settimeout(0)
    return Opened(client, client.sock, leftover, client.is_ssl())


def receive_into(opened: Opened, address: int, size: int) -> int:
    """Receive into memory from an encrypted connection; return the bytes, 0 = none are there.

    Raises:
        OSError: the connection is gone; its end is a ConnectionError too.
    """
    target = (ctypes.c_char * size).from_address(address)
    try:
        received = opened.socket.recv_into(target, size)
    except (ssl.SSLWantReadError, BlockingIOError):
        return 0
    if received == 0:
        raise ConnectionError("closed by the venue")
    return int(received)


def refusal_of_busy_poll(open_socket: Any) -> str:
    """Let the kernel busy-poll a socket's queue; return why it refuses, or an empty text."""
    try:
        open_socket.setsockopt(socket.SOL_SOCKET, SO_BUSY_POLL, BUSY_POLL_US)
    except OSError as error:
        return f"SO_BUSY_POLL: {error.strerror or error}"
    return ""
