"""Keep the last trades of one symbol, single and aggregated."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

TRADES_KEPT = 5_000  # per symbol, and as many aggregates


class Print(NamedTuple):
    """Be one trade: price in ticks, quantity in lots."""

    trade_id: int
    price_tick: int
    quantity_lot: int
    time_ms: int
    buyer_is_maker: bool


@dataclass(slots=True)
class Aggregate:
    """Be the trades of one taker at one price."""

    aggregate_id: int
    price_tick: int
    buyer_is_maker: bool
    time_ms: int
    event_ms: int
    first_id: int
    last_id: int
    quantity_lot: int


class Tape:
    """Hold two rings, oldest first."""

    def __init__(self) -> None:
        self._trades: deque[Print] = deque(maxlen=TRADES_KEPT)
        self._aggregates: deque[Aggregate] = deque(maxlen=TRADES_KEPT)

    def add(self, trade: Print) -> None:
        """Take a trade."""
        self._trades.append(trade)

    def add_aggregate(self, aggregate: Aggregate) -> None:
        """Take an aggregate that is complete."""
        self._aggregates.append(aggregate)

    def last(self) -> Print | None:
        """Return the newest trade."""
        return self._trades[-1] if self._trades else None

    def trades(self, limit: int, from_id: int | None = None) -> list[Print]:
        """Return up to `limit` trades: the newest, or those from an id on."""
        if from_id is None:
            return list(islice(self._trades, max(0, len(self._trades) - limit), None))
        return list(islice((t for t in self._trades if t.trade_id >= from_id), limit))

    def aggregates(
        self,
        limit: int,
        from_id: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
    ) -> list[Aggregate]:
        """Return up to `limit` aggregates: from an id or a time on, else the newest before the end.

        Times are inclusive.
        """
        rows = [
            a
            for a in self._aggregates
            if (from_id is None or a.aggregate_id >= from_id)
            and (start_ms is None or a.time_ms >= start_ms)
            and (end_ms is None or a.time_ms <= end_ms)
        ]
        is_from_start = from_id is not None or start_ms is not None
        return rows[:limit] if is_from_start else rows[-limit:]
