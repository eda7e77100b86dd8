"""Run the synthetic market: one seeded order flow and one matching book per symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import cast

import structlog

from exchange.instruments import Instrument
from exchange.markets.flow import Flow
from exchange.markets.market import DepthView, Market, OrderSink, PriceLot
from exchange.matching.ladder import BUY, Ladder
from exchange.matching.plain_book import Book, RestingOrder
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.streams.publisher import Publisher, UpdateIds

WAKE_S_MIN = 0.001  # events closer than this are handled in one batch
BATCH_MAX = 256  # events before the loop gets its turn
LAG_S_MAX = 0.5  # further behind than this, market time slips instead of bursting
BACKLOG_BYTES_HIGH = 1 << 20
BACKLOG_WAIT_S = 0.002


class SyntheticSymbol:
    """Match one symbol. The flow's orders and the clients' go through the same two methods."""

    def __init__(self, instrument: Instrument, flow: Flow, publisher: Publisher, ids: UpdateIds):
        self.instrument = instrument
        self.flow = flow
        self.book = Book()
        self.publisher = publisher
        self.sink: OrderSink | None = None
        self.events = 0
        self.trade_id = 1_000_000
        self._ids = ids
        self._taker: RestingOrder | None = None
        self._top: tuple[PriceLot, PriceLot] = ((0, 0), (0, 0))
        opening = flow.seed_orders()
        for order in opening:
            self.book.rest(order)
        flow.adopt(opening)
        self._tell()
        self.next_s = flow.advance()

    def step(self) -> None:
        """Let the flow act once and draw the time of its next act."""
        action = self.flow.act(self.book)
        if action.cancel:
            self.cancel(action.order)
        else:
            self.place(action.order, action.rests)
        self.events += 1
        self.next_s = self.flow.advance()

    def place(self, order: RestingOrder, rests: bool) -> None:
        """Match an order; what is left rests or is gone."""
        self._taker = order
        self.book.take(
            order.side,
            order.price_tick,
            order.remaining_lot,
            self._on_fill,
            self._on_expire,
            order.owner,
        )
        self._taker = None
        self.publisher.end_aggregate()
        if order.remaining_lot > 0:
            if rests:
                self.book.rest(order)
            elif order.owner == 0:
                order.remaining_lot = 0
        self._tell()

    def cancel(self, order: RestingOrder) -> None:
        """Take an order out of the book."""
        if self.book.remove(order) and order.owner == 0:
            order.remaining_lot = 0
        if self._taker is None:
            self._tell()

    def reduce(self, order: RestingOrder, remaining_lot: int) -> None:
        """Shrink a resting order."""
        self.book.reduce(order, remaining_lot)
        if self._taker is None:
            self._tell()

    def _on_fill(self, maker: RestingOrder, price_tick: int, quantity_lot: int) -> None:
        taker = self._taker
        assert taker is not None, "a fill needs a taker"
        taker.remaining_lot -= quantity_lot
        self.trade_id += 1
        self.publisher.trade(self.trade_id, price_tick, quantity_lot, taker.side != BUY)
        for order, is_maker in ((taker, False), (maker, True)):
            if order.owner and self.sink is not None:
                client = cast(ClientOrder, order)
                self.sink.on_fill(client, price_tick, quantity_lot, is_maker, self.trade_id)

    def _on_expire(self, maker: RestingOrder) -> None:
        if self.sink is not None:
            self.sink.on_expire(cast(ClientOrder, maker))

    def _tell(self) -> None:
        """Publish what the last act changed: depth, then best bid and offer."""
        book, publisher = self.book, self.publisher
        for side, price_tick in book.changed:
            update_id = self._ids.take()
            quantity = book.total_lot(side, price_tick)
            publisher.depth_changed(side, price_tick, quantity, update_id, update_id)
        book.changed.clear()
        bid, ask = book.bids.best(), book.asks.best()
        top = ((bid, book.total_lot(1, bid)), (ask, book.total_lot(-1, ask)))
        if top != self._top:
            self._top = top
            publisher.ticker(*top)


class SyntheticMarket(Market):
    """Drive all symbols by timers: market time is wall time times the speed."""

    name = "synthetic"

    def __init__(
        self,
        hub: Hub,
        instruments: Iterable[Instrument],
        seed: int,
        rate: float,
        speed: float | None,
        clock_ms: Callable[[], int],
    ) -> None:
        ids = UpdateIds()
        self.instruments = {i.symbol: i for i in instruments}
        self._hub = hub
        self._speed = speed
        self.symbols = {
            i.symbol: SyntheticSymbol(i, Flow(i, seed, rate), Publisher(hub, i, clock_ms), ids)
            for i in self.instruments.values()
        }
        self._by_stream = {s.lower(): row for s, row in self.symbols.items()}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._origin_s: dict[str, float] = {}
        self._slipped_s = 0.0
        self._clock_ms = clock_ms

    def start(self) -> None:
        """Set the first timer of every symbol."""
        now_s = asyncio.get_running_loop().time()
        for symbol, row in self.symbols.items():
            row.sink = self.sink
            self._origin_s[symbol] = now_s
            self._set_timer(symbol, row, now_s)

    async def close(self) -> None:
        """Cancel the timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _set_timer(self, symbol: str, row: SyntheticSymbol, now_s: float) -> None:
        if self._speed is None:
            due_s = now_s + (BACKLOG_WAIT_S if self._is_clogged() else 0.0)
        else:
            due_s = max(self._origin_s[symbol] + row.next_s / self._speed, now_s + WAKE_S_MIN)
        self._timers[symbol] = asyncio.get_running_loop().call_at(due_s, self._wake, symbol)

    def _is_clogged(self) -> bool:
        """Tell whether a reader is so far behind that an unpaced flow has to wait for it."""
        return self._hub.backlog_bytes() > BACKLOG_BYTES_HIGH

    def _wake(self, symbol: str) -> None:
        row = self.symbols[symbol]
        now_s = asyncio.get_running_loop().time()
        until_s = 0.0 if self._speed is None and self._is_clogged() else float("inf")
        if self._speed is not None:
            until_s = self._paced_until_s(symbol, row, now_s, self._speed)
        for _ in range(BATCH_MAX):
            if row.next_s > until_s:
                break
            row.step()
        row.publisher.flush_depth()
        self._set_timer(symbol, row, now_s)

    def _paced_until_s(
        self, symbol: str, row: SyntheticSymbol, now_s: float, speed: float
    ) -> float:
        """Return the market time that is due; when far behind, let it slip and say so."""
        until_s = (now_s - self._origin_s[symbol]) * speed
        lag_s = (until_s - row.next_s) / speed
        if lag_s <= LAG_S_MAX:
            return until_s
        self._origin_s[symbol] += lag_s
        self._slipped_s += lag_s
        structlog.get_logger().warning("market_time_slipped", symbol=symbol, lag_s=round(lag_s, 3))
        return row.next_s

    def best(self, symbol: str) -> tuple[int, int]:
        """Return best bid and best ask in ticks."""
        book = self.symbols[symbol].book
        return book.bids.best(), book.asks.best()

    def depth(self, symbol: str, limit: int) -> DepthView:
        """Return the book by levels."""
        row = self.symbols[symbol]
        return DepthView(
            row.publisher.last_id,
            self._clock_ms(),
            _levels(row.book.bids, limit),
            _levels(row.book.asks, limit),
        )

    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Match a client's order like any of the flow's."""
        row = self.symbols[order.instrument.symbol]
        row.place(order, rests)
        row.publisher.flush_depth()

    def withdraw(self, order: ClientOrder) -> None:
        """Cancel a client's resting order."""
        row = self.symbols[order.instrument.symbol]
        row.cancel(order)
        row.publisher.flush_depth()

    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        """Shrink a client's resting order."""
        row = self.symbols[order.instrument.symbol]
        row.reduce(order, remaining_lot)
        row.publisher.flush_depth()

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take now, its owner's own orders aside."""
        book = self.symbols[order.instrument.symbol].book
        return book.available_lot(order.side, order.price_tick, order.remaining_lot, order.owner)

    def status(self) -> dict[str, object]:
        """Return counts and market time; a synthetic market never finishes."""
        return {
            "market": self.name,
            "events": sum(row.events for row in self.symbols.values()),
            "finished": False,
            "market_time_ms": self._clock_ms(),
            "slipped_ms": round(self._slipped_s * 1000),
        }

    def on_subscribe(self, stream: str) -> None:
        """Start the depth cadence that is asked for."""
        row = self._by_stream.get(stream.partition("@")[0])
        if row is not None:
            row.publisher.on_subscribe(stream)


def _levels(ladder: Ladder, limit: int) -> list[PriceLot]:
    return [(price, ladder.levels[price].total_lot) for price in islice(ladder.prices(), limit)]
