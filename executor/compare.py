"""Compare order rows with the venue's own lists of orders and of conditional orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from executor.algo import ENDS, FINISHED, REFUSED, TRIGGERED, WAITING
from executor.client_ids import parse_client_id
from executor.transitions import OrderEvent, is_terminal
from shm.records import OrderStatus


class VenueOrder(NamedTuple):
    """An order as the venue lists it."""

    client_id: str
    venue_order_id: int
    event: OrderEvent
    executed_lot: int


class OurOrder(NamedTuple):
    """An order as its row has it."""

    order_id: int
    venue_order_id: int
    status: int
    filled_lot: int
    is_stop: bool = False

    @property
    def may_wait(self) -> bool:
        """Return whether it is a stop of which no ordinary order is known."""
        return self.is_stop and self.venue_order_id == 0


class VenueStop(NamedTuple):
    """A conditional order as the venue lists it."""

    client_id: str
    algo_id: int
    status: str
    venue_order_id: int  # of the order that it became; 0 = of none
    executed_lot: int  # filled of that order; -1 = not told


@dataclass
class Comparison:
    """What came out, as order ids; every row that was given is in one of the first five."""

    confirmed: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # sent, and the venue does not know them
    differing: list[int] = field(default_factory=list)  # status or quantity are not the same
    undecided: list[int] = field(default_factory=list)  # not ended here
    resting: list[int] = field(default_factory=list)  # stops that wait, here and there
    duplicated: list[int] = field(default_factory=list)  # more than one order of that client id
    # Up to this venue id everything listed is ended and confirmed; 0 = nothing listed.
    settled_id: int = 0

    @property
    def agrees(self) -> bool:
        """Return whether nothing is lost, different, undecided or double."""
        return not (self.lost or self.differing or self.undecided or self.duplicated)


ENDED_AS = {
    OrderEvent.FILLED: OrderStatus.FILLED,
    OrderEvent.CANCELED: OrderStatus.CANCELED,
    OrderEvent.EXPIRED: OrderStatus.EXPIRED,
    OrderEvent.REJECTED: OrderStatus.REJECTED,
}
# From the worst to the best, as named in Comparison.
VERDICTS = ("lost", "differing", "undecided", "resting", "confirmed")
# Orders that the venue is not expected to have.
ABSENT = (OrderStatus.REJECTED, OrderStatus.NOT_SENT)


def compare_orders(
    ours: Iterable[OurOrder],
    venues: Iterable[VenueOrder],
    epoch: int,
    later: Collection[int] = (),
) -> Comparison:
    """Compare our orders with the venue's list.

    Args:
        ours: rows in doubt, ended or not.
        venues: the venue's orders, at least all that were made since the oldest of `ours`. Of a
            stop there is one if it has triggered, and none otherwise.
        epoch: orders whose client id has another, or none of ours, are not looked at.
        later: ids of orders that are not in `ours` and not confirmed: taken while the venue made
            its list. They get no verdict, and `settled_id` does not pass them.
    """
    made = Comparison()
    listed: dict[int, dict[int, VenueOrder]] = defaultdict(dict)
    ours = list(ours)
    triggered = {row.venue_order_id: row.order_id for row in ours if row.is_stop}
    highest = 0
    for order in venues:
        highest = max(highest, order.venue_order_id)
        order_id = _own_id(order.client_id, epoch) or triggered.get(order.venue_order_id, 0)
        if order_id:
            listed[order_id][order.venue_order_id] = order
    open_ids: list[int] = []
    for row in ours:
        entries = listed.get(row.order_id, {})
        verdict = _verdict(row, list(entries.values()))
        getattr(made, verdict).append(row.order_id)
        if verdict != "confirmed":
            open_ids += entries
            if row.venue_order_id:
                # Not in the list yet, perhaps: the next one has to begin before it.
                open_ids.append(row.venue_order_id)
    # Invariant: what has no verdict is listed again, or it would be taken for lost the next time.
    for order_id in later:
        open_ids += listed.get(order_id, {})
    made.duplicated = sorted(i for i, entries in listed.items() if len(entries) > 1)
    made.settled_id = min([highest, *(i - 1 for i in open_ids)])
    return made


def _own_id(client_id: str, epoch: int) -> int:
    parsed = parse_client_id(client_id)
    return parsed[1] if parsed is not None and parsed[0] == epoch else 0


def _verdict(row: OurOrder, entries: list[VenueOrder]) -> str:
    if not is_terminal(row.status):
        rests = row.may_wait and row.status == OrderStatus.NEW and not entries
        return "resting" if rests else "undecided"
    if row.may_wait and row.filled_lot == 0 and row.status != OrderStatus.FILLED:
        return "differing" if entries else "confirmed"
    if row.status in ABSENT:
        present = [e for e in entries if e.event != OrderEvent.REJECTED]
        return "differing" if present or row.filled_lot else "confirmed"
    if not entries:
        return "lost"
    same = [
        e
        for e in entries
        if ENDED_AS.get(e.event) == row.status
        and e.executed_lot == row.filled_lot
        and row.venue_order_id in (0, e.venue_order_id)
    ]
    return "confirmed" if same and len(entries) == 1 else "differing"


def compare_stops(ours: Iterable[OurOrder], venues: Iterable[VenueStop], epoch: int) -> Comparison:
    """Compare our stops with the venue's list of conditional orders.

    What became of one that triggered is `compare_orders`'s to tell: here it has to name the order
    that our row has, and what it filled once it has ended. `settled_id` is not used.

    Args:
        ours: rows of stops, ended or not.
        venues: the venue's conditional orders, at least all made since the oldest of `ours`.
        epoch: as in `compare_orders`.
    """
    made = Comparison()
    listed: dict[int, dict[int, VenueStop]] = defaultdict(dict)
    for stop in venues:
        order_id = _own_id(stop.client_id, epoch)
        if order_id:
            listed[order_id][stop.algo_id] = stop
    for row in ours:
        verdict = _stop_verdict(row, list(listed.get(row.order_id, {}).values()))
        getattr(made, verdict).append(row.order_id)
    made.duplicated = sorted(i for i, entries in listed.items() if len(entries) > 1)
    return made


def _stop_verdict(row: OurOrder, entries: list[VenueStop]) -> str:
    only = entries[0] if len(entries) == 1 else None
    if not is_terminal(row.status):
        waits = only is not None and only.status == WAITING and row.may_wait
        return "resting" if waits and row.status == OrderStatus.NEW else "undecided"
    if row.status in ABSENT:
        present = [e for e in entries if e.status != REFUSED]
        return "differing" if present or row.filled_lot else "confirmed"
    if not entries:
        return "lost"
    if only is None:
        return "differing"
    if only.status in TRIGGERED:
        same = row.venue_order_id != 0 and row.venue_order_id == only.venue_order_id
        if only.status == FINISHED and only.executed_lot >= 0:
            same = same and only.executed_lot == row.filled_lot
    else:
        ends = ENDED_AS.get(ENDS.get(only.status, OrderEvent.UNDECIDED))
        same = row.may_wait and ends == row.status
    return "confirmed" if same else "differing"


def merge_stops(whole: Comparison, stops: Comparison) -> None:
    """Add the verdicts about stops to those about orders: the worse one of each holds.

    Args:
        whole: of `compare_orders`; changed.
        stops: of `compare_stops`.
    """
    worst: dict[int, int] = {}
    for made in (whole, stops):
        for rank, name in enumerate(VERDICTS):
            for order_id in getattr(made, name):
                worst[order_id] = min(rank, worst.get(order_id, rank))
    for rank, name in enumerate(VERDICTS):
        setattr(whole, name, sorted(i for i, found in worst.items() if found == rank))
    whole.duplicated = sorted({*whole.duplicated, *stops.duplicated})
