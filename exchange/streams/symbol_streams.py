"""Send one symbol's periodic events: candlesticks, day statistics, marks, best levels."""

from __future__ import annotations

from collections.abc import Callable

from exchange.streams import events
from exchange.streams.bars import Bars
from exchange.streams.beats import Beat
from exchange.streams.depth import BookView, PartialDepth
from exchange.streams.hub import Hub, Stream
from exchange.streams.names import INTERVALS_MS, PARTIAL_CADENCES_MS
from exchange.streams.publisher import Publisher

KLINE_MS = 250  # Venue: "Kline/Candlestick Streams", update speed
TICKER_MS = 2_000  # Venue: "Individual Symbol Ticker Streams" and the mini one
MARK_MS = {"": 3_000, "@1s": 1_000}  # Venue: "Mark Price Stream"

Print = Callable[..., str]


class KlineStream:
    """Print one interval's bars: the running one when it changed, each ended one once."""

    def __init__(self, stream: Stream, publisher: Publisher, interval: str, event: Print) -> None:
        self.stream = stream
        self._publisher = publisher
        self._interval = interval
        self._event = event
        self._open_ms = 0  # of the bar that is not told as closed yet
        self._version = -1

    def send(self, now_ms: int) -> None:
        """Publish what changed since the last time."""
        bars = self._publisher.bars
        if bars.version == self._version:
            return
        current = bars.current(self._interval)
        if current is None:
            return
        if self._version >= 0 and self._open_ms < current.open_ms:
            self._send_closed(bars, now_ms)
        self._version = bars.version
        self._open_ms = current.open_ms
        instrument = self._publisher.instrument
        text = self._event(instrument, self._interval, current, False, now_ms)
        self.stream.publish(text.encode())

    def _send_closed(self, bars: Bars, now_ms: int) -> None:
        instrument = self._publisher.instrument
        for bar in bars.closed(self._interval):
            if bar.open_ms >= self._open_ms:
                text = self._event(instrument, self._interval, bar, True, now_ms)
                self.stream.publish(text.encode())

    def forget(self) -> None:
        """Begin anew with the next reader."""
        self._version = -1


class SymbolStreams:
    """Run the timers of one symbol, each only while somebody reads what it sends."""

    def __init__(
        self,
        hub: Hub,
        publisher: Publisher,
        clock_ms: Callable[[], int],
        view: Callable[[int], BookView],
        mark: Callable[[], events.MarkNumbers],
    ) -> None:
        symbol = publisher.instrument.symbol
        name = symbol.lower()
        self.publisher = publisher
        self._clock_ms = clock_ms
        self._mark = mark
        self._klines = self._kline_streams(hub, name)
        self._ticker = hub.stream(f"{name}@ticker")
        self._mini = hub.stream(f"{name}@miniTicker")
        self._ticker_version = -1
        self._marks = {suffix: hub.stream(f"{name}@markPrice{suffix}") for suffix in MARK_MS}
        self._kline_beat = Beat(KLINE_MS, clock_ms, self._send_klines)
        self._ticker_beat = Beat(TICKER_MS, clock_ms, self._send_tickers)
        partials = [
            PartialDepth(hub, symbol, publisher.texts, suffix, clock_ms, view)
            for suffix in PARTIAL_CADENCES_MS
        ]
        publisher.partials = partials
        self._starters: dict[str, Callable[[], None]] = {
            **dict.fromkeys(self._klines, self._kline_beat.start),
            self._ticker.name: self._ticker_beat.start,
            self._mini.name: self._ticker_beat.start,
        }
        for suffix, interval_ms in MARK_MS.items():
            beat = Beat(interval_ms, clock_ms, self._mark_sender(self._marks[suffix]))
            self._starters[self._marks[suffix].name] = beat.start
        for partial in partials:
            for stream in partial.streams.values():
                self._starters[stream.name] = self._partial_starter(partial)

    def on_subscribe(self, stream: str) -> None:
        """Start the timer that a stream needs."""
        starter = self._starters.get(stream)
        if starter is not None:
            starter()

    def _kline_streams(self, hub: Hub, name: str) -> dict[str, KlineStream]:
        rows = {}
        for interval in INTERVALS_MS:
            for kind, event in (
                (f"{name}@kline_{interval}", events.kline_event),
                (f"{name}_perpetual@continuousKline_{interval}", events.continuous_event),
            ):
                rows[kind] = KlineStream(hub.stream(kind), self.publisher, interval, event)
        return rows

    def _send_klines(self) -> bool:
        self.publisher.bars.roll(self.publisher.now_ms())
        now_ms = self._clock_ms()
        is_wanted = False
        for row in self._klines.values():
            if row.stream.clients:
                is_wanted = True
                row.send(now_ms)
            else:
                row.forget()
        return is_wanted

    def _send_tickers(self) -> bool:
        if not (self._ticker.clients or self._mini.clients):
            self._ticker_version = -1
            return False
        bars = self.publisher.bars
        bars.roll(self.publisher.now_ms())
        if bars.version != self._ticker_version:
            self._ticker_version = bars.version
            for stream, text in ((self._ticker, self.ticker), (self._mini, self.mini_ticker)):
                if stream.clients and (message := text()):
                    stream.publish(message.encode())
        return True

    def ticker(self) -> str:
        """Return the 24hrTicker event of now, empty before the first trade."""
        last, now_ms = self.publisher.tape.last(), self.publisher.now_ms()
        if last is None:
            return ""
        day = self.publisher.bars.day(now_ms)
        return events.ticker_event(self.publisher.instrument, day, last.quantity_lot, now_ms)

    def mini_ticker(self) -> str:
        """Return the 24hrMiniTicker event of now, empty before the first trade."""
        now_ms = self.publisher.now_ms()
        if self.publisher.tape.last() is None:
            return ""
        day = self.publisher.bars.day(now_ms)
        return events.mini_ticker_event(self.publisher.instrument, day, now_ms)

    def mark(self) -> str:
        """Return the markPriceUpdate event of now, empty while there is no book."""
        view = self._mark()
        return events.mark_event(self.publisher.instrument.symbol, view) if view.mark_e8 else ""

    def _mark_sender(self, stream: Stream) -> Callable[[], bool]:
        def send() -> bool:
            if not stream.clients:
                return False
            if "markPrice" not in self.publisher.relayed and (message := self.mark()):
                stream.publish(message.encode())
            return True

        return send

    def _partial_starter(self, partial: PartialDepth) -> Callable[[], None]:
        return lambda: partial.start(self.publisher.last_id)
