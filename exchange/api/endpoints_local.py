"""Answer what the venue does not have: the exchange's own state, and its fault switches."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from exchange.api.rest import Route
from exchange.errors import VenueError
from exchange.faults.arming import FaultError, read_fault
from exchange.faults.switches import Switches
from exchange.faults.table import table_json
from exchange.trading.desk import Desk

Params = Mapping[str, str]


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
        try:
            given = orjson.loads(params.get("body", ""))
        except orjson.JSONDecodeError:
            raise VenueError.saying(-1130, "the body must be a JSON object") from None
        if not isinstance(given, dict):
            raise VenueError.saying(-1130, "the body must be a JSON object")
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
