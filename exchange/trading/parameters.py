"""Read single parameters of a request: numbers, flags, names, spans of time."""

from __future__ import annotations

import re
from collections.abc import Mapping

from exchange.errors import VenueError
from exchange.instruments import Instrument, parse_scaled

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")  # Venue: "New Order", newClientOrderId
WEEK_MS = 7 * 24 * 60 * 60 * 1000
ROWS = 500  # Venue: "All Orders", default and largest limit
ROWS_MAX = 1_000

Params = Mapping[str, str]


def required(params: Params, name: str) -> str:
    """Return a parameter or raise -1102."""
    value = params.get(name, "")
    if not value:
        raise VenueError(-1102, name=name)
    return value


def whole_number(params: Params, name: str) -> int | None:
    """Return an integer parameter, None when absent; raise -1102 when malformed."""
    value = params.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit()) or len(value) > 19:
        raise VenueError(-1102, name=name)
    return int(value)


def instrument_of(params: Params, instruments: Mapping[str, Instrument]) -> Instrument:
    """Return the instrument of the `symbol` parameter or raise -1102 or -1121."""
    instrument = instruments.get(required(params, "symbol"))
    if instrument is None:
        raise VenueError(-1121)
    return instrument


def decimal(params: Params, name: str, decimals: int) -> int:
    """Return a decimal times `10**decimals`; raise -1102 when malformed, -1111 when too fine.

    A sign is read, so that what is below zero is refused as that and not as malformed.
    """
    text = required(params, name)
    sign = -1 if text.startswith("-") else 1
    if len(text) > 32:
        raise VenueError(-1102, name=name)
    try:
        scaled = parse_scaled(text.removeprefix("-"), decimals)
    except ValueError:
        raise VenueError(-1102, name=name) from None
    if scaled is None:
        raise VenueError(-1111)
    return sign * scaled


def flag(params: Params, name: str) -> bool:
    """Return a flag, false when absent; raise -1130 when it is neither true nor false."""
    value = params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise VenueError(-1130, name=name)
    return value == "true"


def client_id(params: Params, name: str) -> str | None:
    """Return an id of the client's choice, None when absent; raise -4015 or -1100."""
    value = params.get(name)
    if value is None:
        return None
    if not 1 <= len(value) <= 36:
        raise VenueError(-4015)
    if not CLIENT_ID.fullmatch(value):
        raise VenueError(-1100, name=name)
    return value


def row_limit(params: Params, default: int = ROWS, largest: int = ROWS_MAX) -> int:
    """Return `limit` or raise -1130."""
    limit = whole_number(params, "limit")
    if limit is None:
        return default
    if not 1 <= limit <= largest:
        raise VenueError(-1130, name="limit")
    return limit


def time_span(params: Params, now_ms: int) -> tuple[int, int]:
    """Return startTime and endTime, both ms and inclusive; raise -1023 or -4165.

    # Venue: "Account Trade List", "All Orders": at most seven days; one end alone spans the seven
    days from or before it, none the last seven.
    """
    start_ms, end_ms = whole_number(params, "startTime"), whole_number(params, "endTime")
    if start_ms is None:
        end_ms = now_ms if end_ms is None else end_ms
        start_ms = end_ms - WEEK_MS
    elif end_ms is None:
        end_ms = start_ms + WEEK_MS
    if start_ms > end_ms:
        raise VenueError(-1023)
    if end_ms - start_ms > WEEK_MS:
        raise VenueError(-4165, days=7)
    return start_ms, end_ms
