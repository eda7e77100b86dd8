"""Tape a market for `bench.market_fit`: takers, best prices and level changes, from two sources.

A recording and the synthetic market are brought into the same form, so that the same statistics
are computed from both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from exchange.instruments import INSTRUMENTS, Instrument, inferred_instrument
from exchange.markets.flow import Flow
from exchange.markets.recording import open_chains, read_lines
from exchange.markets.synthetic import SyntheticSymbol
from exchange.matching.book import MatchingBook
from exchange.matching.layout import BUY, SELL

SHAPE_EVERY = 200  # level changes between two looks at the whole book
SHAPE_BPS = 8  # how far from the touch a look reaches
WARM_S = 5.0  # of the synthetic market, before the tape runs


@dataclass
class Tape:
    """Hold what one market showed. Times in ms, prices in ticks, quantities in lots."""

    name: str
    instrument: Instrument
    takers: list[tuple[float, int, int, int]] = field(
        default_factory=list
    )  # time, lot, side, fills
    tops: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    changes: list[tuple[int, int]] = field(default_factory=list)  # distance in ticks, lots gained
    shapes: list[list[tuple[int, int]]] = field(default_factory=list)  # (distance, lots), near bids
    level_counts: list[int] = field(default_factory=list)  # of all bids, with each shape
    first_ms: float = 0.0
    last_ms: float = 0.0

    @property
    def span_s(self) -> float:
        """Return how long the tape is."""
        return (self.last_ms - self.first_ms) / 1000.0

    def trade(self, time_ms: float, quantity_lot: int, side: int) -> None:
        """Add a fill; fills of one taker have one time and one side."""
        if self.takers and self.takers[-1][0] == time_ms and self.takers[-1][2] == side:
            _, lot, _, fills = self.takers.pop()
            self.takers.append((time_ms, lot + quantity_lot, side, fills + 1))
        else:
            self.takers.append((time_ms, quantity_lot, side, 1))

    def end(self, time_ms: float) -> None:
        """Move the end of the tape."""
        self.first_ms = self.first_ms or time_ms
        self.last_ms = max(self.last_ms, time_ms)


class LevelBook:
    """Keep the recorded levels of both sides, only as well as statistics need them."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}

    def best(self, side: int) -> int:
        """Return the best price of a side, 0 when it is empty."""
        prices = self.sides[side]
        return (max(prices) if side == BUY else min(prices)) if prices else 0

    def put(self, side: int, price_tick: int, quantity_lot: int) -> int:
        """Set a level; return what it gained."""
        before = self.sides[side].pop(price_tick, 0)
        if quantity_lot:
            self.sides[side][price_tick] = quantity_lot
        return quantity_lot - before


def recorded(paths: list[Path]) -> Iterator[Tape]:
    """Yield a tape for every file; the book goes on from file to file of a symbol."""
    for chain in open_chains(paths):
        instrument = inferred_instrument(
            chain.symbol, chain.price_decimals, chain.quantity_decimals
        )
        book = LevelBook()
        if chain.snapshot is not None:
            _apply(book, instrument, orjson.loads(chain.snapshot), ("bids", "asks"))
        for path in chain.paths:
            tape = Tape(path.stem, instrument)
            for line in read_lines(path):
                if line.stream:
                    _note(tape, book, orjson.loads(line.data))
            yield tape


def _note(tape: Tape, book: LevelBook, data: dict[str, Any]) -> None:
    kind, instrument = data["e"], tape.instrument
    tape.end(data["T"])
    if kind == "trade" and data.get("X", "MARKET") == "MARKET":
        side = SELL if data["m"] else BUY
        tape.trade(data["T"], instrument.quantity_lot(data["q"]), side)
    elif kind == "bookTicker":
        price, lot = instrument.price_tick, instrument.quantity_lot
        tops = (price(data["b"]), lot(data["B"]), price(data["a"]), lot(data["A"]))
        tape.tops.append((data["T"], *tops))
    elif kind == "depthUpdate":
        best = {side: book.best(side) for side in (BUY, SELL)}
        for side, price_tick, gain in _apply(book, instrument, data, ("b", "a")):
            if best[side] and gain:
                tape.changes.append((max(0, (best[side] - price_tick) * side), gain))
        if len(tape.changes) // SHAPE_EVERY >= len(tape.shapes):
            _look(tape, book)


def _apply(
    book: LevelBook, instrument: Instrument, data: dict[str, Any], keys: tuple[str, str]
) -> list[tuple[int, int, int]]:
    gains = []
    for side, key in ((BUY, keys[0]), (SELL, keys[1])):
        for price, quantity in data[key]:
            tick = instrument.price_tick(price)
            gains.append((side, tick, book.put(side, tick, instrument.quantity_lot(quantity))))
    return gains


def _look(tape: Tape, book: LevelBook) -> None:
    best, bids = book.best(BUY), book.sides[BUY]
    reach = best - best * SHAPE_BPS // 10_000
    tape.shapes.append([(best - price, lot) for price, lot in bids.items() if price >= reach])
    tape.level_counts.append(len(bids))


class TapePublisher:
    """Stand where the synthetic market publishes, and write to a tape instead."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.levels = LevelBook()
        self.now_ms = 0.0
        self.is_on = False
        self.last_id = 0

    def trade(
        self, trade_id: int, price_tick: int, quantity_lot: int, buyer_is_maker: bool
    ) -> None:
        """Tape a fill."""
        if self.is_on:
            self.tape.trade(self.now_ms, quantity_lot, SELL if buyer_is_maker else BUY)

    def depth_changed(
        self, side: int, price_tick: int, quantity_lot: int, first_id: int, last_id: int
    ) -> None:
        """Tape a level's change, by its distance from the best price before it."""
        best = self.levels.best(side) if self.is_on else 0
        gain = self.levels.put(side, price_tick, quantity_lot)
        if self.is_on and best and gain:
            self.tape.changes.append((max(0, (best - price_tick) * side), gain))
            if len(self.tape.changes) // SHAPE_EVERY >= len(self.tape.shapes):
                _look(self.tape, self.levels)

    def ticker(self, bid: tuple[int, int], ask: tuple[int, int]) -> None:
        """Tape best bid and offer."""
        if self.is_on:
            self.tape.tops.append((self.now_ms, *bid, *ask))

    def end_aggregate(self) -> None:
        """Do nothing: a taker's fills are joined by their time."""


class Ids:
    """Hand out update ids."""

    def __init__(self) -> None:
        self.last = 0

    def take(self) -> int:
        """Return the next id."""
        self.last += 1
        return self.last


def synthetic(
    kernels: Any, symbol: str, chain: str, seconds: float, seed: int, rate: float
) -> Tape:
    """Return a tape of one synthetic symbol, driven without a clock."""
    instrument = INSTRUMENTS[symbol]
    tape = Tape(f"synthetic {chain}", instrument)
    publisher: Any = TapePublisher(tape)
    ids: Any = Ids()
    flow = Flow(instrument, seed, rate, chain)
    row = SyntheticSymbol(instrument, flow, MatchingBook(kernels), publisher, ids)
    while row.next_s < WARM_S + seconds:
        publisher.now_ms = row.next_s * 1000.0
        publisher.is_on = row.next_s >= WARM_S
        if publisher.is_on:
            tape.end(publisher.now_ms)
        row.step()
    return tape
