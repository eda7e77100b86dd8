"""One lasting connection to the venue: made by a worker, watched by epoll, made again when lost."""

from __future__ import annotations

import contextlib
import random
import select
import time
from collections.abc import Callable
from typing import Any

from executor.connection import Connection, ConnectionLostError, open_connection
from executor.timers import Timers
from executor.worker import Worker

NS_PER_S = 1_000_000_000
# Venue: a connection lives 24 hours; it is replaced before.
LIFETIME_NS = 23 * 3600 * NS_PER_S
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 5.0


class Link:
    """Keep one connection up.

    Args:
        name: for log lines.
        place: of its descriptor among those that the kernel watches.
        url: returns where to connect, or "" when it is not known now.
        on_up: called when a connection stands, with whether it is the first one.
        on_down: called when it is lost, with the kind of failure.
    """

    def __init__(
        self,
        name: str,
        place: int,
        url: Callable[[], str],
        worker: Worker,
        timers: Timers,
        epoll: select.epoll,
        watched: Any,
        log: Any,
        timeout_s: float,
        silence_ns: int,
        on_up: Callable[[bool], None],
        on_down: Callable[[str], None],
    ) -> None:
        self.connection: Connection | None = None
        self._name, self._place, self._url = name, place, url
        self._worker, self._timers, self._epoll = worker, timers, epoll
        self._watched = watched
        self._log = log
        self._timeout_s, self._silence_ns = timeout_s, silence_ns
        self._on_up, self._on_down = on_up, on_down
        self._attempt = 0
        self._connecting = self._closed = self._paused = False
        self._established = 0
        # Jitter only: nothing depends on the numbers.
        self._random = random.Random()

    def connect(self) -> None:
        """Start to connect, unless that is under way; the result comes through `on_up`."""
        url = self._url()
        if self._connecting or self._closed or not url:
            return
        self._connecting = True

        def connected(made: Connection | str) -> None:
            self._connecting = False
            self._connected(made)
            if url != self._url():
                # The address changed while the handshake was under way.
                self.connect()

        self._worker.submit(0, lambda: open_connection(url, self._timeout_s), connected)

    def _connected(self, made: Connection | str) -> None:
        if isinstance(made, str):
            self._log.warning("cannot connect", link=self._name, error=made, attempt=self._attempt)
            self._retry()
            return
        if self._closed:
            made.close()
            return
        if self.connection is not None:
            self._drop()
        self.connection = made
        self._attempt = 0
        self._watched[self._place] = made.fd
        self._paused = False
        self._epoll.register(made.fd, select.EPOLLIN)
        self._established += 1
        self._timers.at(time.monotonic_ns() + self._silence_ns // 2, lambda: self._check(made))
        self._log.info("connected", link=self._name, count=self._established)
        self._on_up(self._established == 1)

    def _retry(self) -> None:
        delay_s = min(BACKOFF_FIRST_S * 2**self._attempt, BACKOFF_MAX_S)
        delay_s *= self._random.uniform(0.5, 1.0)
        self._attempt += 1
        self._timers.at(time.monotonic_ns() + int(delay_s * NS_PER_S), self._connect_again)

    def _connect_again(self) -> None:
        # Somebody else may have connected meanwhile: a second connection would replace the first.
        if self.connection is None:
            self.connect()

    def _check(self, made: Connection) -> None:
        """Ping a silent connection, give up one that stays silent, replace one that is old."""
        if made is not self.connection:
            return
        now = time.monotonic_ns()
        if now - made.heard_ns > self._silence_ns:
            self.lose("silent")
            return
        if now - made.connected_ns > LIFETIME_NS:
            self.connect()
        try:
            made.ping()
        except ConnectionLostError as error:
            self.lose(str(error))
            return
        self._timers.at(now + self._silence_ns // 2, lambda: self._check(made))

    def send(self, text: str) -> bool:
        """Send a message; return False when the connection broke over it: it may have left."""
        if self.connection is None:
            return False
        try:
            self.connection.send(text)
        except ConnectionLostError as error:
            self.lose(str(error))
            return False
        return True

    def read(self, handle: Callable[[bytes], None], may_go_on: Callable[[], bool]) -> int:
        """Hand the arrived messages to `handle` while `may_go_on`; return how many there were."""
        made = self.connection
        if made is None or not may_go_on():
            return 0
        count = 0
        try:
            for message in made.messages():
                count += 1
                handle(message)
                if made is not self.connection or not may_go_on():
                    break
        except ConnectionLostError as error:
            if made is self.connection:
                self.lose(str(error))
        return count

    def pause(self, paused: bool) -> None:
        """Stop or go on watching the socket: what is not read stays with the kernel."""
        if self.connection is not None and paused != self._paused:
            self._paused = paused
            self._epoll.modify(self.connection.fd, 0 if paused else select.EPOLLIN)

    def lose(self, reason: str) -> None:
        """Give the connection up and start to make another."""
        if self.connection is None:
            return
        self._drop()
        self._log.warning("connection lost", link=self._name, reason=reason)
        self._on_down(reason)
        self._retry()

    def _drop(self) -> None:
        made, self.connection = self.connection, None
        assert made is not None
        self._watched[self._place] = -1
        # Where the library has closed the descriptor already, that removed it from epoll.
        with contextlib.suppress(OSError):
            self._epoll.unregister(made.fd)
        made.close()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        if self.connection is not None:
            self._drop()
