"""Read the venue's list of orders and confirm ended rows by it, while running and at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from executor import algo, venue
from executor.clock import VenueClock
from executor.compare import (
    Comparison,
    OurOrder,
    VenueOrder,
    VenueStop,
    compare_orders,
    compare_stops,
    merge_stops,
)
from executor.counts import Counts
from executor.orders import OrderTable
from executor.procedures import Pause, Procedure
from executor.resolve import Resolver
from executor.rest import HOUSEKEEPING, Call

# Venue: "All Orders": at most 1000 a page, and less than 7 days between startTime and endTime.
PAGE_SIZE = 1000
WINDOW_MS = 6 * 24 * 3600 * 1000
# The run's start is a whole second of our clock, which may be a little ahead of the venue's.
EARLY_MS = 5_000
CONFIRM_LOOKS = 3
CONFIRM_PAUSE_NS = 100_000_000


class History:
    """Compare rows with the venue's lists; remember up to which order that has been done."""

    def __init__(
        self,
        table: OrderTable,
        resolver: Resolver,
        clock: VenueClock,
        counts: Counts,
        epoch: int,
        symbols: tuple[str, ...],
        log: Any,
    ) -> None:
        self._table, self._resolver, self._clock = table, resolver, clock
        self._counts, self._log = counts, log
        self._epoch = epoch
        self._symbols = symbols
        self._settled_ids: dict[int, int] = {}
        self._duplicated: set[int] = set()

    def confirm(self, priority: int = HOUSEKEEPING) -> Procedure:
        """Compare all rows that are not confirmed yet.

        Returns:
            the combined Comparison, or None when the venue did not answer.
        """
        whole = Comparison()
        for symbol in sorted({symbol for symbol, _ in self._unconfirmed()}):
            made = yield from self._confirm_symbol(symbol, priority)
            if made is None:
                return None
            whole.confirmed += made.confirmed
            whole.lost += made.lost
            whole.differing += made.differing
            whole.undecided += made.undecided
            whole.resting += made.resting
            whole.duplicated += made.duplicated
        self._note_duplicated(whole.duplicated)
        return whole

    def _unconfirmed(self) -> list[tuple[int, OurOrder]]:
        """Return (symbol, order) of all that is still to be compared, in the order of the ids."""
        table = self._table
        rows = [table.slot_of(i) for i in sorted(table.open_ids | table.ended_ids)]
        found = [
            (
                r.symbol,
                OurOrder(r.order_id, r.venue_order_id, r.status, r.filled_lot, algo.is_stop(r)),
            )
            for r in [*table.displaced.values(), *rows]
        ]
        return sorted(found)

    def _confirm_symbol(self, symbol: int, priority: int) -> Procedure:
        made: Comparison | None = None
        for look in range(CONFIRM_LOOKS):
            if look:
                # The venue's list may lag behind its events.
                yield Pause(CONFIRM_PAUSE_NS)
            # Rows first: what ends while the list is on its way is compared the next time.
            ours = [order for place, order in self._unconfirmed() if place == symbol]
            listed = yield from self._list(symbol, priority)
            if listed is None:
                return None
            given = {order.order_id for order in ours}
            later = {order.order_id for _, order in self._unconfirmed()} - given
            # The order of a stop that was not known to be one may be behind what is listed.
            settled_id = self._settled_ids.get(symbol, 0)
            found = [o for o in ours if not (o.is_stop and 0 < o.venue_order_id <= settled_id)]
            made = compare_orders(found, listed, self._epoch, later)
            stops = [order for order in ours if order.is_stop]
            if stops:
                waiting = yield from self._list_stops(symbol, stops, priority)
                if waiting is None:
                    return None
                merge_stops(made, compare_stops(stops, waiting, self._epoch))
            for order_id in made.confirmed:
                self._table.confirm(order_id)
            if made.settled_id:
                self._settled_ids[symbol] = made.settled_id
            if not (made.lost or made.differing):
                break
        return made

    def _list_stops(self, symbol: int, stops: list[OurOrder], priority: int) -> Procedure:
        """Return the venue's conditional orders since the oldest of ours; None without answer."""
        table = self._table
        rows = [table.find(s.order_id) or table.displaced[s.order_id] for s in stops]
        age_ms = (time.monotonic_ns() - min(row.written_ns for row in rows)) // venue.NS_PER_MS
        key: dict[str, object] = {"startTime": self._clock.venue_ms() - age_ms - EARLY_MS}
        known = [row.algo_id for row in rows if row.algo_id]
        found: list[VenueStop] = []
        while True:
            named: dict[str, object] = {"symbol": self._symbols[symbol], "limit": PAGE_SIZE}
            reply = yield Call("GET", algo.ALL_ALGO_ORDERS, named | key, priority=priority)
            if not reply.ok:
                self._log.warning("no list of stops", status=reply.status, code=reply.code)
                return None
            if not isinstance(reply.body, list):
                raise venue.VenueDataError("conditional orders: not a list")
            page = [self._stop(symbol, algo.algo_state(entry)) for entry in reply.body]
            found += page
            if len(page) < PAGE_SIZE:
                return found
            # Venue: "Query All Algo Orders": by time the most recent are listed, by id the next.
            by_time = "startTime" in key and known
            key = {"algoId": min(known) if by_time else max(stop.algo_id for stop in page) + 1}

    def _stop(self, symbol: int, state: algo.AlgoState) -> VenueStop:
        lots = self._resolver.symbol_lots(symbol, state.executed) if state.executed else -1
        return VenueStop(state.client_id, state.algo_id, state.status, state.venue_order_id, lots)

    def _note_duplicated(self, order_ids: Iterable[int]) -> None:
        for order_id in order_ids:
            if order_id not in self._duplicated:
                self._duplicated.add(order_id)
                self._counts.orders_duplicated.value += 1
                self._log.error("the venue has more than one order of an id", order_id=order_id)

    def _list(self, symbol: int, priority: int) -> Procedure:
        """Return the venue's orders of a symbol that are not settled, or None without answer."""
        settled_id = self._settled_ids.get(symbol, 0)
        if settled_id:
            return (yield from self._list_from(symbol, settled_id + 1, priority))
        start_ms = self._epoch * 1000 - EARLY_MS
        end_ms = max(self._clock.venue_ms(), time.time_ns() // venue.NS_PER_MS) + EARLY_MS
        windows = [
            (begin, min(begin + WINDOW_MS, end_ms)) for begin in range(start_ms, end_ms, WINDOW_MS)
        ]
        found: dict[int, VenueOrder] = {}
        while windows:
            begin, end = windows.pop()
            parameters = {"startTime": begin, "endTime": end}
            page = yield from self._page(symbol, parameters, priority)
            if page is None:
                return None
            found |= {order.venue_order_id: order for order in page}
            if len(page) >= PAGE_SIZE and end > begin:
                # Venue: which end of a window that is too full is left out is not stated.
                middle = (begin + end) // 2
                windows += [(begin, middle), (middle + 1, end)]
        return list(found.values())

    def _list_from(self, symbol: int, order_id: int, priority: int) -> Procedure:
        found: list[VenueOrder] = []
        while True:
            page = yield from self._page(symbol, {"orderId": order_id}, priority)
            if page is None:
                return None
            found += page
            if len(page) < PAGE_SIZE:
                return found
            order_id = max(order.venue_order_id for order in page) + 1

    def _page(self, symbol: int, parameters: dict[str, int], priority: int) -> Procedure:
        reply = yield Call(
            "GET",
            venue.ALL_ORDERS,
            {"symbol": self._symbols[symbol], "limit": PAGE_SIZE, **parameters},
            priority=priority,
        )
        if not reply.ok:
            self._log.warning("no list of orders", status=reply.status, code=reply.code)
            return None
        if not isinstance(reply.body, list):
            raise venue.VenueDataError("orders: not a list")
        return [self._order(symbol, entry) for entry in reply.body]

    def _order(self, symbol: int, entry: Any) -> VenueOrder:
        state = venue.order_state(entry)
        lots = self._resolver.symbol_lots(symbol, state.executed)
        return VenueOrder(state.client_id, state.venue_order_id, state.event, lots)
