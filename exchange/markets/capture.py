"""Run the capture market: recordings replayed to subscribers, books kept, orders met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import structlog

from exchange.errors import StartError
from exchange.instruments import Instrument, inferred_instrument
from exchange.markets.market import DepthView, Market, PriceLot
from exchange.markets.recorded_book import RecordedBook
from exchange.markets.recording import Chain, Line, open_chains, replay
from exchange.matching.ladder import BUY, SELL
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.streams.publisher import Publisher

BATCH_LINES = 128  # lines before the loop gets its turn
BACKLOG_BYTES_HIGH = 256 * 1024  # a reader further behind than this stops a `max` replay
BACKLOG_WAIT_S = 0.001
OWN_TRADE_ID_FIRST = 9_000_000_000_001  # far above the recorded trade ids


class CapturedSymbol:
    """Hold one symbol's book and derived streams, and apply its recorded messages."""

    def __init__(
        self, instrument: Instrument, chain: Chain, hub: Hub, clock_ms: Callable[[], int]
    ) -> None:
        self.instrument = instrument
        self.name = instrument.symbol.lower()
        self.depth_stream = chain.depth_stream
        self.has_depth_reader = False
        self.market: CaptureMarket | None = None
        self.book = RecordedBook(self._on_fill)
        self.publisher = Publisher(hub, instrument, clock_ms)
        if chain.snapshot is not None:
            self.on_snapshot(orjson.loads(chain.snapshot))
        else:
            structlog.get_logger().warning(
                "no_snapshot_in_recording", symbol=instrument.symbol, book="built from diffs"
            )

    def on_snapshot(self, data: dict) -> None:
        """Start the book from a snapshot, unless it is past it already."""
        if data["lastUpdateId"] > self.book.last_update_id:
            bids, asks = self._rows(data["bids"]), self._rows(data["asks"])
            self.book.load(data["lastUpdateId"], data.get("T", 0), bids, asks)

    def on_message(self, kind: str, data: bytes) -> None:
        """Apply one recorded message of stream `<symbol>@<kind>`."""
        if kind.startswith("depth@"):
            self.publisher.end_aggregate()
            self._on_depth(orjson.loads(data))
        elif kind == "trade":
            self._on_trade(orjson.loads(data))
        else:
            self.publisher.end_aggregate()

    def _on_depth(self, data: dict) -> None:
        # Venue: "How to manage a local order book correctly", events with u < lastUpdateId are
        # older than the snapshot.
        if data["u"] < self.book.last_update_id:
            return
        bids, asks = self._rows(data["b"]), self._rows(data["a"])
        self.book.apply(data["u"], data["T"], bids, asks)
        self.publisher.last_id = data["u"]
        for side, rows in ((BUY, bids), (SELL, asks)):
            for price_tick, quantity_lot in rows:
                self.publisher.depth_changed(side, price_tick, quantity_lot, data["U"], data["u"])

    def _on_trade(self, data: dict) -> None:
        # Venue: `X` is MARKET for a trade of the book; fund and liquidation marks do not match.
        if data.get("X", "MARKET") != "MARKET":
            return
        price_tick = self.instrument.price_tick(data["p"])
        quantity_lot = self.instrument.quantity_lot(data["q"])
        self.publisher.aggregate(
            data["t"], price_tick, quantity_lot, data["m"], data["T"], data["E"]
        )
        self.book.on_trade(price_tick, quantity_lot, SELL if data["m"] else BUY)

    def _rows(self, rows: list[list[str]]) -> list[PriceLot]:
        price, quantity = self.instrument.price_tick, self.instrument.quantity_lot
        return [(price(p), quantity(q)) for p, q in rows]

    def _on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool
    ) -> None:
        assert self.market is not None, "fills come after the start"
        self.market.own_trade_id += 1
        trade_id = self.market.own_trade_id
        self.market.sink.on_fill(order, price_tick, quantity_lot, is_maker, trade_id)


