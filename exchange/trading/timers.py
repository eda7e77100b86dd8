"""Call back at a time of the venue's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

WAIT_MS_MAX = 24 * 60 * 60 * 1000  # the loop's clock and the venue's are compared at least so often


class Timer(Protocol):
    """Be a call that is still to come."""

    def cancel(self) -> None:
        """Make sure that it never comes."""


class Timers(Protocol):
    """Set timers against one clock."""

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Timer:
        """Call once when the clock reaches `due_ms`."""


class LoopTimer:
    """Wait in the event loop until the venue's clock says that it is time."""

    def __init__(
        self, clock_ms: Callable[[], int], due_ms: int, callback: Callable[[], None]
    ) -> None:
        self._clock_ms = clock_ms
        self._due_ms = due_ms
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._wait()

    def cancel(self) -> None:
        """Stop waiting."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait(self) -> None:
        # The clocks differ: the venue's may be shifted or stepped, so it is asked again on waking.
        wait_ms = min(max(0, self._due_ms - self._clock_ms()), WAIT_MS_MAX)
        loop = asyncio.get_running_loop()
        self._handle = loop.call_at(loop.time() + wait_ms / 1000, self._wake)

    def _wake(self) -> None:
        if self._clock_ms() < self._due_ms:
            self._wait()
            return
        self._handle = None
        self._callback()


class LoopTimers:
    """Set timers in the running event loop."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Timer:
        """Call once when the venue's clock reaches `due_ms`, never from inside this call."""
        return LoopTimer(self._clock_ms, due_ms, callback)
