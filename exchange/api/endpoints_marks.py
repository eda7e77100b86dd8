"""Answer what concerns marks: premiumIndex and funding."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.api.mark_views import funding_info_json, funding_rate_json, premium_index_json
from exchange.api.rest import Route
from exchange.api.ws_api import Method
from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.markets.marks import Marks
from exchange.trading.parameters import instrument_of, whole_number

Params = Mapping[str, str]
FUNDING_ROWS = 100  # Venue: "Get Funding Rate History"
FUNDING_ROWS_MAX = 1_000


class MarkEndpoints:
    """Answer with marks and past fundings."""

    def __init__(self, marks: Marks, instruments: Mapping[str, Instrument]) -> None:
        self._marks = marks
        self._instruments = instruments

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        v1 = "/fapi/v1"
        return [
            Route("GET", f"{v1}/premiumIndex", self._premium_index, _premium_weight),
            Route("GET", f"{v1}/fundingRate", self._funding_rate),
            Route("GET", f"{v1}/fundingInfo", self._funding_info, 0),
        ]

    def methods(self) -> list[Method]:
        """Return the table of WS-API methods: none."""
        return []

    def _premium_index(self, params: Params) -> object:
        symbols = self._symbols(params)
        rows = [premium_index_json(symbol, self._marks.view(symbol)) for symbol in symbols]
        return rows[0] if params.get("symbol") else rows

    def _funding_rate(self, params: Params) -> object:
        start_ms, end_ms, limit = _span(params, FUNDING_ROWS, FUNDING_ROWS_MAX)
        rows = [
            row
            for symbol in self._symbols(params)
            for row in self._marks.history(symbol)
            if start_ms <= row.time_ms <= end_ms
        ]
        rows.sort(key=lambda row: row.time_ms)
        # Venue: without a start the newest rows, with one the rows that follow it; oldest first.
        chosen = rows[:limit] if params.get("startTime") else rows[-limit:]
        return [funding_rate_json(self._instruments[row.symbol], row) for row in chosen]

    def _funding_info(self, params: Params) -> object:
        return [funding_info_json(s, self._marks.interval_ms) for s in self._instruments]

    def _symbols(self, params: Params) -> list[str]:
        if params.get("symbol"):
            return [instrument_of(params, self._instruments).symbol]
        return list(self._instruments)


def _span(params: Params, rows: int, rows_max: int) -> tuple[int, int, int]:
    """Return startTime, endTime (both ms, inclusive) and limit."""
    start_ms = whole_number(params, "startTime") or 0
    end_ms = whole_number(params, "endTime") or 1 << 62
    if end_ms < start_ms:
        raise VenueError(-1023)
    limit = whole_number(params, "limit")
    return start_ms, end_ms, min(rows if limit is None else max(1, limit), rows_max)


def _premium_weight(params: Params) -> int:
    return 1 if params.get("symbol") else 10
