"""Print one symbol's market data on its streams: diff depth, trades, best bid and offer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exchange.instruments import Instrument
from exchange.matching.ladder import SELL
from exchange.streams.hub import Hub

# Venue: "Diff. Book Depth Streams"; the name without a suffix is the 250 ms one.
CADENCES_MS = {"@0ms": 0, "@100ms": 100, "": 250, "@500ms": 500}
ID_STEP = 2  # the venue's other contracts use up ids too: U is never the previous u + 1


class UpdateIds:
    """Hand out update ids from the one counter that all symbols share."""

    def __init__(self, first: int = 10_000_000_000) -> None:
        self.last = first

    def take(self) -> int:
        """Return the next id."""
        self.last += ID_STEP
        return self.last


class DepthChannel:
    """Gather one cadence's changes and print them as one `depthUpdate`.

    # Invariant: `pu` is the `u` of the message before it on this channel.
    """

    __slots__ = ("_changes", "_first_id", "_last_id", "_prev_id", "interval_ms", "is_on", "stream")

    def __init__(self, stream: str, interval_ms: int) -> None:
        self.stream = stream
        self.interval_ms = interval_ms
        self.is_on = False
        self._changes: dict[tuple[int, int], int] = {}
        self._first_id = self._last_id = self._prev_id = 0

    def turn_on(self, last_id: int) -> None:
        """Start gathering after `last_id`."""
        if not self.is_on:
            self.is_on = True
            self._changes.clear()
            self._prev_id = last_id

    def note(
        self, side: int, price_tick: int, quantity_lot: int, first_id: int, last_id: int
    ) -> bool:
        """Take the newest quantity of a level; return True for the first change of a message."""
        is_first = not self._changes
        if is_first:
            self._first_id = first_id
        self._last_id = last_id
        self._changes[side, price_tick] = quantity_lot
        return is_first

    def message(self, instrument: Instrument, event_ms: int, now_ms: int) -> bytes | None:
        """Return the gathered changes as a message and start over; None when there are none."""
        if not self._changes:
            return None
        sides: tuple[list[str], list[str]] = ([], [])
        for (side, price_tick), quantity_lot in sorted(self._changes.items()):
            price = instrument.price_text(price_tick)
            row = f'["{price}","{instrument.quantity_text(quantity_lot)}"]'
            sides[side == SELL].append(row)
        text = (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{event_ms},"s":"{instrument.symbol}",'
            f'"U":{self._first_id},"u":{self._last_id},"pu":{self._prev_id},'
            f'"b":[{",".join(sides[0])}],"a":[{",".join(sides[1])}],'
            f'"ps":"{instrument.symbol}","st":1}}'
        )
        self._prev_id = self._last_id
        self._changes.clear()
        return text.encode()


class Aggregate:
    """Gather the trades of one taker at one price."""

    __slots__ = ("event_ms", "first_id", "key", "last_id", "quantity_lot")

    def __init__(self, key: tuple[int, bool, int], first_id: int, event_ms: int) -> None:
        self.key = key  # price in ticks, is the buyer the maker, trade time in ms
        self.first_id = self.last_id = first_id
        self.event_ms = event_ms
        self.quantity_lot = 0


class Publisher:
    """Publish for one symbol; builds nothing for streams that nobody reads."""

    def __init__(self, hub: Hub, instrument: Instrument, clock_ms: Callable[[], int]) -> None:
        name = instrument.symbol.lower()
        self._hub = hub
        self._instrument = instrument
        self._clock_ms = clock_ms
        self.last_id = 0
        self._trade_stream = f"{name}@trade"
        self._aggregate_stream = f"{name}@aggTrade"
        self._ticker_stream = f"{name}@bookTicker"
        self._channels = [DepthChannel(f"{name}@depth{s}", ms) for s, ms in CADENCES_MS.items()]
        self._active: list[DepthChannel] = []
        self._aggregate: Aggregate | None = None
        self._aggregate_id = 0

    def on_subscribe(self, stream: str) -> None:
        """Start the depth cadence that got its first subscriber."""
        for channel in self._channels:
            if channel.stream == stream and not channel.is_on:
                channel.turn_on(self.last_id)
                self._active.append(channel)

    def depth_changed(
        self, side: int, price_tick: int, quantity_lot: int, first_id: int, last_id: int
    ) -> None:
        """Tell every cadence of a level's new quantity."""
        self.last_id = last_id
        for channel in self._active:
            is_first = channel.note(side, price_tick, quantity_lot, first_id, last_id)
            if is_first and channel.interval_ms:
                loop = asyncio.get_running_loop()
                loop.call_later(channel.interval_ms / 1000, self._flush, channel)

    def flush_depth(self) -> None:
        """Print the changes of the cadence without a delay: one message a batch."""
        for channel in list(self._active):
            if channel.interval_ms == 0:
                self._flush(channel)

    def trade(
        self, trade_id: int, price_tick: int, quantity_lot: int, buyer_is_maker: bool
    ) -> None:
        """Publish a trade and add it to the running aggregate."""
        if self._hub.wanted(self._trade_stream):
            now_ms = self._clock_ms()
            maker = "true" if buyer_is_maker else "false"
            text = (
                f'{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{self._instrument.symbol}",'
                f'"t":{trade_id},"p":"{self._instrument.price_text(price_tick)}",'
                f'"q":"{self._instrument.quantity_text(quantity_lot)}",'
                f'"X":"MARKET","m":{maker},"st":1}}'
            )
            self._hub.publish(self._trade_stream, text.encode())
        self.aggregate(trade_id, price_tick, quantity_lot, buyer_is_maker, 0, 0)

    def aggregate(
        self,
        trade_id: int,
        price_tick: int,
        quantity_lot: int,
        buyer_is_maker: bool,
        trade_ms: int,
        event_ms: int,
    ) -> None:
        """Add a trade to the running aggregate, or end that one and begin another.

        Times of 0 stand for the time of publication.
        """
        key = (price_tick, buyer_is_maker, trade_ms)
        running = self._aggregate
        if running is None or running.key != key:
            self.end_aggregate()
            running = self._aggregate = Aggregate(key, trade_id, event_ms)
        running.quantity_lot += quantity_lot
        running.last_id = trade_id

    def end_aggregate(self) -> None:
        """Publish the running aggregate: the fills of one taker at one price."""
        ended, self._aggregate = self._aggregate, None
        if ended is None:
            return
        self._aggregate_id += 1
        if not self._hub.wanted(self._aggregate_stream):
            return
        price_tick, buyer_is_maker, trade_ms = ended.key
        now_ms = self._clock_ms()
        quantity = self._instrument.quantity_text(ended.quantity_lot)
        text = (
            f'{{"e":"aggTrade","E":{ended.event_ms or now_ms},"s":"{self._instrument.symbol}",'
            f'"a":{self._aggregate_id},"p":"{self._instrument.price_text(price_tick)}",'
            f'"q":"{quantity}","nq":"{quantity}","f":{ended.first_id},"l":{ended.last_id},'
            f'"T":{trade_ms or now_ms},"m":{"true" if buyer_is_maker else "false"},"st":1}}'
        )
        self._hub.publish(self._aggregate_stream, text.encode())

    def ticker(self, bid: tuple[int, int], ask: tuple[int, int]) -> None:
        """Publish best bid and offer, each price in ticks and quantity in lots."""
        if not self._hub.wanted(self._ticker_stream):
            return
        i, now_ms = self._instrument, self._clock_ms()
        text = (
            f'{{"e":"bookTicker","u":{self.last_id},"s":"{i.symbol}","ps":"{i.symbol}",'
            f'"b":"{i.price_text(bid[0])}","B":"{i.quantity_text(bid[1])}",'
            f'"a":"{i.price_text(ask[0])}","A":"{i.quantity_text(ask[1])}",'
            f'"T":{now_ms},"E":{now_ms},"st":1}}'
        )
        self._hub.publish(self._ticker_stream, text.encode())

    def _flush(self, channel: DepthChannel) -> None:
        now_ms = self._clock_ms()
        if not self._hub.wanted(channel.stream):
            channel.is_on = False
            self._active = [c for c in self._active if c.is_on]
            return
        message = channel.message(self._instrument, now_ms, now_ms)
        if message is not None:
            self._hub.publish(channel.stream, message)
