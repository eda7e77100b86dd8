"""Run the live market: another venue's public streams mirrored, our orders matched on paper.

Books are bridged by the venue's rules: buffer diffs, take a snapshot, drop what is older, apply
from the diff that contains the snapshot's id on, and start over at any gap. While a book is not
synchronised its symbol takes no orders and fills none.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import structlog

from exchange.errors import StartError, VenueError
from exchange.instruments import Instrument, described_instrument
from exchange.markets.mirror import MirroredSymbol, MirrorMarket, TradeIds
from exchange.markets.upstream import Backoff, Upstream, fetch_json
from exchange.streams.hub import Hub

BUFFER_MAX = 5_000  # diffs kept while a snapshot is on its way; the oldest go first
SNAPSHOT_LEVELS = "1000"
STALE_MS = 5_000  # without a message of the symbol for so long, status says stale
PUBLIC_KINDS = ("trade", "bookTicker")
MARKET_KINDS = ("aggTrade", "markPrice@1s")
RELAYED = frozenset({"aggTrade", "markPrice"})  # sent on as received, so none of ours beside it

Update = dict[str, Any]


class LiveSymbol(MirroredSymbol):
    """Hold one mirrored symbol and where its synchronisation stands."""

    def __init__(
        self,
        instrument: Instrument,
        depth_stream: str,
        hub: Hub,
        clock_ms: Callable[[], int],
        trade_ids: TradeIds,
    ) -> None:
        super().__init__(instrument, depth_stream, hub, clock_ms, trade_ids)
        self.publisher.relayed = RELAYED
        self.is_synced = False
        self.is_fetching = False
        self.resyncs = 0
        self.gaps = 0
        self.heard_ms = 0
        self._clock_ms = clock_ms
        self._buffer: deque[Update] = deque(maxlen=BUFFER_MAX)
        self._is_bridged = False

    def on_update(self, data: Update) -> bool:
        """Take a diff; return whether a snapshot is wanted."""
        if self.is_synced and self._follows(data):
            return False
        if self.is_synced:
            self.gaps += 1
            self.lose()
        self._buffer.append(data)
        return True

    def on_trade(self, data: Update) -> None:
        """Take a trade; without a valid book it fills nothing."""
        if self.is_synced:
            self.trade(data)
            self.publisher.market_ms = 0  # live: bars go by the clock, also while nobody trades

    def on_snapshot(self, snapshot: Update) -> bool:
        """Bridge the buffered diffs onto a snapshot; return False when it is too old for them.

        # Venue: "How to manage a local order book correctly": drop u < lastUpdateId; the first
        applied has U <= lastUpdateId <= u; then every pu is the previous u.
        """
        last_id = snapshot["lastUpdateId"]
        pending = [update for update in self._buffer if update["u"] >= last_id]
        if pending and pending[0]["U"] > last_id:
            return False
        self._buffer.clear()
        self._is_bridged = False
        self.load(snapshot)
        self.is_synced = True
        self.resyncs += 1
        for place, update in enumerate(pending):
            if not self._follows(update):
                self.gaps += 1
                self.lose()
                self._buffer.extend(pending[place:])
                return False
        return True

    def lose(self) -> None:
        """Take the book as invalid until the next snapshot."""
        self.is_synced = False
        self._buffer.clear()
        self.publisher.end_aggregate()

    def status(self) -> dict[str, object]:
        """Return the symbol's part of `/local/status`."""
        age_ms = self._clock_ms() - self.heard_ms if self.heard_ms else None
        return {
            "synced": self.is_synced,
            "age_ms": age_ms,
            "stale": age_ms is None or age_ms > STALE_MS,
            "resyncs": self.resyncs,
            "gaps": self.gaps,
        }

    def hear(self) -> None:
        """Note that the upstream is alive."""
        self.heard_ms = self._clock_ms()

    def _follows(self, data: Update) -> bool:
        """Apply a diff if it is the next one, or is older than the snapshot; else return False."""
        last_id = self.book.last_update_id
        if not self._is_bridged:
            if data["u"] < last_id:
                return True
            if data["U"] > last_id:
                return False
            self._is_bridged = True
        elif data["pu"] != last_id:
            return False
        self.apply(data)
        return True


