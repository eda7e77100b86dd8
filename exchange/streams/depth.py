"""Print the changes of a book and its best levels, each cadence by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from exchange.streams.beats import Beat
from exchange.streams.hub import Hub, Stream
from exchange.streams.names import PARTIAL_CADENCES_MS, PARTIAL_LEVELS
from exchange.streams.texts import InstrumentTexts

SELL = -1
ID_STEP = 2  # the venue's other contracts use up ids too: U is never the previous u + 1

Changes = dict[tuple[int, int], int]  # (side, price in ticks) -> quantity in lots


class BookView(Protocol):
    """Show a book at one update id, best first."""

    @property
    def last_update_id(self) -> int:
        """Return the id of the last change."""

    @property
    def bids(self) -> Sequence[tuple[int, int]]:
        """Return bids in ticks and lots."""

    @property
    def asks(self) -> Sequence[tuple[int, int]]:
        """Return asks in ticks and lots."""


class UpdateIds:
    """Hand out update ids from the one counter that all symbols share."""

    def __init__(self, first: int = 10_000_000_000) -> None:
        self.last = first

    def take(self) -> int:
        """Return the next id."""
        self.last += ID_STEP
        return self.last


class Batch:
    """Gather the changes since the last flush; every cadence takes them from here."""

    __slots__ = ("changes", "event_ms", "first_id", "last_id")

    def __init__(self) -> None:
        self.changes: Changes = {}
        self.first_id = self.last_id = self.event_ms = 0


class DepthChannel:
    """Gather one cadence's changes and print them as one `depthUpdate`.

    # Invariant: `pu` is the `u` of the message before it on this channel.
    """

    __slots__ = (
        *("_changes", "_event_ms", "_first_id", "_last_id", "_prev_id", "interval_ms", "is_on"),
        "stream",
    )

    def __init__(self, stream: Stream, interval_ms: int) -> None:
        self.stream = stream
        self.interval_ms = interval_ms
        self.is_on = False
        self._changes: Changes = {}
        self._first_id = self._last_id = self._prev_id = self._event_ms = 0

    def turn_on(self, last_id: int) -> None:
        """Start gathering after `last_id`."""
        if not self.is_on:
            self.is_on = True
            self._changes.clear()
            self._prev_id = last_id

    def take(self, batch: Batch) -> bool:
        """Take a batch's changes; return True if they are the first of a message."""
        is_first = not self._changes
        if is_first:
            self._first_id = batch.first_id
        self._last_id = batch.last_id
        self._event_ms = batch.event_ms
        self._changes.update(batch.changes)
        return is_first

    def message(self, symbol: str, texts: InstrumentTexts, now_ms: int) -> bytes | None:
        """Return the gathered changes as a message and start over; None when there are none."""
        if not self._changes:
            return None
        price, quantity = texts.price, texts.quantity
        bids: list[str] = []
        asks: list[str] = []
        for (side, tick), lot in sorted(self._changes.items()):
            (asks if side == SELL else bids).append(f'["{price[tick]}","{quantity[lot]}"]')
        text = (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{self._event_ms},"s":"{symbol}",'
            f'"U":{self._first_id},"u":{self._last_id},"pu":{self._prev_id},'
            f'"b":[{",".join(bids)}],"a":[{",".join(asks)}],"ps":"{symbol}","st":1}}'
        )
        self._prev_id = self._last_id
        self._changes.clear()
        return text.encode()


class PartialDepth:
    """Print the best levels of one symbol at one cadence, when the book has changed."""

    def __init__(
        self,
        hub: Hub,
        symbol: str,
        texts: InstrumentTexts,
        suffix: str,
        clock_ms: Callable[[], int],
        view: Callable[[int], BookView],
    ) -> None:
        self._symbol = symbol
        self._texts = texts
        self._clock_ms = clock_ms
        self._view = view
        name = symbol.lower()
        self.streams = {n: hub.stream(f"{name}@depth{n}{suffix}") for n in PARTIAL_LEVELS}
        self.beat = Beat(PARTIAL_CADENCES_MS[suffix], clock_ms, self._act)
        self._prev_id = 0
        self.first_id = 0  # of the changes since the last message; the publisher notes it

    def start(self, last_id: int) -> None:
        """Start when the first reader comes."""
        if not self.beat.is_on:
            self._prev_id = last_id
            self.first_id = 0
            self.beat.start()

    def _act(self) -> bool:
        wanted = [n for n in PARTIAL_LEVELS if self.streams[n].clients]
        if not wanted:
            return False
        view = self._view(wanted[-1])
        if view.last_update_id == self._prev_id:
            return True
        now_ms = self._clock_ms()
        first_id = self.first_id or view.last_update_id
        for count in wanted:
            text = (
                f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},"s":"{self._symbol}",'
                f'"U":{first_id},"u":{view.last_update_id},"pu":{self._prev_id},'
                f'"b":[{self._rows(view.bids[:count])}],"a":[{self._rows(view.asks[:count])}],'
                f'"ps":"{self._symbol}","st":1}}'
            )
            self.streams[count].publish(text.encode())
        self._prev_id = view.last_update_id
        self.first_id = 0
        return True

    def _rows(self, levels: Sequence[tuple[int, int]]) -> str:
        price, quantity = self._texts.price, self._texts.quantity
        return ",".join(f'["{price[tick]}","{quantity[lot]}"]' for tick, lot in levels)
