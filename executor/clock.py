"""The venue's clock as seen from here: a measured offset to the monotonic clock.

Venue: "Timing security": a request is accepted if timestamp < serverTime + 1000 ms and
serverTime − timestamp ≤ recvWindow. Held against the monotonic clock, a step of our wall clock
changes nothing.
"""

from __future__ import annotations

import time
from typing import Any

from executor.venue import NS_PER_MS, Reply, VenueDataError

SAMPLE_COUNT = 3


class VenueClock:
    """Tell the venue's time; measured by `adopt`, published in the control record."""

    def __init__(self, control: Any) -> None:
        self._control = control
        # Until it is measured our own wall clock has to do.
        self._from_mono_ns = time.time_ns() - time.monotonic_ns()

    def venue_ns(self) -> int:
        """Return the venue's wall clock now, in nanoseconds since 1970."""
        return time.monotonic_ns() + self._from_mono_ns

    def venue_ms(self) -> int:
        """Return the venue's wall clock now, in milliseconds: the stamp of a request."""
        return (time.monotonic_ns() + self._from_mono_ns) // NS_PER_MS

    def adopt(self, replies: list[Reply]) -> int | None:
        """Take the offset from the fastest of several replies to GET time.

        Returns:
            the round trip of that reply in nanoseconds, or None when no reply was usable.
        """
        best: tuple[int, int] | None = None
        for reply in replies:
            if reply.ok:
                trip = reply.received_ns - reply.sent_ns
                # The venue states whole milliseconds, cut off: half of one is the mean of the rest.
                server_ns = _server_ms(reply) * NS_PER_MS + NS_PER_MS // 2
                offset = server_ns - (reply.sent_ns + trip // 2)
                best = min(best, (trip, offset)) if best else (trip, offset)
        if best is None:
            return None
        self._from_mono_ns = best[1]
        ours_ns = time.time_ns() - time.monotonic_ns()
        self._control.clock_offset_ns = best[1] - ours_ns
        self._control.clock_ready = 1
        return best[0]


def _server_ms(reply: Reply) -> int:
    value = reply.body.get("serverTime") if isinstance(reply.body, dict) else None
    if not isinstance(value, int):
        raise VenueDataError("time: no serverTime")
    return value
