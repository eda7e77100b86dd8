"""Answer what the venue does not have: the exchange's own state, for whoever judges a run."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.api.rest import Route
from exchange.trading.desk import Desk

Params = Mapping[str, str]


class LocalEndpoints:
    """Tell of market and register as the exchange sees them, unsigned, on loopback only."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        return [
            Route("GET", "/local/status", self._local_status, 0),
            Route("GET", "/local/orders", self._local_orders, 0),
        ]

    def _local_status(self, params: Params) -> object:
        register = self._desk.register
        return {
            **self._desk.market.status(),
            "orders": len(register.orders),
            "duplicate_client_ids": register.duplicate_client_ids(),
        }

    def _local_orders(self, params: Params) -> object:
        return self._desk.register.as_json()
