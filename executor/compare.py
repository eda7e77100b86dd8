"""Compare order rows with the venue's own list of orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

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


@dataclass
class Comparison:
    """What came out, as order ids; every row that was given is in one of the first four."""

    confirmed: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)  # sent, and the venue does not know them
    differing: list[int] = field(default_factory=list)  # status or quantity are not the same
    undecided: list[int] = field(default_factory=list)  # not ended here
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
        venues: the venue's orders, at least all that were made since the oldest of `ours`.
        epoch: orders whose client id has another, or none of ours, are not looked at.
        later: ids of orders that are not in `ours` and not confirmed: taken while the venue made
            its list. They get no verdict, and `settled_id` does not pass them.
    """
    made = Comparison()
    listed: dict[int, dict[int, VenueOrder]] = defaultdict(dict)
    highest = 0
    for order in venues:
        highest = max(highest, order.venue_order_id)
        parsed = parse_client_id(order.client_id)
        if parsed is not None and parsed[0] == epoch:
            listed[parsed[1]][order.venue_order_id] = order
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


def _verdict(row: OurOrder, entries: list[VenueOrder]) -> str:
    if not is_terminal(row.status):
        return "undecided"
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
