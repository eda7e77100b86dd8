"""Answer what concerns the market: time, instruments, depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exchange.api.rest import Route
from exchange.api.views import depth_json, exchange_info_json
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.trading.desk import Desk
from exchange.trading.entry import instrument_of, whole_number

Params = Mapping[str, str]
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}  # Venue: "Order Book"
DEPTH_LIMIT = 500


class MarketEndpoints:
    """Answer with what the market holds; nothing here knows of HTTP."""

    def __init__(self, desk: Desk, clock_ms: Callable[[], int]) -> None:
        self._desk = desk
        self._clock_ms = clock_ms

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        return [
            Route("GET", f"{v1}/ping", self._ping),
            Route("GET", f"{v1}/time", self._time),
            Route("GET", f"{v1}/exchangeInfo", self._exchange_info),
            Route("GET", f"{v1}/depth", self._depth, _depth_weight),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods."""
        return [Method("ping", self._ping), Method("time", self._time)]

    def _ping(self, params: Params) -> object:
        return {}

    def _time(self, params: Params) -> object:
        return {"serverTime": self._clock_ms()}

    def _exchange_info(self, params: Params) -> object:
        return exchange_info_json(self._desk.instruments, self._clock_ms())

    def _depth(self, params: Params) -> object:
        instrument = instrument_of(params, self._desk.instruments)
        limit = whole_number(params, "limit") or DEPTH_LIMIT
        if limit not in DEPTH_WEIGHTS:
            raise VenueError(-1130, name="limit")
        view = self._desk.market.depth(instrument.symbol, limit)
        return depth_json(instrument, view, self._clock_ms())


def _depth_weight(params: Params) -> int:
    text = params.get("limit", "")
    limit = int(text) if text.isascii() and text.isdigit() else DEPTH_LIMIT
    return DEPTH_WEIGHTS.get(limit, 1)
