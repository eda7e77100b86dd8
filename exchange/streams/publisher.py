"""Print one symbol's market data on its streams: trades, best bid and offer, depth, liquidations.

What markets tell of a symbol comes through here: the tape and the bars are kept here too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exchange.instruments import Instrument
from exchange.streams.bars import Bars
from exchange.streams.depth import Batch, DepthChannel, PartialDepth
from exchange.streams.depth import UpdateIds as UpdateIds
from exchange.streams.hub import Hub
from exchange.streams.names import DIFF_CADENCES_MS
from exchange.streams.tape import Aggregate, Print, Tape
from exchange.streams.texts import InstrumentTexts

PriceLot = tuple[int, int]  # price in ticks, quantity in lots


class Publisher:
    """Publish for one symbol; builds nothing for streams that nobody reads.

    `bid` and `ask` are the best prices and quantities as told last, `last_id` the update id of the
    last change of the book, `market_ms` the market's own time in a replay and 0 otherwise.
    """

    def __init__(self, hub: Hub, instrument: Instrument, clock_ms: Callable[[], int]) -> None:
        name = instrument.symbol.lower()
        self.instrument = instrument
        self.texts = InstrumentTexts(instrument)
        self.tape = Tape()
        self.bars = Bars()
        self.last_id = 0
        self.market_ms = 0
        self.bid: PriceLot = (0, 0)
        self.ask: PriceLot = (0, 0)
        self.ticker_ms = 0
        self.relayed: frozenset[str] = frozenset()  # streams that a mirror sends on as received
        self.partials: list[PartialDepth] = []  # set by whoever can show the book
        self._symbol = instrument.symbol
        self._clock_ms = clock_ms
        self._trade_stream = hub.stream(f"{name}@trade")
        self._aggregate_stream = hub.stream(f"{name}@aggTrade")
        self._ticker_stream = hub.stream(f"{name}@bookTicker")
        self._channels = {
            f"{name}@depth{suffix}": DepthChannel(hub.stream(f"{name}@depth{suffix}"), ms)
            for suffix, ms in DIFF_CADENCES_MS.items()
        }
        self._active: list[DepthChannel] = []
        self._batch = Batch()
        self._aggregate: Aggregate | None = None
        self._aggregate_id = 0

    def now_ms(self) -> int:
        """Return the time that trades and bars go by: the market's in a replay."""
        return self.market_ms or self._clock_ms()

    def on_subscribe(self, stream: str) -> None:
        """Start the depth cadence that got its first subscriber."""
        # Changes from before the subscription are no part of what the new reader gets.
        self.flush_depth()
        channel = self._channels.get(stream)
        if channel is not None and not channel.is_on:
            channel.turn_on(self.last_id)
            self._active.append(channel)

    def depth_changed(
        self, side: int, price_tick: int, quantity_lot: int, first_id: int, last_id: int
    ) -> None:
        """Take a level's new quantity; `flush_depth` hands it on."""
        batch = self._batch
        if not batch.changes:
            batch.first_id = first_id
        batch.last_id = self.last_id = last_id
        batch.changes[side, price_tick] = quantity_lot

    def flush_depth(self) -> None:
        """Hand the changes to every cadence; print the one without a delay.

        Markets call this at the end of every batch, before the event loop gets its turn.
        """
        batch = self._batch
        if not batch.changes:
            return
        batch.event_ms = self._clock_ms()
        for channel in list(self._active):
            is_first = channel.take(batch)
            if channel.interval_ms == 0:
                self._flush(channel)
            elif is_first:
                loop = asyncio.get_running_loop()
                loop.call_later(channel.interval_ms / 1000, self._flush, channel)
        for partial in self.partials:
            if not partial.first_id:
                partial.first_id = batch.first_id
        batch.changes.clear()

    def trade(
        self, trade_id: int, price_tick: int, quantity_lot: int, buyer_is_maker: bool
    ) -> None:
        """Publish a trade of now and add it to the running aggregate."""
        now_ms = self._clock_ms()
        if self._trade_stream.clients:
            text = (
                f'{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{self._symbol}",'
                f'"t":{trade_id},"p":"{self.texts.price[price_tick]}",'
                f'"q":"{self.texts.quantity[quantity_lot]}",'
                f'"X":"MARKET","m":{"true" if buyer_is_maker else "false"},"st":1}}'
            )
            self._trade_stream.publish(text.encode())
        self._gather(Print(trade_id, price_tick, quantity_lot, now_ms, buyer_is_maker), 0)

    def aggregate(
        self,
        trade_id: int,
        price_tick: int,
        quantity_lot: int,
        buyer_is_maker: bool,
        trade_ms: int,
        event_ms: int,
    ) -> None:
        """Add a recorded trade to the running aggregate, or end that one and begin another.

        A time of 0 stands for now.
        """
        if trade_ms:
            self.market_ms = trade_ms
        running = self._aggregate
        if running is not None and trade_ms and running.time_ms != trade_ms:
            self.end_aggregate()
        now_ms = trade_ms or self._clock_ms()
        self._gather(Print(trade_id, price_tick, quantity_lot, now_ms, buyer_is_maker), event_ms)

    def end_aggregate(self) -> None:
        """Publish the running aggregate: the fills of one taker at one price."""
        ended, self._aggregate = self._aggregate, None
        if ended is None:
            return
        self.tape.add_aggregate(ended)
        if not self._aggregate_stream.clients or "aggTrade" in self.relayed:
            return
        quantity = self.texts.quantity[ended.quantity_lot]
        text = (
            f'{{"e":"aggTrade","E":{ended.event_ms or self._clock_ms()},"s":"{self._symbol}",'
            f'"a":{ended.aggregate_id},"p":"{self.texts.price[ended.price_tick]}",'
            f'"q":"{quantity}","nq":"{quantity}","f":{ended.first_id},"l":{ended.last_id},'
            f'"T":{ended.time_ms},"m":{"true" if ended.buyer_is_maker else "false"},"st":1}}'
        )
        self._aggregate_stream.publish(text.encode())

    def ticker(self, bid: PriceLot, ask: PriceLot) -> None:
        """Publish best bid and offer, each price in ticks and quantity in lots."""
        self.bid, self.ask = bid, ask
        now_ms = self.ticker_ms = self._clock_ms()
        if self._ticker_stream.clients:
            self._ticker_stream.publish(self.ticker_message(now_ms))

    def ticker_message(self, event_ms: int) -> bytes:
        """Return best bid and offer as a bookTicker event."""
        symbol, price, quantity = self._symbol, self.texts.price, self.texts.quantity
        bid, ask = self.bid, self.ask
        return (
            f'{{"e":"bookTicker","u":{self.last_id},"s":"{symbol}","ps":"{symbol}",'
            f'"b":"{price[bid[0]]}","B":"{quantity[bid[1]]}",'
            f'"a":"{price[ask[0]]}","A":"{quantity[ask[1]]}",'
            f'"T":{self.ticker_ms},"E":{event_ms},"st":1}}'
        ).encode()

    def last_tick(self) -> int:
        """Return the price of the last trade in ticks, 0 before the first."""
        last = self.tape.last()
        return last.price_tick if last is not None else 0

    def _gather(self, trade: Print, event_ms: int) -> None:
        """Put a trade on the tape, into the bars and into an aggregate."""
        self.tape.add(trade)
        self.bars.add(
            trade.time_ms,
            trade.trade_id,
            trade.price_tick,
            trade.quantity_lot,
            trade.buyer_is_maker,
        )
        running = self._aggregate
        if (
            running is None
            or running.price_tick != trade.price_tick
            or running.buyer_is_maker != trade.buyer_is_maker
        ):
            self.end_aggregate()
            self._aggregate_id += 1
            running = self._aggregate = Aggregate(
                self._aggregate_id,
                trade.price_tick,
                trade.buyer_is_maker,
                trade.time_ms,
                event_ms,
                trade.trade_id,
                trade.trade_id,
                0,
            )
        running.quantity_lot += trade.quantity_lot
        running.last_id = trade.trade_id

    def _flush(self, channel: DepthChannel) -> None:
        if not channel.stream.clients:
            channel.is_on = False
            self._active.remove(channel)
            return
        message = channel.message(self._symbol, self.texts, self._clock_ms())
        if message is not None:
            channel.stream.publish(message)
