"""Hold what a connection may do: how often it may speak, how long it lives, when it must answer.

# Venue: "Websocket Market Streams" and "Websocket API General Info".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 1.0
STREAM_MESSAGES_MAX = 10  # frames a second of a stream connection, control frames included
API_CONTROLS_MAX = 5  # pings and pongs a second of a WS-API connection
POLICY = 1008  # RFC 6455 close code
GOING_AWAY = 1001


@dataclass(frozen=True)
class Lifetimes:
    """Hold the times of a connection in seconds."""

    ping_s: float = 180.0
    pong_timeout_s: float = 600.0
    life_s: float = 86_400.0

    @property
    def look_s(self) -> float:
        """Return how often connections are looked at, so that each limit is met within 5 %."""
        return max(0.02, min(1.0, min(self.ping_s, self.pong_timeout_s, self.life_s) / 20))


class Rate:
    """Count frames within the last second."""

    __slots__ = ("_count_max", "_times")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._times: deque[float] = deque(maxlen=count_max)

    def is_over(self, now_s: float) -> bool:
        """Count one frame; tell whether it is one too many."""
        times = self._times
        over = len(times) == self._count_max and now_s - times[0] < WINDOW_S
        times.append(now_s)
        return over


class Pulse:
    """Know when to ping a connection and when to end it."""

    __slots__ = ("_lifetimes", "_opened_s", "_pinged_s", "_waiting_s")

    def __init__(self, lifetimes: Lifetimes, now_s: float) -> None:
        self._lifetimes = lifetimes
        self._opened_s = self._pinged_s = now_s
        self._waiting_s = 0.0  # since when a pong is missing, 0 for none

    def pong(self) -> None:
        """Note an answer; one that was not asked for counts too."""
        self._waiting_s = 0.0

    def ending(self, now_s: float) -> tuple[int, bytes] | None:
        """Return the close code and reason when the connection has to end."""
        if self._waiting_s and now_s - self._waiting_s >= self._lifetimes.pong_timeout_s:
            return POLICY, b"Pong timeout"
        if now_s - self._opened_s >= self._lifetimes.life_s:
            return GOING_AWAY, b"Connection is too old"
        return None

    def is_ping_due(self, now_s: float) -> bool:
        """Tell whether to ping now, and note that it happens."""
        if now_s - self._pinged_s < self._lifetimes.ping_s:
            return False
        self._pinged_s = now_s
        if not self._waiting_s:
            self._waiting_s = now_s
        return True
