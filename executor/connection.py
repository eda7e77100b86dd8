"""A WebSocket to the venue: connected on a worker's thread, then read and written without waiting.

websocket-client does the handshake, TLS and the frames. A frame beyond `FRAME_BYTES_MAX` closes
the connection with 1009 before its payload is read, so memory stays bounded.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import websocket
from websocket import ABNF
from websocket._abnf import frame_buffer as FrameBuffer  # noqa: N812  # a class by any other name

FRAME_BYTES_MAX = 4 << 20
CLOSE_TOO_BIG = 1009


class ConnectionLostError(ConnectionError):
    """The connection is gone; the message names the kind of failure only."""


class FrameTooBigError(websocket.WebSocketException):
    """The venue announced a frame beyond the limit."""


class _BoundedFrames(FrameBuffer):
    def recv_length(self) -> None:
        super().recv_length()
        if self.length is not None and self.length > FRAME_BYTES_MAX:
            raise FrameTooBigError(f"frame is too big: bytes={self.length}")


class _WebSocket(websocket.WebSocket):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.frame_buffer = _BoundedFrames(self._recv, True)


class Connection:
    """A connected socket. Sending and receiving never wait."""

    def __init__(self, made: websocket.WebSocket, now_ns: int) -> None:
        self._made = made
        self.connected_ns = self.heard_ns = now_ns
        made.settimeout(0)
        self.fd = made.fileno()

    def send(self, text: str) -> None:
        """Hand a text message to the socket whole.

        Raises:
            ConnectionLostError: it is gone, or does not take the bytes: some may have left.
        """
        self._try(lambda: self._made.send(text))

    def ping(self) -> None:
        """Send a ping; the answer counts as heard.

        Raises:
            ConnectionLostError: as `send`.
        """
        self._try(self._made.ping)

    def _try(self, action: Any) -> None:
        try:
            action()
        except (OSError, websocket.WebSocketException) as error:
            raise ConnectionLostError(type(error).__name__) from None

    def messages(self) -> Iterator[bytes]:
        """Yield the complete messages that have arrived; pings are answered on the way.

        Raises:
            ConnectionLostError: it was closed or broke, after the last message.
        """
        while True:
            try:
                code, frame = self._made.recv_data_frame(control_frame=True)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except FrameTooBigError:
                self.close(CLOSE_TOO_BIG)
                raise ConnectionLostError("frame too big") from None
            except (OSError, websocket.WebSocketException) as error:
                raise ConnectionLostError(type(error).__name__) from None
            self.heard_ns = time.monotonic_ns()
            if code == ABNF.OPCODE_CLOSE:
                raise ConnectionLostError("closed by the venue")
            if code in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY):
                yield frame.data

    def close(self, status: int = websocket.STATUS_NORMAL) -> None:
        """Say goodbye if the socket takes it at once, and close."""
        made = self._made
        if made.sock is None:
            return
        # The other side may be gone already: closing is all that is left to do then.
        with contextlib.suppress(OSError, websocket.WebSocketException):
            made.send_close(status)
        made.shutdown()


def open_connection(url: str, timeout_s: float) -> Connection | str:
    """Connect and shake hands; blocking, for a worker's thread.

    Returns:
        the connection, or the kind of failure.
    """
    try:
        made = websocket.create_connection(
            url,
            timeout=timeout_s,
            class_=_WebSocket,
            skip_utf8_validation=True,
            suppress_origin=True,
            http_no_proxy=["*"],
            redirect_limit=0,
            sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        )
    except (OSError, websocket.WebSocketException) as error:
        return type(error).__name__
    return Connection(made, time.monotonic_ns())
