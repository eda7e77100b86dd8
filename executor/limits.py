"""The venue's request limits as its answers state them, and the pause it asks for.

Venue: "LIMITS": 429 asks to back off (Retry-After), 418 is a ban; the order counts of WS-API
answers and of the REST headers X-MBX-ORDER-COUNT-(intervalNum)(intervalLetter) are those of the
account, the request weight there and in X-MBX-USED-WEIGHT-(intervalNum)(intervalLetter) that of the
address. The headers have no limits: they are measured by those that WS-API answers and exchangeInfo
stated.
Periodic comparisons wait when much of the weight is used, entries when most of it or of the orders
is: the rest belongs to cancels, stops, exits and countdowns. Those wait for nothing but what the
venue asks for by 429 and 418.
"""

from __future__ import annotations

import time

from executor.venue import Reply

NS_PER_S = 1_000_000_000
# Entries use at most this share of a limit.
ENTRY_SHARE = 0.8
# Comparisons go up to this share of the weight; countdowns of many symbols use half of it.
COMPARE_SHARE = 0.7
# Used when the venue asks for a pause without saying how long.
PAUSE_NS_DEFAULT = 10 * NS_PER_S
_INTERVALS_S = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_LETTERS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ORDERS, WEIGHT = "ORDERS", "REQUEST_WEIGHT"
_HEADERS = {"x-mbx-order-count-": ORDERS, "x-mbx-used-weight-": WEIGHT}


class Limits:
    """Remember what the venue said last; times are monotonic.

    Args:
        weight_limit: of a minute, by exchangeInfo; 0 = not known until a WS-API answer states it.
    """

    def __init__(self, weight_limit: int = 0) -> None:
        self._paused_until_ns = 0
        self._banned_until_ns = 0
        # Both by kind and seconds of the interval: limits as WS-API answers stated them, and what
        # a count at or above a share of one holds back until a whole interval has passed.
        self._limits = {(WEIGHT, 60): weight_limit} if weight_limit > 0 else {}
        self._counts: dict[tuple[str, int], int] = {}
        self._entries_ns: dict[tuple[str, int], int] = {}
        self._comparisons_ns: dict[tuple[str, int], int] = {}

    def note(self, reply: Reply) -> None:
        """Take what a reply says about limits."""
        if reply.status in (418, 429):
            now = time.monotonic_ns()
            until = now + (retry_after_ns(reply) or PAUSE_NS_DEFAULT)
            self._paused_until_ns = max(self._paused_until_ns, until)
            if reply.status == 418:
                self._banned_until_ns = max(self._banned_until_ns, until)
        for row in reply.rate_limits:
            if row.get("rateLimitType") in (ORDERS, WEIGHT):
                self._note_row(row)
        for name, text in reply.headers.items():
            for prefix, kind in _HEADERS.items():
                if name.startswith(prefix):
                    self._note_header(kind, name.removeprefix(prefix), text)

    def _note_row(self, row: dict[str, object]) -> None:
        limit, count, number = row.get("limit"), row.get("count"), row.get("intervalNum")
        interval_s = _INTERVALS_S.get(str(row.get("interval")), 0)
        if not (isinstance(limit, int) and isinstance(count, int) and isinstance(number, int)):
            return
        key = (str(row["rateLimitType"]), interval_s * number)
        self._limits[key] = limit
        self._note_count(key, count)

    def _note_header(self, kind: str, interval: str, text: str) -> None:
        number, unit_s = interval[:-1], _LETTERS_S.get(interval[-1:], 0)
        if all(t.isascii() and t.isdigit() for t in (number, text)):
            self._note_count((kind, int(number) * unit_s), int(text))

    def _note_count(self, key: tuple[str, int], count: int) -> None:
        if 2 * count < self._counts.get(key, 0):
            # Another window has begun, and no two answers have merely overtaken each other: what
            # the last one held back may go on.
            self._entries_ns.pop(key, None)
            self._comparisons_ns.pop(key, None)
        self._counts[key] = count
        limit = self._limits.get(key)
        if limit is None:
            return
        # The window began at some time unknown to us: a whole one has to pass.
        until = time.monotonic_ns() + key[1] * NS_PER_S
        if count >= limit * ENTRY_SHARE:
            self._entries_ns[key] = until
        if key[0] == WEIGHT and count >= limit * COMPARE_SHARE:
            self._comparisons_ns[key] = until

    def allows_entry(self) -> bool:
        """Return whether an entry may be sent now."""
        return time.monotonic_ns() >= max(self._paused_until_ns, *self._entries_ns.values(), 0)

    def allows_exit(self) -> bool:
        """Return whether an exit or a cancel may be sent now: always but during a ban."""
        return time.monotonic_ns() >= self._banned_until_ns

    def pause_ns(self) -> int:
        """Return how long the venue wants nothing that is not urgent, 0 = it may be asked."""
        return max(0, self._paused_until_ns - time.monotonic_ns())

    def comparison_wait_ns(self) -> int:
        """Return how long a comparison has to wait before it begins, 0 = not at all."""
        until = max(self._paused_until_ns, *self._comparisons_ns.values(), 0)
        return max(0, until - time.monotonic_ns())


def retry_after_ns(reply: Reply) -> int:
    """Return the pause a reply asks for, 0 = it does not say."""
    text = reply.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return int(text) * NS_PER_S
    return reply.retry_after_ns
