"""Compare positions, open orders and waiting stops with what the venue lists, symbol by symbol.

Nothing has to be at rest for that. A position is compared with all that we believed in while the
venue was asked (see `differences`); an order counts as missing, or as not ours, when two looks in a
row say so and it was open all the time: what opens, fills or ends meanwhile is left out.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from executor import algo, venue
from executor.algo import AlgoState
from executor.beliefs import Beliefs, Window
from executor.client_ids import parse_client_id
from executor.clock import VenueClock
from executor.differences import Differences, agrees, differs
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
# An order that has no outcome for that long is in doubt as one whose outcome is unknown is.
DOUBT_NS = 1_000_000_000
# What earlier looks left open is used for that long: meanwhile more may have been missed.
OPEN_NS_MAX = 2_000_000_000
IN_FLIGHT = (OrderStatus.SENDING, OrderStatus.PARTIALLY_FILLED)
Key = tuple[str, int]  # "missing", "filled", "order" or "stop", and the id of that


def rests_in_part(row: Any) -> bool:
    """Return whether an order has been filled in part and may stand so for hours.

    One that ends at once is still on its way then, and so is a stop that has triggered.
    """
    is_partial = row.status == OrderStatus.PARTIALLY_FILLED and row.type == OrderType.LIMIT
    return is_partial and row.time_in_force in (TimeInForce.GTC, TimeInForce.GTX)


@dataclass
class Finding:
    """What a comparison found about one symbol; quantities are signed lots."""

    symbol: int
    theirs: int = 0
    ours: int = 0
    possible: frozenset[int] = frozenset()  # theirs − ours may be any of them; none = anything
    lates: int = 0  # fills of the symbol that came too late for a look, up to now
    venue_ns: int = 0  # when the last look's reply came, by the venue's clock
    asked_ns: int = 0  # when that look's first request was about to leave; monotonic
    row: PositionRow | None = None
    texts: dict[Key, str] = field(default_factory=dict)  # differences in orders
    orders: dict[Key, OrderState] = field(default_factory=dict)  # open ones that are not ours
    stops: dict[Key, AlgoState] = field(default_factory=dict)  # waiting ones that are not ours

    @property
    def is_same(self) -> bool:
        """Return whether the venue said what we believed in when the reply came."""
        return self.theirs == self.ours

    @property
    def moved(self) -> bool:
        """Return whether the position differs for certain."""
        return differs(self.possible)

    @property
    def is_certain(self) -> bool:
        """Return whether it is known if the position differs."""
        return self.moved or agrees(self.possible)

    def told(self, name: str, doubted: bool) -> list[str]:
        """Return the differences as texts; with that of a position that is only in doubt."""
        texts = list(self.texts.values())
        if self.moved:
            texts.append(f"position {name}: venue={self.theirs} ours={self.ours} lots")
        elif doubted:
            # Without quantities: they change, and people are told once.
            texts.append(f"position {name}: comparisons do not settle whether it differs")
        return texts

    def keep(self, keys: Collection[Key]) -> None:
        """Drop the differences in orders that have none of some keys."""
        for kept in (self.texts, self.orders, self.stops):
            for key in [key for key in kept if key not in keys]:
                del kept[key]


@dataclass
class Look:
    """What the venue was asked, and said."""

    resting: frozenset[tuple[int, bool]]  # our open orders at the beginning: id, waits as a stop
    asked_ns: int  # monotonic, before the first request
    held: list[Any] = field(default_factory=list)
    listed: list[Any] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)  # by symbol


class Comparing:
    """Look at the venue's lists; what is found differs for whoever asked, nothing is changed."""

    def __init__(
        self, context: StageContext, ledger: Ledger, resolver: Resolver, clock: VenueClock
    ) -> None:
        self._symbols = context.symbols
        self._symbol_index = {name: i for i, name in enumerate(context.symbols)}
        self._epoch = context.memory.control.epoch
        self._ledger, self._resolver = ledger, resolver
        self._beliefs = Beliefs(LocalPositions(context.memory, context.symbols), clock)
        self._looks: dict[int, Differences] = {}  # by symbol
        self._looked_ns: dict[int, int] = {}
        ledger.on_fill = self._beliefs.note

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
        """Return the symbols with an order in doubt, or with a change that is not reported yet.

        A foreign fill that is held back is such a change as well.
        """
        table = self._ledger.table
        before_ns = time.monotonic_ns() - DOUBT_NS
        busy = {table.slot_of(i).symbol for i in table.with_status(OrderStatus.UNKNOWN)}
        for row in map(table.slot_of, table.with_status(*IN_FLIGHT)):
            if not rests_in_part(row) and row.written_ns < before_ns:
                busy.add(row.symbol)
        for change in self._ledger.backlog:
            row = table.find(change.order_id)
            busy.add(row.symbol if row is not None else change.symbol)
        return busy | self._ledger.held_symbols

    def compare(
        self, priority: int, symbols: Collection[int] = (), anew: bool = False
    ) -> Procedure:
        """Compare, several times unless all is certain at once.

        Events may be on their way, and risk may not have read them.

        Args:
            priority: of the requests.
            symbols: which ones; none = all.
            anew: nothing is used that earlier comparisons have seen.

        Returns:
            a Finding per symbol, by index, or None when the venue did not answer.
        """
        found: dict[int, Finding] = {}
        wanted = set(symbols) or set(range(len(self._symbols)))
        looks = {symbol: self._begin(symbol, anew) for symbol in wanted}
        suspected: dict[int, frozenset[Key]] = {}
        for _ in range(LOOKS_MAX):
            look = yield from self._look(priority, wanted)
            if look is None:
                return None
            made = self._findings(look)
            # Where nothing moves, an answer that is as we believe needs no patience.
            certain = {s for s in made if look.windows[s].is_still(s) and made[s].is_same}
            self._judge(certain, made, look, looks)
            unclear = {s for s in made if s not in certain or made[s].texts}
            if unclear:
                yield Pause(max(look.windows[symbol].left_ns for symbol in unclear))
            self._judge(wanted - certain, made, look, looks)
            for symbol, finding in made.items():
                before = suspected.get(symbol, frozenset())
                suspected[symbol] = frozenset(finding.texts)
                finding.keep(before)
                self._ask_for_unheard(finding)
            found |= made
            wanted = {s for s in wanted if suspected[s] or not agrees(found[s].possible)}
            if not wanted:
                break
        return found

    def _begin(self, symbol: int, anew: bool) -> Differences:
        """Return what recent looks left open about a position; what they settled begins anew."""
        made = self._looks.get(symbol)
        age_ns = time.monotonic_ns() - self._looked_ns.get(symbol, 0)
        if made is None or anew or age_ns > OPEN_NS_MAX or len(made.possible) == 1:
            self._looks[symbol] = made = Differences()
        return made

    def _look(self, priority: int, wanted: set[int]) -> Procedure:
        named: list[tuple[set[int], dict[str, object]]] = [(wanted, {})]
        if len(wanted) <= min(NAMED_MAX, len(self._symbols) - 1):
            named = [({symbol}, {"symbol": self._symbols[symbol]}) for symbol in sorted(wanted)]
        look = Look(self._resting(), time.monotonic_ns())
        for symbols, parameters in named:
            # Positions last: the shorter the window, the fewer fills are in it.
            for path, rows in (
                (venue.OPEN_ORDERS, look.listed),
                (algo.OPEN_ALGO_ORDERS, look.waiting),
                (venue.POSITIONS, look.held),
            ):
                window = self._beliefs.open(symbols)
                reply = yield Call("GET", path, parameters, priority=priority)
                if not reply.ok:
                    return None
                if not isinstance(reply.body, list):
                    raise VenueDataError(f"{path}: not a list")
                rows += reply.body
            window.reply()
            look.windows |= dict.fromkeys(symbols, window)
        return look

    def _resting(self) -> frozenset[tuple[int, bool]]:
        """Return our orders that are open: id, and whether it is a stop that waits."""
        table = self._ledger.table
        ids = table.with_status(OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
        rows = map(table.slot_of, ids)
        return frozenset(
            (row.order_id, algo.is_stop(row) and row.venue_order_id == 0) for row in rows
        )

    def _findings(self, look: Look) -> dict[int, Finding]:
        found = {symbol: Finding(symbol, asked_ns=look.asked_ns) for symbol in look.windows}
        rows = venue.position_rows(look.held)
        for symbol, finding in found.items():
            finding.row = row = rows.get(self._symbols[symbol])
            text = row.quantity if row is not None else "0"
            finding.theirs = self._resolver.symbol_lots(symbol, text)
            finding.ours = self._beliefs.held(symbol)
        # Open before and after: an order that came or went meanwhile may be in a list or not.
        resting = look.resting & self._resting()
        self._compare_orders(found, look.listed, resting)
        self._compare_stops(found, look.waiting, resting)
        return found

    def _judge(
        self,
        symbols: set[int],
        made: dict[int, Finding],
        look: Look,
        looks: dict[int, Differences],
    ) -> None:
        """Say what each look has left possible about the positions."""
        for symbol in symbols:
            finding, differences = made[symbol], looks[symbol]
            ours = look.windows[symbol].close(symbol)
            finding.lates = self._beliefs.lates(symbol)
            finding.venue_ns = self._beliefs.judged_ns(symbol)
            differences.look(finding.theirs, ours, finding.lates)
            self._looked_ns[symbol] = time.monotonic_ns()
            finding.possible = differences.possible

    def _compare_orders(
        self, found: dict[int, Finding], body: Any, resting: Collection[tuple[int, bool]]
    ) -> None:
        open_ids = set()
        for state in map(venue.order_state, body):
            finding = found.get(self._symbol_index.get(state.symbol, -1))
            if finding is None:
                continue
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
                self._compare_filled(finding, parsed[1], state)
            elif self._ledger.table.find_stop(state.venue_order_id) is None:
                key = ("order", state.venue_order_id)
                finding.orders[key] = state
                shown = printable(state.client_id, 64)
                finding.texts[key] = f"open order {state.symbol}: {shown} is not ours"
        self._miss(found, {order_id for order_id, waits in resting if not waits} - open_ids)

    def _compare_filled(self, finding: Finding, order_id: int, state: OrderState) -> None:
        """Note an open order with fills that nobody told: they are asked for, with their prices."""
        row = self._ledger.table.find(order_id)
        executed = self._resolver.symbol_lots(finding.symbol, state.executed)
        if row is not None and executed > row.filled_lot:
            text = f"order {order_id}: filled venue={executed} ours={row.filled_lot} lots"
            finding.texts["filled", order_id] = text

    def _compare_stops(
        self, found: dict[int, Finding], body: Any, resting: Collection[tuple[int, bool]]
    ) -> None:
        open_ids = set()
        for state in self.stop_states(body):
            finding = found.get(self._symbol_index[state.symbol])
            if finding is None:
                continue
            parsed = parse_client_id(state.client_id)
            if parsed is not None and self.is_ours(state.client_id):
                open_ids.add(parsed[1])
            else:
                key = ("stop", state.algo_id)
                finding.stops[key] = state
                shown = printable(state.client_id, 64)
                finding.texts[key] = f"open stop {state.symbol}: {shown} is not ours"
        self._miss(found, {order_id for order_id, waits in resting if waits} - open_ids)

    def stop_states(self, body: Any) -> list[AlgoState]:
        """Return the conditional orders of a list that are of our symbols."""
        states = [algo.algo_state(entry) for entry in body]
        return [state for state in states if self.is_traded(state.symbol)]

    def _miss(self, found: dict[int, Finding], order_ids: set[int]) -> None:
        """Note our open orders that a list lacks."""
        for order_id in sorted(order_ids):
            finding = found.get(self._ledger.table.slot_of(order_id).symbol)
            if finding is not None:
                key = ("missing", order_id)
                finding.texts[key] = f"order {order_id}: not open at the venue"

    def _ask_for_unheard(self, finding: Finding) -> None:
        """Have orders asked for that have ended or were filled unheard.

        A stop that has triggered is in neither list when it has filled, which its events tell.
        """
        for kind, order_id in finding.texts:
            if kind in ("missing", "filled"):
                self._resolver.ask(order_id)
