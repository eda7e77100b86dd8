"""Real recordings as market events, by the plainest means: json, dictionaries, Python integers.

Written from the venue's documentation and the recordings' own notes; shares nothing with the feed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shm.records import MARKET_EVENT, EventFlag, EventKind

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "capture"
ABSENT = "" if FOLDER.is_dir() else f"no recordings at {FOLDER}"
CHAINS = {
    "BTCUSDT": ("usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"),
    "ETHUSDT": ("usdm_ethusdt_20240718.gz", "usdm_ethusdt_20240719.gz"),
}
# Digits after the point that prices and quantities of a tick and a lot have.
DIGITS = {"BTCUSDT": (1, 3), "ETHUSDT": (2, 3)}
TICK_SIZE = {"BTCUSDT": 0.1, "ETHUSDT": 0.01}
LOT_SIZE = 0.001

Row = tuple[int, ...]  # origin, venue, price, quantity, ask or id, ask lot, symbol, kind, flags
SNAPSHOT_LEVEL = int(EventFlag.SNAPSHOT)


def whole(text: str, digits: int) -> int:
    """Return a decimal text in units of 10^-digits; more digits must be zeros."""
    head, _, tail = text.partition(".")
    assert not tail[digits:].strip("0"), text
    return int(head + tail[:digits].ljust(digits, "0"))


def messages(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for file in CHAINS[name]:
        with gzip.open(FOLDER / file, "rt") as lines:
            for line in lines:
                stamp, _, text = line.partition(" ")
                yield int(stamp), json.loads(text)


def _levels(
    name: str, data: dict[str, Any], keys: tuple[str, str], head: Row, index: int, flags: int
) -> list[Row]:
    price_digits, lot_digits = DIGITS[name]
    origin, venue, update_id = head
    rows: list[Row] = []
    for side, key in enumerate(keys):
        for price, quantity in data[key]:
            price_tick, lot = whole(price, price_digits), whole(quantity, lot_digits)
            kind = int(EventKind.LEVEL)
            rows.append((origin, venue, price_tick, lot, update_id, 0, index, kind, flags | side))
    return rows


def _closed(rows: list[Row]) -> list[Row]:
    if rows:
        rows[-1] = (*rows[-1][:8], rows[-1][8] | int(EventFlag.LAST))
    return rows


def _update(name: str, stamp: int, data: dict[str, Any], index: int, flags: int) -> list[Row]:
    head = (stamp, data["E"] * 1_000_000, data["u"])
    return _closed(_levels(name, data, ("b", "a"), head, index, flags))


def _snapshot(name: str, stamp: int, data: dict[str, Any], index: int) -> list[Row]:
    update_id = data["lastUpdateId"]
    head = (stamp, data["E"] * 1_000_000, update_id)
    bare = (*head[:2], 0, 0, update_id, 0, index)
    rows = [(*bare, int(EventKind.SNAPSHOT_BEGIN), 0)]
    levels = _levels(name, data, ("bids", "asks"), head, index, SNAPSHOT_LEVEL)
    return [*rows, *levels, (*bare, int(EventKind.SNAPSHOT_END), int(EventFlag.LAST))]


def rows_of(name: str, index: int) -> Iterator[Row]:
    """Yield the events of one symbol's chain, in order of receipt.

    Venue: diff depth of USDⓈ-M: drop u < lastUpdateId; the first has U ≤ lastUpdateId ≤ u; then
    each pu equals the u before.
    """
    waiting: list[tuple[int, dict[str, Any]]] = []
    last_id = 0
    price_digits, lot_digits = DIGITS[name]
    for stamp, message in messages(name):
        if "lastUpdateId" in message:
            yield from _snapshot(name, stamp, message, index)
            for earlier, data in waiting:
                if data["u"] >= message["lastUpdateId"]:
                    assert last_id in (0, data["pu"])
                    last_id = data["u"]
                    yield from _update(name, earlier, data, index, int(EventFlag.DELAYED))
            last_id = last_id or -1
            continue
        data = message["data"]
        venue = data["E"] * 1_000_000
        if data["e"] == "depthUpdate":
            if last_id == 0:
                waiting.append((stamp, data))
                continue
            assert last_id in (-1, data["pu"])
            last_id = data["u"]
            yield from _update(name, stamp, data, index, 0)
        elif data["e"] == "trade":
            price, lot = whole(data["p"], price_digits), whole(data["q"], lot_digits)
            flags = int(data["m"]) | int(EventFlag.LAST)
            yield (stamp, venue, price, lot, data["t"], 0, index, int(EventKind.TRADE), flags)
        elif data["e"] == "bookTicker":
            bid, bid_lot = whole(data["b"], price_digits), whole(data["B"], lot_digits)
            ask, ask_lot = whole(data["a"], price_digits), whole(data["A"], lot_digits)
            kind, flags = int(EventKind.BEST), int(EventFlag.LAST)
            yield (stamp, venue, bid, bid_lot, ask, ask_lot, index, kind, flags)


def as_events(rows: list[Row]) -> np.ndarray:
    """Return rows as an array of MARKET_EVENT records."""
    events = np.zeros(len(rows), MARKET_EVENT.dtype)
    columns = np.array(rows, dtype=np.int64)
    names = ("origin_ns", "venue_ns", "price_tick", "quantity_lot", "ask_tick", "ask_lot")
    for place, name in enumerate((*names, "symbol", "kind", "flags")):
        events[name] = columns[:, place]
    events["sequence"] = np.arange(1, len(rows) + 1)
    return events


@cache
def chain(name: str, index: int = 0) -> np.ndarray:
    """Return the whole recording of one symbol."""
    return as_events(list(rows_of(name, index)))


@cache
def both() -> np.ndarray:
    """Return BTCUSDT as symbol 0 and ETHUSDT as symbol 1, merged by the time of publication.

    Updates that waited for a snapshot carry the time of their receipt, and follow it.
    """
    parts = [chain("BTCUSDT", 0), chain("ETHUSDT", 1)]
    published = [np.maximum.accumulate(part["origin_ns"]) for part in parts]
    order = np.argsort(np.concatenate(published), kind="stable")
    # Rows of bytes: numpy packs the fields of a structured type anew when it joins arrays.
    size = MARKET_EVENT.size
    raw = np.concatenate([part.view(np.uint8).reshape(-1, size) for part in parts])
    return np.ascontiguousarray(raw[order]).reshape(-1).view(MARKET_EVENT.dtype)