class CaptureMarket(Market):
    """Replay all chains by receive time; market time stands still until every book is read."""

    name = "capture"

    def __init__(
        self,
        hub: Hub,
        paths: list[Path],
        symbols: list[str],
        speed: float | None,
        clock_ms: Callable[[], int],
    ) -> None:
        chains = open_chains(paths)
        recorded = [chain.symbol for chain in chains]
        for symbol in symbols:
            if symbol not in recorded:
                known = ",".join(recorded)
                raise StartError(f"unknown symbol: symbol={symbol} recorded={known}")
        self._chains = [c for c in chains if not symbols or c.symbol in symbols]
        self._hub = hub
        self._speed = speed
        self._symbols: dict[str, CapturedSymbol] = {}
        for chain in self._chains:
            try:
                instrument = inferred_instrument(
                    chain.symbol, chain.price_decimals, chain.quantity_decimals
                )
                row = CapturedSymbol(instrument, chain, hub, clock_ms)
            except (ValueError, KeyError, TypeError) as error:
                raise StartError(
                    f"not a recording: file={chain.paths[0]} reason={error}"
                ) from error
            self._symbols[chain.symbol] = row
        self._by_name = {row.name: row for row in self._symbols.values()}
        self.instruments = {s: row.instrument for s, row in self._symbols.items()}
        self.own_trade_id = OWN_TRADE_ID_FIRST - 1
        self._may_run = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._events = 0
        self._market_ns = min(chain.first_ns for chain in self._chains)
        self._is_finished = False
        self._failure = ""

    def start(self) -> None:
        """Start the replay task; its clock waits for a depth reader of every symbol."""
        for row in self._symbols.values():
            row.market = self
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop the replay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def on_subscribe(self, stream: str) -> None:
        """Note depth readers; the last missing one starts the clock."""
        name, _, kind = stream.partition("@")
        row = self._by_name.get(name)
        if row is None:
            return
        if stream != row.depth_stream:
            row.publisher.on_subscribe(stream)
        row.has_depth_reader |= kind == "depth" or kind.startswith("depth@")
        if all(r.has_depth_reader for r in self._symbols.values()):
            self._may_run.set()

    async def _run(self) -> None:
        await self._may_run.wait()
        log = structlog.get_logger()
        log.info("replay_started", symbols=",".join(self._symbols))
        try:
            await self._replay()
        except Exception as error:
            # A file that turns out to be broken half-way ends the replay; the book stays, and
            # the status says so.
            self._failure = str(error) or repr(error)
            log.error("replay_failed", reason=self._failure, kind=type(error).__name__)
        for row in self._symbols.values():
            row.publisher.end_aggregate()
        self._is_finished = True
        log.info("replay_finished", events=self._events)

    async def _replay(self) -> None:
        loop = asyncio.get_running_loop()
        origin_s, origin_ns = loop.time(), self._market_ns
        in_batch = 0
        for line in replay(self._chains):
            if self._speed is not None:
                due_s = origin_s + (line.receive_ns - origin_ns) / 1e9 / self._speed
                wait_s = due_s - loop.time()
                if wait_s > 0:
                    in_batch = 0
                    await asyncio.sleep(wait_s)
            if in_batch >= BATCH_LINES:
                in_batch = 0
                await self._give_way()
            in_batch += 1
            self._play(line)

    async def _give_way(self) -> None:
        """Let the loop run; wait while a reader is far behind, so that memory stays bounded."""
        await asyncio.sleep(0)
        while self._hub.backlog_bytes() > BACKLOG_BYTES_HIGH:
            await asyncio.sleep(BACKLOG_WAIT_S)

    def _play(self, line: Line) -> None:
        self._events += 1
        self._market_ns = line.receive_ns
        if line.stream.endswith("!"):
            self._symbols[line.stream[:-1]].on_snapshot(orjson.loads(line.data))
            return
        name, _, kind = line.stream.partition("@")
        # The message goes out as recorded before our orders meet it, as at the venue.
        self._hub.publish(line.stream, line.data)
        self._by_name[name].on_message(kind, line.data)

    def best(self, symbol: str) -> tuple[int, int]:
        """Return the recorded best bid and ask in ticks."""
        book = self._symbols[symbol].book
        return book.bids.best(), book.asks.best()

    def depth(self, symbol: str, limit: int) -> DepthView:
        """Return the recorded book after the last applied diff."""
        book = self._symbols[symbol].book
        bids, asks = book.top(BUY, limit), book.top(SELL, limit)
        return DepthView(book.last_update_id, book.time_ms, bids, asks)

    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Walk the recorded levels; what is left queues behind the displayed quantity."""
        book = self._symbols[order.instrument.symbol].book
        book.take(order)
        if rests and order.remaining_lot:
            book.rest(order)

    def withdraw(self, order: ClientOrder) -> None:
        """Take a resting order out."""
        self._symbols[order.instrument.symbol].book.remove(order)

    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        """Shrink a resting order; the quantity ahead of it stays."""
        order.remaining_lot = remaining_lot

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take of the recorded levels now."""
        return self._symbols[order.instrument.symbol].book.available_lot(order)

    def status(self) -> dict[str, object]:
        """Return how far the replay is."""
        return {
            "market": self.name,
            "events": self._events,
            "finished": self._is_finished,
            "failure": self._failure,
            "market_time_ms": self._market_ns // 1_000_000,
        }
