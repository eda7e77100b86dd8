"""Bring recordings into the market events that the engine reads, by the feed's rules.

Plain Python over the recorded JSON, apart from the feed's decoder: what both get wrong would have
to be wrong twice. Order is that of receipt; `origin_ns` is the recorder's receive stamp.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from exchange.errors import StartError
from exchange.instruments import Instrument, inferred_instrument
from exchange.markets.recording import Chain, open_chains, read_lines
from shm.records import MARKET_EVENT, EventFlag, EventKind, InvalidReason

SIDE_ASK = int(EventFlag.SIDE_ASK)
LAST = int(EventFlag.LAST)
NS_PER_MS = 1_000_000
COLUMNS = (
    "origin_ns", "venue_ns", "price_tick", "quantity_lot", "ask_tick", "ask_lot", "kind", "flags",
)  # fmt: skip

Event = tuple[int, int, int, int, int, int, int, int]
Update = tuple[int, dict[str, Any]]


class RecordingError(Exception):
    """A file is no recording, or one that cannot be evaluated: one line for people."""


@dataclass
class Recording:
    """Hold one symbol's events.

    `events`: MARKET_EVENT[n], symbol 0. `message_ends`: i8[m], index after the last event of each
    message, rising. `gaps`: times the ids of depth updates broke. `has_snapshot`: a book could be
    built.
    """

    symbol: str
    paths: list[Path]
    events: npt.NDArray[Any]
    message_ends: npt.NDArray[np.int64]
    gaps: int
    has_snapshot: bool


@dataclass
class _Decoder:
    """Turn messages into events; keep what the sequence rules need.

    Venue: "How to manage a local order book correctly", USDⓈ-M: u < lastUpdateId is dropped, the
    first update has U ≤ lastUpdateId ≤ u (or follows on it), then each pu equals the u before.
    """

    instrument: Instrument
    events: list[Event] = field(default_factory=list)
    kept: list[Update] = field(default_factory=list)
    is_synced: bool = False
    is_bridged: bool = False
    last_id: int = 0
    gaps: int = 0
    snapshots: int = 0
    trade_id: int = 0
    best_id: int = 0

    def take(self, stamp: int, data: dict[str, Any]) -> None:
        """Take one message: a snapshot when it has no event type."""
        kind = data.get("e")
        if kind is None:
            self._snapshot(stamp, data)
        elif kind == "depthUpdate":
            self._update(stamp, data, 0)
        elif kind == "trade":
            self._trade(stamp, data)
        elif kind == "bookTicker":
            self._best(stamp, data)

    def _snapshot(self, stamp: int, data: dict[str, Any]) -> None:
        if self.is_synced:
            return
        # Venue: the event time of a snapshot is missing from older answers; 0 is no time, and the
        # engine takes none from a snapshot.
        venue_ns = int(data.get("E", 0)) * NS_PER_MS
        bare = (stamp, venue_ns, 0, 0, int(data["lastUpdateId"]), 0)
        self.events.append((*bare, int(EventKind.SNAPSHOT_BEGIN), 0))
        self._levels(stamp, venue_ns, data, ("bids", "asks"), int(EventFlag.SNAPSHOT))
        self.events.append((*bare, int(EventKind.SNAPSHOT_END), LAST))
        self.is_synced, self.is_bridged, self.last_id = True, False, bare[4]
        self.snapshots += 1
        waiting, self.kept = self.kept, []
        for earlier, update in waiting:
            self._update(earlier, update, int(EventFlag.DELAYED))

    def _update(self, stamp: int, data: dict[str, Any], flags: int) -> None:
        if self.is_synced and not self.is_bridged and data["u"] < self.last_id:
            return
        starts = not self.is_bridged and data["U"] <= self.last_id
        if self.is_synced and not starts and data["pu"] != self.last_id:
            self.gaps += 1
            self.is_synced = False
            reason, kind = int(InvalidReason.GAP), int(EventKind.INVALID)
            self.events.append((stamp, data["E"] * NS_PER_MS, 0, reason, 0, 0, kind, LAST))
        if not self.is_synced:
            self.kept.append((stamp, data))
            return
        self.is_bridged, self.last_id = True, data["u"]
        begin = len(self.events)
        self._levels(stamp, data["E"] * NS_PER_MS, data, ("b", "a"), flags)
        if len(self.events) > begin:
            last = self.events[-1]
            self.events[-1] = (*last[:7], last[7] | LAST)

    def _levels(
        self, stamp: int, venue_ns: int, data: dict[str, Any], keys: tuple[str, str], flags: int
    ) -> None:
        tick, lot, kind = self.instrument.price_tick, self.instrument.quantity_lot, EventKind.LEVEL
        update_id = int(data.get("u", data.get("lastUpdateId", 0)))
        for side, key in ((0, keys[0]), (SIDE_ASK, keys[1])):
            self.events += [
                (stamp, venue_ns, tick(price), lot(size), update_id, 0, int(kind), flags | side)
                for price, size in data[key]
            ]

    def _trade(self, stamp: int, data: dict[str, Any]) -> None:
        # Venue: X is MARKET for trades of the book; INSURANCE_FUND, ADL and NA are none.
        if data.get("X", "MARKET") != "MARKET" or data["t"] <= self.trade_id:
            return
        self.trade_id = data["t"]
        price, lot = self.instrument.price_tick(data["p"]), self.instrument.quantity_lot(data["q"])
        flags = LAST | (SIDE_ASK if data["m"] else 0)
        kind = int(EventKind.TRADE)
        self.events.append((stamp, data["E"] * NS_PER_MS, price, lot, data["t"], 0, kind, flags))

    def _best(self, stamp: int, data: dict[str, Any]) -> None:
        if data["u"] <= self.best_id:
            return
        self.best_id = data["u"]
        tick, lot = self.instrument.price_tick, self.instrument.quantity_lot
        bid, ask = (tick(data["b"]), lot(data["B"])), (tick(data["a"]), lot(data["A"]))
        head = (stamp, data["E"] * NS_PER_MS)
        self.events.append((*head, *bid, *ask, int(EventKind.BEST), LAST))


def _as_events(rows: list[Event]) -> npt.NDArray[Any]:
    events = np.zeros(len(rows), MARKET_EVENT.dtype)
    columns = np.array(rows, dtype=np.int64).reshape(-1, len(COLUMNS))
    for place, name in enumerate(COLUMNS):
        events[name] = columns[:, place]
    events["sequence"] = np.arange(1, len(rows) + 1)
    return events


def _read_chain(chain: Chain) -> Recording:
    decimals = (chain.price_decimals, chain.quantity_decimals)
    decoder = _Decoder(inferred_instrument(chain.symbol, *decimals))
    ends: list[int] = []
    for path in chain.paths:
        for number, line in enumerate(read_lines(path), start=1):
            try:
                decoder.take(line.receive_ns, orjson.loads(line.data))
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
                raise RecordingError(
                    f"not a recording: file={path} line={number} reason={reason}"
                ) from error
            if len(decoder.events) > (ends[-1] if ends else 0):
                ends.append(len(decoder.events))
    if not ends:
        raise RecordingError(f"no market event in the recording: file={chain.paths[0]}")
    try:
        events = _as_events(decoder.events)
    except (OverflowError, ValueError, TypeError) as error:
        # A text where a number belongs, or a number that no field holds.
        files = ",".join(map(str, chain.paths))
        raise RecordingError(f"not a recording: file={files} reason={error}") from error
    return Recording(
        symbol=chain.symbol,
        paths=list(chain.paths),
        events=events,
        message_ends=np.array(ends, dtype=np.int64),
        gaps=decoder.gaps,
        has_snapshot=decoder.snapshots > 0,
    )


def read_recordings(paths: list[Path]) -> list[Recording]:
    """Return one recording per symbol; the files of a symbol follow one another by time.

    Raises:
        RecordingError: a file is missing, unreadable, of another form or of another market.
    """
    try:
        return [_read_chain(chain) for chain in open_chains(paths)]
    except StartError as error:
        raise RecordingError(str(error)) from error
