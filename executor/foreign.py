"""Events of orders that are not ours: their fills are booked, and a comparison is brought forward.

Venue: "Event: Order Update": a liquidation (`autoclose-…`, fills of type CALCULATED), a
deleveraging (`adl_autoclose`), another client of the account, or a person.

The order that a stop of ours has become may come under a client id of its own before we are told
which order it is. So a fill that could be such a one waits until the stop has been asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from executor import algo
from executor.client_ids import parse_client_id
from executor.counts import Counts
from executor.ledger import Change, Ledger, fee_of
from executor.resolve import Resolver
from executor.timers import Timers
from executor.transitions import OrderEvent, is_terminal
from executor.venue import printable, quote_asset
from runtime.instruments import to_ticks
from runtime.stage import StageContext

FILL_TYPES = ("TRADE", "CALCULATED")
LOGGED_MAX = 20
HOLD_NS = 50_000_000
# After so many looks a stop that could explain a fill has been asked for in vain.
HOLDS_MAX = 40


class Foreign:
    """Book foreign fills. `on_event(symbol)` is called for every foreign event of our symbols."""

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        resolver: Resolver,
        timers: Timers,
        take_own: Callable[[dict[str, Any], int], bool],
        on_event: Callable[[int], None],
    ) -> None:
        self._symbols = {name: index for index, name in enumerate(context.symbols)}
        self._memory, self._log = context.memory, context.log
        self._epoch = context.memory.control.epoch
        self._counts, self._ledger, self._resolver = counts, ledger, resolver
        self._timers, self._take_own, self._on_event = timers, take_own, on_event
        self._logged = 0

    def note(self, client_id: object, symbol: object, status: object) -> None:
        """Count and log an event, and have its symbol compared."""
        self._counts.foreign_events.value += 1
        if self._logged < LOGGED_MAX:
            self._logged += 1
            self._log.warning(
                "event of an order that is not ours",
                client_id=printable(str(client_id), 64),
                symbol=printable(str(symbol), 24),
                status=printable(str(status), 24),
            )
        index = self._symbols.get(str(symbol))
        if index is not None:
            self._on_event(index)

    def take(self, o: dict[str, Any], venue_ns: int) -> None:
        """Take an ORDER_TRADE_UPDATE of an order that no row explains."""
        self.note(o.get("c"), o.get("s"), o.get("X"))
        symbol = self._symbols.get(str(o.get("s")))
        if symbol is None or o.get("x") not in FILL_TYPES:
            return
        parsed = parse_client_id(o.get("c"))
        if parsed is not None and parsed[0] == self._epoch:
            return  # ours, compared and confirmed long ago: told again
        self._book_or_hold(o, symbol, venue_ns, 0)

    def _book_or_hold(self, o: dict[str, Any], symbol: int, venue_ns: int, holds: int) -> None:
        if holds and self._take_own(o, venue_ns):
            return  # a stop of ours has become it
        stops = self._possible_stops(o, symbol)
        if not stops or holds >= HOLDS_MAX:
            self._book(o, symbol, venue_ns)
            return
        if not holds:
            for order_id in stops:
                self._resolver.ask(order_id)
        elif not any(order_id in self._resolver.active for order_id in stops):
            # The venue has said that they wait, or became other orders.
            self._book(o, symbol, venue_ns)
            return
        due_ns = time.monotonic_ns() + HOLD_NS
        self._timers.at(due_ns, lambda: self._book_or_hold(o, symbol, venue_ns, holds + 1))

    def _possible_stops(self, o: dict[str, Any], symbol: int) -> list[int]:
        """Return our stops that this order could be. Loop bound: the orders that have not ended."""
        side = 1 if o.get("S") == "BUY" else -1
        table = self._ledger.table
        rows = [table.slot_of(order_id) for order_id in table.open_ids]
        return [
            row.order_id
            for row in rows
            if algo.is_stop(row)
            and not is_terminal(row.status)
            and (row.symbol, row.side, row.venue_order_id) == (symbol, side, 0)
        ]

    def _book(self, o: dict[str, Any], symbol: int, venue_ns: int) -> None:
        lots = self._resolver.symbol_lots(symbol, str(o["l"]))
        if lots <= 0:
            return
        quote = quote_asset(str(o["s"]))
        self._ledger.apply(
            Change(
                0,
                OrderEvent.FILLED,
                symbol=symbol,
                side=1 if o["S"] == "BUY" else -1,
                venue_order_id=int(o["i"]),
                venue_ns=venue_ns,
                trade_id=int(o["t"]),
                fill_tick=to_ticks(self._memory.symbol(symbol), str(o["L"])),
                fill_lot=lots,
                filled_lot=lots,
                fee=fee_of(o.get("n", "0"), o.get("N", quote), quote),
                is_maker=bool(o.get("m")),
            )
        )
