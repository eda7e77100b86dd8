"""Answer what concerns orders: place, modify, cancel, query, lists, fills."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TypeVar

from exchange.api.endpoints_algo import AlgoEndpoints
from exchange.api.endpoints_batch import BatchEndpoints, modified_json
from exchange.api.limits import ORDER_COST
from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.orders import ClientOrder, acknowledgement_json, order_json, query_json
from exchange.trading.desk import Desk
from exchange.trading.parameters import instrument_of, row_limit, time_span, whole_number

Params = Mapping[str, str]
Row = TypeVar("Row")
AMENDMENT_ROWS, AMENDMENT_ROWS_MAX = 50, 100  # Venue: "Get Order Modify History", limit
FORCED_ROWS, FORCED_ROWS_MAX = 50, 100  # Venue: "User's Force Orders", limit
# Venue: "User's Force Orders": what the venue itself closed is known by its client order id.
FORCED_PREFIXES = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}


class TradeEndpoints:
    """Answer with what the desk and its register hold; nothing here knows of HTTP."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._batches = BatchEndpoints(desk)
        self._algo = AlgoEndpoints(desk)

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        return [
            signed("POST", f"{v1}/order", self._place, *ORDER_COST, places_orders=True),
            signed("POST", f"{v1}/order/test", self._test, 0),
            signed("PUT", f"{v1}/order", self._amend, *ORDER_COST),
            signed("DELETE", f"{v1}/order", self._cancel),
            signed("GET", f"{v1}/order", self._query),
            signed("GET", f"{v1}/orderAmendment", self._amendments),
            signed("GET", f"{v1}/openOrder", self._open_order),
            signed("GET", f"{v1}/openOrders", self._open_orders, _open_orders_weight),
            signed("GET", f"{v1}/allOrders", self._all_orders, 5),
            signed("GET", f"{v1}/userTrades", self._user_trades, 5),
            signed("GET", f"{v1}/forceOrders", self._forced_orders, _forced_orders_weight),
            signed("DELETE", f"{v1}/allOpenOrders", self._cancel_all),
            signed("POST", f"{v1}/countdownCancelAll", self._countdown, 10),
            *self._batches.routes(),
            *self._algo.routes(),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        signed = partial(Method, security="SIGNED")
        acts = partial(signed, is_action=True)
        return [
            acts("order.place", self._place, *ORDER_COST, places_orders=True),
            acts("order.modify", self._amend_by_ws, *ORDER_COST),
            acts("order.cancel", self._cancel),
            signed("order.status", self._query),
            *self._algo.methods(),
        ]

    def _place(self, params: Params) -> object:
        order, wants_result = self._desk.place(params)
        return order_json(order) if wants_result else acknowledgement_json(order)

    def _test(self, params: Params) -> object:
        body = query_json(self._desk.test(params))
        body["cumQty"] = body["executedQty"]
        del body["time"]
        return body

    def _amend(self, params: Params) -> object:
        body = modified_json(self._desk, params)
        return {**body, "pair": body["symbol"]}

    def _amend_by_ws(self, params: Params) -> object:
        return modified_json(self._desk, params)

    def _cancel(self, params: Params) -> object:
        return order_json(self._desk.cancel(params, self._symbol(params)))

    def _query(self, params: Params) -> object:
        return query_json(self._desk.query(params, self._symbol(params)))

    def _amendments(self, params: Params) -> object:
        order = self._desk.query(params, self._symbol(params))
        start_ms = whole_number(params, "startTime") or 0
        end_ms = whole_number(params, "endTime") or 1 << 62
        if start_ms > end_ms:
            raise VenueError(-1023)
        limit = row_limit(params, AMENDMENT_ROWS, AMENDMENT_ROWS_MAX)
        rows = self._desk.amendments.history(order)
        return [r.as_json() for r in rows if start_ms <= r.time_ms <= end_ms][:limit]

    def _open_order(self, params: Params) -> object:
        order = self._desk.query(params, self._symbol(params))
        if not order.is_open:
            raise VenueError(-2013)
        return query_json(order)

    def _open_orders(self, params: Params) -> object:
        register = self._desk.register
        return [query_json(o) for s in self._symbols(params) for o in register.open_orders(s)]

    def _all_orders(self, params: Params) -> object:
        symbol = self._symbol(params)
        start_id = whole_number(params, "orderId")
        start_ms, end_ms = time_span(params, self._desk.clock_ms())
        limit = row_limit(params)
        rows = [
            order
            for order in self._desk.register.orders.values()
            if order.instrument.symbol == symbol
            and (start_id is None or order.order_id >= start_id)
            and start_ms <= order.created_ms <= end_ms
        ]
        found = _first_or_last(rows, params, "orderId", limit)
        return [{**query_json(order), "pair": symbol} for order in found]

    def _user_trades(self, params: Params) -> object:
        """Return fills, the most recent ones unless a start is asked for.

        # Venue: "Account Trade List": `fromId` cannot be sent with a time; then time is no limit.
        """
        symbol = self._symbol(params)
        order_id, from_id = whole_number(params, "orderId"), whole_number(params, "fromId")
        if from_id is not None and (params.get("startTime") or params.get("endTime")):
            raise VenueError(-1128)
        start_ms, end_ms = time_span(params, self._desk.clock_ms())
        limit = row_limit(params)
        rows = [
            trade
            for trade in self._desk.register.trades.get(symbol, [])
            if (order_id is None or trade.order.order_id == order_id)
            and (
                start_ms <= trade.time_ms <= end_ms
                if from_id is None
                else trade.trade_id >= from_id
            )
        ]
        return [t.as_json() for t in _first_or_last(rows, params, "fromId", limit)]

    def _forced_orders(self, params: Params) -> object:
        kind = params.get("autoCloseType", "")
        if kind and kind not in FORCED_PREFIXES:
            raise VenueError(-1130, name="autoCloseType")
        prefixes = tuple(p for k, p in FORCED_PREFIXES.items() if kind in ("", k))
        symbols = set(self._symbols(params))
        start_ms, end_ms = time_span(params, self._desk.clock_ms())
        limit = row_limit(params, FORCED_ROWS, FORCED_ROWS_MAX)
        rows = [
            order
            for order in self._desk.register.orders.values()
            if order.client_order_id.startswith(prefixes)
            and order.instrument.symbol in symbols
            and start_ms <= order.created_ms <= end_ms
        ]
        return [_forced_json(order) for order in rows[-limit:]]

    def _cancel_all(self, params: Params) -> object:
        self._desk.cancel_all(self._symbol(params))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def _countdown(self, params: Params) -> object:
        symbol = self._symbol(params)
        countdown_ms = whole_number(params, "countdownTime")
        if countdown_ms is None:
            raise VenueError(-1102, name="countdownTime")
        self._desk.countdown.set(symbol, countdown_ms)
        return {"symbol": symbol, "countdownTime": str(countdown_ms)}

    def _symbol(self, params: Params) -> str:
        return instrument_of(params, self._desk.instruments).symbol

    def _symbols(self, params: Params) -> list[str]:
        return [self._symbol(params)] if params.get("symbol") else list(self._desk.instruments)


def _first_or_last(rows: list[Row], params: Params, start_id: str, limit: int) -> list[Row]:
    """Return the first rows where a start was asked for, else the most recent ones."""
    has_start = bool(params.get(start_id) or params.get("startTime"))
    return rows[:limit] if has_start else rows[-limit:]


def _forced_json(order: ClientOrder) -> dict[str, object]:
    body = query_json(order)
    for name in ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"):
        del body[name]
    body["pair"] = order.instrument.symbol
    body["cumBase"] = body["executedQty"]
    return body


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40


def _forced_orders_weight(params: Params) -> int:
    return 20 if params.get("symbol") else 50
