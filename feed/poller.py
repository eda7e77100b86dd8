"""The epoll set of the feed: what is watched, and the token the compiled half sees for it."""

from __future__ import annotations

import ctypes
import os
import platform
import select

_LIBC = ctypes.CDLL(None, use_errno=True)
_EPOLL_CTL_ADD = 1
_EPOLL_CTL_DEL = 2
# struct epoll_event is packed on x86-64: u32 events, u64 data.
_DATA_OFFSET = 4 if platform.machine() == "x86_64" else 8


class Poller:
    """Wraps epoll_ctl: `select.epoll` reports descriptors, the compiled half wants tokens."""

    def __init__(self) -> None:
        self._epoll = select.epoll()

    @property
    def fd(self) -> int:
        """Return the descriptor for epoll_wait."""
        return self._epoll.fileno()

    def add(self, fd: int, token: int) -> None:
        """Watch a descriptor for bytes, level-triggered.

        Raises:
            OSError: the kernel refuses.
        """
        event = (ctypes.c_uint8 * 16)()
        ctypes.c_uint32.from_buffer(event, 0).value = select.EPOLLIN | select.EPOLLRDHUP
        ctypes.c_uint64.from_buffer(event, _DATA_OFFSET).value = token
        self._control(_EPOLL_CTL_ADD, fd, event)

    def remove(self, fd: int) -> None:
        """Stop watching; raises as `add`."""
        self._control(_EPOLL_CTL_DEL, fd, None)

    def _control(self, operation: int, fd: int, event: object) -> None:
        if _LIBC.epoll_ctl(self.fd, operation, fd, event) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"epoll_ctl {operation} fd={fd}: {os.strerror(number)}")

    def close(self) -> None:
        """Close the set."""
        self._epoll.close()
