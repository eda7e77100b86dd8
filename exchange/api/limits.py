"""Keep the budgets that REST and WS-API share: request weight and orders, 429 and 418."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import VenueError

WEIGHT_PER_MINUTE = 2_400  # Venue: exchangeInfo rateLimits
ORDERS_PER_10_S = 300
ORDERS_PER_MINUTE = 1_200
ADDRESS = "127.0.0.1"  # what refusals name; the exchange listens on loopback only
MINUTE_MS = 60_000
ORDER_WINDOW_MS = 10_000
# Venue: "IP bans are tracked and scale in duration for repeat offenders, from 2 minutes to 3 days".
BAN_MS_FIRST = 2 * MINUTE_MS
BAN_MS_MAX = 3 * 24 * 60 * MINUTE_MS
# Venue: "New Order", "Place Multiple Orders": weight, orders of ten seconds, orders of a minute.
ORDER_COST = (0, 1, 1)
BATCH_COST = (5, 5, 1)
REFUSALS_PER_BAN = 10  # refused requests that lead to a ban; the venue does not tell its number


@dataclass(frozen=True, slots=True)
class Budget:
    """Say how much is allowed."""

    weight_1m: int = WEIGHT_PER_MINUTE
    orders_10s: int = ORDERS_PER_10_S
    orders_1m: int = ORDERS_PER_MINUTE

    def rows(self) -> list[dict[str, object]]:
        """Return the `rateLimits` of exchangeInfo."""
        return [
            _row("REQUEST_WEIGHT", "MINUTE", 1, self.weight_1m),
            _row("ORDERS", "SECOND", 10, self.orders_10s),
            _row("ORDERS", "MINUTE", 1, self.orders_1m),
        ]


def _row(kind: str, interval: str, number: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


RATE_LIMITS = Budget().rows()


class Window:
    """Count in fixed windows that start at multiples of their length."""

    __slots__ = ("_length_ms", "_number", "_used")

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._number = -1
        self._used = 0

    def add(self, amount: int, now_ms: int) -> int:
        """Add to the running window; return what it has used."""
        number = now_ms // self._length_ms
        if number != self._number:
            self._number, self._used = number, 0
        self._used += amount
        return self._used

    def end_ms(self, now_ms: int) -> int:
        """Return when the running window ends."""
        return (now_ms // self._length_ms + 1) * self._length_ms


class Limits:
    """Charge requests and refuse those over budget: -1003 with 429 or 418, -1015 with 429.

    Each `REFUSALS_PER_BAN` refused requests lead to a ban, twice as long as the one before it. All
    clients of this exchange are one machine, so there is one address and one account to count.
    """

    def __init__(self, clock_ms: Callable[[], int], budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self._clock_ms = clock_ms
        self._weight = Window(MINUTE_MS)
        self._orders_10s = Window(ORDER_WINDOW_MS)
        self._orders_1m = Window(MINUTE_MS)
        self._refusals = 0
        self._ban_ms = BAN_MS_FIRST
        self._banned_until_ms = 0

    def charge(self, weight: int) -> None:
        """Charge a request's weight; raise -1003 when it is over the budget or banned."""
        now_ms = self._clock_ms()
        used = self._weight.add(weight, now_ms)
        if now_ms < self._banned_until_ms:
            self._refused(now_ms)
            raise self._banned()
        if used > self.budget.weight_1m:
            self._refused(now_ms)
            if self._banned_until_ms > now_ms:
                raise self._banned()
            error = VenueError(-1003, ip=ADDRESS, limit=self.budget.weight_1m)
            error.retry_at_ms = self._weight.end_ms(now_ms)
            raise error

    def charge_orders(self, orders_10s: int, orders_1m: int) -> None:
        """Charge new orders; raise -1015, and charge nothing, when they are over the budget.

        # Venue: the two counts differ where a request holds several orders.
        """
        if not (orders_10s or orders_1m):
            return
        now_ms = self._clock_ms()
        budget = self.budget
        for window, orders, limit, interval in (
            (self._orders_10s, orders_10s, budget.orders_10s, "TEN_SECONDS"),
            (self._orders_1m, orders_1m, budget.orders_1m, "MINUTE"),
        ):
            if window.add(0, now_ms) + orders > limit:
                error = VenueError(-1015, limit=limit, interval=interval)
                error.retry_at_ms = window.end_ms(now_ms)
                raise error
        self._orders_10s.add(orders_10s, now_ms)
        self._orders_1m.add(orders_1m, now_ms)

    def headers(self, has_orders: bool) -> dict[str, str]:
        """Return the headers that tell what is used; order counts only where orders are made."""
        now_ms = self._clock_ms()
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._weight.add(0, now_ms))}
        if has_orders:
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.add(0, now_ms))
            headers["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.add(0, now_ms))
        return headers

    def retry_after_s(self, error: VenueError) -> int:
        """Return the seconds until a refused client may come back, at least 1."""
        return max(1, -((self._clock_ms() - error.retry_at_ms) // 1000))

    def used(self) -> list[dict[str, object]]:
        """Return the WS-API's `rateLimits` list with counts."""
        now_ms = self._clock_ms()
        windows = (self._weight, self._orders_10s, self._orders_1m)
        return [
            {**row, "count": window.add(0, now_ms)}
            for row, window in zip(self.budget.rows(), windows, strict=True)
        ]

    def _refused(self, now_ms: int) -> None:
        self._refusals += 1
        if self._refusals % REFUSALS_PER_BAN == 0:
            self._banned_until_ms = now_ms + self._ban_ms
            self._ban_ms = min(2 * self._ban_ms, BAN_MS_MAX)

    def _banned(self) -> VenueError:
        return banned(ADDRESS, self._banned_until_ms)


def banned(address: str, until_ms: int) -> VenueError:
    """Return the refusal of a banned client: 418."""
    text = (
        f"Way too many requests; IP({address}) banned until {until_ms}. "
        "Please use the websocket for live updates to avoid bans."
    )
    error = VenueError.saying(-1003, text, 418)
    error.retry_at_ms = until_ms
    return error
