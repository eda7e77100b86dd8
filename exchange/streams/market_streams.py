"""Send what concerns all symbols at once, and start every symbol's timers when asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from exchange.streams.bars import Bars
from exchange.streams.beats import Beat
from exchange.streams.depth import BookView
from exchange.streams.events import MarkNumbers
from exchange.streams.hub import Hub, Stream
from exchange.streams.publisher import Publisher
from exchange.streams.symbol_streams import SymbolStreams

# Venue: update speeds of the "All Market" streams.
BOOK_TICKERS_MS = 5_000
TICKERS_MS = 1_000
SAMPLE_MS = 1_000  # marks are put into their bars as often as they change
PROBE_NS = 2_000_000
PRICES = ("mark", "index", "premium")


class MarketStreams:
    """Hold the streams of one market.

    `view(symbol, limit)` shows a book, `mark(symbol)` a symbol's marks.
    """

    def __init__(
        self,
        hub: Hub,
        publishers: Mapping[str, Publisher],
        clock_ms: Callable[[], int],
        view: Callable[[str, int], BookView],
        mark: Callable[[str], MarkNumbers],
    ) -> None:
        self._mark = mark
        self._clock_ms = clock_ms
        self.symbols = {
            symbol: SymbolStreams(
                hub, publisher, clock_ms, partial(view, symbol), partial(mark, symbol)
            )
            for symbol, publisher in publishers.items()
        }
        self._by_name = {symbol.lower(): row for symbol, row in self.symbols.items()}
        self.mark_bars = {symbol: {p: Bars() for p in PRICES} for symbol in self.symbols}
        self._sampler = Beat(SAMPLE_MS, clock_ms, self._sample)
        self._told: dict[tuple[str, str], int] = {}
        self._starters: dict[str, Callable[[], None]] = {}
        for name, interval_ms, text in (
            ("!markPrice@arr", 3_000, SymbolStreams.mark),
            ("!markPrice@arr@1s", 1_000, SymbolStreams.mark),
            ("!ticker@arr", TICKERS_MS, SymbolStreams.ticker),
            ("!miniTicker@arr", TICKERS_MS, SymbolStreams.mini_ticker),
        ):
            send = partial(self._send_array, hub.stream(name), text, "Price" in name)
            self._starters[name] = Beat(interval_ms, clock_ms, send).start
        all_books = partial(self._send_books, hub.stream("!bookTicker"))
        self._starters["!bookTicker"] = Beat(BOOK_TICKERS_MS, clock_ms, all_books).start
        self._probe = LocalProbe(hub.stream("!probe@local"))
        self._starters["!probe@local"] = self._probe.start

    def start(self) -> None:
        """Start the one timer that runs without readers: the bars of the marks."""
        self._sampler.start()

    def close(self) -> None:
        """Stop it."""
        self._sampler.stop()

    def on_subscribe(self, stream: str) -> None:
        """Start the timer that a stream needs."""
        starter = self._starters.get(stream)
        if starter is not None:
            starter()
            return
        row = self._by_name.get(stream.partition("@")[0].removesuffix("_perpetual"))
        if row is not None:
            row.on_subscribe(stream)

    def _sample(self) -> bool:
        for symbol, bars in self.mark_bars.items():
            view = self._mark(symbol)
            if not view.mark_e8 or not view.index_e8:
                continue
            premium_e8 = (view.mark_e8 - view.index_e8) * 10**8 // view.index_e8
            values = (view.mark_e8, view.index_e8, premium_e8)
            for price, value in zip(PRICES, values, strict=True):
                bars[price].add(view.time_ms, 0, value, 0, True)
        return True

    def _send_array(
        self, stream: Stream, text: Callable[[SymbolStreams], str], is_whole: bool
    ) -> bool:
        """Send the symbols that changed, or all of them where `is_whole`."""
        if not stream.clients:
            return False
        rows = []
        for symbol, row in self.symbols.items():
            bars = row.publisher.bars
            bars.roll(row.publisher.now_ms())
            key = (stream.name, symbol)
            if not is_whole and self._told.get(key) == bars.version:
                continue
            self._told[key] = bars.version
            if message := text(row):
                rows.append(message)
        if rows:
            stream.publish(f"[{','.join(rows)}]".encode())
        return True

    def _send_books(self, stream: Stream) -> bool:
        if not stream.clients:
            return False
        now_ms = self._clock_ms()
        for symbol, row in self.symbols.items():
            publisher, key = row.publisher, (stream.name, symbol)
            if publisher.ticker_ms and self._told.get(key) != publisher.last_id:
                self._told[key] = publisher.last_id
                stream.publish(publisher.ticker_message(now_ms))
        return True


class LocalProbe:
    """Send a message that was due at a known moment, to measure what the way to a reader adds.

    It waits for the loop, queues and is written like any market event due at that moment. `due`
    is on CLOCK_MONOTONIC, in ns, which all processes of the machine share.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def start(self) -> None:
        """Start with the first reader."""
        if self._timer is None:
            self._due_ns = time.monotonic_ns()
            self._set()

    def _set(self) -> None:
        self._due_ns += PROBE_NS
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._due_ns / 1e9, self._fire)

    def _fire(self) -> None:
        """Send every probe that is due. Loop bound: the time since the last call."""
        self._timer = None
        if not self._stream.clients:
            return
        self._stream.publish(b'{"e":"probe","due":%d}' % self._due_ns)
        while self._due_ns + PROBE_NS <= time.monotonic_ns():
            self._due_ns += PROBE_NS
            self._stream.publish(b'{"e":"probe","due":%d}' % self._due_ns)
        self._set()
