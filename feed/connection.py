"""Keep the planned connections open: connect, watch, ping, replace, reconnect.

Nothing here blocks: handshakes run in a worker thread, and every wait is a time that `next_ns`
states and `due` looks at.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import websocket

from feed.venue import Opened, Stream, open_stream
from feed.workers import Worker

S_NS = 1_000_000_000
BACKOFF_NS = S_NS // 10
BACKOFF_NS_MAX = 30 * S_NS
SETTLED_NS = 10 * S_NS  # a connection that lived that long starts the backoff over
# Venue: "A single connection is only valid for 24 hours". A successor is opened before.
AGE_NS_MAX = 23 * 3600 * S_NS
OVERLAP_NS = 5 * S_NS
NEVER_NS = 1 << 62

CLOSE_NORMAL = 1000
CLOSE_PROTOCOL_ERROR = 1002
CLOSE_TOO_LARGE = 1009


class Handshake(NamedTuple):
    """The result of a connection attempt, from the worker thread."""

    link: int
    slot: int
    opened: Opened | None
    problem: str


@dataclass
class Connection:
    """One open connection and the slot (feed_connection row) it is parsed in."""

    slot: int
    opened: Opened
    opened_ns: int
    pinged_ns: int = 0

    def ping(self, now_ns: int) -> None:
        """Ask for a sign of life.

        Raises:
            OSError, websocket.WebSocketException: the socket takes no bytes.
        """
        self.pinged_ns = now_ns
        self.opened.client.ping(b"")

    def pong(self, payload: bytes) -> None:
        """Answer a ping; raises as `ping`."""
        self.opened.client.pong(payload)

    def close(self, status: int) -> None:
        """Say goodbye if the socket takes it, and close; never waits."""
        with contextlib.suppress(OSError, websocket.WebSocketException):
            # When it does not, the peer is gone already: there is nobody to tell.
            self.opened.client.send_close(status)
        self.opened.client.shutdown()


@dataclass
class Link:
    """A planned connection: at most one in use and one that takes over."""

    index: int
    stream: Stream
    free_slots: list[int]
    current: Connection | None = None
    successor: Connection | None = None
    is_connecting: bool = False
    attempts: int = 0
    not_before_ns: int = 0
    open_ns_max: int = AGE_NS_MAX
    problem: str = ""

    @property
    def connections(self) -> list[Connection]:
        """Return the open connections, the one in use first."""
        return [c for c in (self.current, self.successor) if c is not None]


class Links:
    """All planned connections.

    Args:
        planned: streams; the slots k and k + len(planned) serve stream k.
        worker: thread for handshakes.
        timeout_s: of a handshake.
        stale_ns: silence after which a connection counts as dead.
        last_receive_ns: gives a slot's newest receive stamp.
        seed: of the jitter.
    """

    def __init__(
        self,
        planned: list[Stream],
        worker: Worker,
        timeout_s: float,
        stale_ns: int,
        last_receive_ns: Callable[[int], int],
        seed: int,
    ) -> None:
        count = len(planned)
        self.links = [Link(k, stream, [k, k + count]) for k, stream in enumerate(planned)]
        self._worker = worker
        self._timeout_s = timeout_s
        self._stale_ns = stale_ns
        self._last_receive_ns = last_receive_ns
        self._random = random.Random(seed)
        for link in self.links:
            # Spread out, so that not all are replaced at once.
            link.open_ns_max = int(AGE_NS_MAX * self._random.uniform(0.95, 1.0))

    def of_slot(self, slot: int) -> Link:
        """Return the link a slot serves."""
        return self.links[slot % len(self.links)]

    def connection(self, slot: int) -> Connection | None:
        """Return the open connection of a slot."""
        for connection in self.of_slot(slot).connections:
            if connection.slot == slot:
                return connection
        return None

    @property
    def missing(self) -> list[Link]:
        """Return the links without an open connection."""
        return [link for link in self.links if link.current is None]

    def connect_due(self, now_ns: int) -> None:
        """Start the handshakes whose time has come."""
        for link in self.links:
            if link.is_connecting or now_ns < self._connect_ns(link):
                continue
            link.is_connecting = True
            slot = link.free_slots.pop()
            job = functools.partial(_shake_hands, link.index, slot, link.stream, self._timeout_s)
            self._worker.submit(job)

    def _connect_ns(self, link: Link) -> int:
        """Return when a link wants a connection: none is open, or the open one grows old."""
        if link.current is None:
            return link.not_before_ns
        if link.successor is not None or not link.free_slots:
            return NEVER_NS
        return max(link.current.opened_ns + link.open_ns_max, link.not_before_ns)

    def next_ns(self, now_ns: int) -> int:
        """Return the next time at which something is due."""
        times = [NEVER_NS]
        for link in self.links:
            if not link.is_connecting:
                times.append(self._connect_ns(link))
            if link.current is not None and link.successor is not None:
                times.append(link.successor.opened_ns + OVERLAP_NS)
            times += [self._alarm_ns(c) for c in link.connections]
        return max(min(times), now_ns)

    def _alarm_ns(self, connection: Connection) -> int:
        heard_ns = self._heard_ns(connection)
        has_pinged = connection.pinged_ns > heard_ns
        return heard_ns + (self._stale_ns if has_pinged else self._stale_ns // 2)

    def _heard_ns(self, connection: Connection) -> int:
        return max(self._last_receive_ns(connection.slot), connection.opened_ns)

    def silent(self, now_ns: int) -> list[Connection]:
        """Ping the connections that have been silent for long; return those that are dead."""
        dead = []
        for link in self.links:
            for connection in link.connections:
                if now_ns < self._alarm_ns(connection):
                    continue
                if now_ns - self._heard_ns(connection) >= self._stale_ns:
                    dead.append(connection)
                    continue
                try:
                    connection.ping(now_ns)
                except (OSError, websocket.WebSocketException):
                    dead.append(connection)
        return dead

    def superseded(self, now_ns: int) -> list[Connection]:
        """Return the connections whose successor has run beside them long enough."""
        found = []
        for link in self.links:
            late = link.successor is not None and now_ns - link.successor.opened_ns >= OVERLAP_NS
            if late and link.current is not None:
                found.append(link.current)
        return found

    def opened(self, result: Handshake, now_ns: int) -> Connection | None:
        """Take the result of a handshake; return the connection, or None when it failed."""
        link = self.links[result.link]
        link.is_connecting = False
        if result.opened is None:
            link.free_slots.append(result.slot)
            link.problem = result.problem
            self._back_off(link, now_ns)
            return None
        connection = Connection(result.slot, result.opened, now_ns)
        link.problem = ""
        if link.current is None:
            link.current = connection
        else:
            link.successor = connection
        return connection

    def lost(self, connection: Connection, now_ns: int) -> Link:
        """Take a connection out of its link; the successor, if there is one, moves up."""
        link = self.of_slot(connection.slot)
        link.free_slots.append(connection.slot)
        if link.successor is connection:
            link.successor = None
        elif link.current is connection:
            link.current, link.successor = link.successor, None
        if now_ns - connection.opened_ns >= SETTLED_NS:
            link.attempts = 0
        self._back_off(link, now_ns)
        return link

    def _back_off(self, link: Link, now_ns: int) -> None:
        pause_ns = min(BACKOFF_NS << min(link.attempts, 16), BACKOFF_NS_MAX)
        link.not_before_ns = now_ns + int(pause_ns * self._random.uniform(0.5, 1.0))
        link.attempts += 1


def _shake_hands(link: int, slot: int, stream: Stream, timeout_s: float) -> Handshake:
    """Connect; runs in the worker thread."""
    try:
        return Handshake(link, slot, open_stream(stream.url, timeout_s), "")
    except (OSError, websocket.WebSocketException) as error:
        return Handshake(link, slot, None, f"{type(error).__name__}: {str(error)[:200]}")
