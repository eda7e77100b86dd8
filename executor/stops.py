"""Stops that rest at the venue: what their events mean, and what became of one in doubt.

A stop has one row and one order id from its placing to the last fill of the ordinary order that it
becomes. `algo_id` is its id while it waits, `venue_order_id` that of the order it became, 0 before.
Whoever is told of that order first, by its own events or by ALGO_UPDATE, writes it down.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.ledger import Change
from executor.procedures import Procedure
from executor.rest import FIRST, QUERY, Call
from executor.transitions import OrderEvent, is_terminal
from executor.venue import Reply, Verdict, classify

if TYPE_CHECKING:
    from executor.resolve import Resolver
    from executor.timers import Timers

# The fills of a triggered stop arrive on their own within this time, or are asked for.
TRIGGER_LOOK_NS = 250_000_000
# Times a stop that the venue had may be missing before it counts as gone: risk places another.
MISSING_LOOKS_MAX = 8


class Stops:
    """Read what the venue says about conditional orders, for the resolver's rows."""

    def __init__(self, resolver: Resolver, timers: Timers) -> None:
        self._resolver, self._timers = resolver, timers

    def apply(self, row: Any, state: AlgoState) -> None:
        """Take what the venue says about a stop; the fills come by the order that it became."""
        event = algo.ENDS.get(state.status, OrderEvent.ACCEPTED)
        refused = state.status == algo.REFUSED
        self._resolver.ledger.apply(
            Change(
                row.order_id,
                event,
                algo_id=state.algo_id,
                venue_order_id=state.venue_order_id,
                venue_ns=state.venue_ns,
                error_code=venue.CODE_TRIGGER_REFUSED if refused else 0,
                filled_lot=row.filled_lot,
            )
        )

    def take_event(self, row: Any, state: AlgoState) -> None:
        """Take an ALGO_UPDATE; see that the order of a triggered stop is heard of."""
        self.apply(row, state)
        if state.has_triggered and not is_terminal(row.status):
            order_id = row.order_id
            due_ns = time.monotonic_ns() + TRIGGER_LOOK_NS
            self._timers.at(due_ns, lambda: self._look_again(order_id))

    def _look_again(self, order_id: int) -> None:
        row = self._resolver.ledger.table.find(order_id)
        if row is not None and not is_terminal(row.status):
            self._resolver.ask(order_id)

    def answer(self, row: Any, reply: Reply) -> None:
        """Apply a stop as the answer to its placing states it, or raise VenueDataError."""
        self.apply(row, algo.algo_state(reply.body))

    def cancel_call(self, row: Any) -> Call:
        """Return the request that cancels a stop while it waits."""
        return Call(
            "DELETE",
            algo.ALGO_ORDER,
            {"symbol": self._resolver.symbol_of(row), "clientAlgoId": self._client_id(row)},
            priority=FIRST,
            api_method=algo.API_ALGO_CANCEL,
        )

    def canceled(self, row: Any) -> None:
        """Note that the venue has carried a cancel out: it answers nothing but that."""
        self._resolver.ledger.apply(
            Change(row.order_id, OrderEvent.CANCELED, filled_lot=row.filled_lot)
        )

    def _client_id(self, row: Any) -> str:
        return self._resolver.texts.client_id(row.order_id)

    def look(self, row: Any, looks: int) -> Procedure:
        """Ask once for a stop, and for the order that it became; return whether it is settled."""
        order_id = row.order_id
        reply = yield Call(
            "GET", algo.ALGO_ORDER, {"clientAlgoId": self._client_id(row)}, priority=QUERY
        )
        if row.order_id != order_id:
            return True  # it had ended, and a later order has its row now
        verdict = classify(reply)
        if verdict == Verdict.NOT_FOUND:
            return (yield from self._look_beyond(row, looks))
        if verdict != Verdict.OK:
            return False
        state = algo.algo_state(reply.body)
        self.apply(row, state)
        if not state.has_triggered:
            return True
        if state.status == "TRIGGERING" and not row.venue_order_id:
            return False  # on its way into the matching engine
        return (yield from self._look_beyond(row, looks))

    def _look_at_order(self, row: Any, key: dict[str, object], looks: int) -> Procedure:
        """Ask for the ordinary order of a stop; it is a market order, so it ends at once."""
        order_id = row.order_id
        symbol = self._resolver.symbol_of(row)
        reply = yield Call("GET", venue.ORDER, {"symbol": symbol} | key, priority=QUERY)
        if row.order_id != order_id:
            return True
        if not reply.ok:
            return classify(reply) == Verdict.NOT_FOUND and self._missing(row, looks)
        yield from self._resolver.adopt(row, venue.order_state(reply.body), looks)
        return row.order_id != order_id or is_terminal(row.status)

    def _look_beyond(self, row: Any, looks: int) -> Procedure:
        """Ask for the order of a stop that has triggered, or may have: the service is silent.

        Venue: "Query Algo Order": of what has ended only the recent is found.
        """
        if row.venue_order_id:
            key: dict[str, object] = {"orderId": row.venue_order_id}
        else:
            key = {"origClientOrderId": self._client_id(row)}
        return (yield from self._look_at_order(row, key, looks))

    def _missing(self, row: Any, looks: int) -> bool:
        if row.algo_id == 0 and row.venue_order_id == 0:
            return self._resolver.missing(row, looks)
        if is_terminal(row.status):
            return True
        if looks < MISSING_LOOKS_MAX:
            return False
        # Reduce-only: that it turns up after all and another rests beside it does no harm, a
        # position that only seems to be protected does.
        self._resolver.note_vanished(row)
        self._resolver.ledger.apply(
            Change(
                row.order_id,
                OrderEvent.EXPIRED,
                error_code=venue.CODE_NOT_FOUND,
                filled_lot=row.filled_lot,
            )
        )
        return True
