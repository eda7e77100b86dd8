"""Wire the fault switches to what they strike: clock, hub, connections, requests, orders."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping

from exchange.api.trouble import Trouble
from exchange.clock import Clock
from exchange.errors import StartError, VenueError
from exchange.faults.arming import FaultError
from exchange.faults.connections import Connections
from exchange.faults.rows import Row, Value
from exchange.faults.switches import Fault, Switches
from exchange.faults.tampering import Tamper
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.desk import Desk

# Forced fills have ids of their own, far above those that a market hands out.
FORCED_TRADE_ID_FIRST = 1_000_000_000_000


class Misbehaviour:
    """Hold everything that can go wrong on command; built before what it strikes."""

    def __init__(self) -> None:
        self.switches = Switches()
        self.clock = Clock(self.switches)
        self.connections = Connections(self.switches)
        self._trade_ids = itertools.count(FORCED_TRADE_ID_FIRST)
        self._client_ids = itertools.count(1)

    def attach(self, hub: Hub, desk: Desk) -> Trouble:
        """Connect hub and desk; return what REST and WS-API ask about a request."""
        self._hub, self._desk = hub, desk
        self._tamper = Tamper(self.switches, hub.deliver, self._set_tamper)
        desk.switches = self.switches
        self.switches.symbols = desk.instruments
        self.switches.on_change.append(self._set_tamper)
        self.switches.actions.update(
            listen_key_expire=self._expire_key,
            filters_change=self._change_filters,
            foreign_order=self._place_foreign_order,
        )
        self.switches.undo["filters_change"] = self._restore_filters
        return Trouble(self.switches, self.connections, self.clock.now_ms, self)

    def start(self, faults: Iterable[tuple[Row, dict[str, Value]]]) -> None:
        """Arm the faults of the command line; called inside the event loop.

        Raises StartError when one cannot be done.
        """
        self.switches.later = asyncio.get_running_loop().call_later
        for row, values in faults:
            try:
                self.switches.arm(row, values)
            except FaultError as error:
                raise StartError(f"--fault: {error}") from None

    def fillable(self, params: Mapping[str, str]) -> int | None:
        """Return the id of the open limit order that a request names, or None."""
        symbol = params.get("symbol", "")
        order_text = params.get("orderId", "")
        is_number = order_text.isascii() and order_text.isdigit() and len(order_text) < 20
        order_id = int(order_text) if is_number else None
        order = self._desk.register.find(symbol, order_id, params.get("origClientOrderId"))
        is_fillable = order is not None and order.is_open and order.price_tick
        return order.order_id if order is not None and is_fillable else None

    def fill(self, order_ids: list[int]) -> bool:
        """Fill those that are open limit orders at their prices; tell whether any is filled now."""
        orders = [self._desk.register.orders[order_id] for order_id in order_ids]
        for order in orders:
            if order.is_open and order.price_tick:
                self._fill_one(order)
        return any(order.status == "FILLED" for order in orders)

    def _fill_one(self, order: ClientOrder) -> None:
        with self._desk.settling():
            self._desk.market.withdraw(order)
            quantity_lot, order.remaining_lot = order.remaining_lot, 0
            trade_id = next(self._trade_ids)
            self._desk.on_fill(order, order.price_tick, quantity_lot, True, trade_id)

    def _set_tamper(self) -> None:
        """Stand between hub and clients only as long as there is something to do."""
        self._hub.tamper = None if self._tamper.is_idle else self._tamper

    def _expire_key(self, fault: Fault) -> None:
        self._desk.events.expire_now()

    def _change_filters(self, fault: Fault) -> None:
        symbol = fault.text("symbol")
        if symbol not in self._desk.instruments:
            raise FaultError(f"unknown symbol: fault=filters_change symbol={symbol}")
        names = ("tick_step", "lot_step", "min_notional")
        changes = {name: fault.number(name) for name in names if fault.number(name)}
        self._desk.filters.change(symbol, **changes)

    def _restore_filters(self, fault: Fault) -> None:
        """Undo one change of a symbol's filters; others that last are made again."""
        symbol = fault.text("symbol")
        self._desk.filters.restore(symbol)
        for other in self.switches.lasting("filters_change"):
            if other.text("symbol") == symbol:
                self._change_filters(other)

    def _place_foreign_order(self, fault: Fault) -> None:
        """Place an order as the account's owner would by hand, in the venue's own window."""
        price = fault.text("price")
        params = {
            "symbol": fault.text("symbol"),
            "side": fault.text("side"),
            "quantity": fault.text("quantity"),
            "newClientOrderId": f"web_{next(self._client_ids)}",
            **({"price": price, "type": "LIMIT", "timeInForce": "GTC"} if price else {}),
        }
        params.setdefault("type", "MARKET")
        try:
            self._desk.place(params)
        except VenueError as error:
            raise FaultError(f"refused: fault=foreign_order reason={error}") from None
