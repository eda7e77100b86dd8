"""Run the account's orders: accept or refuse, match, cancel, and tell the user data stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from exchange.errors import VenueError
from exchange.faults.switches import Switches
from exchange.instruments import Instrument
from exchange.markets.market import Market
from exchange.orders import ClientOrder, Trade
from exchange.trading.account import Account
from exchange.trading.admission import admit, build
from exchange.trading.algo_service import AlgoService, Span
from exchange.trading.amending import Amendments
from exchange.trading.countdown import Countdown
from exchange.trading.entry import OrderRequest, parse_order
from exchange.trading.filters import Filters
from exchange.trading.parameters import whole_number
from exchange.trading.register import TRIGGERED, Register
from exchange.trading.timers import LoopTimers, Timer, Timers
from exchange.trading.user_events import UserEvents

RESTING = frozenset({"GTC", "GTX", "GTD"})  # times in force that wait in the book


class Desk:
    """Stand between the clients' requests and the market.

    It is the market's `OrderSink`. Everything here is synchronous: a request is matched and its
    events are queued before the next one is looked at. Conditional orders that its trades trigger
    follow right after it.
    """

    def __init__(
        self,
        market: Market,
        account: Account,
        register: Register,
        events: UserEvents,
        clock_ms: Callable[[], int],
        timers: Timers | None = None,
    ) -> None:
        self.market = market
        self.account = account
        self.register = register
        self.events = events
        self.clock_ms = clock_ms
        self.timers = timers or LoopTimers(clock_ms)
        self.switches = Switches()
        self.filters = Filters(market.instruments.values())
        self.amendments = Amendments(self)
        self.countdown = Countdown(self)
        self.algo = AlgoService(self)
        self.last_ticks: dict[str, int] = {}
        self._ends: dict[int, Timer] = {}  # of GTD orders, by order id
        self._requests_inside = 0
        self._mark_ticks: dict[str, int] = {}  # as `on_marks` saw them last
        self._spans: deque[Span] = deque()

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Return the instruments by symbol."""
        return self.market.instruments

    def place(self, params: Mapping[str, str]) -> tuple[ClientOrder, bool]:
        """Accept and match a new order; return it and whether RESULT was asked for.

        Raises VenueError when the order is refused; a refused order leaves no trace but a count.
        """
        self.register.requests["place"] += 1
        try:
            request = admit(self, self._parse(params))
        except VenueError as error:
            self.register.refuse(params, error.code)
            raise
        return self._run(request), request.wants_result

    def test(self, params: Mapping[str, str]) -> ClientOrder:
        """Check a new order as `place` does, but let none come of it."""
        request = admit(self, self._parse(params))
        return build(request, 0, request.client_order_id or "", self.clock_ms())

    def enter(self, request: OrderRequest) -> ClientOrder:
        """Accept and match the order that a triggered one becomes.

        Raises VenueError when it is refused. A client id that is in use gives way to a new one.
        """
        self.register.entries[TRIGGERED] += 1
        symbol, client_id = request.instrument.symbol, request.client_order_id
        if client_id is not None and self.register.is_open_client_id(symbol, client_id):
            request = replace(request, client_order_id=None)
        try:
            request = admit(self, request)
        except VenueError as error:
            params = {"newClientOrderId": client_id or "", "symbol": symbol}
            self.register.refuse(params, error.code)
            raise
        return self._run(request)

    def refuse_unauthorised(self, params: Mapping[str, str], code: int) -> None:
        """Count an order request that did not get past the signature check, as what it was."""
        requests = self.register.requests
        if params.get("algoType"):
            requests["algo_place"] += 1
            requests["algo_refused"] += 1
        elif params.get("orderId") or params.get("origClientOrderId"):
            requests["amend"] += 1
        else:
            requests["place"] += 1
            self.register.refuse(params, code)

    def cancel(self, params: Mapping[str, str], symbol: str) -> ClientOrder:
        """Cancel an open order; raise -2011 when there is none."""
        self.register.requests["cancel"] += 1
        order = self.find(params, symbol)
        if order is None or not order.is_open:
            self.register.requests["cancel_refused"] += 1
            raise VenueError(-2011)
        self.end(order, "CANCELED")
        return order

    def cancel_all(self, symbol: str) -> int:
        """Cancel a symbol's open orders, not its algo orders, for a client; return how many."""
        self.register.requests["cancel_all"] += 1
        keep = 0
        if self.switches.on_desk:
            fault = self.switches.take("cancel_all_partial", symbol=symbol)
            keep = fault.number("keep") if fault is not None else 0
        return self.cancel_open(symbol, keep)

    def cancel_open(self, symbol: str, keep: int = 0) -> int:
        """Cancel a symbol's open orders but the `keep` newest; return how many."""
        orders = self.register.open_orders(symbol)
        orders = orders[: max(0, len(orders) - keep)]
        for order in orders:
            if order.is_open:
                self.end(order, "CANCELED")
        return len(orders)

    def query(self, params: Mapping[str, str], symbol: str) -> ClientOrder:
        """Return an order, open or not; raise -2013 when there is none."""
        self.register.requests["query"] += 1
        order = self.find(params, symbol)
        if order is None:
            raise VenueError(-2013)
        return order

    def find(self, params: Mapping[str, str], symbol: str) -> ClientOrder | None:
        """Return the order of `orderId` or `origClientOrderId`; raise -1102 without either."""
        order_id = whole_number(params, "orderId")
        client_id = params.get("origClientOrderId")
        if order_id is None and not client_id:
            raise VenueError(-1102, name="orderId")
        return self.register.find(symbol, order_id, client_id)

    def initial_margin_e8(self) -> int:
        """Return the initial margin of all positions and open orders."""
        return sum(
            self.account.initial_margin_e8(s, self.register.open_orders(s))
            for s in self.account.symbols
        )

    def available_e8(self) -> int:
        """Return what is free for new orders; negative when over-committed."""
        return self.account.available_e8(self.register.open_orders)

    def last_tick(self, symbol: str) -> int:
        """Return the price of the last trade, before the first one the mark price."""
        return self.last_ticks.get(symbol) or self.market.mark_tick(symbol)

    def on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool, trade_id: int
    ) -> None:
        """Book a fill and tell it: TRADE_LITE, ACCOUNT_UPDATE, then ORDER_TRADE_UPDATE."""
        now_ms = self.clock_ms()
        symbol, position_side = order.instrument.symbol, order.position_side
        held_before = self.account.held_lot(symbol, position_side)
        order.executed_lot += quantity_lot
        order.cost += price_tick * quantity_lot
        order.updated_ms = now_ms
        order.status = "FILLED" if order.remaining_lot == 0 else "PARTIALLY_FILLED"
        trade = Trade(order, trade_id, price_tick, quantity_lot, is_maker, now_ms)
        self.account.apply(trade)
        self.register.add_trade(trade)
        self.events.filled(trade, self.account)
        if order.remaining_lot == 0:
            self._close(order)
        self._trim_closing(order)
        self.algo.position_changed(symbol, position_side, held_before)

    def on_expire(self, order: ClientOrder) -> None:
        """Take an order that self-trade prevention ended, resting or taking."""
        # It may have ended already: a fill earlier in the same step can have trimmed it away.
        if order.is_open:
            self._finish(order, "EXPIRED_IN_MATCH", "EXPIRED")

    def on_trades(self, symbol: str, low_tick: int, high_tick: int, last_tick: int) -> None:
        """Take the prices of a matching step; conditional orders follow when it is over."""
        before = self.last_ticks.get(symbol, 0)
        self.last_ticks[symbol] = last_tick
        if self.algo.is_waiting(symbol):
            before = before or self.market.mark_tick(symbol)
            span = Span(symbol, "CONTRACT_PRICE", low_tick, high_tick, last_tick, before)
            with self.settling():
                self._spans.append(span)

    def on_marks(self) -> None:
        """Look at every symbol's mark price; called once a second."""
        with self.settling():
            for symbol in self.instruments:
                tick = self.market.mark_tick(symbol)
                if not tick:
                    continue
                before = self._mark_ticks.get(symbol, tick)
                self._mark_ticks[symbol] = tick
                if self.algo.is_waiting(symbol):
                    span = Span(symbol, "MARK_PRICE", tick, tick, tick, before)
                    self._spans.append(span)

    @contextmanager
    def settling(self) -> Iterator[None]:
        """Let prices collect inside; at the outermost end let them trigger, until none are left.

        # Invariant: no order enters while another is being matched.
        """
        self._requests_inside += 1
        try:
            yield
            while self._requests_inside == 1 and self._spans:
                self.algo.on_price(self._spans.popleft())
        finally:
            self._requests_inside -= 1

    def is_open(self, symbol: str) -> bool:
        """Tell whether the symbol's book takes orders now; a mirrored one may be invalid."""
        try:
            self.market.check_open(symbol)
        except VenueError:
            return False
        return True

    def end(self, order: ClientOrder, status: str) -> None:
        """Take an open order out of the market."""
        self.market.withdraw(order)
        self._finish(order, status, status)

    def _parse(self, params: Mapping[str, str]) -> OrderRequest:
        return parse_order(params, self.instruments, self.account.is_dual_side, self.clock_ms())

    def _run(self, request: OrderRequest) -> ClientOrder:
        """Enter an admitted order and match it."""
        with self.settling():
            order_id = self.register.take_id()
            client_id = request.client_order_id or f"x-{order_id}"
            order = build(request, order_id, client_id, self.clock_ms())
            self.register.add(order)
            self.events.order_changed(order, "NEW")
            if order.good_till_ms:
                due_ms = order.good_till_ms
                self._ends[order_id] = self.timers.call_at(due_ms, lambda: self._run_out(order))
            self._match(order)
        return order

    def _match(self, order: ClientOrder) -> None:
        rests = order.kind == "LIMIT" and order.time_in_force in RESTING
        self.market.submit(order, rests)
        if not rests and order.is_open:
            self._finish(order, "EXPIRED", "EXPIRED")

    def _run_out(self, order: ClientOrder) -> None:
        """End a GTD order whose time has come."""
        self.end(order, "EXPIRED")

    def _finish(self, order: ClientOrder, status: str, execution: str) -> None:
        order.status = status
        order.updated_ms = self.clock_ms()
        self.events.order_changed(order, execution)
        self._close(order)

    def _close(self, order: ClientOrder) -> None:
        """Forget an order that has ended as an open one.

        # Invariant: every order comes here exactly once.
        """
        self.register.close(order)
        timer = self._ends.pop(order.order_id, None)
        if timer is not None:
            timer.cancel()
        self.algo.order_ended(order)

    def _trim_closing(self, filled: ClientOrder) -> None:
        """Shrink or expire resting orders that would close more than there is.

        # Invariant: no order that may only close can open or flip a position.
        """
        symbol, position_side = filled.instrument.symbol, filled.position_side
        held = self.account.held_lot(symbol, position_side)
        for order in self.register.open_orders(symbol):
            if not order.is_closing or order.position_side != position_side or order is filled:
                continue
            if held * order.side >= 0:
                self.end(order, "EXPIRED")
            elif order.remaining_lot > abs(held):
                order.quantity_lot -= order.remaining_lot - abs(held)
                self.market.reduce(order, abs(held))
                order.updated_ms = self.clock_ms()
                self.events.order_changed(order, "AMENDMENT")
