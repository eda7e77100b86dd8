"""Count request weight and orders per window, as the venue's headers report them."""

from __future__ import annotations

from collections.abc import Callable

WEIGHT_PER_MINUTE = 2_400  # Venue: exchangeInfo rateLimits
ORDERS_PER_10_S = 300
ORDERS_PER_MINUTE = 1_200

RATE_LIMITS: list[dict[str, object]] = [
    {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": WEIGHT_PER_MINUTE,
    },
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_PER_10_S},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": ORDERS_PER_MINUTE},
]


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


class Limits:
    """Hold the budgets that REST and WS-API share. Nothing is refused here: it only counts."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._weight = Window(60_000)
        self._orders_10s = Window(10_000)
        self._orders_1m = Window(60_000)

    def use(self, weight: int, orders: int) -> dict[str, str]:
        """Charge a request; return the headers that tell what is used."""
        now_ms = self._clock_ms()
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._weight.add(weight, now_ms))}
        if orders:
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.add(orders, now_ms))
            headers["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.add(orders, now_ms))
        return headers

    def used(self) -> list[dict[str, object]]:
        """Return the WS-API's `rateLimits` list with counts."""
        now_ms = self._clock_ms()
        windows = (self._weight, self._orders_10s, self._orders_1m)
        return [
            {**row, "count": window.add(0, now_ms)}
            for row, window in zip(RATE_LIMITS, windows, strict=True)
        ]
