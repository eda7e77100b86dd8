"""How long a position had no stop, by what the venue remembers: fills and conditional orders.

The venue's clock has milliseconds. A position is covered while one order rests against it for at
least its quantity; a gap lies between a fill that opens or enlarges a position, or the end of its
stop, and the next moment in which it is covered or gone; or now, where none has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.system.own_venue import OwnVenue

ROWS_MAX = 1000
# Within a millisecond: what was held, then what ended, then what came to rest.
FILLED, ENDED, PLACED = range(3)


@dataclass(frozen=True)
class Gap:
    """A stretch without cover, ms by the venue's clock."""

    symbol: str
    start_ms: int
    length_ms: int


def signed(side: str, quantity: str) -> Decimal:
    """Return a quantity with the sign of its side."""
    return Decimal(quantity) if side == "BUY" else -Decimal(quantity)


def _ended_ms(stop: dict[str, Any]) -> int | None:
    if stop["algoStatus"] == "NEW":
        return None
    return int(stop["triggerTime"]) or int(stop["updateTime"])


def find_gaps(
    symbol: str, fills: Iterable[dict[str, Any]], stops: Iterable[Any], end_ms: int
) -> list[Gap]:
    """Return all gaps of a symbol, of 0 ms too; raise when two stops rested at once.

    Args:
        symbol: name.
        fills: rows of userTrades.
        stops: rows of allAlgoOrders.
        end_ms: when both were listed, by the venue's clock: the end of a gap that has none.
    """
    events: list[tuple[int, int, Any]] = []
    for fill in fills:
        events.append((int(fill["time"]), FILLED, signed(fill["side"], fill["qty"])))
    for stop in stops:
        events.append((int(stop["createTime"]), PLACED, stop))
        ended = _ended_ms(stop)
        if ended is not None:
            events.append((ended, ENDED, stop))
    events.sort(key=lambda event: event[:2])
    held, resting, found, open_since = Decimal(0), {}, [], None
    for now_ms, kind, what in events:
        if kind == FILLED:
            held += what
        elif kind == ENDED:
            # One that rested for less than a millisecond ends before it is placed.
            if resting.pop(what["algoId"], None) is None:
                resting[what["algoId"]] = None
        elif resting.get(what["algoId"], what) is None:
            del resting[what["algoId"]]
        else:
            resting[what["algoId"]] = signed(what["side"], what["quantity"])
        alive = [lots for lots in resting.values() if lots is not None]
        assert len(alive) <= 1, f"two stops at once: {symbol} {now_ms} {resting}"
        is_covered = held == 0 or any(lots * held < 0 and abs(lots) >= abs(held) for lots in alive)
        if not is_covered and open_since is None:
            open_since = now_ms
        elif is_covered and open_since is not None:
            found.append(Gap(symbol, open_since, now_ms - open_since))
            open_since = None
    if open_since is not None:
        found.append(Gap(symbol, open_since, max(0, end_ms - open_since)))
    return found


def _all_rows(venue: OwnVenue, path: str, symbol: str, key: str, ask: str) -> list[dict[str, Any]]:
    """Read a list to its end, page by page. Loop bound: rows / ROWS_MAX + 1."""
    rows: list[dict[str, Any]] = []
    next_id = 1
    while True:
        page = venue.call("GET", path, symbol=symbol, limit=ROWS_MAX, **{ask: next_id})
        rows += page
        if len(page) < ROWS_MAX:
            return rows
        next_id = int(page[-1][key]) + 1


def venue_gaps(venue: OwnVenue, symbols: Iterable[str]) -> list[Gap]:
    """Return the gaps of all symbols; one that lasts has its length up to now."""
    found: list[Gap] = []
    for symbol in symbols:
        fills = _all_rows(venue, "/fapi/v1/userTrades", symbol, "id", "fromId")
        stops = _all_rows(venue, "/fapi/v1/allAlgoOrders", symbol, "algoId", "algoId")
        end_ms = int(venue.call("GET", "/fapi/v1/time")["serverTime"])
        found += find_gaps(symbol, fills, stops, end_ms)
    return found


def quantile(values: list[int], share: float) -> int:
    """Return the smallest value that at least a share of them does not exceed; 0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0
