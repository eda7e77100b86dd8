"""Compare positions, open orders and waiting stops with what the venue lists, symbol by symbol."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.client_ids import parse_client_id
from executor.ledger import Ledger
from executor.positions import LocalPositions
from executor.procedures import Pause, Procedure
from executor.resolve import Resolver
from executor.rest import Call
from executor.venue import OrderState, PositionRow, VenueDataError, printable
from runtime.stage import StageContext
from shm.records import OrderStatus, OrderType, TimeInForce

LOOKS_MAX = 6
LOOK_PAUSE_NS = 50_000_000
# Venue: a list of one symbol weighs 1 to 5, one of all symbols 40.
NAMED_MAX = 10
IN_FLIGHT = (OrderStatus.SENDING, OrderStatus.UNKNOWN, OrderStatus.PARTIALLY_FILLED)


def rests_in_part(row: Any) -> bool:
    """Return whether an order has been filled in part and may stand so for hours.

    One that ends at once is still on its way then, and so is a stop that has triggered.
    """
    is_partial = row.status == OrderStatus.PARTIALLY_FILLED and row.type == OrderType.LIMIT
    return is_partial and row.time_in_force in (TimeInForce.GTC, TimeInForce.GTX)


@dataclass
class Finding:
    """What one look found about one symbol; quantities are signed lots."""

    symbol: int
    theirs: int = 0
    ours: int = 0
    row: PositionRow | None = None
    texts: list[str] = field(default_factory=list)  # differences in orders
    orders: list[OrderState] = field(default_factory=list)  # open ones that are not ours
    stops: list[AlgoState] = field(default_factory=list)  # waiting ones that are not ours

    @property
    def differs(self) -> bool:
        """Return whether anything about the symbol is not as we believe."""
        return self.theirs != self.ours or bool(self.texts)

    def told(self, name: str) -> list[str]:
        """Return the differences as texts."""
        if self.theirs == self.ours:
            return self.texts
        return [f"position {name}: venue={self.theirs} ours={self.ours} lots", *self.texts]


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

    def index_of(self, symbol: str) -> int:
        """Return the index of a traded symbol."""
        return self._symbol_index[symbol]

    def busy_symbols(self) -> set[int]:
        """Return the symbols with an order in flight, or with a change that is not reported yet."""
        table = self._ledger.table
        rows = [table.slot_of(order_id) for order_id in table.with_status(*IN_FLIGHT)]
        busy = {row.symbol for row in rows if not rests_in_part(row)}
        for change in self._ledger.backlog:
            row = table.find(change.order_id)
            busy.add(row.symbol if row is not None else change.symbol)
        return busy

    def compare(self, priority: int, symbols: Collection[int] = ()) -> Procedure:
        """Compare, several times if there are differences.

        Events may be on their way, and risk may not have read them.

        Args:
            priority: of the requests.
            symbols: which ones; none = all.

        Returns:
            a Finding per symbol, by index, or None when the venue did not answer.
        """
        found: dict[int, Finding] = {}
        wanted = set(symbols) or set(range(len(self._symbols)))
        for look in range(LOOKS_MAX):
            if look:
                yield Pause(LOOK_PAUSE_NS)
            looked = yield from self._look(priority, wanted)
            if looked is None:
                return None
            found |= looked
            wanted = {symbol for symbol in wanted if found[symbol].differs}
            if not wanted:
                break
        return found

    def _look(self, priority: int, wanted: set[int]) -> Procedure:
        named: list[dict[str, object]] = [{}]
        if len(wanted) <= min(NAMED_MAX, len(self._symbols) - 1):
            named = [{"symbol": self._symbols[symbol]} for symbol in sorted(wanted)]
        held: list[Any] = []
        listed: list[Any] = []
        waiting: list[Any] = []
        for parameters in named:
            for path, rows in (
                (venue.POSITIONS, held),
                (venue.OPEN_ORDERS, listed),
                (algo.OPEN_ALGO_ORDERS, waiting),
            ):
                reply = yield Call("GET", path, parameters, priority=priority)
                if not reply.ok:
                    return None
                if not isinstance(reply.body, list):
                    raise VenueDataError(f"{path}: not a list")
                rows += reply.body
        found = {symbol: Finding(symbol) for symbol in wanted}
        self._compare_positions(found, held)
        self._compare_orders(found, listed)
        self._compare_stops(found, waiting)
        return found

    def _compare_positions(self, found: dict[int, Finding], body: Any) -> None:
        rows = venue.position_rows(body)
        for symbol, finding in found.items():
            finding.row = row = rows.get(self._symbols[symbol])
            text = row.quantity if row is not None else "0"
            finding.theirs = self._resolver.symbol_lots(symbol, text)
            finding.ours = self._local.lots(symbol)

    def _compare_orders(self, found: dict[int, Finding], body: Any) -> None:
        open_ids = set()
        for state in map(venue.order_state, body):
            finding = found.get(self._symbol_index.get(state.symbol, -1))
            if finding is None:
                continue
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
            elif self._ledger.table.find_stop(state.venue_order_id) is None:
                finding.orders.append(state)
                shown = printable(state.client_id, 64)
                finding.texts.append(f"open order {state.symbol}: {shown} is not ours")
        self._miss(found, open_ids, waits=False)

    def _compare_stops(self, found: dict[int, Finding], body: Any) -> None:
        open_ids = set()
        for state in self.stop_states(body):
            finding = found.get(self._symbol_index[state.symbol])
            if finding is None:
                continue
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
            else:
                finding.stops.append(state)
                shown = printable(state.client_id, 64)
                finding.texts.append(f"open stop {state.symbol}: {shown} is not ours")
        self._miss(found, open_ids, waits=True)

    def stop_states(self, body: Any) -> list[AlgoState]:
        """Return the conditional orders of a list that are of our symbols."""
        states = [algo.algo_state(entry) for entry in body]
        return [state for state in states if self.is_traded(state.symbol)]

    def _miss(self, found: dict[int, Finding], open_ids: set[int], waits: bool) -> None:
        """Note our open orders that a list lacks; they are asked for: they have ended unheard.

        A stop that has triggered is in neither list when it has filled, which its events tell.
        """
        table = self._ledger.table
        for order_id in table.with_status(OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
            row = table.slot_of(order_id)
            is_waiting = algo.is_stop(row) and row.venue_order_id == 0
            finding = found.get(row.symbol)
            if finding is not None and is_waiting == waits and order_id not in open_ids:
                self._resolver.ask(order_id)
                finding.texts.append(f"order {order_id}: not open at the venue")
