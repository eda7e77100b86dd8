"""Events of orders that are not ours: their fills are booked, and a comparison is brought forward.

Venue: "Event: Order Update": a liquidation (`autoclose-…`, fills of type CALCULATED), a
deleveraging (`adl_autoclose`), another client of the account, or a person.

The order that a stop of ours has become may come under a client id of its own before we are told
which order it is. So a fill that could be such a one waits until the stop has been asked for, and
later ones of its symbol wait behind it: they are booked in the order of their trade ids.
"""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass(order=True)
class Held:
    """A fill that waits."""

    trade_id: int
    change: Change = field(compare=False)
    o: dict[str, Any] = field(compare=False)  # the event it came by
    stops: list[int] = field(compare=False)  # ours that it could be of, and that are asked for
    looks: int = field(compare=False, default=0)


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
        self._held: dict[int, list[Held]] = {}  # by symbol, the lowest trade id first
        ledger.on_explained = self._explained

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
        # Read now: what cannot be read is the stream's fault, not a timer's.
        change = self._change(o, symbol, venue_ns)
        if change.fill_lot <= 0:
            return
        stops = self._possible_stops(change)
        if not stops and symbol not in self._held:
            self._ledger.apply(change)
            return
        for order_id in stops:
            self._resolver.ask(order_id)
        change.was_held = True
        insort(self._held.setdefault(symbol, []), Held(change.trade_id, change, o, stops))
        self._ledger.held_symbols.add(symbol)
        if len(self._held[symbol]) == 1:
            self._look_later(symbol)

    def _look_later(self, symbol: int) -> None:
        self._timers.at(time.monotonic_ns() + HOLD_NS, lambda: self._look(symbol))

    def _look(self, symbol: int) -> None:
        """Book what need not wait any more. Loop bound: the fills that wait."""
        held = self._held[symbol]
        for waiting in held:
            waiting.looks += 1
        while held and self._is_decided(held[0]):
            del held[0]
        if held:
            self._look_later(symbol)
        else:
            del self._held[symbol]
            self._ledger.held_symbols.discard(symbol)

    def _is_decided(self, waiting: Held) -> bool:
        """Book a fill, or see that a stop of ours explains it; return False while it waits."""
        if waiting.stops and self._take_own(waiting.o, waiting.change.venue_ns):
            return True
        stops = self._possible_stops(waiting.change) if waiting.looks < HOLDS_MAX else []
        # Those that are not asked for any more wait, or became other orders: the venue said so.
        if any(i in self._resolver.active for i in stops if i in waiting.stops):
            return False
        self._ledger.apply(waiting.change)
        return True

    def _explained(self, change: Change, lots: int) -> None:
        self._log.warning(
            "a foreign fill is told that had been taken over",
            symbol=printable(list(self._symbols)[change.symbol], 24),
            trade_id=change.trade_id,
            side=change.side,
            explained_lot=lots,
            price_tick=change.fill_tick,
            fee_e8=change.fee.quote_e8,
        )

    def _possible_stops(self, change: Change) -> list[int]:
        """Return our stops that a fill could be of. Loop bound: orders that have not ended."""
        table = self._ledger.table
        rows = [table.slot_of(order_id) for order_id in table.open_ids]
        return [
            row.order_id
            for row in rows
            if algo.is_stop(row)
            and not is_terminal(row.status)
            and (row.symbol, row.side, row.venue_order_id) == (change.symbol, change.side, 0)
        ]

    def _change(self, o: dict[str, Any], symbol: int, venue_ns: int) -> Change:
        lots = self._resolver.symbol_lots(symbol, str(o["l"]))
        quote = quote_asset(str(o["s"]))
        return Change(
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
