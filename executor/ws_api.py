"""Order requests over the venue's WebSocket API.

A request's id tells what it was and about which order, so an answer that comes after we gave up
waiting still finds its order: `p<order id>-<number>` for order.place and algoOrder.place,
`r<number>` for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from executor.algo import is_stop
from executor.clock import VenueClock
from executor.link import Link
from executor.rest import Call
from executor.texts import OrderTexts
from executor.timers import Timers
from executor.venue import NS_PER_MS, Reply, VenueDataError, decode

Done = Callable[[Reply], None]


class WsApi:
    """Send requests, match answers, and make a Reply of whatever becomes of each.

    `on_place(order_id, reply)` gets the outcome of order.place: an answer, or none in time; after
    the latter a late answer may come as well.
    """

    def __init__(
        self,
        texts: OrderTexts,
        clock: VenueClock,
        timers: Timers,
        timeout_ns: int,
        on_place: Callable[[int, Reply], None],
    ) -> None:
        self.link: Link | None = None
        self._texts = texts
        self._clock = clock
        self._timers = timers
        self._timeout_ns = timeout_ns
        self._on_place = on_place
        self._number = 0
        self._placed: dict[str, tuple[int, int]] = {}  # request id → (order id, sent)
        self._waiting: dict[str, tuple[Done, int]] = {}  # request id → (callback, sent)

    @property
    def is_up(self) -> bool:
        """Return whether requests can be sent."""
        return self.link is not None and self.link.connection is not None

    def place(self, row: Any) -> bool:
        """Send a new order; return False when the connection broke over it (it may have left).

        The row's `sent_ns` is written after the bytes were handed over.
        """
        assert self.link is not None, "no link"
        self._number += 1
        order_id = row.order_id
        request_id = f"p{order_id}-{self._number}"
        render = self._texts.place_stop if is_stop(row) else self._texts.place
        text = render(request_id, row, self._clock.venue_ms())
        sent = self.link.send(text)
        row.sent_ns = now = time.monotonic_ns()
        if sent:
            self._placed[request_id] = (order_id, now)
            self._timers.at(now + self._timeout_ns, lambda: self._expire(request_id))
        return sent

    def submit(self, call: Call, done: Done) -> None:
        """Send any other request; `done(reply)` is called once."""
        assert self.link is not None, "no link"
        self._number += 1
        request_id = f"r{self._number}"
        stamp_ms = self._clock.venue_ms()
        text = self._texts.request(request_id, call.api_method, call.parameters, stamp_ms)
        sent = self.link.send(text)
        now = time.monotonic_ns()
        if not sent:
            self._timers.at(now, lambda: done(Reply(error="connection lost", sent_ns=now)))
            return
        self._waiting[request_id] = (done, now)
        self._timers.at(now + self._timeout_ns, lambda: self._expire(request_id))

    def _expire(self, request_id: str) -> None:
        self._give_up(request_id, "timeout")

    def _give_up(self, request_id: str, error: str) -> None:
        placed = self._placed.pop(request_id, None)
        if placed is not None:
            self._on_place(placed[0], Reply(error=error, sent_ns=placed[1]))
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            waiting[0](Reply(error=error, sent_ns=waiting[1]))

    def on_down(self) -> None:
        """Give up every request that is under way: its outcome is unknown."""
        for request_id in [*self._placed, *self._waiting]:
            self._give_up(request_id, "connection lost")

    def on_message(self, message: bytes) -> None:
        """Take one message of the venue.

        Raises:
            VenueDataError: it is no answer of ours.
        """
        received_ns = time.monotonic_ns()
        answer = decode(message)
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), int):
            raise VenueDataError("WS-API: not an answer")
        reply = _reply_of(answer, received_ns)
        request_id = answer.get("id")
        if not isinstance(request_id, str):
            raise VenueDataError("WS-API: an answer without our id")
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None:
            reply.sent_ns = waiting[1]
            waiting[0](reply)
            return
        placed = self._placed.pop(request_id, None)
        if placed is not None:
            reply.sent_ns = placed[1]
        order_id = _order_of(request_id)
        if order_id is not None:
            self._on_place(order_id, reply)


def _order_of(request_id: str) -> int | None:
    if not request_id.startswith("p"):
        return None
    number = request_id[1:].partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else None


def _reply_of(answer: dict[str, Any], received_ns: int) -> Reply:
    reply = Reply(status=answer["status"], received_ns=received_ns)
    reply.body = answer.get("result") if reply.status == 200 else answer.get("error")
    limits = answer.get("rateLimits")
    reply.rate_limits = limits if isinstance(limits, list) else []
    data = reply.body.get("data") if reply.status != 200 and isinstance(reply.body, dict) else None
    if isinstance(data, dict) and isinstance(data.get("retryAfter"), int):
        # Venue: "WebSocket API rate limits": the moment, in ms, from which requests pass again.
        served_ms = data.get("serverTime")
        if isinstance(served_ms, int):
            reply.retry_after_ns = max(0, data["retryAfter"] - served_ms) * NS_PER_MS
    return reply
