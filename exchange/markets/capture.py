"""Run the capture market: recordings replayed to subscribers, books kept, orders met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from exchange.errors import StartError
from exchange.instruments import inferred_instrument
from exchange.markets.messages import MessageError, read_diff, read_json, read_snapshot
from exchange.markets.mirror import MirroredSymbol, MirrorMarket, TradeIds, fail_with
from exchange.markets.recording import Line, open_chains, replay
from exchange.streams.hub import Hub

BATCH_LINES = 128  # lines before the loop gets its turn
BACKLOG_BYTES_HIGH = 256 * 1024  # a reader further behind than this stops a `max` replay
BACKLOG_WAIT_S = 0.001


class CapturedSymbol(MirroredSymbol):
    """Hold one recorded symbol, and whether somebody follows its book."""

    has_depth_reader = False

    def open_book(self, snapshot: bytes | None) -> None:
        """Start from the recorded snapshot, or say that there is none."""
        if snapshot is not None:
            self.on_snapshot(snapshot)
            return
        structlog.get_logger().warning(
            "no_snapshot_in_recording", symbol=self.instrument.symbol, book="built from diffs"
        )

    def on_snapshot(self, data: bytes) -> None:
        """Start the book from a snapshot, unless it is past it already. Raises MessageError."""
        snapshot = read_snapshot(self.instrument, read_json(data))
        if snapshot.last_id > self.book.last_update_id:
            self.replace(snapshot)
            self.settle()

    def on_message(self, kind: str, data: bytes) -> None:
        """Apply one recorded message of stream `<symbol>@<kind>`. Raises MessageError."""
        if kind == "trade":
            self.trade(read_json(data))
            return
        self.publisher.end_aggregate()
        if kind.startswith("depth@"):
            diff = read_diff(self.instrument, read_json(data))
            # Venue: "How to manage a local order book correctly", events with u < lastUpdateId
            # are older than the snapshot.
            if diff.last_id >= self.book.last_update_id:
                self.advance(diff)
                self.settle()


class CaptureMarket(MirrorMarket[CapturedSymbol]):
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
        trade_ids = TradeIds()
        rows = {}
        for chain in self._chains:
            try:
                instrument = inferred_instrument(
                    chain.symbol, chain.price_decimals, chain.quantity_decimals
                )
                row = CapturedSymbol(instrument, chain.depth_stream, hub, clock_ms, trade_ids)
                row.open_book(chain.snapshot)
            except (ValueError, KeyError, TypeError) as error:
                raise StartError(
                    f"not a recording: file={chain.paths[0]} reason={error}"
                ) from error
            rows[chain.symbol] = row
        super().__init__(rows)
        self._may_run = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._events = 0
        self._market_ns = min(chain.first_ns for chain in self._chains)
        self._is_finished = False
        self._failure = ""

    def start(self) -> None:
        """Start the replay task; its clock waits for a depth reader of every symbol."""
        self.attach()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(fail_with)

    async def close(self) -> None:
        """Stop the replay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def on_subscribe(self, stream: str) -> None:
        """Note depth readers; the last missing one starts the clock."""
        super().on_subscribe(stream)
        name, _, kind = stream.partition("@")
        row = self.by_name.get(name)
        if row is None:
            return
        row.has_depth_reader |= kind == "depth" or kind.startswith("depth@")
        if not self._waiting_for():
            self._may_run.set()

    def _waiting_for(self) -> list[str]:
        """Return the symbols whose depth nobody has asked for yet."""
        return [symbol for symbol, row in self.rows.items() if not row.has_depth_reader]

    async def _run(self) -> None:
        log = structlog.get_logger()
        log.info(
            "replay_waits", reason="a depth reader of every symbol", symbols=",".join(self.rows)
        )
        await self._may_run.wait()
        log.info("replay_started", symbols=",".join(self.rows))
        try:
            await self._replay()
        except (StartError, MessageError) as error:
            # A file that turns out to be broken half-way ends the replay; the book stays, and
            # the status says so.
            self._failure = str(error)
            log.error("replay_failed", reason=self._failure, kind=type(error).__name__)
        for row in self.rows.values():
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
            self.rows[line.stream[:-1]].on_snapshot(line.data)
            return
        name, _, kind = line.stream.partition("@")
        if name not in self.by_name:
            raise MessageError(f"a stream of no symbol here: stream={line.stream}")
        # The message goes out as recorded before our orders meet it, as at the venue.
        self._hub.publish(line.stream, line.data)
        self.by_name[name].on_message(kind, line.data)

    def status(self) -> dict[str, object]:
        """Return how far the replay is."""
        return {
            "market": self.name,
            "events": self._events,
            "finished": self._is_finished,
            "waiting_for": self._waiting_for(),
            "failure": self._failure,
            "market_time_ms": self._market_ns // 1_000_000,
        }
