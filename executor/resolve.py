"""Decide what became of an order by asking the venue, and fetch the fills that nobody told.

An order whose outcome is unknown is asked for by its client id until the venue knows it, or until
it cannot come into being any more: a request is refused once it is older than recvWindow, so an
order that is not found after that never was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from executor import algo, venue
from executor.counts import Counts
from executor.ledger import Change, Fee, Ledger, fee_of
from executor.procedures import Pause, Procedure, Runner
from executor.rest import QUERY, Call
from executor.stops import Stops
from executor.texts import OrderTexts
from executor.timers import Timers
from executor.transitions import OrderEvent, is_terminal
from executor.venue import OrderState, Reply, TradeRow, VenueDataError, Verdict, classify
from runtime.instruments import InstrumentError, to_lots, to_ticks
from shm.records import OrderStatus
from shm.tables import read_symbol_name

BACKOFF_FIRST_NS = 25_000_000
BACKOFF_MAX_NS = 2_000_000_000
# How far an order may arrive after its recvWindow by the two clocks' disagreement.
LATE_MARGIN_NS = 1_000_000_000
MISSES_MIN = 3
# Times the list of fills may lag behind the order before the rest is taken from its average price.
FILL_LOOKS_MAX = 8
# Times an order the venue once had may be missing before it is left for a person.
VANISHED_LOOKS_MAX = 20
TRADE_COUNT_MAX = 1000


class Resolver:
    """Run one query procedure per order in doubt."""

    def __init__(
        self,
        ledger: Ledger,
        runner: Runner,
        texts: OrderTexts,
        counts: Counts,
        log: Any,
        recv_window_ns: int,
        timers: Timers,
    ) -> None:
        self.ledger, self._runner, self.texts = ledger, runner, texts
        self.stops = Stops(self, timers)
        self._counts, self._log = counts, log
        self._window_ns = recv_window_ns + LATE_MARGIN_NS
        self._started_ns = time.monotonic_ns()
        self._active: set[int] = set()
        self._vanished: set[int] = set()  # that are left for a person
        # Orders handed to the REST worker may leave until then.
        self.sendable_until: dict[int, int] = {}
        # Assets of fees that were warned about.
        self._uncounted_assets: set[str] = set()

    @property
    def active(self) -> frozenset[int]:
        """Return the orders that are being asked for."""
        return frozenset(self._active)

    def asked_symbols(self) -> set[int]:
        """Return the symbols of orders that are being asked for: their fills may be told soon.

        One that has vanished is asked for again and again, and tells nothing.
        """
        rows = map(self.ledger.table.find, self._active - self._vanished)
        return {row.symbol for row in rows if row is not None}

    def ask(self, order_id: int, delay_ns: int = 0) -> None:
        """Begin to ask for an order, unless that is under way."""
        if order_id not in self._active:
            self._active.add(order_id)
            self._runner.start(
                self._resolve(order_id, delay_ns), lambda result: self._ended(order_id, result)
            )

    def _ended(self, order_id: int, result: object) -> None:
        self._active.discard(order_id)
        self.sendable_until.pop(order_id, None)
        if isinstance(result, VenueDataError):
            self.ask(order_id, BACKOFF_MAX_NS)

    def _resolve(self, order_id: int, delay_ns: int) -> Procedure:
        looks = 0
        if delay_ns:
            yield Pause(delay_ns)
        backoff_ns = BACKOFF_FIRST_NS
        while True:
            settled = yield from self.look(order_id, looks)
            if settled:
                return
            looks += 1
            yield Pause(backoff_ns)
            backoff_ns = min(2 * backoff_ns, BACKOFF_MAX_NS)

    def look(self, order_id: int, looks: int) -> Procedure:
        """Ask once; return whether the order is settled: known and complete, or absent for good.

        `looks` is how often this has been done for it.
        """
        row = self.ledger.table.find(order_id)
        if row is None:
            return True
        row.queries += 1
        self._counts.queries.value += 1
        if algo.is_stop(row):
            return (yield from self.stops.look(row, looks))
        reply = yield Call(
            "GET",
            venue.ORDER,
            {
                "symbol": self.symbol_of(row),
                "origClientOrderId": self.texts.client_id(order_id),
            },
            priority=QUERY,
            api_method=venue.API_STATUS,
        )
        if row.order_id != order_id:
            return True  # it had ended, and a later order has its row now
        verdict = classify(reply)
        if verdict == Verdict.OK:
            return (yield from self.adopt(row, venue.order_state(reply.body), looks))
        if verdict == Verdict.NOT_FOUND:
            return self.missing(row, looks)
        return False

    def adopt(self, row: Any, state: OrderState, looks: int) -> Procedure:
        """Take over an order as the venue states it, with the fills that are missing here."""
        order_id = row.order_id
        self._vanished.discard(order_id)
        executed = self.lots(row, state.executed)
        if executed > row.filled_lot:
            yield from self._fetch_fills(row, state, executed)
            if row.order_id != order_id:
                return True
            if executed > row.filled_lot and looks >= FILL_LOOKS_MAX:
                self._invent_rest(row, state, executed)
            if executed > row.filled_lot:
                return False
        self.ledger.apply(
            Change(
                order_id,
                state.event,
                venue_order_id=state.venue_order_id,
                venue_ns=state.venue_ns,
                filled_lot=executed,
            )
        )
        return row.status not in (OrderStatus.SENDING, OrderStatus.UNKNOWN)

    def _fetch_fills(self, row: Any, state: OrderState, executed: int) -> Procedure:
        order_id = row.order_id
        reply = yield Call(
            "GET",
            venue.USER_TRADES,
            {
                "symbol": self.symbol_of(row),
                "orderId": state.venue_order_id,
                "limit": TRADE_COUNT_MAX,
            },
            priority=QUERY,
        )
        if not reply.ok or self.ledger.backlog or row.order_id != order_id:
            return
        value = fee = trade_id = 0
        counted = True
        for trade, change in self._fills(row, venue.trade_rows(reply.body)):
            change.event = OrderEvent.PARTIAL
            if change.filled_lot == executed and state.event == OrderEvent.FILLED:
                change.event = OrderEvent.FILLED
            if counted and change.filled_lot > row.filled_lot:
                # A crash may have come between a row's quantity and its sums: set them anew.
                self.ledger.set_sums(row, value, fee, trade_id)
                counted = False
            value += change.fill_tick * change.fill_lot
            fee += change.fee.quote_e8
            trade_id = trade.trade_id
            if change.filled_lot > row.filled_lot:
                self.ledger.apply(change)

    def _fills(self, row: Any, trades: list[TradeRow]) -> Iterator[tuple[TradeRow, Change]]:
        symbol = self.texts.symbol_row(row.symbol)
        filled = 0
        for trade in trades:
            quantity = self.lots(row, trade.quantity)
            filled += quantity
            try:
                tick = to_ticks(symbol, trade.price)
            except (InstrumentError, ArithmeticError) as error:
                raise VenueDataError(f"trade: {type(error).__name__}") from None
            yield (
                trade,
                Change(
                    row.order_id,
                    OrderEvent.PARTIAL,
                    venue_order_id=trade.venue_order_id,
                    venue_ns=trade.venue_ns,
                    trade_id=trade.trade_id,
                    fill_tick=tick,
                    fill_lot=quantity,
                    filled_lot=filled,
                    fee=self.fee(row, trade.fee, trade.fee_asset),
                    is_maker=trade.is_maker,
                    was_held=True,
                ),
            )

    def _invent_rest(self, row: Any, state: OrderState, executed: int) -> None:
        """Report a rest that the list of fills never showed at the order's average price."""
        symbol = self.texts.symbol_row(row.symbol)
        rest = executed - row.filled_lot
        try:
            average = float(state.average or 0.0)
        except ValueError:
            return
        if average <= 0.0:
            return
        tick = round((average / symbol.tick_size * executed - row.filled_value) / rest)
        self._counts.mismatches.value += 1
        self._log.error(
            "fills are not listed by the venue: taken from the average price",
            order_id=row.order_id,
            executed_lot=executed,
            listed_lot=row.filled_lot,
        )
        full = state.event == OrderEvent.FILLED
        self.ledger.apply(
            Change(
                row.order_id,
                OrderEvent.FILLED if full else OrderEvent.PARTIAL,
                venue_order_id=state.venue_order_id,
                venue_ns=state.venue_ns,
                trade_id=row.last_trade_id,
                fill_tick=tick,
                fill_lot=rest,
                filled_lot=executed,
                was_held=True,
            )
        )

    def missing(self, row: Any, looks: int) -> bool:
        """Handle an order that the venue does not find; return whether that settles it."""
        if is_terminal(row.status):
            return True
        if row.venue_order_id:
            if looks < VANISHED_LOOKS_MAX:
                return False
            self._vanished.add(row.order_id)
            self.note_vanished(row)
            return True
        left_ns = self.sendable_until.get(row.order_id) or row.sent_ns or self._started_ns
        if looks + 1 < MISSES_MIN or time.monotonic_ns() < left_ns + self._window_ns:
            return False
        event = OrderEvent.REJECTED if row.sent_ns else OrderEvent.NOT_SENT
        self.ledger.apply(Change(row.order_id, event, error_code=venue.CODE_NOT_FOUND))
        return is_terminal(row.status)

    def note_vanished(self, row: Any) -> None:
        """Count and log an order that the venue had and does not find any more."""
        self._counts.mismatches.value += 1
        self._log.error(
            "an accepted order is not found any more",
            order_id=row.order_id,
            venue_order_id=row.venue_order_id,
            algo_id=row.algo_id,
        )

    def symbol_row(self, row: Any) -> Any:
        """Return the row of the symbol table of an order's row."""
        return self.texts.symbol_row(row.symbol)

    def symbol_of(self, row: Any) -> str:
        """Return the symbol's name of a row."""
        return read_symbol_name(self.texts.symbol_row(row.symbol))

    def lots(self, row: Any, text: str) -> int:
        """Return a quantity text in lots of the row's symbol, or raise VenueDataError."""
        return self.symbol_lots(row.symbol, text)

    def symbol_lots(self, symbol: int, text: str) -> int:
        """Return a quantity text in lots of a symbol, or raise VenueDataError."""
        try:
            return to_lots(self.texts.symbol_row(symbol), text)
        except (InstrumentError, ArithmeticError) as error:
            raise VenueDataError(f"quantity: {type(error).__name__}") from None

    def fee(self, row: Any, amount: object, asset: object) -> Fee:
        """Return the fee of a fill; one paid in another asset than the quote is warned about."""
        fee = fee_of(amount, asset, venue.quote_asset(self.symbol_of(row)))
        if fee.asset and fee.asset not in self._uncounted_assets:
            self._uncounted_assets.add(fee.asset)
            self._log.warning("fees in this asset are not counted in the profit", asset=fee.asset)
        return fee

    def answer(self, row: Any, reply: Reply) -> None:
        """Apply an order as a response to a request states it."""
        if algo.is_stop(row):
            self.stops.answer(row, reply)
            return
        state = venue.order_state(reply.body)
        self.ledger.apply(
            Change(
                row.order_id,
                state.event,
                venue_order_id=state.venue_order_id,
                venue_ns=state.venue_ns,
                filled_lot=self.lots(row, state.executed),
            )
        )
