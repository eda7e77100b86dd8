"""What the engine's bench runs on: recordings beside the project, else an invented market."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shm.records import MARKET_EVENT, EventFlag, EventKind

CAPTURE = Path(__file__).resolve().parents[2] / "shared" / "data" / "capture"
FILES = tuple(
    f"usdm_{symbol}_{day}.gz"
    for symbol in ("btcusdt", "ethusdt")
    for day in ("20240718", "20240719")
)
SEED = 20_240_718
START_NS = 1_700_000_000 * 1_000_000_000
ASK, LAST, SNAPSHOT = int(EventFlag.SIDE_ASK), int(EventFlag.LAST), int(EventFlag.SNAPSHOT)
COLUMNS = ("origin_ns", "price_tick", "quantity_lot", "ask_tick", "ask_lot", "kind", "flags")
Events = npt.NDArray[Any]
Row = tuple[int, ...]


@dataclass(frozen=True)
class Stream:
    """Hold market events of some symbols, in order of receipt: MARKET_EVENT[n]."""

    name: str
    symbol_count: int
    events: Events

    def of_kinds(self, *kinds: EventKind) -> Events:
        """Return the events of some kinds only."""
        chosen = np.isin(self.events["kind"], [int(kind) for kind in kinds])
        return as_contiguous(self.events[chosen])

    def of_symbol(self, symbol: int) -> Events:
        """Return one symbol's events, as symbol 0."""
        found = as_contiguous(self.events[self.events["symbol"] == symbol])
        found["symbol"] = 0
        return found


def as_contiguous(events: Events) -> Events:
    """Return a copy whose records lie one after another at their full size."""
    raw = np.array([np.frombuffer(events.tobytes(), np.uint8)]).reshape(-1, MARKET_EVENT.size)
    return np.ascontiguousarray(raw).reshape(-1).view(MARKET_EVENT.dtype)


def read_stream(quick: bool) -> Stream:
    """Return the recorded stream of two symbols where it is present, else an invented one."""
    paths = [CAPTURE / name for name in FILES]
    if quick or not all(path.exists() for path in paths):
        return invented(6_000 if quick else 400_000)
    # It imports the exchange's reader of recordings: not needed for what is invented.
    from bench.evaluation_recording import read_recordings

    parts = []
    for index, recording in enumerate(read_recordings(paths)):
        recording.events["symbol"] = index
        parts.append(recording.events)
    # Updates that waited for a snapshot stand behind it with the stamps of their receipt: what
    # counts for the order is the time at which the event could be there.
    times = [np.maximum.accumulate(part["origin_ns"]) for part in parts]
    order = np.argsort(np.concatenate(times), kind="stable")
    # Rows of bytes: numpy packs the fields of a structured type anew when it joins arrays.
    raw = [part.view(np.uint8).reshape(-1, MARKET_EVENT.size) for part in parts]
    events = np.ascontiguousarray(np.concatenate(raw)[order]).reshape(-1)
    return Stream("recorded BTCUSDT and ETHUSDT", len(parts), events.view(MARKET_EVENT.dtype))


def level_steps(events: Events) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the level updates before and after the first snapshot's end, i8[n, 3]."""
    ends = np.flatnonzero(events["kind"] == int(EventKind.SNAPSHOT_END))
    is_level = events["kind"] == int(EventKind.LEVEL)
    columns = [events["flags"] & ASK, events["price_tick"]]
    rows = np.stack([*columns, events["quantity_lot"]], axis=1).astype(np.int64)
    after = np.arange(len(events)) > ends[0]
    return (
        np.ascontiguousarray(rows[is_level & ~after]),
        np.ascontiguousarray(rows[is_level & after]),
    )


def invented(count: int) -> Stream:
    """Return a seeded random walk of two symbols: books of 400 levels, trades, best prices."""
    rng = random.Random(SEED)
    middles = [640_000, 340_000]
    rows: list[Row] = []
    symbols: list[int] = []

    def add(symbol: int, kind: EventKind, flags: int, *values: int) -> None:
        rows.append((now, *values, *(0,) * (4 - len(values)), int(kind), flags))
        symbols.append(symbol)

    now = START_NS
    for symbol, middle in enumerate(middles):
        add(symbol, EventKind.SNAPSHOT_BEGIN, 0)
        for place in range(1, 401):
            add(symbol, EventKind.LEVEL, SNAPSHOT, middle - place, rng.randint(1, 900))
            add(symbol, EventKind.LEVEL, SNAPSHOT | ASK, middle + place, rng.randint(1, 900))
        add(symbol, EventKind.SNAPSHOT_END, LAST)
    while len(rows) < count:
        now += rng.choice((0, 1, 2, 9, 40)) * 1_000_000
        symbol = rng.randrange(2)
        middle = middles[symbol]
        kind = rng.random()
        if kind < 0.2:
            side = rng.randrange(2)
            add(symbol, EventKind.TRADE, LAST | side * ASK, middle - side, rng.randint(1, 900))
        elif kind < 0.7:
            values = (middle - 1, rng.randint(1, 900), middle + 1, rng.randint(1, 900))
            add(symbol, EventKind.BEST, LAST, *values)
        else:
            _depth_update(rng, lambda *values, s=symbol: add(s, EventKind.LEVEL, *values), middle)
    columns = np.array(rows, dtype=np.int64)
    events = np.zeros(len(rows), MARKET_EVENT.dtype)
    for place, name in enumerate(COLUMNS):
        events[name] = columns[:, place]
    events["venue_ns"] = events["origin_ns"]
    events["symbol"] = symbols
    return Stream("invented market", 2, events)


def _depth_update(rng: random.Random, add: Any, middle: int) -> None:
    size = rng.randint(2, 30)
    for place in range(size):
        side = rng.randrange(2)
        away = 1 + int(rng.expovariate(1 / 60))
        flags = side * ASK | (LAST if place + 1 == size else 0)
        add(flags, middle + away if side else middle - away, rng.choice((0, 0, 7, 300)))
