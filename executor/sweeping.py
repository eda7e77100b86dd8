"""Cancel what is open in a symbol: at the start, at the end, and when risk asks for it.

A stop that reduces a position which the venue still has is not cancelled: it is what protects it
when nobody else does. Everything else goes, and is looked for afterwards: the venue may say that it
is done and leave some of it.
"""

from __future__ import annotations

from typing import Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.comparing import Comparing, Finding
from executor.counts import Counts
from executor.ledger import Ledger
from executor.procedures import Pause, Procedure
from executor.resolve import Resolver
from executor.rest import FIRST, Call
from executor.venue import printable
from runtime.stage import StageContext
from shm.records import OrderStatus

ATTEMPTS_MAX = 5
RETRY_NS = 50_000_000


class Sweeper:
    """Run the cancelling procedures; each returns whether nothing is left that had to go."""

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        resolver: Resolver,
        comparing: Comparing,
    ) -> None:
        self._symbols = context.symbols
        self._log = context.log
        self._counts, self._ledger = counts, ledger
        self._resolver, self._comparing = resolver, comparing

    def sweep(self, symbol: int) -> Procedure:
        """Cancel a symbol's open orders, and its stops but those that protect a position."""
        if symbol >= len(self._symbols):
            self._log.error("cancel of an unknown symbol", symbol=symbol)
            return False
        name = self._symbols[symbol]
        table = self._ledger.table
        self._ledger.asked |= {i for i in table.open_ids if table.slot_of(i).symbol == symbol}
        orders_gone = yield from self._cancel_orders(name)
        stops_gone = yield from self._cancel_stops(symbol)
        return orders_gone and stops_gone

    def sweep_open(self) -> Procedure:
        """Sweep every symbol of ours that has anything open; all, when the venue does not say."""
        orders = yield Call("GET", venue.OPEN_ORDERS, priority=FIRST)
        stops = yield Call("GET", algo.OPEN_ALGO_ORDERS, priority=FIRST)
        names = set(self._symbols)
        if orders.ok and stops.ok:
            names &= {str(entry.get("symbol")) for entry in [*orders.body, *stops.body]}
        gone = True
        for index, name in enumerate(self._symbols):
            if name in names:
                gone = (yield from self.sweep(index)) and gone
        return gone

    def _cancel_orders(self, name: str) -> Procedure:
        listed: list[Any] = []
        for attempt in range(ATTEMPTS_MAX):
            self._counts.cancels.value += 1
            yield Call("DELETE", venue.ALL_OPEN_ORDERS, {"symbol": name}, priority=FIRST)
            reply = yield Call("GET", venue.OPEN_ORDERS, {"symbol": name}, priority=FIRST)
            if reply.ok and not reply.body:
                return True
            listed = reply.body if reply.ok else []
            for entry in listed if attempt else ():
                # Told twice that all is canceled, and it is not: one by one, then.
                yield from self.cancel_order(venue.order_state(entry))
            yield Pause(RETRY_NS << attempt)
        self._log.error("orders are still open after cancel all", symbol=name, count=len(listed))
        return False

    def cancel_order(self, state: venue.OrderState) -> Procedure:
        """Cancel one order, whoever sent it."""
        self._counts.cancels.value += 1
        key: dict[str, object] = {"symbol": state.symbol, "orderId": state.venue_order_id}
        yield Call("DELETE", venue.ORDER, key, priority=FIRST)

    def _cancel_stops(self, symbol: int) -> Procedure:
        name = self._symbols[symbol]
        named: dict[str, object] = {"symbol": name}
        left: list[AlgoState] = []
        for attempt in range(ATTEMPTS_MAX):
            reply = yield Call("GET", algo.OPEN_ALGO_ORDERS, named, priority=FIRST)
            if reply.ok and not reply.body:
                return True
            held = yield Call("GET", venue.POSITIONS, named, priority=FIRST)
            if reply.ok and held.ok:
                lots = self._held_lots(held.body, symbol)
                states = self._comparing.stop_states(reply.body)
                left = [state for state in states if lots * state.side >= 0]
                if not left:
                    self._tell_kept(name, lots, states)
                    return True
                if not lots and not attempt:
                    self._counts.cancels.value += 1
                    yield Call("DELETE", algo.CANCEL_ALGO_ORDERS, named, priority=FIRST)
                    continue
                for state in left:
                    yield from self.cancel_stop(state)
            # In doubt about the position nothing that may protect it is canceled.
            yield Pause(RETRY_NS << attempt)
        self._log.error("stops are still open after cancel all", symbol=name, count=len(left))
        return False

    def cancel_stop(self, state: AlgoState) -> Procedure:
        """Cancel one waiting stop, whoever sent it."""
        self._counts.cancels.value += 1
        key: dict[str, object] = {"symbol": state.symbol, "algoId": state.algo_id}
        yield Call("DELETE", algo.ALGO_ORDER, key, priority=FIRST)

    def _held_lots(self, body: Any, symbol: int) -> int:
        text = venue.position_texts(body).get(self._symbols[symbol], "0")
        return self._resolver.symbol_lots(symbol, text)

    def _tell_kept(self, name: str, lots: int, states: list[AlgoState]) -> None:
        self._log.warning(
            "stops stay at the venue: the position is open",
            symbol=name,
            position_lot=lots,
            client_ids=",".join(printable(state.client_id, 40) for state in states[:8]),
        )

    def cancel_unknown(self, orders: Any, stops: Any, held: Any) -> Procedure:
        """Cancel what no row of ours explains, given the venue's lists of all symbols."""
        for entry in orders:
            state = venue.order_state(entry)
            if self._comparing.is_traded(state.symbol) and not self._explains(state):
                self._tell_unknown(state.symbol, state.client_id)
                yield from self.cancel_order(state)
        for stop in self._comparing.stop_states(stops):
            lots = self._held_lots(held, self._comparing.index_of(stop.symbol))
            if self._comparing.is_ours(stop.client_id) or self._protects(stop, lots):
                continue
            self._tell_unknown(stop.symbol, stop.client_id)
            yield from self.cancel_stop(stop)

    def cancel_foreign(self, finding: Finding) -> Procedure:
        """Cancel a symbol's open orders and stops that are not ours, as a comparison found them."""
        for state in finding.orders.values():
            self._tell_unknown(state.symbol, state.client_id)
            yield from self.cancel_order(state)
        for stop in finding.stops.values():
            if self._protects(stop, finding.theirs):
                continue
            self._tell_unknown(stop.symbol, stop.client_id)
            yield from self.cancel_stop(stop)

    def _explains(self, state: venue.OrderState) -> bool:
        if self._comparing.is_ours(state.client_id):
            return True
        return self._ledger.table.find_stop(state.venue_order_id) is not None

    def _protects(self, stop: AlgoState, held_lot: int) -> bool:
        """Return whether a stop that is not ours is all that protects a position."""
        symbol = self._comparing.index_of(stop.symbol)
        if held_lot * stop.side >= 0:
            return False
        table = self._ledger.table
        rows = [table.slot_of(i) for i in table.with_status(OrderStatus.NEW)]
        return not any(algo.is_stop(row) and row.symbol == symbol for row in rows)

    def _tell_unknown(self, symbol: str, client_id: str) -> None:
        self._counts.mismatches.value += 1
        self._log.error(
            "open order that is not ours is canceled",
            symbol=symbol,
            client_id=printable(client_id, 64),
        )
