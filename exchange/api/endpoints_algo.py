"""Answer what concerns conditional orders: place, cancel, query, lists."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exchange.api.limits import ORDER_COST
from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.trading.algo_orders import algo_json, algo_open_json, algo_query_json
from exchange.trading.desk import Desk
from exchange.trading.parameters import instrument_of, row_limit, time_span, whole_number

Params = Mapping[str, str]
CANCELLED_ALL = {"code": 200, "msg": "The operation of cancel all open order is done."}


class AlgoEndpoints:
    """Answer with what the algo service holds; nothing here knows of HTTP."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        return [
            signed("POST", f"{v1}/algoOrder", self._place, *ORDER_COST, places_orders=True),
            signed("DELETE", f"{v1}/algoOrder", self._cancel),
            signed("GET", f"{v1}/algoOrder", self._query),
            signed("GET", f"{v1}/openAlgoOrders", self._open_orders, _open_orders_weight),
            signed("GET", f"{v1}/allAlgoOrders", self._all_orders, 5),
            signed("DELETE", f"{v1}/algoOpenOrders", self._cancel_all),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        acts = partial(Method, security="SIGNED", is_action=True)
        return [
            acts("algoOrder.place", self._place_by_ws, *ORDER_COST, places_orders=True),
            acts("algoOrder.cancel", self._cancel),
        ]

    def _place(self, params: Params) -> object:
        return algo_json(self._desk.algo.place(params))

    def _place_by_ws(self, params: Params) -> object:
        body = algo_json(self._desk.algo.place(params))
        # Venue: "New Algo Order", WS-API: without what only trailing orders have.
        del body["activatePrice"], body["callbackRate"]
        return body

    def _cancel(self, params: Params) -> object:
        order = self._desk.algo.cancel(params)
        # Venue: "Cancel Algo Order": here the code is a string.
        return {
            "algoId": order.algo_id,
            "clientAlgoId": order.client_algo_id,
            "code": "200",
            "msg": "success",
        }

    def _query(self, params: Params) -> object:
        return algo_query_json(self._desk.algo.query(params))

    def _open_orders(self, params: Params) -> object:
        if params.get("algoType", "CONDITIONAL") != "CONDITIONAL":
            raise VenueError(-1130, name="algoType")
        algo_id = whole_number(params, "algoId")
        one = bool(params.get("symbol"))
        symbols = [self._symbol(params)] if one else list(self._desk.instruments)
        rows = [order for symbol in symbols for order in self._desk.algo.open_orders(symbol)]
        return [algo_open_json(o) for o in rows if algo_id is None or o.algo_id == algo_id]

    def _all_orders(self, params: Params) -> object:
        symbol = self._symbol(params)
        start_id = whole_number(params, "algoId")
        start_ms, end_ms = time_span(params, self._desk.clock_ms())
        limit = row_limit(params)
        rows = [
            order
            for order in self._desk.algo.orders.values()
            if order.instrument.symbol == symbol
            and (start_id is None or order.algo_id >= start_id)
            and start_ms <= order.created_ms <= end_ms
        ]
        # Venue: "Query All Algo Orders": from that id on, else the most recent ones.
        rows = rows[-limit:] if start_id is None else rows[:limit]
        return [algo_query_json(order) for order in rows]

    def _cancel_all(self, params: Params) -> object:
        self._desk.algo.cancel_all(self._symbol(params))
        return CANCELLED_ALL

    def _symbol(self, params: Params) -> str:
        return instrument_of(params, self._desk.instruments).symbol


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40
