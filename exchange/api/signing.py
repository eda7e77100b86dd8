"""Check what a signed request claims: API key, signature and time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from exchange.errors import VenueError

RECV_WINDOW_MS = 5_000  # Venue: "Timing security", the default
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1_000  # how far ahead of the server's clock a timestamp may be


def hmac_hex(secret: str, payload: str) -> str:
    """Return the HMAC-SHA256 of the payload (as UTF-8) in hex."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


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


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold the account's API key and secret; neither is ever printed."""

    api_key: str = field(repr=False)
    secret: str = field(repr=False)

    def check_key(self, api_key: str | None) -> None:
        """Raise -2014 for a missing key and -2015 for a wrong one."""
        if not api_key:
            raise VenueError(-2014)
        if not hmac.compare_digest(api_key.encode(), self.api_key.encode()):
            raise VenueError(-2015)

    def check_signature(self, payload: str, signature: str | None) -> None:
        """Raise -1102 for a missing signature and -1022 for a wrong one."""
        if not signature:
            raise VenueError(-1102, name="signature")
        expected = hmac_hex(self.secret, payload)
        if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
            raise VenueError(-1022)


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
    if not (text.isascii() and text.isdigit()):
        raise VenueError(-1102, name=name)
    return int(text)
