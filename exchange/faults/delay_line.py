"""Delay messages without changing their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from exchange.faults.switches import Fault

Deliver = Callable[[str, bytes], None]
ROOM_BYTES = 64 << 20  # what all lines together may hold


@dataclass(slots=True)
class Room:
    """Count what all lines hold; a line that finds no room lets its oldest messages go early."""

    limit: int = ROOM_BYTES
    used: int = 0
    was_full: bool = False


class DelayLine:
    """Hold one stream's messages until they are due.

    # Invariant: a message never overtakes one that was put in before it: only the first one's time
    # is looked at.
    """

    __slots__ = ("_deliver", "_on_empty", "_room", "_stream", "_timer", "_waiting")

    def __init__(
        self, stream: str, deliver: Deliver, room: Room, on_empty: Callable[[str], None]
    ) -> None:
        self._stream = stream
        self._deliver = deliver
        self._room = room
        self._on_empty = on_empty
        self._timer: asyncio.TimerHandle | None = None
        # Due time in s, the fault that delays it, the message.
        self._waiting: deque[tuple[float, Fault | None, bytes]] = deque()

    def put(self, data: bytes, delay_s: float, fault: Fault | None) -> None:
        """Send a message after the delay, or with the one before it if that is later."""
        due_s = asyncio.get_running_loop().time() + delay_s
        self._waiting.append((due_s, fault, data))
        room = self._room
        room.used += len(data)
        if room.used > room.limit and not room.was_full:
            room.was_full = True
            structlog.get_logger().warning("delay_line_full", limit_bytes=room.limit)
        while self._waiting and room.used > room.limit:
            self._send_first()
        self._plan()

    def release(self, faults: Collection[Fault]) -> None:
        """Let go at once, in order, what these faults delay."""
        self._waiting = deque(
            (0.0 if fault in faults else due_s, fault, data) for due_s, fault, data in self._waiting
        )
        self._send_due()

    def clear(self) -> None:
        """Drop what waits."""
        for _, _, data in self._waiting:
            self._room.used -= len(data)
        self._waiting.clear()
        self._stop_timer()

    def _send_first(self) -> None:
        _, _, data = self._waiting.popleft()
        self._room.used -= len(data)
        self._deliver(self._stream, data)

    def _wake(self) -> None:
        self._timer = None
        self._send_due()

    def _send_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        while self._waiting and self._waiting[0][0] <= now_s:
            self._send_first()
        self._plan()

    def _plan(self) -> None:
        """Wake up when the first message is due; tell when there is none."""
        if not self._waiting:
            self._stop_timer()
            self._room.was_full = self._room.was_full and self._room.used > 0
            self._on_empty(self._stream)
            return
        due_s = self._waiting[0][0]
        if self._timer is None or self._timer.when() != due_s:
            self._stop_timer()
            self._timer = asyncio.get_running_loop().call_at(due_s, self._wake)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
