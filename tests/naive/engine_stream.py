"""A small invented market as events, for tests that must run without recordings."""

from __future__ import annotations

import random

import numpy as np

from shm.records import EventFlag, EventKind
from tests.naive.engine_recording import Row, as_events

START_MS = 1_700_000_000_000
ASK, LAST = int(EventFlag.SIDE_ASK), int(EventFlag.LAST)
SNAPSHOT = int(EventFlag.SNAPSHOT)


def row(kind: EventKind, ms: int, symbol: int = 0, flags: int = LAST, **values: int) -> Row:
    """Return one event at `ms` after the start."""
    stamp = (START_MS + ms) * 1_000_000
    names = ("price_tick", "quantity_lot", "ask_tick", "ask_lot")
    return (stamp, stamp, *(values.get(name, 0) for name in names), symbol, int(kind), flags)


def trade(ms: int, price_tick: int, lot: int = 10, is_sell: int = 0, symbol: int = 0) -> Row:
    flags = LAST | (ASK if is_sell else 0)
    return row(EventKind.TRADE, ms, symbol, flags, price_tick=price_tick, quantity_lot=lot)


def best(ms: int, bid: int, bid_lot: int, ask: int, ask_lot: int, symbol: int = 0) -> Row:
    values = {"price_tick": bid, "quantity_lot": bid_lot, "ask_tick": ask, "ask_lot": ask_lot}
    return row(EventKind.BEST, ms, symbol, **values)


def level(ms: int, is_ask: int, price_tick: int, lot: int, flags: int = 0, symbol: int = 0) -> Row:
    side = ASK if is_ask else 0
    values = {"price_tick": price_tick, "quantity_lot": lot}
    return row(EventKind.LEVEL, ms, symbol, side | flags, **values)


def snapshot(ms: int, bids: dict[int, int], asks: dict[int, int], symbol: int = 0) -> list[Row]:
    rows = [row(EventKind.SNAPSHOT_BEGIN, ms, symbol, 0)]
    for is_ask, side in enumerate((bids, asks)):
        rows += [level(ms, is_ask, tick, lot, SNAPSHOT, symbol) for tick, lot in side.items()]
    return [*rows, row(EventKind.SNAPSHOT_END, ms, symbol)]


def market(seed: int, count: int, symbol_count: int = 2) -> np.ndarray:
    """Return a random walk: snapshots, then trades, best prices and depth updates."""
    rng = random.Random(seed)
    middle = [20_000 + 9_000 * index for index in range(symbol_count)]
    rows: list[Row] = []
    for symbol, price in enumerate(middle):
        bids = {price - k: rng.randint(1, 500) for k in range(1, 60)}
        asks = {price + k: rng.randint(1, 500) for k in range(1, 60)}
        rows += snapshot(0, bids, asks, symbol)
    ms = 0
    while len(rows) < count:
        ms += rng.choice((0, 1, 5, 40, 300))
        symbol = rng.randrange(symbol_count)
        price = middle[symbol]
        drift = rng.choice((-1, 0, 0, 1))
        kind = rng.random()
        if kind < 0.4:
            is_sell = int(rng.random() < 0.5 - 0.2 * drift)
            rows.append(trade(ms, price + drift, rng.randint(1, 900), is_sell, symbol))
        elif kind < 0.7:
            rows.append(best(ms, price - 1, rng.randint(1, 500), price + 1, 40, symbol))
        else:
            side = rng.randrange(2)
            places = [rng.randint(1, 12) for _ in range(rng.randint(1, 4))]
            places += [rng.randint(9_000, 15_000)] if rng.random() < 0.1 else []
            for place in places:
                tick = price + place if side else price - place
                rows.append(level(ms, side, tick, rng.choice((0, 3, 50, 400)), 0, symbol))
            last = rows.pop()
            rows.append((*last[:8], last[8] | LAST))
    return as_events(rows)
