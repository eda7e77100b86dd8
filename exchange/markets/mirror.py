"""Mirror a book that another source moves: recordings and live streams share this part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from exchange.instruments import Instrument
from exchange.markets.market import DepthView, Market, OrderSink
from exchange.markets.messages import Diff, Snapshot, read_trade
from exchange.markets.recorded_book import RecordedBook
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.streams.publisher import Publisher

OWN_TRADE_ID_FIRST = 9_000_000_000_001  # far above the source's trade ids


class TradeIds:
    """Hand out the ids of our own fills, which the source does not know."""

    def __init__(self) -> None:
        self.last = OWN_TRADE_ID_FIRST - 1

    def take(self) -> int:
        """Return the next id."""
        self.last += 1
        return self.last


class MirroredSymbol:
    """Hold one symbol's book and derived streams, and apply its source's messages."""

    def __init__(
        self,
        instrument: Instrument,
        depth_stream: str,
        hub: Hub,
        clock_ms: Callable[[], int],
        trade_ids: TradeIds,
    ) -> None:
        self.instrument = instrument
        self.name = instrument.symbol.lower()
        self.depth_stream = depth_stream
        self.sink: OrderSink | None = None
        self.book = RecordedBook(self._on_fill, self._on_expire)
        self.publisher = Publisher(hub, instrument, clock_ms)
        self._trade_ids = trade_ids

    def replace(self, snapshot: Snapshot) -> None:
        """Take over a snapshot's levels; no order of ours meets them before `settle`."""
        self.book.load(snapshot.last_id, snapshot.time_ms, snapshot.bids, snapshot.asks)
        self.publisher.last_id = snapshot.last_id

    def advance(self, diff: Diff) -> None:
        """Take over a diff's levels; no order of ours meets them before `settle`."""
        self.book.apply(diff.last_id, diff.time_ms, diff.bids, diff.asks)
        self.publisher.last_id = diff.last_id
        for side, rows in ((BUY, diff.bids), (SELL, diff.asks)):
            for price_tick, quantity_lot in rows:
                self.publisher.depth_changed(
                    side, price_tick, quantity_lot, diff.first_id, diff.last_id
                )

    def settle(self) -> None:
        """Let our orders meet the levels as they are now, and end the step."""
        self.book.settle()
        self.end_step()

    def trade(self, data: dict[str, Any]) -> None:
        """Put a trade of the source on the tape and let our resting orders meet it.

        Raises MessageError.
        """
        trade = read_trade(self.instrument, data)
        if not trade.is_match:
            return
        price_tick, quantity_lot = trade.price_tick, trade.quantity_lot
        self.publisher.aggregate(
            trade.trade_id,
            price_tick,
            quantity_lot,
            trade.buyer_is_maker,
            trade.trade_ms,
            trade.event_ms,
        )
        self.book.on_trade(price_tick, quantity_lot, SELL if trade.buyer_is_maker else BUY)
        self.end_step()

    def end_step(self) -> None:
        """Show the new touch, hand depth on, and tell the prices that were traded."""
        self.publisher.bid, self.publisher.ask = self.book.quote()
        self.publisher.flush_depth()
        prices = self.book.traded()
        if prices is not None and self.sink is not None:
            self.sink.on_trades(self.instrument.symbol, *prices)

    def _on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool
    ) -> None:
        assert self.sink is not None, "fills come after the start"
        trade_id = self._trade_ids.take()
        self.sink.on_fill(order, price_tick, quantity_lot, is_maker, trade_id)

    def _on_expire(self, order: ClientOrder) -> None:
        assert self.sink is not None, "orders come after the start"
        self.sink.on_expire(order)


def fail_with(task: asyncio.Task[None]) -> None:
    """Raise what ended a task, as its callback: so it ends the process.

    A market that stands still would mislead.
    """
    if not task.cancelled():
        task.result()


RowT = TypeVar("RowT", bound=MirroredSymbol)


class MirrorMarket(Market, Generic[RowT]):
    """Let client orders meet mirrored books. `start` of a subclass calls `attach` first."""

    def __init__(self, rows: dict[str, RowT]) -> None:
        self.rows = rows
        self.by_name = {row.name: row for row in rows.values()}
        self.instruments = {symbol: row.instrument for symbol, row in rows.items()}
        self.publishers = {symbol: row.publisher for symbol, row in rows.items()}

    def attach(self) -> None:
        """Hand the sink to the symbols."""
        for row in self.rows.values():
            row.sink = self.sink

    def on_subscribe(self, stream: str) -> None:
        """Start the depth cadence that the source does not send by itself."""
        row = self.by_name.get(stream.partition("@")[0])
        if row is not None and stream != row.depth_stream:
            row.publisher.on_subscribe(stream)

    def best(self, symbol: str) -> tuple[int, int]:
        """Return the mirrored best bid and ask in ticks."""
        book = self.rows[symbol].book
        return book.bids.best(), book.asks.best()

    def crosses(self, symbol: str, side: int, price_tick: int) -> bool:
        """Tell whether a limit order would take at once, also from an order of the account.

        Those are not among the mirrored levels.
        """
        return self.rows[symbol].book.crosses(side, price_tick)

    def depth(self, symbol: str, limit: int) -> DepthView:
        """Return the book after the last applied diff."""
        book = self.rows[symbol].book
        bids, asks = book.top(BUY, limit), book.top(SELL, limit)
        return DepthView(book.last_update_id, book.time_ms, bids, asks)

    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Walk the displayed levels; what is left queues behind the displayed quantity."""
        row = self.rows[order.instrument.symbol]
        row.book.submit(order, rests, self.limit_tick(order))
        row.end_step()

    def amend(self, order: ClientOrder) -> None:
        """Queue an order anew on its changed terms; it may take at once."""
        row = self.rows[order.instrument.symbol]
        row.book.amend(order)
        row.end_step()

    def withdraw(self, order: ClientOrder) -> None:
        """Take a resting order out."""
        self.rows[order.instrument.symbol].book.remove(order)

    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        """Shrink a resting order; the quantity ahead of it stays."""
        order.remaining_lot = remaining_lot

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take of the displayed levels now."""
        return self.rows[order.instrument.symbol].book.available_lot(order)
