"""Fills into round trips: per symbol, from flat to flat, exact in integers. Pure.

A position is the sum of its fills, whoever caused them: this is how the venue books in one-way
mode. A fill that turns a position around closes one round trip and opens the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Fill(NamedTuple):
    """What a round trip has to know of a fill and of its order."""

    side: int  # +1 buy, -1 sell
    lot: int  # > 0
    value: int  # ticks × lots
    fee_e8: int
    time_ns: int  # wall clock
    reason: str
    strategy: str
    position_id: int
    repaired: int = 0


@dataclass
class Trip:
    """A position of one symbol, open or closed; the columns of the table `round_trips`."""

    number: int
    position_id: int
    strategy: str
    side: int
    opened_ns: int
    entry_reason: str
    entry_lot: int = 0
    entry_value: int = 0
    exit_lot: int = 0
    exit_value: int = 0
    fee_e8: int = 0
    fill_count: int = 0
    exit_reason: str = ""
    exit_reasons: str = ""
    closed_ns: int | None = None
    best_tick: int | None = None
    risk_tick: int | None = None
    repaired: int = 0

    @property
    def left_lot(self) -> int:
        """Return what is still open."""
        return self.entry_lot - self.exit_lot

    def realized_e8(self, value_e8: int) -> int:
        """Return the profit of the closed part before fees, in 1e-8 quote.

        The entry's cost of the closed part is rounded down; when all is closed it is exact.
        """
        if not self.entry_lot:
            return 0
        cost = self.entry_value * value_e8 * self.exit_lot // self.entry_lot
        return self.side * (self.exit_value * value_e8 - cost)

    def _add(self, fill: Fill) -> None:
        if fill.side == self.side:
            self.entry_lot += fill.lot
            self.entry_value += fill.value
        else:
            self.exit_lot += fill.lot
            self.exit_value += fill.value
            self.exit_reason = fill.reason
            named = self.exit_reasons.split(",") if self.exit_reasons else []
            if fill.reason not in named:
                self.exit_reasons = ",".join([*named, fill.reason])
        self.fee_e8 += fill.fee_e8
        self.fill_count += 1
        self.repaired |= fill.repaired
        if not self.left_lot:
            self.closed_ns = fill.time_ns


def _split(fill: Fill, lot: int) -> tuple[Fill, Fill]:
    """Split a fill in two; nothing of its value and its fee is lost."""
    value, fee = fill.value * lot // fill.lot, fill.fee_e8 * lot // fill.lot
    first = fill._replace(lot=lot, value=value, fee_e8=fee)
    rest = fill._replace(lot=fill.lot - lot, value=fill.value - value, fee_e8=fill.fee_e8 - fee)
    return first, rest


def take(trip: Trip | None, last_number: int, fill: Fill) -> list[Trip]:
    """Add a fill to the open round trip, or begin one; return the trips it changed, oldest first.

    Args:
        trip: the open one, None when the symbol is flat; changed in place.
        last_number: of the symbol's latest round trip, 0 when there was none.
        fill: the fill.
    """
    changed = []
    if trip is not None:
        rest = None
        if fill.side != trip.side and fill.lot > trip.left_lot:
            fill, rest = _split(fill, trip.left_lot)
        trip._add(fill)
        changed.append(trip)
        if rest is None:
            return changed
        fill = rest
    made = Trip(
        number=last_number + 1,
        position_id=fill.position_id,
        strategy=fill.strategy,
        side=fill.side,
        opened_ns=fill.time_ns,
        entry_reason=fill.reason,
    )
    made._add(fill)
    return [*changed, made]


def trips_of(fills: Iterable[Fill]) -> list[Trip]:
    """Return the round trips of a symbol's fills, oldest first; the last one may be open."""
    made: list[Trip] = []
    for fill in fills:
        is_open = bool(made) and made[-1].closed_ns is None
        changed = take(made[-1] if is_open else None, len(made), fill)
        made += changed[1:] if is_open else changed
    return made
