"""Candlesticks and day statistics the slow way: every bar is computed from all trades."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

Trade = tuple[int, int, int, int, bool]  # time in ms, id, price, quantity, buyer is the maker

SECONDS = {
    "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
    "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400, "3d": 259200,
}  # fmt: skip


def bounds(interval: str, time_ms: int) -> tuple[int, int]:
    """Return the first ms of the bar that holds a moment and the first of the next one."""
    if interval in SECONDS:
        length = SECONDS[interval] * 1000
        return time_ms // length * length, (time_ms // length + 1) * length
    day = datetime.fromtimestamp(time_ms // 1000, UTC).replace(hour=0, minute=0, second=0)
    if interval == "1w":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    return int(first.timestamp()) * 1000, int(after.timestamp()) * 1000


def bars(trades: list[Trade], interval: str, now_ms: int) -> list[dict[str, int]]:
    """Return all bars from the first trade's to the one of `now_ms`, empty ones included."""
    found = []
    start_ms, next_ms = bounds(interval, trades[0][0])
    while start_ms <= now_ms:
        inside = [t for t in trades if start_ms <= t[0] < next_ms]
        before = [t for t in trades if t[0] < start_ms]
        found.append({"open_ms": start_ms, **summary(inside, before[-1][2] if before else 0)})
        start_ms, next_ms = bounds(interval, next_ms)
    return found


def summary(trades: list[Trade], price_before: int) -> dict[str, int]:
    prices = [t[2] for t in trades] or [price_before]
    buys = [t for t in trades if not t[4]]
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "first_id": trades[0][1] if trades else -1,
        "last_id": trades[-1][1] if trades else -1,
        "count": len(trades),
        "volume_lot": sum(t[3] for t in trades),
        "cost": sum(t[2] * t[3] for t in trades),
        "buy_lot": sum(t[3] for t in buys),
        "buy_cost": sum(t[2] * t[3] for t in buys),
    }


def day(trades: list[Trade], now_ms: int) -> dict[str, int]:
    """Return the summary of the window from 24 h before the running minute on."""
    open_ms = now_ms // 60_000 * 60_000 - 86_400_000
    inside = [t for t in trades if open_ms <= t[0] <= now_ms]
    before = [t for t in trades if t[0] < open_ms]
    return summary(inside, before[-1][2] if before else trades[0][2])


def percent(change: int, base: int) -> str:
    """Return change over base in percent, three digits, halves away from zero."""
    value = Fraction(abs(change) * 100_000, base) + Fraction(1, 2)
    text = f"{int(value) // 1000}.{int(value) % 1000:03d}"
    return f"-{text}" if change < 0 and int(value) else text
