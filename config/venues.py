"""Hosts and paths of the venue, and which of them a mode uses.

Venue: "Important WebSocket Change Notice" and "General Info" of the USDⓈ-M documentation: market
streams are split by path into /public (depth, best prices, trades), /market (aggregated trades)
and /private (user data). The testnet is the venue's demo environment.
"""

import re
from typing import NamedTuple, Protocol

from config.errors import ConfigError

EMBEDDED = "embedded"


class Endpoints(NamedTuple):
    """URLs of one venue. `public_path` and `market_path` are added to `stream_url`."""

    rest_url: str
    stream_url: str
    private_stream_url: str
    ws_api_url: str
    public_path: str = "/public"
    market_path: str = "/market"


class VenueSettings(Protocol):
    """What is read of the settings' section `venue`."""

    @property
    def mode(self) -> str: ...  # noqa: D102  # named as its knob
    @property
    def rest_url(self) -> str: ...  # noqa: D102
    @property
    def stream_url(self) -> str: ...  # noqa: D102
    @property
    def private_stream_url(self) -> str: ...  # noqa: D102
    @property
    def ws_api_url(self) -> str: ...  # noqa: D102


# Venue: the testnet's row follows what other clients use; that its hosts serve the split paths,
# /private above all, has not been tried from here. The knobs of section `venue` replace each URL.
VENUES = {
    "testnet": Endpoints(
        rest_url="https://demo-fapi.binance.com",
        stream_url="wss://demo-fstream.binance.com",
        private_stream_url="wss://demo-fstream.binance.com/private",
        ws_api_url="wss://testnet.binancefuture.com/ws-fapi/v1",
    ),
    "live": Endpoints(
        rest_url="https://fapi.binance.com",
        stream_url="wss://fstream.binance.com",
        private_stream_url="wss://fstream.binance.com/private",
        ws_api_url="wss://ws-fapi.binance.com/ws-fapi/v1",
    ),
}
# Where prices come from and where orders go. Paper takes live prices and fills them here.
MARKET_VENUE = {
    "sim": EMBEDDED,
    "capture": EMBEDDED,
    "paper": "live",
    "testnet": "testnet",
    "live": "live",
}
ORDER_VENUE = {**MARKET_VENUE, "paper": EMBEDDED}

_HOST = re.compile(r"(\w+)://(\[[^]]+\]|[^/:]+)")
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}|\[::1\]|localhost")
_ENCRYPTED = ("https", "wss")


def market_endpoints(venue: VenueSettings, embedded: Endpoints | None = None) -> Endpoints:
    """Return the URLs of market data; `embedded` are those of the embedded exchange, if it runs.

    Raise ConfigError when the mode needs the embedded exchange and its URLs are not given.
    """
    return _with_overrides(venue, _base(MARKET_VENUE[venue.mode], venue.mode, embedded))


def order_endpoints(venue: VenueSettings, embedded: Endpoints | None = None) -> Endpoints:
    """Return the URLs of orders and user data; arguments and errors as `market_endpoints`.

    In paper mode they are the embedded exchange's whatever the settings say, so that no order of
    this mode can leave the machine.
    """
    base = _base(ORDER_VENUE[venue.mode], venue.mode, embedded)
    return base if venue.mode == "paper" else _with_overrides(venue, base)


def refusal_of_url(mode: str, url: str) -> str:
    """Return why a mode refuses a URL that was set by hand, or an empty text."""
    match = _HOST.match(url)
    if match is None or mode not in VENUES:
        return ""
    scheme, host = match[1], match[2].lower().rstrip(".")
    if scheme not in _ENCRYPTED and not _LOOPBACK.fullmatch(host):
        return f"is not encrypted, which venue.mode {mode} refuses"
    for other, endpoints in VENUES.items():
        if other != mode and host in _hosts(endpoints):
            return f"is a host of {other}, but venue.mode is {mode}"
    return ""


def _hosts(endpoints: Endpoints) -> set[str]:
    matches = (_HOST.match(url) for url in endpoints)
    return {match[2] for match in matches if match}


def _base(name: str, mode: str, embedded: Endpoints | None) -> Endpoints:
    if name != EMBEDDED:
        return VENUES[name]
    if embedded is None:
        raise ConfigError("venue.mode", f"{mode} needs the URLs of the embedded exchange")
    return embedded


def _with_overrides(venue: VenueSettings, base: Endpoints) -> Endpoints:
    return base._replace(
        rest_url=venue.rest_url or base.rest_url,
        stream_url=venue.stream_url or base.stream_url,
        private_stream_url=venue.private_stream_url or base.private_stream_url,
        ws_api_url=venue.ws_api_url or base.ws_api_url,
    )
