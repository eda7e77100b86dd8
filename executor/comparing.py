"""Compare positions, open orders and waiting stops with what the venue lists."""

from __future__ import annotations

from typing import Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.client_ids import parse_client_id
from executor.ledger import Ledger
from executor.positions import LocalPositions
from executor.procedures import Pause, Procedure
from executor.resolve import Resolver
from executor.rest import Call
from executor.venue import Reply, printable
from runtime.stage import StageContext
from shm.records import OrderStatus

LOOKS_MAX = 6
LOOK_PAUSE_NS = 50_000_000


class Comparing:
    """Look at the venue's lists; what is found differs for whoever asked, nothing is changed."""

    def __init__(self, context: StageContext, ledger: Ledger, resolver: Resolver) -> None:
        self._symbols = context.symbols
        self._symbol_index = {name: i for i, name in enumerate(context.symbols)}
        self._epoch = context.memory.control.epoch
        self._ledger, self._resolver = ledger, resolver
        self._local = LocalPositions(context.memory, context.symbols)

    def is_ours(self, client_id: str) -> bool:
        """Return whether a row explains an order of that client id."""
        parsed = parse_client_id(client_id)
        if parsed is None or parsed[0] != self._epoch:
            return False
        return self._ledger.table.find(parsed[1]) is not None

    def is_traded(self, symbol: str) -> bool:
        """Return whether we trade a symbol: others are none of our business."""
        return symbol in self._symbol_index

    def compare(self, priority: int) -> Procedure:
        """Compare several times if there are differences.

        Events may be on their way, and risk may not have read them.

        Returns:
            the differences as sorted texts, or None when the venue did not answer.
        """
        differences: list[str] = []
        for look in range(LOOKS_MAX):
            if look:
                yield Pause(LOOK_PAUSE_NS)
            held = yield Call("GET", venue.POSITIONS, priority=priority)
            listed = yield Call("GET", venue.OPEN_ORDERS, priority=priority)
            waiting = yield Call("GET", algo.OPEN_ALGO_ORDERS, priority=priority)
            if not (held.ok and listed.ok and waiting.ok):
                return None
            differences = self._position_differences(held)
            differences += self._order_differences(listed)
            differences += self._stop_differences(waiting)
            if not differences:
                break
        return sorted(differences)

    def _position_differences(self, reply: Reply) -> list[str]:
        texts = venue.position_texts(reply.body)
        found = []
        for index, name in enumerate(self._symbols):
            theirs = self._resolver.symbol_lots(index, texts.get(name, "0"))
            ours = self._local.lots(index)
            if theirs != ours:
                found.append(f"position {name}: venue={theirs} ours={ours} lots")
        return found

    def _order_differences(self, reply: Reply) -> list[str]:
        found = []
        open_ids = set()
        for entry in reply.body:
            state = venue.order_state(entry)
            if not self.is_traded(state.symbol):
                continue
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
            elif self._ledger.table.find_stop(state.venue_order_id) is None:
                shown = printable(state.client_id, 64)
                found.append(f"open order {state.symbol}: {shown} is not ours")
        return found + self._not_open(open_ids, waits=False)

    def _stop_differences(self, reply: Reply) -> list[str]:
        found = []
        open_ids = set()
        for state in self.stop_states(reply.body):
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
            else:
                shown = printable(state.client_id, 64)
                found.append(f"open stop {state.symbol}: {shown} is not ours")
        return found + self._not_open(open_ids, waits=True)

    def stop_states(self, body: Any) -> list[AlgoState]:
        """Return the conditional orders of a list that are of our symbols."""
        if not isinstance(body, list):
            raise venue.VenueDataError("conditional orders: not a list")
        states = [algo.algo_state(entry) for entry in body]
        return [state for state in states if self.is_traded(state.symbol)]

    def _not_open(self, open_ids: set[int], waits: bool) -> list[str]:
        """Return our open orders that a list lacks; they are asked for: they have ended unheard.

        A stop that has triggered is in neither list when it has filled, which its events tell.
        """
        found = []
        table = self._ledger.table
        for order_id in table.with_status(OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
            row = table.slot_of(order_id)
            is_waiting = algo.is_stop(row) and row.venue_order_id == 0
            if is_waiting == waits and order_id not in open_ids:
                self._resolver.ask(order_id)
                found.append(f"order {order_id}: not open at the venue")
        return found
