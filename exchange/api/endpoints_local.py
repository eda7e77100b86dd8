"""Answer what the venue does not have: the exchange's own state, fault switches, transfers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from exchange.api.rest import Route
from exchange.errors import VenueError
from exchange.faults.arming import FaultError, read_fault
from exchange.faults.switches import Switches
from exchange.faults.table import table_json
from exchange.instruments import fixed_e8
from exchange.trading.desk import Desk
from exchange.trading.income import TRANSFER

Params = Mapping[str, str]
# A billion: many times that fits a word of whoever sums it up.
TRANSFER_MAX_E8 = 10**17


class LocalEndpoints:
    """Tell of market and register as the exchange sees them, unsigned, on loopback only."""

    def __init__(self, desk: Desk, switches: Switches) -> None:
        self._desk = desk
        self._switches = switches

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        return [
            Route("GET", "/local/status", self._local_status, 0),
            Route("GET", "/local/orders", self._local_orders, 0),
            Route("GET", "/local/faults", self._faults, 0),
            Route("POST", "/local/faults", self._arm, 0),
            Route("DELETE", "/local/faults", self._disarm, 0),
            Route("POST", "/local/transfer", self._transfer, 0),
        ]

    def _local_status(self, params: Params) -> object:
        register = self._desk.register
        return {
            **self._desk.market.status(),
            "orders": register.accepted,
            "duplicate_client_ids": register.duplicate_client_ids,
        }

    def _local_orders(self, params: Params) -> object:
        return self._desk.register.as_json()

    def _faults(self, params: Params) -> object:
        return {"armed": self._switches.armed_json(), "table": table_json()}

    def _arm(self, params: Params) -> object:
        """Arm what the JSON body names: {"name": …, parameter: value, …}."""
        given = _body(params)
        name = str(given.pop("name", ""))
        try:
            row, values = read_fault(name, given)
            return {"id": self._switches.arm(row, values).fault_id}
        except FaultError as error:
            raise VenueError.saying(-1130, str(error)) from None

    def _disarm(self, params: Params) -> object:
        """Disarm the fault of the parameter `id`, or all without any parameter."""
        if not params:
            return {"disarmed": self._switches.disarm_all()}
        if list(params) != ["id"]:
            raise VenueError.saying(-1130, "only the parameter id is known here")
        text = params["id"]
        known = text.isascii() and text.isdigit() and self._switches.disarm(int(text[:18]))
        if not known:
            raise VenueError.saying(-1130, f"no such fault: id={text[:20]}", 404)
        return {"disarmed": 1}

    def _transfer(self, params: Params) -> object:
        """Pay in, or out where negative, what the JSON body says: {"amount": "-12.5"}, in USDT."""
        amount_e8 = _amount_e8(_body(params).get("amount"))
        desk = self._desk
        if desk.available_e8() + amount_e8 < 0:
            raise VenueError(-2019)
        desk.account.book("", TRANSFER, amount_e8, desk.clock_ms())
        # Venue: "Event: Balance and Position Update": why, and the change, with no position.
        reason = "DEPOSIT" if amount_e8 > 0 else "WITHDRAW"
        desk.events.account_changed(desk.account, reason, (), amount_e8)
        return {"balance": fixed_e8(desk.account.wallet_e8)}


def _amount_e8(text: object) -> int:
    amount_e8 = Decimal("NaN")
    if isinstance(text, str):
        with contextlib.suppress(ArithmeticError):  # no number, or one beyond any
            amount_e8 = Decimal(text).scaleb(8)
    is_known = amount_e8.is_finite() and 0 < abs(amount_e8) <= TRANSFER_MAX_E8
    if is_known and amount_e8 == amount_e8.to_integral_value():
        return int(amount_e8)
    raise VenueError.saying(-1130, f"no amount as text, to 1e-8: amount={str(text)[:40]}")


def _body(params: Params) -> dict[str, Any]:
    try:
        given = orjson.loads(params.get("body", ""))
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise VenueError.saying(-1130, "the body must be a JSON object")
    return given
