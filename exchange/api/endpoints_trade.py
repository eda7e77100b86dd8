"""Answer what concerns orders: place, cancel, query, lists, fills."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.orders import acknowledgement_json, order_json, query_json
from exchange.trading.desk import Desk
from exchange.trading.entry import instrument_of, whole_number

Params = Mapping[str, str]
ROWS_MAX = 1_000


class TradeEndpoints:
    """Answer with what the desk and its register hold; nothing here knows of HTTP."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        return [
            signed("POST", f"{v1}/order", self._place, 0, 1),
            signed("DELETE", f"{v1}/order", self._cancel),
            signed("GET", f"{v1}/order", self._query),
            signed("GET", f"{v1}/openOrders", self._open_orders, _open_orders_weight),
            signed("GET", f"{v1}/allOrders", self._all_orders, 5),
            signed("GET", f"{v1}/userTrades", self._user_trades, 5),
            signed("DELETE", f"{v1}/allOpenOrders", self._cancel_all),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        signed = partial(Method, security="SIGNED")
        return [
            signed("order.place", self._place, 0, 1),
            signed("order.cancel", self._cancel),
            signed("order.status", self._query),
        ]

    def _place(self, params: Params) -> object:
        order, wants_result = self._desk.place(params)
        return order_json(order) if wants_result else acknowledgement_json(order)

    def _cancel(self, params: Params) -> object:
        return order_json(self._desk.cancel(params, self._symbol(params)))

    def _query(self, params: Params) -> object:
        return query_json(self._desk.query(params, self._symbol(params)))

    def _open_orders(self, params: Params) -> object:
        register = self._desk.register
        return [query_json(o) for s in self._symbols(params) for o in register.open_orders(s)]

    def _all_orders(self, params: Params) -> object:
        symbol = self._symbol(params)
        start_id = whole_number(params, "orderId") or 0
        start_ms, end_ms, limit = _span(params)
        rows = [
            order
            for order in self._desk.register.orders.values()
            if order.instrument.symbol == symbol
            and order.order_id >= start_id
            and start_ms <= order.created_ms <= end_ms
        ]
        return [query_json(o) for o in (rows[:limit] if start_id else rows[-limit:])]

    def _user_trades(self, params: Params) -> object:
        symbol = self._symbol(params)
        order_id = whole_number(params, "orderId")
        from_id = whole_number(params, "fromId")
        start_ms, end_ms, limit = _span(params)
        rows = [
            trade
            for trade in self._desk.register.trades.get(symbol, [])
            if (order_id is None or trade.order.order_id == order_id)
            and (from_id is None or trade.trade_id >= from_id)
            and start_ms <= trade.time_ms <= end_ms
        ]
        return [t.as_json() for t in (rows[-limit:] if from_id is None else rows[:limit])]

    def _cancel_all(self, params: Params) -> object:
        self._desk.cancel_all(self._symbol(params))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _symbol(self, params: Params) -> str:
        return instrument_of(params, self._desk.instruments).symbol

    def _symbols(self, params: Params) -> list[str]:
        return [self._symbol(params)] if params.get("symbol") else list(self._desk.instruments)


def _span(params: Params) -> tuple[int, int, int]:
    """Return startTime, endTime (both ms, inclusive) and limit."""
    start_ms = whole_number(params, "startTime") or 0
    end_ms = whole_number(params, "endTime") or 1 << 62
    limit = whole_number(params, "limit") or 500
    return start_ms, end_ms, min(limit, ROWS_MAX)


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40
