"""The state of an order: which event leads from which status to which.

The events of one order arrive over two connections and in any order, some of them twice, some not
at all. So the table is total, an ended order stays ended, and the only way out of an end is the
venue's word about an order that we had taken for absent.
"""

from __future__ import annotations

from enum import IntEnum

from shm.records import TERMINAL_STATUS_MIN, OrderStatus


class OrderEvent(IntEnum):
    """What can happen to an order, as far as we learn of it."""

    ACCEPTED = 0  # the venue has it
    PARTIAL = 1  # a fill that leaves a rest
    FILLED = 2  # the fill that completes it
    CANCELED = 3
    EXPIRED = 4
    REJECTED = 5  # the venue refused it, or does not know it and no longer can
    UNDECIDED = 6  # no answer, or one that does not decide
    NOT_SENT = 7  # nothing left this machine


_TABLE = """
                 ACCEPTED PARTIAL  FILLED CANCELED EXPIRED  REJECTED UNDECIDED NOT_SENT
SENDING          NEW      PARTIAL  FILLED CANCELED EXPIRED  REJECTED UNKNOWN   NOT_SENT
UNKNOWN          NEW      PARTIAL  FILLED CANCELED EXPIRED  REJECTED UNKNOWN   NOT_SENT
NEW              NEW      PARTIAL  FILLED CANCELED EXPIRED  NEW      NEW       NEW
PARTIALLY_FILLED PARTIAL  PARTIAL  FILLED CANCELED EXPIRED  PARTIAL  PARTIAL   PARTIAL
FILLED           FILLED   FILLED   FILLED FILLED   FILLED   FILLED   FILLED    FILLED
CANCELED         CANCELED CANCELED FILLED CANCELED CANCELED CANCELED CANCELED  CANCELED
REJECTED         NEW      PARTIAL  FILLED CANCELED EXPIRED  REJECTED REJECTED  REJECTED
EXPIRED          EXPIRED  EXPIRED  FILLED EXPIRED  EXPIRED  EXPIRED  EXPIRED   EXPIRED
NOT_SENT         NEW      PARTIAL  FILLED CANCELED EXPIRED  NOT_SENT NOT_SENT  NOT_SENT
"""


def _read_table(text: str) -> dict[tuple[int, int], OrderStatus]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    events = [OrderEvent[name] for name in head]
    assert events == list(OrderEvent), f"columns are not the events in their order: {head}"
    found: dict[tuple[int, int], OrderStatus] = {}
    for name, *cells in rows:
        for event, cell in zip(events, cells, strict=True):
            after = "PARTIALLY_FILLED" if cell == "PARTIAL" else cell
            found[OrderStatus[name], event] = OrderStatus[after]
    return found


TRANSITIONS = _read_table(_TABLE)
assert len(TRANSITIONS) == (len(OrderStatus) - 1) * len(OrderEvent), "a status has no row"


def next_status(status: int, event: OrderEvent) -> OrderStatus:
    """Return the status after an event."""
    return TRANSITIONS[status, event]


def is_terminal(status: int) -> bool:
    """Return whether an order of this status has ended."""
    return status >= TERMINAL_STATUS_MIN
