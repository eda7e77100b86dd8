"""Read what a signed request claims: which text it signs, and when."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.errors import VenueError

RECV_WINDOW_MS = 5_000  # Venue: "Timing security", the default
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1_000  # how far ahead of the server's clock a timestamp may be
DIGITS_MAX = 16


def rest_payload(query: str, body: str) -> str:
    """Return what a REST client signs: query and body as received, no separator between them.

    # Venue: "SIGNED Endpoint security": totalParams is the query string concatenated with the
    # request body, and the signature parameter itself is left out.
    """
    return _without_signature(query) + _without_signature(body)


def ws_payload(params: Mapping[str, str]) -> str:
    """Return what a WS-API client signs: sorted `k=v` joined by `&`, raw UTF-8."""
    return "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "signature")


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


def check_time(params: Mapping[str, str], now_ms: int) -> None:
    """Raise -1021 unless timestamp < now + 1000 ms and now − timestamp ≤ recvWindow."""
    timestamp_ms = _integer(params, "timestamp", None)
    window_ms = _integer(params, "recvWindow", RECV_WINDOW_MS)
    if not 0 <= window_ms <= RECV_WINDOW_MS_MAX:
        raise VenueError(-1130, name="recvWindow")
    if timestamp_ms >= now_ms + AHEAD_MS_MAX or now_ms - timestamp_ms > window_ms:
        raise VenueError(-1021)


def _integer(params: Mapping[str, str], name: str, default: int | None) -> int:
    text = params.get(name, "")
    if not text:
        if default is None:
            raise VenueError(-1102, name=name)
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise VenueError(-1102, name=name)
    return int(text)
