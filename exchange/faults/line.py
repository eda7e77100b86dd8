"""Cut a connection so that those who use it see it lost while its peer need not see anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

Data = bytes | bytearray | memoryview


class Deaf(asyncio.Protocol):
    """Hear what a cut connection still says, and do nothing about it."""


class Line(asyncio.Transport):
    """Stand between a connection's transport and everybody who writes to it.

    # Invariant: once it is cut, nothing passes in either direction, whoever holds it; to all of
    # them it looks like a connection that is closing.
    """

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self.inner = inner
        self.is_cut = False

    def cut(self) -> asyncio.Transport:
        """Tell the protocol that the connection is lost; return the transport, which is open."""
        self.is_cut = True
        protocol = self.inner.get_protocol()
        self.inner.set_protocol(Deaf())
        # Requests of this connection may be under way: they hear of it as of any lost connection.
        lost = ConnectionResetError("the connection was cut")
        asyncio.get_running_loop().call_soon(protocol.connection_lost, lost)
        return self.inner

    def write(self, data: Data) -> None:
        """Write, unless it is cut."""
        if not self.is_cut:
            self.inner.write(data)

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Write, unless it is cut."""
        if not self.is_cut:
            self.inner.writelines(list_of_data)

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""
        return self.is_cut or self.inner.is_closing()

    def close(self) -> None:
        """Close it, unless it is cut: then its end is up to who cut it."""
        if not self.is_cut:
            self.inner.close()

    def abort(self) -> None:
        """Abort it, unless it is cut."""
        if not self.is_cut:
            self.inner.abort()

    def pause_reading(self) -> None:
        """Stop reading."""
        if not self.is_cut:
            self.inner.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless it is cut."""
        if not self.is_cut:
            self.inner.resume_reading()

    def is_reading(self) -> bool:
        """Tell whether it is read."""
        return not self.is_cut and self.inner.is_reading()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait, none when it is cut."""
        return 0 if self.is_cut else self.inner.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks between which the protocol is told to pause."""
        return self.inner.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set these marks."""
        self.inner.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of its connection."""
        return self.inner.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the transport's protocol."""
        return self.inner.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the transport's protocol, unless it is cut."""
        if not self.is_cut:
            self.inner.set_protocol(protocol)

    def can_write_eof(self) -> bool:
        """Tell whether one direction can be closed alone."""
        return self.inner.can_write_eof()

    def write_eof(self) -> None:
        """Close the direction to the peer, unless it is cut."""
        if not self.is_cut:
            self.inner.write_eof()
