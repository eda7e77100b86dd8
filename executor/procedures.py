"""Sequences of requests and pauses, written as generators and run without blocking anybody.

def query(order):                       # a procedure
    reply = yield Call("GET", …)        # a request: comes back with its Reply
    yield Pause(50_000_000)             # a pause: comes back when the time has passed
    return reply.ok
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from executor.rest import Call
from executor.timers import Timers
from executor.venue import Reply, VenueDataError


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that long, in nanoseconds."""

    duration_ns: int


Procedure = Generator[Call | Pause, Any, Any]
Submit = Callable[[Call, Callable[[Reply], None]], None]


class Runner:
    """Run procedures: hand their calls to the transport and their pauses to the timers."""

    def __init__(
        self, submit: Submit, timers: Timers, on_bad_data: Callable[[VenueDataError], None]
    ) -> None:
        self._submit = submit
        self._timers = timers
        self._on_bad_data = on_bad_data
        self.active = 0

    def start(self, procedure: Procedure, done: Callable[[Any], None] | None = None) -> None:
        """Run a procedure; `done` gets what it returns, or the VenueDataError that ended it."""
        self.active += 1
        self._step(procedure, None, done)

    def complete(
        self, procedure: Procedure, work: Callable[[int], int], seconds: float, slice_ns: int
    ) -> bool:
        """Work until a procedure has ended; False when the time was over before, or data bad.

        `work` works until a monotonic time, which is never further away than `slice_ns`.
        """
        ended: list[object] = []
        self.start(procedure, ended.append)
        latest_ns = time.monotonic_ns() + int(seconds * 1e9)
        while not ended and (now := time.monotonic_ns()) < latest_ns:
            work(min(latest_ns, now + slice_ns))
        return bool(ended) and not isinstance(ended[0], VenueDataError)

    def _step(self, procedure: Procedure, value: Any, done: Callable[[Any], None] | None) -> None:
        try:
            wanted = procedure.send(value)
        except StopIteration as end:
            self._finish(done, end.value)
            return
        except VenueDataError as error:
            self._on_bad_data(error)
            self._finish(done, error)
            return
        if isinstance(wanted, Pause):
            due_ns = time.monotonic_ns() + wanted.duration_ns
            self._timers.at(due_ns, lambda: self._step(procedure, None, done))
        else:
            self._submit(wanted, lambda reply: self._step(procedure, reply, done))

    def _finish(self, done: Callable[[Any], None] | None, value: Any) -> None:
        self.active -= 1
        if done is not None:
            done(value)
