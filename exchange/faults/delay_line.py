"""Delay messages without changing their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

Deliver = Callable[[str, bytes], None]


class DelayLine:
    """Hold one stream's messages until they are due.

    # Invariant: a message never overtakes one that was put in before it.
    """

    __slots__ = ("_deliver", "_due_s", "_on_change", "_stream", "_waiting")

    def __init__(self, stream: str, deliver: Deliver, on_change: Callable[[], None]) -> None:
        self._stream = stream
        self._deliver = deliver
        self._on_change = on_change
        self._due_s = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._waiting

    def put(self, data: bytes, delay_s: float) -> None:
        """Send a message after the delay, or with the one before it if that is later."""
        loop = asyncio.get_running_loop()
        self._due_s = max(self._due_s, loop.time() + delay_s)
        self._waiting.append((self._due_s, data))
        if len(self._waiting) == 1:
            loop.call_at(self._due_s, self._send_due)
            self._on_change()

    def clear(self) -> None:
        """Drop what waits."""
        self._waiting.clear()

    def _send_due(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        while self._waiting and self._waiting[0][0] <= now_s:
            self._deliver(self._stream, self._waiting.popleft()[1])
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._send_due)
        else:
            self._on_change()
