"""Withdraw resting orders that could add risk once the kill latch is held, or the run ends.

Risk withdraws its quotes itself; this is for the case that it cannot: it may be dead, frozen, or
about to be restarted. What reduces risk stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from executor.orders import OrderTable
from shm.latch_table import is_latched
from shm.records import OrderFlag, OrderStatus

RISK_REDUCING = int(OrderFlag.EXIT) | int(OrderFlag.REDUCE_ONLY)
# An order whose fate is not known is decided first, and comes here when it turns out to rest.
RESTING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class Puller:
    """Look at the latch once a cycle. `cancel(order_id)` does nothing while one is under way."""

    def __init__(
        self, control: Any, table: OrderTable, cancel: Callable[[int], None], log: Any
    ) -> None:
        self._control, self._table, self._cancel, self._log = control, table, cancel, log
        self._told = False

    def look(self) -> int:
        """Begin to cancel what rests while the latch is held, again and again; return how many.

        Loop bound: the orders that have not ended.
        """
        if not is_latched(self._control):
            self._told = False
            return 0
        pulled = self.pull()
        if not self._told:
            self._told = True
            self._log.warning("kill latch: only risk-reducing orders pass", pulled=pulled)
        return pulled

    def pull(self) -> int:
        """Begin to cancel what rests and could add risk; return how many. Bound as above."""
        pulled = [
            order_id
            for order_id in self._table.with_status(*RESTING)
            if not self._table.slot_of(order_id).flags & RISK_REDUCING
        ]
        for order_id in pulled:
            self._cancel(order_id)
        return len(pulled)
