"""Signals as events to wait for: the supervisor has one thread and never polls for them."""

from __future__ import annotations

import os
import select
import signal

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)


class SignalWatch:
    """Take over the signals that mean something to a supervisor, and wait for them."""

    def __init__(self) -> None:
        self._arrived: list[int] = []
        self._read_fd = -1

    def install(self) -> None:
        """Take the signals over; call it in the main thread."""
        self._read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        for number in WATCHED:
            signal.signal(number, lambda got, frame: self._arrived.append(got))

    def wait(self, timeout_s: float) -> list[int]:
        """Wait until a signal arrives, a child's death included, or the timeout passes."""
        fds = [self._read_fd] if self._read_fd >= 0 else []
        if select.select(fds, [], [], timeout_s)[0]:
            os.read(self._read_fd, 4096)
        arrived, self._arrived = self._arrived, []
        return arrived
