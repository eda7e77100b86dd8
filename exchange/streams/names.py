"""Name the streams: one table of kinds, the path that each is served on, and how names are read.

# Venue: "Important WebSocket Change Notice", "Endpoint & Stream Mapping".
"""

from __future__ import annotations

import re

PUBLIC = "public"  # high-frequency data: books and trades
MARKET = "market"  # everything else that is not the account's
PRIVATE = "private"  # listen keys are the streams of this path
LEGACY = ""  # `/ws` and `/stream` without a path before them

# Venue: "Kline/Candlestick Streams"; the lengths of month and week are the calendar's.
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
INTERVALS_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": 0,  # has no fixed length
}
# Venue: "Diff. Book Depth Streams"; the name without a suffix is the 250 ms one.
DIFF_CADENCES_MS = {"@0ms": 0, "@100ms": 100, "": 250, "@500ms": 500}
PARTIAL_CADENCES_MS = {"@100ms": 100, "": 250, "@500ms": 500}
PARTIAL_LEVELS = (5, 10, 20)

_INTERVAL = "|".join(INTERVALS_MS)
# What follows the symbol, and the path that serves it.
_SYMBOL_KINDS = (
    (r"depth(@0ms|@100ms|@500ms)?", PUBLIC),
    (r"depth(5|10|20)(@100ms|@500ms)?", PUBLIC),
    (r"bookTicker", PUBLIC),
    (r"trade", PUBLIC),
    (r"aggTrade", MARKET),
    (rf"kline_({_INTERVAL})", MARKET),
    (r"markPrice(@1s)?", MARKET),
    (r"forceOrder", MARKET),
    (r"miniTicker", MARKET),
    (r"ticker", MARKET),
)
_ALL_MARKET = {
    "!bookTicker": PUBLIC,
    "!markPrice@arr": MARKET,
    "!markPrice@arr@1s": MARKET,
    "!forceOrder@arr": MARKET,
    "!miniTicker@arr": MARKET,
    "!ticker@arr": MARKET,
    "!probe@local": LEGACY,  # not the venue's: how long a message takes, see LocalProbe
}
_SYMBOL = r"[^\s@!/]+"
_PATTERNS = [(re.compile(f"{_SYMBOL}@{kind}"), path) for kind, path in _SYMBOL_KINDS] + [
    (re.compile(rf"{_SYMBOL}_perpetual@continuousKline_({_INTERVAL})"), MARKET)
]
_WELL_FORMED = re.compile(r"[^\s\x00-\x1f\"\\]{1,200}")


def path_of(name: str) -> str | None:
    """Return the path that serves a stream, None for a name that is no market stream."""
    path = _ALL_MARKET.get(name)
    if path is not None:
        return path
    for pattern, path in _PATTERNS:
        if pattern.fullmatch(name):
            return path
    return None


def is_well_formed(name: object) -> bool:
    """Tell whether a text can name a stream at all, whether there is such a stream or not."""
    return isinstance(name, str) and _WELL_FORMED.fullmatch(name) is not None


def is_served(name: str, path: str, legacy: str) -> bool:
    """Tell whether a stream's data flows on a connection's path.

    `legacy` says what the old paths carry: "on" everything, "public" what the venue still sends
    there, "off" nothing. A stream on a path that does not serve it stays silent: the venue takes
    the subscription and sends nothing.
    """
    home = path_of(name)
    if path == LEGACY:
        return legacy == "on" or (legacy == "public" and home == PUBLIC) or home == LEGACY
    if path == PRIVATE:
        return home is None
    return home in (path, LEGACY)