class LiveMarket(MirrorMarket[LiveSymbol]):
    """Mirror an upstream venue; needs its exchangeInfo's symbols when it is built."""

    name = "live"

    def __init__(
        self,
        hub: Hub,
        described: list[dict[str, Any]],
        symbols: list[str],
        rest_url: str,
        stream_url: str,
        depth_kind: str,
        clock_ms: Callable[[], int],
        seed: int,
    ) -> None:
        by_symbol = {row.get("symbol"): row for row in described}
        trade_ids = TradeIds()
        rows = {}
        for symbol in symbols:
            if symbol not in by_symbol:
                raise StartError(f"unknown symbol upstream: symbol={symbol} url={rest_url}")
            try:
                instrument = described_instrument(by_symbol[symbol])
            except (KeyError, ValueError, TypeError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise StartError(
                    f"cannot read upstream's filters: symbol={symbol} reason={reason}"
                ) from error
            stream = f"{symbol.lower()}@{depth_kind}"
            rows[symbol] = LiveSymbol(instrument, stream, hub, clock_ms, trade_ids)
        super().__init__(rows)
        self._hub = hub
        self._rest_url = rest_url
        self._stream_url = stream_url
        self._depth_kind = depth_kind
        self._clock_ms = clock_ms
        self._random = random.Random(seed)
        self._session: aiohttp.ClientSession | None = None
        self._links: dict[str, Upstream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = 0

    def start(self) -> None:
        """Open both connections, the one with the books and the other."""
        self.attach()
        self._session = session = aiohttp.ClientSession()
        kinds = {"public": (self._depth_kind, *PUBLIC_KINDS), "market": MARKET_KINDS}
        for path, wanted in kinds.items():
            names = "/".join(f"{row.name}@{kind}" for row in self.rows.values() for kind in wanted)
            url = f"{self._stream_url}/{path}/stream?streams={names}"
            lost = self._lose_books if path == "public" else _keep
            link = Upstream(session, url, self._on_message, lost, Backoff(self._random))
            self._links[path] = link
            self._spawn(link.run())

    async def close(self) -> None:
        """Close the connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def check_open(self, symbol: str) -> None:
        """Raise -1008 while the symbol's book is not synchronised: nothing can be matched."""
        if not self.rows[symbol].is_synced:
            raise VenueError(-1008)

    def status(self) -> dict[str, object]:
        """Return how the mirror stands: connections, and each symbol's book and age."""
        symbols = {symbol: row.status() for symbol, row in self.rows.items()}
        return {
            "market": self.name,
            "events": self._events,
            "finished": False,
            "market_time_ms": self._clock_ms(),
            "stale": any(row["stale"] or not row["synced"] for row in symbols.values()),
            "upstream": {
                path: {"open": link.is_open, "connects": link.connects}
                for path, link in self._links.items()
            },
            "symbols": symbols,
        }

    def _on_message(self, stream: str, data: bytes) -> None:
        name, _, kind = stream.partition("@")
        row = self.by_name.get(name)
        if row is None:
            return
        self._events += 1
        row.hear()
        # A message goes out as received before our orders meet it, as at the venue.
        self._hub.publish(stream, data)
        if kind.startswith("depth"):
            if row.on_update(orjson.loads(data)):
                self._want_snapshot(row)
        elif kind == "trade":
            row.on_trade(orjson.loads(data))

    def _lose_books(self) -> None:
        for row in self.rows.values():
            row.lose()

    def _want_snapshot(self, row: LiveSymbol) -> None:
        if not row.is_fetching:
            row.is_fetching = True
            self._spawn(self._fetch(row))

    async def _fetch(self, row: LiveSymbol) -> None:
        """Take snapshots until one bridges, or the connection is lost."""
        assert self._session is not None, "started"
        symbol = row.instrument.symbol
        params = {"symbol": symbol, "limit": SNAPSHOT_LEVELS}
        backoff = Backoff(self._random)
        log = structlog.get_logger()
        try:
            while self._links["public"].is_open:
                try:
                    url = f"{self._rest_url}/fapi/v1/depth"
                    snapshot = await fetch_json(self._session, url, params)
                    if row.on_snapshot(snapshot):
                        log.info("book_synchronised", symbol=symbol, resyncs=row.resyncs)
                        return
                    reason = "older than the diffs"
                except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
                    reason = f"{type(error).__name__}: {error}"
                wait_s = backoff.next_s()
                log.warning("snapshot_again", symbol=symbol, reason=reason, wait_s=round(wait_s, 3))
                await asyncio.sleep(wait_s)
        finally:
            row.is_fetching = False

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            # A mirror that stands still would mislead: its books are void, and status says so.
            structlog.get_logger().error("upstream_task_failed", reason=repr(error))
            self._lose_books()


def _keep() -> None:
    """Do nothing: without the second connection the books are still true."""
