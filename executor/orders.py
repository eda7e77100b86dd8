"""The order table in shared memory: one row per order, found by its id, kept over restarts.

    row of an order = order_id % row count

# Invariant: whoever reads the table after a SIGKILL at any point can decide every row. A new row is
# filled while its id is 0 and gets the id last; it says SENDING before a byte leaves. A change of
# an order is reported first and written second, with the status last: a crash in between leaves a
# row that is not terminal, the venue is asked about it, and the report is made again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from executor.algo import STOP_MARKET
from executor.transitions import is_terminal
from shm.records import OrderStatus
from shm.tables import ORDER_ROW

ROW_SIZE = ORDER_ROW.size
# Entries use at most this share of the rows: the rest is left for exits.
ENTRY_SHARE = 7 / 8


class OrderTable:
    """Rows by order id. `open_ids` and `confirmed` are this process's view of the rows.

    `open_ids` holds the orders that have not ended, `ended_ids` the ended ones that are still to
    be compared with the venue's own list. Only rows in neither are used again, but for exits: they
    may take the row of an ended order, whose last state is kept in `displaced` for the comparison.
    A crash forgets `displaced`; those orders are then not compared.
    """

    def __init__(self, address: int, row_count: int) -> None:
        assert row_count > 0, f"an order table needs rows: row_count={row_count}"
        self._address = address
        self.row_count = row_count
        self.open_ids: set[int] = set()
        self.ended_ids: set[int] = set()
        self.displaced: dict[int, Any] = {}  # ORDER_ROW copies by order id
        self._stop_ids: dict[int, int] = {}  # order ids by that of the order that a stop became
        for row in self.rows():
            if row.type == STOP_MARKET and row.venue_order_id:
                self._stop_ids[row.venue_order_id] = row.order_id
            self._file(row.order_id, is_terminal(row.status))

    def _file(self, order_id: int, ended: bool) -> None:
        (self.ended_ids if ended else self.open_ids).add(order_id)
        (self.open_ids if ended else self.ended_ids).discard(order_id)

    def _row_at(self, index: int) -> Any:
        return ORDER_ROW.at(self._address + index * ROW_SIZE)

    def slot_of(self, order_id: int) -> Any:
        """Return the row an order has or would have, in place, whoever uses it now."""
        return self._row_at(order_id % self.row_count)

    def find(self, order_id: int) -> Any | None:
        """Return the row of an order, in place, or None when the table does not have it."""
        row = self.slot_of(order_id)
        return row if row.order_id == order_id and order_id > 0 else None

    def find_stop(self, venue_order_id: int) -> Any | None:
        """Return the row of the stop that became an ordinary order, or None.

        That order need not have the stop's client id.
        """
        row = self.find(self._stop_ids.get(venue_order_id, 0))
        return row if row is not None and row.venue_order_id == venue_order_id else None

    def note_venue_id(self, row: Any, venue_order_id: int) -> None:
        """Write down the venue's id of an order, or of the order that a stop became."""
        row.venue_order_id = venue_order_id
        if row.type == STOP_MARKET:
            self._stop_ids[venue_order_id] = row.order_id

    def rows(self) -> Iterator[Any]:
        """Yield all rows in use. Loop bound: the row count."""
        for index in range(self.row_count):
            row = self._row_at(index)
            if row.order_id != 0:
                yield row

    def has_seen(self, order_id: int) -> bool:
        """Return whether an order has a row, or had one that a later order uses now."""
        return self.slot_of(order_id).order_id >= order_id

    def is_free_for(self, order_id: int) -> bool:
        """Return whether the row of a new order may be used."""
        held = self.slot_of(order_id).order_id
        return held == 0 or not (held in self.open_ids or held in self.ended_ids)

    def has_room_for_entry(self, order_id: int) -> bool:
        """Return whether an entry may take its row: it is free, and some are left for exits."""
        used = len(self.open_ids) + len(self.ended_ids)
        return used < self.row_count * ENTRY_SHARE and self.is_free_for(order_id)

    def has_room_for_exit(self, order_id: int) -> bool:
        """Return whether an exit may take its row: no order that has not ended is in it."""
        return self.slot_of(order_id).order_id not in self.open_ids

    def displace_for(self, order_id: int) -> int:
        """Free the row of a new order from an ended one; return the id of that, or 0."""
        row = self.slot_of(order_id)
        held: int = row.order_id
        if held not in self.ended_ids:
            return 0
        self.displaced[held] = copy = ORDER_ROW.new()
        ctypes.memmove(ctypes.addressof(copy), ctypes.addressof(row), ROW_SIZE)
        self.ended_ids.discard(held)
        return held

    def open_row(self, order: Any) -> Any:
        """Take the row of a new order and return it: SENDING, nothing known of the venue.

        Args:
            order: ORDER record, PLACE; `is_free_for` must hold.
        """
        row = self.slot_of(order.order_id)
        # Ordering: x86 and the interpreter keep stores in program order; a reader, and we
        # ourselves after a crash, take the row for free until the id is there.
        row.order_id = 0
        row.position_id = order.position_id
        row.origin_ns = order.origin_ns
        row.written_ns = order.written_ns
        row.sent_ns = row.acked_ns = row.venue_order_id = row.algo_id = 0
        row.price_tick = order.price_tick
        row.quantity_lot = order.quantity_lot
        row.filled_lot = row.filled_value = row.fee_e8 = row.last_trade_id = 0
        row.symbol = order.symbol
        row.status = int(OrderStatus.SENDING)
        row.type = order.type
        row.time_in_force = order.time_in_force
        row.side = order.side
        row.flags = order.flags
        row.reason = order.reason
        row.strategy = order.strategy
        row.error_code = row.queries = 0
        row.order_id = order.order_id
        self.open_ids.add(order.order_id)
        return row

    def set_status(self, row: Any, status: OrderStatus) -> None:
        """Write a row's status: the last store of a change."""
        row.status = int(status)
        self._file(row.order_id, is_terminal(status))

    def confirm(self, order_id: int) -> None:
        """Note that the venue's list agrees with an ended order: its row may be used again."""
        self.ended_ids.discard(order_id)
        self.displaced.pop(order_id, None)

    def with_status(self, *wanted: OrderStatus) -> list[int]:
        """Return the ids of orders that have not ended and have one of the statuses, sorted."""
        return sorted(i for i in self.open_ids if self.slot_of(i).status in wanted)
