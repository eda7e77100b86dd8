"""Answer what concerns the account: balances, positions, leverage, modes, listen keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exchange.api.rest import Route
from exchange.api.views import MAX_NOTIONAL, account_json, balance_json, position_json
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.trading.desk import Desk
from exchange.trading.entry import instrument_of, whole_number
from exchange.trading.user_events import UserEvents

Params = Mapping[str, str]


class AccountEndpoints:
    """Answer with what the account holds; nothing here knows of HTTP."""

    def __init__(self, desk: Desk, events: UserEvents) -> None:
        self._desk = desk
        self._events = events

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        rows = [
            Route("POST", f"{v1}/listenKey", self._create_key, security="KEY"),
            Route("PUT", f"{v1}/listenKey", self._extend_key, security="KEY"),
            Route("DELETE", f"{v1}/listenKey", self._delete_key, security="KEY"),
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
        return rows

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        signed = partial(Method, security="SIGNED")
        return [
            signed("account.position", partial(self._positions, 2), 5),
            signed("v2/account.position", partial(self._positions, 3), 5),
        ]

    def _positions(self, version: int, params: Params) -> object:
        return [position_json(self._desk, symbol, version) for symbol in self._symbols(params)]

    def _create_key(self, params: Params) -> object:
        return {"listenKey": self._events.create_key()}

    def _extend_key(self, params: Params) -> object:
        return {"listenKey": self._events.extend_key()}

    def _delete_key(self, params: Params) -> object:
        self._events.delete_key()
        return {}

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

    def _symbol(self, params: Params) -> str:
        return instrument_of(params, self._desk.instruments).symbol

    def _symbols(self, params: Params) -> list[str]:
        return [self._symbol(params)] if params.get("symbol") else list(self._desk.instruments)
