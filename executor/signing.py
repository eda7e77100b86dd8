"""Sign requests with HMAC-SHA256; the key stays inside a prepared hash and is never shown.

Venue: "SIGNED Endpoint Security" (REST: query string and body, percent-encoded, concatenated with
no separator) and "WebSocket API general info" (the sorted parameters, apiKey included, raw UTF-8).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote, urlencode

from config.secret import MASK, Secret


class Signer:
    """Hold the hash that was started with the secret; every request continues a copy of it."""

    __slots__ = ("_prepared",)

    def __init__(self, secret: Secret) -> None:
        self._prepared = hmac.new(secret.reveal().encode(), digestmod="sha256")

    def sign(self, payload: bytes) -> str:
        """Return the signature of a payload in hexadecimal digits."""
        made = self._prepared.copy()
        made.update(payload)
        return made.hexdigest()

    def rest(self, query: str, body: str = "") -> str:
        """Return the signature of a request whose query and body are percent-encoded already."""
        return self.sign((query + body).encode())

    def ws_api(self, parameters: Mapping[str, object]) -> str:
        """Return the signature over `key=value` of all parameters, sorted by key."""
        return self.sign(ws_api_payload(parameters).encode())

    def __repr__(self) -> str:
        return f"Signer({MASK})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a signer is neither pickled nor copied")


def rest_query(parameters: Mapping[str, object]) -> str:
    """Return parameters as a percent-encoded query string, in their order."""
    return urlencode(parameters, quote_via=quote, safe="")


def ws_api_payload(parameters: Mapping[str, object]) -> str:
    """Return what a WS-API request signs; a signature among the parameters is left out."""
    return "&".join(f"{key}={parameters[key]}" for key in sorted(parameters) if key != "signature")
