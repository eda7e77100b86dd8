"""Answer what concerns the account: balances, positions, income, settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exchange.api import account_views as views
from exchange.api.limits import RATE_LIMITS
from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.trading.desk import Desk
from exchange.trading.income import KINDS
from exchange.trading.modes import AccountModes
from exchange.trading.parameters import flag, instrument_of, required, whole_number
from exchange.trading.user_events import UserEvents

Params = Mapping[str, str]
SUCCESS = {"code": 200, "msg": "success"}
INCOME_ROWS = 100  # Venue: "Get Income History", default and largest limit
INCOME_ROWS_MAX = 1_000
WEEK_MS = 7 * 24 * 60 * 60 * 1000


class AccountEndpoints:
    """Answer with what the account holds; nothing here knows of HTTP."""

    def __init__(
        self, desk: Desk, events: UserEvents, rate_limits: list[dict[str, object]] | None = None
    ) -> None:
        self._desk = desk
        self._rate_limits = RATE_LIMITS if rate_limits is None else rate_limits
        self._modes = AccountModes(desk.account, desk.register, events, desk.algo.open_orders)

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        signed = partial(Route, security="SIGNED")
        rows = [
            signed("POST", f"{v1}/leverage", self._leverage),
            signed("GET", f"{v1}/leverageBracket", self._brackets),
            signed("POST", f"{v1}/marginType", self._margin_type),
            signed("GET", f"{v1}/positionSide/dual", self._dual_side, 30),
            signed("POST", f"{v1}/positionSide/dual", self._set_dual_side),
            signed("GET", f"{v1}/multiAssetsMargin", self._multi_assets, 30),
            signed("POST", f"{v1}/multiAssetsMargin", self._set_multi_assets),
            signed("GET", f"{v1}/feeBurn", self._fee_burn, 30),
            signed("POST", f"{v1}/feeBurn", self._set_fee_burn),
            signed("GET", f"{v1}/commissionRate", self._commission, 20),
            signed("GET", f"{v1}/accountConfig", self._account_config, 5),
            signed("GET", f"{v1}/symbolConfig", self._symbol_config, 5),
            signed("GET", f"{v1}/income", self._income, 30),
            signed("GET", f"{v1}/rateLimit/order", self._order_limits),
            signed("GET", f"{v1}/adlQuantile", self._adl_quantile, 5),
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
        rows = []
        for prefix, version in (("", 2), ("v2/", 3)):
            position = partial(self._position_risk, version)
            account = partial(self._account, version, is_socket=True)
            rows.append(signed(f"{prefix}account.position", position, 5))
            rows.append(signed(f"{prefix}account.status", account, 5))
            rows.append(signed(f"{prefix}account.balance", self._balance, 5))
        return rows

    def _leverage(self, params: Params) -> object:
        symbol = self._symbol(params)
        leverage = whole_number(params, "leverage")
        if leverage is None:
            raise VenueError(-1102, name="leverage")
        largest = self._modes.set_leverage(symbol, leverage)
        return {"leverage": leverage, "maxNotionalValue": str(largest), "symbol": symbol}

    def _brackets(self, params: Params) -> object:
        # Venue: "Notional and Leverage Brackets": one object where a symbol was asked for.
        if params.get("symbol"):
            return views.brackets_json(self._symbol(params))
        return [views.brackets_json(symbol) for symbol in self._desk.instruments]

    def _margin_type(self, params: Params) -> object:
        self._modes.set_margin_type(self._symbol(params), required(params, "marginType"))
        return SUCCESS

    def _dual_side(self, params: Params) -> object:
        return {"dualSidePosition": self._desk.account.is_dual_side}

    def _set_dual_side(self, params: Params) -> object:
        self._modes.set_dual_side(_flag(params, "dualSidePosition"))
        return SUCCESS

    def _multi_assets(self, params: Params) -> object:
        return {"multiAssetsMargin": False}

    def _set_multi_assets(self, params: Params) -> object:
        raise VenueError(-4084 if _flag(params, "multiAssetsMargin") else -4171)

    def _fee_burn(self, params: Params) -> object:
        return {"feeBurn": False}

    def _set_fee_burn(self, params: Params) -> object:
        # There is no BNB in this account, so only the state that it has can be asked for.
        if _flag(params, "feeBurn"):
            raise VenueError(-4084)
        return SUCCESS

    def _commission(self, params: Params) -> object:
        return views.commission_json(self._desk, self._symbol(params))

    def _account_config(self, params: Params) -> object:
        return views.account_config_json(self._desk)

    def _symbol_config(self, params: Params) -> object:
        return [views.symbol_config_json(self._desk, s) for s in self._symbols(params)]

    def _income(self, params: Params) -> object:
        """Return the rows of a span of time, oldest first.

        # Venue: "Get Income History": without times the last seven days, at most `limit` rows.
        """
        kind = params.get("incomeType", "")
        symbol = self._symbol(params) if params.get("symbol") else ""
        now_ms = self._desk.clock_ms()
        start_ms = whole_number(params, "startTime")
        end_ms = whole_number(params, "endTime")
        if start_ms is None:
            start_ms = (now_ms if end_ms is None else end_ms) - WEEK_MS
        if end_ms is None:
            end_ms = 1 << 62
        if end_ms < start_ms:
            raise VenueError(-1023)
        limit = whole_number(params, "limit")
        limit = INCOME_ROWS if limit is None else limit
        if not 1 <= limit <= INCOME_ROWS_MAX:
            raise VenueError(-1130, name="limit")
        page = whole_number(params, "page") or 1
        if kind and kind not in KINDS:
            return []
        ledger = self._desk.account.income
        rows = ledger.find(symbol, kind, start_ms, end_ms, (page - 1) * limit, limit)
        return [row.as_json() for row in rows]

    def _order_limits(self, params: Params) -> object:
        return [row for row in self._rate_limits if row["rateLimitType"] == "ORDERS"]

    def _adl_quantile(self, params: Params) -> object:
        rows = [views.adl_json(self._desk, symbol) for symbol in self._symbols(params)]
        return rows[0] if params.get("symbol") else rows

    def _position_risk(self, version: int, params: Params) -> object:
        desk = self._desk
        legs = [p for s in self._symbols(params) for p in desk.account.symbol_positions(s)]
        if version == 3:
            legs = [p for p in legs if views.is_listed(desk, p)]
        return [views.position_json(desk, p, version) for p in legs]

    def _account(self, version: int, params: Params, is_socket: bool = False) -> object:
        return views.account_json(self._desk, version, is_socket)

    def _balance(self, params: Params) -> object:
        return views.balance_json(self._desk)

    def _symbol(self, params: Params) -> str:
        return instrument_of(params, self._desk.instruments).symbol

    def _symbols(self, params: Params) -> list[str]:
        return [self._symbol(params)] if params.get("symbol") else list(self._desk.instruments)


def _flag(params: Params, name: str) -> bool:
    required(params, name)
    return flag(params, name)
