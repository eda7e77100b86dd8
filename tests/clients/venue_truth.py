"""Read what the exchange itself holds, with nothing but the standard library.

Every scenario runs in the environment of the client it judges, so this file imports no package.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

Rows = list[tuple[float, float]]
Sides = tuple[Any, Any]
TIMEOUT_S = 10.0
MISSES_MAX = 200


class VenueTruth:
    """Ask the exchange as an outsider: urllib and hmac, no client, no proxy."""

    def __init__(self, rest: str, key: str, secret: str) -> None:
        self._rest, self._key, self._secret = rest, key, secret
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **params: object) -> Any:
        query = f"?{urlencode(params)}" if params else ""
        return self._send("GET", f"{path}{query}")

    def signed(self, method: str, path: str, **params: object) -> Any:
        params["timestamp"] = time.time_ns() // 1_000_000
        query = urlencode(params)
        signature = hmac.new(self._secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return self._send(method, f"{path}?{query}&signature={signature}")

    def _send(self, method: str, target: str) -> Any:
        headers = {"X-MBX-APIKEY": self._key}
        request = urllib.request.Request(self._rest + target, method=method, headers=headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                return json.loads(response.read())
        except HTTPError as error:
            return json.loads(error.read())

    def wallet(self) -> Decimal:
        return Decimal(self.signed("GET", "/fapi/v3/account")["totalWalletBalance"])

    def position(self, symbol: str) -> dict[str, Decimal]:
        """Return amount and entry price, zero where there is no position."""
        for row in self.signed("GET", "/fapi/v3/positionRisk", symbol=symbol):
            if row["symbol"] == symbol and Decimal(row["positionAmt"]):
                return {name: Decimal(row[name]) for name in ("positionAmt", "entryPrice")}
        return {"positionAmt": Decimal(0), "entryPrice": Decimal(0)}


def rows_of(side: Any) -> Rows:
    """Return price and quantity as numbers, whatever the client keeps them as."""
    pairs = side.items() if isinstance(side, dict) else side
    return [(float(row[0]), float(row[1])) for row in pairs]


def sorted_sides(sides: Sides) -> tuple[Rows, Rows]:
    bids, asks = sides
    return sorted(rows_of(bids), reverse=True), sorted(rows_of(asks))


class BookJudge:
    """Hold a client's book against REST depth of the same update id, all levels, at intervals.

    While a snapshot is under way the client's states are kept by update id; the snapshot is
    compared with the state that has its id. A snapshot between two states proves nothing and is
    counted as a miss.
    """

    def __init__(self, ask: Callable[[], Any], limit: int, goal: int, every: int) -> None:
        self._ask = ask
        self._limit = limit
        self._goal = goal
        self._every = every
        self._next = every
        # Each snapshot costs of the venue's budget, so a long run must not ask for ever.
        self._compared_max = 2 * max(1, goal // every)
        self._pool = ThreadPoolExecutor(1)
        self._asked: Future[Any] | None = None
        self._states: dict[int, Sides] = {}
        self.updates = self.compared = self.misses = self.levels = 0
        self.differences: list[str] = []
        self._began_s = time.monotonic()
        self._took_s = 0.0

    def done(self) -> bool:
        enough = self.updates >= self._goal and self.compared >= self._goal // self._every // 2
        if enough and not self._took_s:
            self._took_s = time.monotonic() - self._began_s
        return enough or self.misses > MISSES_MAX or bool(self.differences)

    def observe(self, update_id: int, copy: Callable[[], Sides]) -> None:
        """Take the state after one applied update; `copy` is called only when it is needed."""
        self.updates += 1
        if self._asked is None:
            if self.updates >= self._next and self.compared < self._compared_max:
                self._states = {update_id: copy()}
                self._asked = self._pool.submit(self._ask)
            return
        self._states[update_id] = copy()
        if not self._asked.done():
            return
        snapshot = self._asked.result()
        wanted = snapshot["lastUpdateId"]
        if wanted in self._states:
            self._compare(snapshot, self._states[wanted])
            self._next = self.updates + self._every
        elif update_id > wanted:
            self.misses += 1
        else:
            return  # the client is not there yet
        self._asked = None
        self._states = {}

    def _compare(self, snapshot: dict[str, Any], state: Sides) -> None:
        self.compared += 1
        mine = sorted_sides(state)
        for name, held in zip(("bids", "asks"), mine, strict=True):
            want = rows_of(snapshot[name])
            # A full answer says nothing of the levels behind its last one.
            have = held[: len(want)] if len(want) == self._limit else held
            self.levels += len(want)
            if have != want:
                odd = sorted(set(have) ^ set(want))[:6]
                self.differences.append(f"{name} at u={snapshot['lastUpdateId']}: {odd}")

    def report(self) -> dict[str, object]:
        return {
            "updates": self.updates,
            "compared": self.compared,
            "levels": self.levels,
            "misses": self.misses,
            "seconds": round(self._took_s, 1),
        }

    def complaint(self) -> str:
        """Return what is wrong, or an empty string."""
        if self.differences:
            return "; ".join(self.differences[:3])
        if self.updates < self._goal or self.compared < self._goal // self._every // 2:
            return f"updates={self.updates} compared={self.compared} misses={self.misses}"
        return ""


class DiffBook:
    """Keep a book from a snapshot and diffs as the venue documents it for futures."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.update_id = 0
        self.is_loaded = self.is_bridged = False
        self._early: list[tuple[Any, ...]] = []

    def has_early(self) -> bool:
        """Tell whether an event waits: only then a snapshot is sure to be bridged."""
        return bool(self._early)

    def load(self, snapshot_id: int, bids: Any, asks: Any) -> None:
        self.bids, self.asks, self.update_id = dict(bids), dict(asks), snapshot_id
        self.is_loaded = True
        early, self._early = self._early, []
        for event in early:
            self.apply(*event)

    def apply(self, first: int, last: int, previous: int, bids: Any, asks: Any) -> bool:
        """Apply one event; return whether it changed the book. Raises ValueError for a gap."""
        if not self.is_loaded:
            self._early.append((first, last, previous, bids, asks))
            return False
        if not self.is_bridged:
            if last < self.update_id:
                return False
            if first > self.update_id:
                raise ValueError(f"no bridge: U={first} lastUpdateId={self.update_id}")
            self.is_bridged = True
        elif previous != self.update_id:
            raise ValueError(f"gap: pu={previous} u={self.update_id}")
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in rows:
                if float(quantity):
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.update_id = last
        return True

    def copy(self) -> Sides:
        return dict(self.bids), dict(self.asks)


def watch_network(reached: list[str]) -> None:
    """Note every address outside loopback that this process looks up or connects to."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
            host = address[0] if isinstance(address, tuple) else str(address)
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            host = str(arguments[0])
        else:
            return
        if host not in ("127.0.0.1", "::1", "localhost"):
            reached.append(f"{event} {host}")

    sys.addaudithook(hook)
