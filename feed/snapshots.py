"""Fetch depth snapshots in a thread of their own, within what the venue allows.

Venue: "Limits": 429 and 418 carry Retry-After; going on after them leads to a ban.
"""

from __future__ import annotations

import functools
import random
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import requests

from feed.workers import Worker

S_NS = 1_000_000_000
# Pause before the second request of a symbol in a row; it doubles with each further one.
PAUSE_NS = S_NS // 20
PAUSE_NS_MAX = 5 * S_NS
IN_A_ROW_NS = 10 * S_NS
RETRY_AFTER_S = 60  # where the venue does not say how long
REFUSED = (429, 418)


class Answer(NamedTuple):
    """What became of a snapshot request."""

    symbol: int
    received_ns: int  # monotonic
    body: bytes  # empty = no snapshot
    problem: str
    retry_after_s: int  # > 0: the venue wants to be left alone


@dataclass
class _Pace:
    is_in_flight: bool = False
    requested_ns: int = 0
    in_a_row: int = 0
    not_before_ns: int = 0


class SnapshotDesk:
    """Decide when a snapshot may be requested, and request it.

    Args:
        targets: (URL, parameters) per symbol.
        worker: the thread that requests.
        timeout_s: of a request.
        seed: of the jitter.
    """

    def __init__(
        self, targets: list[tuple[str, dict[str, Any]]], worker: Worker, timeout_s: float, seed: int
    ) -> None:
        self._targets = targets
        self._worker = worker
        self._timeout_s = timeout_s
        self._paces = [_Pace() for _ in targets]
        self._blocked_until_ns = 0
        self._random = random.Random(seed)
        self._session = requests.Session()

    def request(self, symbol: int, now_ns: int) -> bool:
        """Request a symbol's snapshot unless one is on its way or it is too early."""
        pace = self._paces[symbol]
        if pace.is_in_flight or now_ns < max(pace.not_before_ns, self._blocked_until_ns):
            return False
        recent = pace.requested_ns and now_ns - pace.requested_ns < IN_A_ROW_NS
        pace.in_a_row = min(pace.in_a_row + 1, 16) if recent else 0
        pause_ns = min(PAUSE_NS << pace.in_a_row, PAUSE_NS_MAX)
        pace.not_before_ns = now_ns + int(pause_ns * self._random.uniform(0.75, 1.0))
        pace.requested_ns = now_ns
        pace.is_in_flight = True
        url, parameters = self._targets[symbol]
        fetch = functools.partial(_fetch, self._session, url, parameters, self._timeout_s, symbol)
        self._worker.submit(fetch)
        return True

    def next_ns(self, symbol: int) -> int:
        """Return when a symbol's snapshot may be requested next; far away while one is coming."""
        pace = self._paces[symbol]
        if pace.is_in_flight:
            return 1 << 62
        return max(pace.not_before_ns, self._blocked_until_ns)

    def answered(self, answer: Answer, now_ns: int) -> None:
        """Note that a request is over."""
        self._paces[answer.symbol].is_in_flight = False
        if answer.retry_after_s > 0:
            self._blocked_until_ns = now_ns + answer.retry_after_s * S_NS

    def close(self) -> None:
        """Close the connections to the venue."""
        self._session.close()


def _fetch(
    session: requests.Session, url: str, parameters: dict[str, Any], timeout_s: float, symbol: int
) -> Answer:
    """Request one snapshot; runs in the worker thread."""
    try:
        response = session.get(url, params=parameters, timeout=timeout_s)
        body = response.content
    except requests.RequestException as error:
        return Answer(symbol, time.monotonic_ns(), b"", type(error).__name__, 0)
    received_ns = time.monotonic_ns()
    if response.status_code == 200:
        return Answer(symbol, received_ns, body, "", 0)
    wait_s = 0
    if response.status_code in REFUSED:
        text = response.headers.get("Retry-After", "")
        wait_s = max(int(text), 1) if text.isdecimal() else RETRY_AFTER_S
    return Answer(symbol, received_ns, b"", f"status {response.status_code}", wait_s)
