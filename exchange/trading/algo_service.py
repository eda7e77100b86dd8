"""Keep the conditional orders: accept, cancel, trigger, and follow what becomes of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from exchange.errors import VenueError
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.trading.algo_entry import parse_algo_order
from exchange.trading.algo_events import algo_update
from exchange.trading.algo_orders import ENDED, LIMIT_KINDS, TRAILING, AlgoOrder
from exchange.trading.entry import NO_MATCH
from exchange.trading.parameters import Params, whole_number
from exchange.trading.retention import CLOSED_ALGO_ORDERS_MAX, Recent
from exchange.trading.timers import Timer
from exchange.trading.triggers import TriggerIndex

if TYPE_CHECKING:
    from exchange.trading.desk import Desk

ALGO_ID_FIRST = 1_000_001_270_850_001
TRIGGER_PROTECT_E4 = 500  # triggerProtect of exchangeInfo: largest gap of mark and last price


class Span(NamedTuple):
    """Be the prices, in ticks, of one matching step or of one look at the mark price."""

    symbol: str
    working_type: str  # CONTRACT_PRICE or MARK_PRICE
    low: int
    high: int
    last: int
    before: int  # the price that it started from


class AlgoService:
    """Stand before the desk: what is here rests in no book and is known to no ordinary query.

    Of the orders that have ended the most recent are kept.

    # Invariant: an order waits (is NEW, watched, listed as open) or has ended or become an order.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.orders: dict[int, AlgoOrder] = {}
        self._waiting: dict[str, dict[int, AlgoOrder]] = {s: {} for s in desk.instruments}
        self._by_client_id: dict[str, AlgoOrder] = {}
        self._by_child: dict[int, AlgoOrder] = {}
        self._ends: dict[int, Timer] = {}
        self._indexes: dict[tuple[str, str], TriggerIndex] = {}
        self._closed = Recent(CLOSED_ALGO_ORDERS_MAX, self._forget)
        self._next_id = ALGO_ID_FIRST

    def place(self, params: Params) -> AlgoOrder:
        """Accept a conditional order or raise the venue's error."""
        desk = self._desk
        desk.register.requests["algo_place"] += 1
        try:
            order = self._parse(params)
        except VenueError:
            desk.register.requests["algo_refused"] += 1
            raise
        order.algo_id = self._next_id
        self._next_id += 1
        order.client_algo_id = order.client_algo_id or f"x-{order.algo_id}"
        self.orders[order.algo_id] = order
        self._by_client_id[order.client_algo_id] = order
        self._waiting[order.instrument.symbol][order.algo_id] = order
        self._watch(order)
        if order.good_till_ms:
            run_out = partial(self._end, order, "EXPIRED")
            self._ends[order.algo_id] = desk.timers.call_at(order.good_till_ms, run_out)
        self._tell(order)
        return order

    def cancel(self, params: Params) -> AlgoOrder:
        """Cancel a waiting order; raise -2011 when there is none."""
        self._desk.register.requests["algo_cancel"] += 1
        order = self._find(params)
        if order is None or order.status != "NEW":
            raise VenueError(-2011)
        self._end(order, "CANCELED")
        return order

    def cancel_all(self, symbol: str) -> int:
        """Cancel a symbol's waiting orders for a client; return how many."""
        self._desk.register.requests["algo_cancel_all"] += 1
        return self.cancel_open(symbol)

    def cancel_open(self, symbol: str) -> int:
        """Cancel a symbol's waiting orders; return how many."""
        orders = self.open_orders(symbol)
        for order in orders:
            self._end(order, "CANCELED")
        return len(orders)

    def query(self, params: Params) -> AlgoOrder:
        """Return an order, waiting or not; raise -2013 when there is none."""
        order = self._find(params)
        if order is None:
            raise VenueError(-2013)
        return order

    def open_orders(self, symbol: str) -> list[AlgoOrder]:
        """Return a symbol's waiting orders, oldest first."""
        return list(self._waiting[symbol].values())

    def is_waiting(self, symbol: str) -> bool:
        """Tell whether any price of the symbol can matter."""
        return bool(self._waiting[symbol])

    def on_price(self, span: Span) -> None:
        """Fire the orders that a span of prices reaches, the nearest trigger first.

        While the symbol takes no orders nothing is looked at: what an order becomes would be
        refused. It stays watched, and the first price after that decides.
        """
        index = self._indexes.get((span.symbol, span.working_type))
        if index is None or not self._desk.is_open(span.symbol):
            return
        waiting = self._waiting[span.symbol]
        for algo_id in index.reached(span.low, span.high, span.before):
            order = waiting.get(algo_id)
            # An order fired before it may have ended it, by closing the position it was for.
            if order is None:
                continue
            if order.is_triggered(span.low, span.high, span.last) and self._is_let(order):
                self._fire(order)
            else:
                self._watch(order)

    def position_changed(self, symbol: str, position_side: str, held_before: int) -> None:
        """End the orders that were to close a position that is gone."""
        held = self._desk.account.held_lot(symbol, position_side)
        if held_before == 0 or held * held_before > 0:
            return
        for order in self.open_orders(symbol):
            closes_it = order.position_side == position_side and order.side * held_before < 0
            if order.ends_with_position and closes_it:
                self._end(order, "EXPIRED")

    def order_ended(self, child: ClientOrder) -> None:
        """Hear of the end of an ordinary order; it may be one that was triggered."""
        order = self._by_child.pop(child.order_id, None)
        if order is not None:
            self._change(order, "FINISHED")

    def _parse(self, params: Params) -> AlgoOrder:
        """Return an order that may be accepted, or raise."""
        desk = self._desk
        order = parse_algo_order(
            params, desk.instruments, desk.account.is_dual_side, desk.clock_ms()
        )
        symbol = order.instrument.symbol
        self._check_filters(order)
        known = self._by_client_id.get(order.client_algo_id)
        if known is not None and known.status == "NEW":
            raise VenueError(-4116)
        if sum(map(len, self._waiting.values())) >= desk.filters[symbol].algo_orders_max:
            raise VenueError(-4045)
        held = desk.account.held_lot(symbol, order.position_side)
        if order.ends_with_position and held * order.side >= 0:
            raise VenueError(-4509)
        if order.close_position and any(map(order.closes_the_same, self._waiting[symbol].values())):
            raise VenueError(-4130)
        price_tick = self._price(order)
        if price_tick and order.is_passed(price_tick):
            raise VenueError(-2021)
        if order.kind == TRAILING and not order.activate_tick:
            order.activate_tick = price_tick or self._any_price(order)
            order.extreme_tick = price_tick
        return order

    def _check_filters(self, order: AlgoOrder) -> None:
        filters = self._desk.filters[order.instrument.symbol]
        is_limit = order.kind in LIMIT_KINDS
        for tick in (order.trigger_tick, order.activate_tick):
            if tick:
                filters.check_trigger_price(tick)
        if is_limit and order.price_match == NO_MATCH:
            filters.check_price(order.price_tick)
        if order.close_position:
            return
        filters.check_quantity(order.quantity_lot, not is_limit)
        # Invariant: reduce-only orders, and those that close a leg, have no smallest worth.
        if not order.child_request(0).is_closing:
            price_tick = order.price_tick or order.trigger_tick or self._price(order)
            filters.check_notional(price_tick, order.quantity_lot)

    def _price(self, order: AlgoOrder) -> int:
        """Return the price that the order looks at, 0 while there is none."""
        symbol = order.instrument.symbol
        if order.working_type == "MARK_PRICE":
            return self._desk.market.mark_tick(symbol)
        return self._desk.last_tick(symbol)

    def _any_price(self, order: AlgoOrder) -> int:
        """Return the activation price that the first price there is will pass."""
        filters = self._desk.filters[order.instrument.symbol]
        return filters.price_max_tick if order.side == BUY else filters.price_min_tick

    def _find(self, params: Params) -> AlgoOrder | None:
        algo_id, client_id = whole_number(params, "algoId"), params.get("clientAlgoId")
        if algo_id is not None:
            return self.orders.get(algo_id)
        if not client_id:
            raise VenueError(-1102, name="algoId")
        return self._by_client_id.get(client_id)

    def _watch(self, order: AlgoOrder) -> None:
        key = order.instrument.symbol, order.working_type
        self._indexes.setdefault(key, TriggerIndex()).watch(order.algo_id, order.watches())

    def _is_let(self, order: AlgoOrder) -> bool:
        """Tell whether price protection lets it fire.

        # Venue: "New Algo Order", priceProtect: not while mark and last price are further apart
        than the symbol's triggerProtect.
        """
        if not order.price_protect:
            return True
        symbol = order.instrument.symbol
        mark_tick, last_tick = self._desk.market.mark_tick(symbol), self._desk.last_tick(symbol)
        return abs(mark_tick - last_tick) * 10_000 <= mark_tick * TRIGGER_PROTECT_E4

    def _fire(self, order: AlgoOrder) -> None:
        """Place the order that a triggered one becomes."""
        desk = self._desk
        self._retire(order)
        order.trigger_ms = desk.clock_ms()
        self._change(order, "TRIGGERING")
        held = desk.account.held_lot(order.instrument.symbol, order.position_side)
        try:
            child = desk.enter(order.child_request(held))
        except VenueError as error:
            order.failure = error.message
            self._change(order, "REJECTED")
            return
        order.child = child
        self._change(order, "TRIGGERED")
        if child.is_open:
            self._by_child[child.order_id] = order
        else:
            self._change(order, "FINISHED")

    def _end(self, order: AlgoOrder, status: str) -> None:
        self._retire(order)
        self._change(order, status)

    def _retire(self, order: AlgoOrder) -> None:
        """Take an order off everything that waits."""
        symbol = order.instrument.symbol
        del self._waiting[symbol][order.algo_id]
        self._indexes[symbol, order.working_type].forget(order.algo_id)
        timer = self._ends.pop(order.algo_id, None)
        if timer is not None:
            timer.cancel()

    def _change(self, order: AlgoOrder, status: str) -> None:
        order.status = status
        order.updated_ms = self._desk.clock_ms()
        self._tell(order)
        if status in ENDED:
            self._closed.add(order)

    def _forget(self, order: AlgoOrder) -> None:
        del self.orders[order.algo_id]
        # An id can be used again once its order has triggered, so it may be another's by now.
        if self._by_client_id.get(order.client_algo_id) is order:
            del self._by_client_id[order.client_algo_id]

    def _tell(self, order: AlgoOrder) -> None:
        self._desk.events.algo_changed(algo_update(order, self._desk.clock_ms()))
