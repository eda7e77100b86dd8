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
from itertools import pairwise
from typing import Any

import aiohttp
import structlog

from exchange.errors import StartError, VenueError
from exchange.instruments import Instrument, described_instrument
from exchange.markets.messages import (
    Diff,
    MessageError,
    Snapshot,
    read_diff,
    read_json,
    read_snapshot,
)
from exchange.markets.mirror import MirroredSymbol, MirrorMarket, TradeIds, fail_with
from exchange.markets.upstream import LOST, Backoff, Upstream, fetch_json
from exchange.streams.hub import Hub

BUFFER_MAX = 5_000  # diffs kept while a snapshot is on its way; the oldest go first
SNAPSHOT_LEVELS = "1000"
RESYNC_S = 1.0  # a book is taken anew at most that often, whatever upstream sends
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
        self.bad_messages = 0
        self.heard_ms = 0
        self.next_sync_s = 0.0  # of the event loop
        self._clock_ms = clock_ms
        self._buffer: deque[Diff] = deque(maxlen=BUFFER_MAX)
        self._is_bridged = False

    def on_message(self, kind: str, data: bytes) -> bool:
        """Take a message of stream `<symbol>@<kind>`; return whether a snapshot is wanted.

        One that cannot be read may be one that changed the book: then the book is void.
        """
        try:
            if kind.startswith("depth"):
                return self.on_update(read_json(data))
            if kind == "trade":
                self.on_trade(read_json(data))
            return False
        except MessageError as error:
            self.bad_messages += 1
            symbol = self.instrument.symbol
            structlog.get_logger().warning(
                "bad_message", symbol=symbol, kind=kind, count=self.bad_messages, reason=str(error)
            )
            self.lose()
            return True

    def on_update(self, data: Update) -> bool:
        """Take a diff; return whether a snapshot is wanted. Raises MessageError."""
        diff = read_diff(self.instrument, data)
        if self.is_synced:
            if not self._is_bridged and diff.last_id < self.book.last_update_id:
                return False
            if self._follows(diff):
                self._is_bridged = True
                self.advance(diff)
                self.settle()
                return False
            self.gaps += 1
            self.lose()
        self._buffer.append(diff)
        return True

    def on_trade(self, data: Update) -> None:
        """Take a trade; without a valid book it fills nothing. Raises MessageError."""
        if self.is_synced:
            self.trade(data)
            self.publisher.market_ms = 0  # live: bars go by the clock, also while nobody trades

    def on_snapshot(self, data: Update) -> bool:
        """Bridge the buffered diffs onto a snapshot; return False when that cannot be done.

        Our orders meet the book that comes of it, not the ones in between, and may then be
        followed by others. Raises MessageError.

        # Venue: "How to manage a local order book correctly": drop u < lastUpdateId; the first
        applied has U <= lastUpdateId <= u; then every pu is the previous u.
        """
        snapshot = read_snapshot(self.instrument, data)
        pending = [diff for diff in self._buffer if diff.last_id >= snapshot.last_id]
        if pending and pending[0].first_id > snapshot.last_id:
            return False
        for place, (before, diff) in enumerate(pairwise(pending), start=1):
            if diff.before_id != before.last_id:
                self.gaps += 1
                self.lose()
                self._buffer.extend(pending[place:])
                return False
        self._bridge(snapshot, pending)
        return True

    def _bridge(self, snapshot: Snapshot, pending: list[Diff]) -> None:
        self._buffer.clear()
        self.replace(snapshot)
        for diff in pending:
            self.advance(diff)
        self._is_bridged = bool(pending)
        # Ordering: what the step sets off, a protective stop, is refused by a book that is void.
        self.is_synced = True
        self.resyncs += 1
        self.settle()

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
            "bad_messages": self.bad_messages,
        }

    def hear(self) -> None:
        """Note that the upstream is alive."""
        self.heard_ms = self._clock_ms()

    def _follows(self, diff: Diff) -> bool:
        """Tell whether a diff is the next one: by its `pu`, the first by containing the id."""
        last_id = self.book.last_update_id
        return diff.before_id == last_id if self._is_bridged else diff.first_id <= last_id


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
        if row.on_message(kind, data):
            self._want_snapshot(row)

    def _lose_books(self) -> None:
        for row in self.rows.values():
            row.lose()

    def _want_snapshot(self, row: LiveSymbol) -> None:
        if not row.is_fetching:
            row.is_fetching = True
            self._spawn(self._fetch(row))

    async def _fetch(self, row: LiveSymbol) -> None:
        """Take snapshots until one bridges, or the connection is lost."""
        symbol = row.instrument.symbol
        backoff = Backoff(self._random)
        log = structlog.get_logger()
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(max(0.0, row.next_sync_s - loop.time()))
            while self._links["public"].is_open:
                reason = await self._try_snapshot(row)
                if not reason:
                    row.next_sync_s = loop.time() + RESYNC_S
                    log.info("book_synchronised", symbol=symbol, resyncs=row.resyncs)
                    return
                wait_s = backoff.next_s()
                log.warning("snapshot_again", symbol=symbol, reason=reason, wait_s=round(wait_s, 3))
                await asyncio.sleep(wait_s)
        finally:
            row.is_fetching = False

    async def _try_snapshot(self, row: LiveSymbol) -> str:
        """Take a snapshot; return why it does not bridge, or nothing when it does."""
        assert self._session is not None, "started"
        url = f"{self._rest_url}/fapi/v1/depth"
        params = {"symbol": row.instrument.symbol, "limit": SNAPSHOT_LEVELS}
        try:
            snapshot = await fetch_json(self._session, url, params)
        except (*LOST, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        try:
            return "" if row.on_snapshot(snapshot) else "it does not fit the diffs"
        except MessageError as error:
            row.bad_messages += 1
            return f"{type(error).__name__}: {error}"

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._lose_books()
        fail_with(task)


def _keep() -> None:
    """Do nothing: without the second connection the books are still true."""
