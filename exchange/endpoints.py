"""List the REST endpoints: each handler takes the parameters and returns the JSON body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from exchange.desk import Desk
from exchange.entry import instrument_of, whole_number
from exchange.errors import VenueError
from exchange.orders import acknowledgement_json, order_json, query_json
from exchange.rest import Route
from exchange.user_events import UserEvents
from exchange.views import (
    MAX_NOTIONAL,
    account_json,
    balance_json,
    depth_json,
    exchange_info_json,
    position_json,
)

Params = Mapping[str, str]
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}  # Venue: "Order Book"
DEPTH_LIMIT = 500
ROWS_MAX = 1_000


class Endpoints:
    """Answer with what desk and market hold; nothing here knows of HTTP."""

    def __init__(self, desk: Desk, events: UserEvents, clock_ms: Callable[[], int]) -> None:
        self._desk = desk
        self._events = events
        self._clock_ms = clock_ms

    def routes(self) -> list[Route]:
        """Return the table of endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        rows = [
            Route("GET", f"{v1}/ping", lambda params: {}),
            Route("GET", f"{v1}/time", lambda params: {"serverTime": self._clock_ms()}),
            Route("GET", f"{v1}/exchangeInfo", self._exchange_info),
            Route("GET", f"{v1}/depth", self._depth, _depth_weight),
            Route("POST", f"{v1}/listenKey", self._create_key, security="KEY"),
            Route("PUT", f"{v1}/listenKey", self._extend_key, security="KEY"),
            Route("DELETE", f"{v1}/listenKey", self._delete_key, security="KEY"),
            signed("POST", f"{v1}/order", self._place, 0, 1),
            signed("DELETE", f"{v1}/order", self._cancel),
            signed("GET", f"{v1}/order", self._query),
            signed("GET", f"{v1}/openOrders", self._open_orders, _open_orders_weight),
            signed("GET", f"{v1}/allOrders", self._all_orders, 5),
            signed("GET", f"{v1}/userTrades", self._user_trades, 5),
            signed("DELETE", f"{v1}/allOpenOrders", self._cancel_all),
            signed("POST", f"{v1}/leverage", self._leverage),
            signed("GET", f"{v1}/positionSide/dual", self._dual_side, 30),
        ]
        for version in (2, 3):
            root = f"/fapi/v{version}"
            risk = partial(self._position_risk, version)
            account = partial(self._account, version)
            rows.append(signed("GET", f"{root}/positionRisk", risk, 5))
            rows.append(signed("GET", f"{root}/account", account, 5))
            rows.append(signed("GET", f"{root}/balance", self._balance, 5))
        rows.append(Route("GET", "/local/status", self._local_status, 0))
        rows.append(Route("GET", "/local/orders", self._local_orders, 0))
        return rows

    def _exchange_info(self, params: Params) -> object:
        return exchange_info_json(self._desk.instruments, self._clock_ms())

    def _depth(self, params: Params) -> object:
        instrument = instrument_of(params, self._desk.instruments)
        limit = whole_number(params, "limit") or DEPTH_LIMIT
        if limit not in DEPTH_WEIGHTS:
            raise VenueError(-1130, name="limit")
        view = self._desk.market.depth(instrument.symbol, limit)
        return depth_json(instrument, view, self._clock_ms())

    def _create_key(self, params: Params) -> object:
        return {"listenKey": self._events.create_key()}

    def _extend_key(self, params: Params) -> object:
        return {"listenKey": self._events.extend_key()}

    def _delete_key(self, params: Params) -> object:
        self._events.delete_key()
        return {}

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

    def _leverage(self, params: Params) -> object:
        symbol = self._symbol(params)
        leverage = whole_number(params, "leverage")
        if leverage is None:
            raise VenueError(-1102, name="leverage")
        self._desk.set_leverage(symbol, leverage)
        return {"leverage": leverage, "maxNotionalValue": MAX_NOTIONAL, "symbol": symbol}

    def _dual_side(self, params: Params) -> object:
        return {"dualSidePosition": False}

    def _position_risk(self, version: int, params: Params) -> object:
        rows = (position_json(self._desk, s, version) for s in self._symbols(params))
        if version == 2:
            return list(rows)
        # Venue: "Position Information V3" lists only symbols with a position or an open order.
        held = self._desk.account.positions
        is_open = self._desk.register.open_orders
        symbols = [s for s in self._symbols(params) if held[s].quantity_lot or is_open(s)]
        return [position_json(self._desk, s, version) for s in symbols]

    def _account(self, version: int, params: Params) -> object:
        return account_json(self._desk, version)

    def _balance(self, params: Params) -> object:
        return balance_json(self._desk)

    def _local_status(self, params: Params) -> object:
        register = self._desk.register
        return {
            **self._desk.market.status(),
            "orders": len(register.orders),
            "duplicate_client_ids": register.duplicate_client_ids(),
        }

    def _local_orders(self, params: Params) -> object:
        return self._desk.register.as_json()

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


def _depth_weight(params: Params) -> int:
    text = params.get("limit", "")
    limit = int(text) if text.isascii() and text.isdigit() else DEPTH_LIMIT
    return DEPTH_WEIGHTS.get(limit, 1)


def _open_orders_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 40
