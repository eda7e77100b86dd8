"""Run the account's orders: accept or refuse, match, cancel, and tell the user data stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.markets.market import Market
from exchange.orders import ClientOrder, Trade
from exchange.trading.account import Account
from exchange.trading.entry import OrderRequest, check_filters, parse_order, whole_number
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

OPEN_ORDERS_MAX = 200  # MAX_NUM_ORDERS, per symbol


class Desk:
    """Stand between the clients' requests and the market.

    It is the market's `OrderSink`. Everything here is synchronous: a request is matched and its
    events are queued before the next one is looked at.
    """

    def __init__(
        self,
        market: Market,
        account: Account,
        register: Register,
        events: UserEvents,
        clock_ms: Callable[[], int],
    ) -> None:
        self.market = market
        self.account = account
        self.register = register
        self.events = events
        self.clock_ms = clock_ms

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
            request = parse_order(params, self.instruments)
            quantity_lot = self._admit(request)
        except VenueError as error:
            self.register.refuse(params, error.code)
            raise
        order = self._accept(request, quantity_lot)
        self._match(order)
        return order, request.wants_result

    def refuse_unauthorised(self, params: Mapping[str, str], code: int) -> None:
        """Count an order request that did not get past the signature check."""
        self.register.requests["place"] += 1
        self.register.refuse(params, code)

    def cancel(self, params: Mapping[str, str], symbol: str) -> ClientOrder:
        """Cancel an open order; raise -2011 when there is none."""
        self.register.requests["cancel"] += 1
        order = self._find(params, symbol)
        if order is None or not order.is_open:
            self.register.requests["cancel_refused"] += 1
            raise VenueError(-2011)
        self._end(order, "CANCELED")
        return order

    def cancel_all(self, symbol: str) -> int:
        """Cancel a symbol's open orders; return how many."""
        self.register.requests["cancel_all"] += 1
        orders = self.register.open_orders(symbol)
        for order in orders:
            if order.is_open:
                self._end(order, "CANCELED")
        return len(orders)

    def query(self, params: Mapping[str, str], symbol: str) -> ClientOrder:
        """Return an order, open or not; raise -2013 when there is none."""
        self.register.requests["query"] += 1
        order = self._find(params, symbol)
        if order is None:
            raise VenueError(-2013)
        return order

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Change a symbol's leverage or raise -4028 or -2019."""
        position = self.account.positions[symbol]
        if not 1 <= leverage <= position.instrument.max_leverage:
            raise VenueError(-4028, value=leverage)
        before, position.leverage = position.leverage, leverage
        if leverage < before and self.available_e8() < 0:
            position.leverage = before
            raise VenueError(-2019)
        self.events.leverage_changed(symbol, leverage)

    def initial_margin_e8(self) -> int:
        """Return the initial margin of all positions and open orders."""
        return sum(
            self.account.initial_margin_e8(s, self.register.open_orders(s))
            for s in self.account.positions
        )

    def available_e8(self) -> int:
        """Return what is free for new orders; negative when over-committed."""
        return self.account.margin_balance_e8() - self.initial_margin_e8()

    def on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool, trade_id: int
    ) -> None:
        """Book a fill and tell it: TRADE_LITE, ACCOUNT_UPDATE, then ORDER_TRADE_UPDATE."""
        now_ms = self.clock_ms()
        order.executed_lot += quantity_lot
        order.cost += price_tick * quantity_lot
        order.updated_ms = now_ms
        order.status = "FILLED" if order.remaining_lot == 0 else "PARTIALLY_FILLED"
        trade = Trade(order, trade_id, price_tick, quantity_lot, is_maker, now_ms)
        self.account.apply(trade)
        self.register.add_trade(trade)
        if order.remaining_lot == 0:
            self.register.close(order)
        self.events.filled(trade, self.account)
        self._trim_reduce_only(order)

    def on_expire(self, order: ClientOrder) -> None:
        """Take an order that its own taker met in the book."""
        self._finish(order, "EXPIRED_IN_MATCH", "EXPIRED")

    def _admit(self, request: OrderRequest) -> int:
        """Check an order against book, account and open orders; return its quantity in lots."""
        symbol = request.instrument.symbol
        check_filters(request, self.market.mark_tick(symbol))
        client_id = request.client_order_id
        if client_id is not None and self.register.is_open_client_id(symbol, client_id):
            raise VenueError(-4116)
        if len(self.register.open.get(symbol, ())) >= OPEN_ORDERS_MAX:
            raise VenueError(-2025)
        quantity_lot = request.quantity_lot
        if request.reduce_only:
            held = self.account.positions[symbol].quantity_lot
            if held * request.side >= 0:
                raise VenueError(-2022)
            # Venue: a reduce-only order larger than the position is shrunk to it.
            quantity_lot = min(quantity_lot, abs(held))
        if request.time_in_force == "GTX" and self.market.crosses(
            symbol, request.side, request.price_tick
        ):
            raise VenueError(-5022)
        if not request.reduce_only:
            self._check_margin(request)
        return quantity_lot

    def _check_margin(self, request: OrderRequest) -> None:
        symbol = request.instrument.symbol
        trial = self._build(request, request.quantity_lot, 0, "")
        orders = self.register.open_orders(symbol)
        before = self.account.initial_margin_e8(symbol, orders)
        after = self.account.initial_margin_e8(symbol, [*orders, trial])
        if after > before and self.available_e8() < after - before:
            raise VenueError(-2019)

    def _build(
        self, request: OrderRequest, quantity_lot: int, order_id: int, client_id: str
    ) -> ClientOrder:
        return ClientOrder(
            request.instrument,
            order_id,
            client_id,
            request.side,
            request.kind,
            request.time_in_force,
            request.price_tick,
            quantity_lot,
            request.reduce_only,
            self.clock_ms(),
        )

    def _accept(self, request: OrderRequest, quantity_lot: int) -> ClientOrder:
        order_id = self.register.take_id()
        client_id = request.client_order_id or f"x-{order_id}"
        order = self._build(request, quantity_lot, order_id, client_id)
        self.register.add(order)
        self.events.order_changed(order, "NEW")
        return order

    def _match(self, order: ClientOrder) -> None:
        rests = order.kind == "LIMIT" and order.time_in_force in ("GTC", "GTX")
        fillable = (
            order.time_in_force != "FOK" or self.market.available_lot(order) >= order.remaining_lot
        )
        if fillable:
            self.market.submit(order, rests)
        if not rests and order.is_open:
            self._finish(order, "EXPIRED", "EXPIRED")

    def _find(self, params: Mapping[str, str], symbol: str) -> ClientOrder | None:
        order_id = whole_number(params, "orderId")
        client_id = params.get("origClientOrderId")
        if order_id is None and not client_id:
            raise VenueError(-1102, name="orderId")
        return self.register.find(symbol, order_id, client_id)

    def _end(self, order: ClientOrder, status: str) -> None:
        self.market.withdraw(order)
        self._finish(order, status, status)

    def _finish(self, order: ClientOrder, status: str, execution: str) -> None:
        order.status = status
        order.updated_ms = self.clock_ms()
        self.register.close(order)
        self.events.order_changed(order, execution)

    def _trim_reduce_only(self, filled: ClientOrder) -> None:
        """Shrink or expire resting reduce-only orders that the position no longer covers.

        # Invariant: no reduce-only order can open or flip a position.
        """
        symbol = filled.instrument.symbol
        held = self.account.positions[symbol].quantity_lot
        for order in self.register.open_orders(symbol):
            if not order.reduce_only or order is filled:
                continue
            if held * order.side >= 0:
                self._end(order, "EXPIRED")
            elif order.remaining_lot > abs(held):
                order.quantity_lot -= order.remaining_lot - abs(held)
                self.market.reduce(order, abs(held))
                order.updated_ms = self.clock_ms()
                self.events.order_changed(order, "AMENDMENT")
