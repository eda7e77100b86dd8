"""The venue's request limits as its answers state them, and the pause it asks for.

Venue: "LIMITS": 429 asks to back off (Retry-After), 418 is a ban; the order counts of WS-API
answers and of the REST headers X-MBX-ORDER-COUNT-(intervalNum)(intervalLetter) are those of the
account. The headers have no limits: they are measured by the limits that WS-API answers stated.
Entries stop before a limit is reached: the rest of the budget belongs to cancels and exits. The
request weight is not counted here; beyond it the venue answers 429.
"""

from __future__ import annotations

import time

from executor.venue import Reply

NS_PER_S = 1_000_000_000
# Entries use at most this share of an order limit.
ENTRY_SHARE = 0.8
# Used when the venue asks for a pause without saying how long.
PAUSE_NS_DEFAULT = 10 * NS_PER_S
_INTERVALS_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_LETTERS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COUNT_HEADER = "x-mbx-order-count-"


class Limits:
    """Remember what the venue said last; times are monotonic."""

    def __init__(self) -> None:
        self._paused_until_ns = 0
        self._banned_until_ns = 0
        self._full_until_ns = 0
        # Order limits by the seconds of their interval, as WS-API answers stated them.
        self._order_limits: dict[int, int] = {}

    def note(self, reply: Reply) -> None:
        """Take what a reply says about limits."""
        if reply.status in (418, 429):
            now = time.monotonic_ns()
            until = now + (retry_after_ns(reply) or PAUSE_NS_DEFAULT)
            self._paused_until_ns = max(self._paused_until_ns, until)
            if reply.status == 418:
                self._banned_until_ns = max(self._banned_until_ns, until)
        for row in reply.rate_limits:
            if row.get("rateLimitType") == "ORDERS":
                self._note_orders(row)
        for name, text in reply.headers.items():
            if name.startswith(_COUNT_HEADER):
                self._note_header(name.removeprefix(_COUNT_HEADER), text)

    def _note_orders(self, row: dict[str, object]) -> None:
        limit, count, number = row.get("limit"), row.get("count"), row.get("intervalNum")
        interval_s = _INTERVALS_S.get(str(row.get("interval")), 0)
        if not (isinstance(limit, int) and isinstance(count, int) and isinstance(number, int)):
            return
        self._order_limits[interval_s * number] = limit
        self._note_count(interval_s * number, count)

    def _note_header(self, interval: str, text: str) -> None:
        number, unit_s = interval[:-1], _LETTERS_S.get(interval[-1:], 0)
        if all(t.isascii() and t.isdigit() for t in (number, text)):
            self._note_count(int(number) * unit_s, int(text))

    def _note_count(self, seconds: int, count: int) -> None:
        limit = self._order_limits.get(seconds)
        if limit is not None and count >= limit * ENTRY_SHARE:
            # The window began at some time unknown to us: a whole one has to pass.
            until = time.monotonic_ns() + seconds * NS_PER_S
            self._full_until_ns = max(self._full_until_ns, until)

    def allows_entry(self) -> bool:
        """Return whether an entry may be sent now."""
        now = time.monotonic_ns()
        return now >= max(self._paused_until_ns, self._full_until_ns)

    def allows_exit(self) -> bool:
        """Return whether an exit or a cancel may be sent now: always but during a ban."""
        return time.monotonic_ns() >= self._banned_until_ns

    def pause_ns(self) -> int:
        """Return how long housekeeping has to wait, 0 = not at all."""
        return max(0, self._paused_until_ns - time.monotonic_ns())


def retry_after_ns(reply: Reply) -> int:
    """Return the pause a reply asks for, 0 = it does not say."""
    text = reply.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return int(text) * NS_PER_S
    return reply.retry_after_ns
