"""Run the synthetic market: one seeded order flow and one matching book per symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import structlog

from exchange.instruments import Instrument
from exchange.markets.flow import Flow
from exchange.markets.market import DepthView, Market, OrderSink
from exchange.markets.regimes import REGIME_DEFAULT
from exchange.matching.book import Change, Matched, MatchingBook
from exchange.matching.layout import (
    BUY,
    DONE,
    EXPIRE_BOTH,
    EXPIRE_MAKER,
    EXPIRE_TAKER,
    GTC,
    IOC,
    NONE,
    PAUSE,
    PAUSED,
    SELL,
)
from exchange.matching.resting import RestingOrder
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.streams.publisher import Publisher, UpdateIds
from runtime.kernels import load

WAKE_S_MIN = 0.001  # events closer than this are handled in one batch
BATCH_MAX = 256  # events before the loop gets its turn
LAG_S_MAX = 0.5  # further behind than this, market time slips instead of bursting
BACKLOG_BYTES_HIGH = 1 << 20
BACKLOG_WAIT_S = 0.002
# Venue: selfTradePreventionMode, decided by the taker.
PREVENTION = {
    "NONE": NONE,
    "EXPIRE_TAKER": EXPIRE_TAKER,
    "EXPIRE_MAKER": EXPIRE_MAKER,
    "EXPIRE_BOTH": EXPIRE_BOTH,
}


class SyntheticSymbol:
    """Match one symbol. The flow's orders and the clients' go through the same methods."""

    def __init__(
        self,
        instrument: Instrument,
        flow: Flow,
        book: MatchingBook,
        publisher: Publisher,
        ids: UpdateIds,
    ) -> None:
        self.instrument = instrument
        self.flow = flow
        self.book = book
        self.publisher = publisher
        self.sink: OrderSink | None = None
        self.events = 0
        self.trade_id = 1_000_000
        self._ids = ids
        self._is_matching = False
        self._has_interfered = False  # the sink changed the book while an entry was being matched
        self._prices: list[int] = []  # of the running step's trades
        self._top = [0, 0, 0, 0]
        opening = flow.seed_orders()
        for order in opening:
            self.place(order, rests=True)
        flow.adopt(opening)
        self.next_s = flow.advance(book.best(BUY), book.best(SELL))

    def step(self) -> None:
        """Let the flow act once and draw the time of its next act."""
        action = self.flow.act(self.book)
        if action.cancel:
            self.cancel(action.order)
        else:
            self.place(action.order, action.rests)
        self.events += 1
        book = self.book
        self.next_s = self.flow.advance(book.best(BUY), book.best(SELL))

    def place(self, order: RestingOrder, rests: bool, bound_tick: int = 0) -> None:
        """Match an order; what is left rests or is gone.

        `bound_tick` is the worst price of one that has no limit, 0 for none.
        """
        how = (GTC if rests else IOC) | self_trade_prevention(order)
        matched = self.book.submit(
            order,
            order.order_id,
            order.owner,
            order.side,
            order.price_tick or bound_tick,
            order.remaining_lot,
            how | PAUSE,
        )
        self._finish(order, matched)

    def amend(self, order: ClientOrder) -> None:
        """Queue a client's resting order anew on its changed terms; see `Market.amend`."""
        slot, order.slot = order.slot, -1
        how = GTC | self_trade_prevention(order) | PAUSE
        matched = self.book.amend(slot, order.order_id, order.price_tick, order.remaining_lot, how)
        self._finish(order, matched)

    def cancel(self, order: RestingOrder) -> None:
        """Take an order out of the book if it rests there."""
        slot, order.slot = order.slot, -1
        matched = self.book.cancel(slot, order.order_id)
        if matched.status == DONE:
            self._publish(matched)

    def reduce(self, order: RestingOrder, remaining_lot: int) -> None:
        """Shrink a resting order."""
        matched = self.book.reduce(order.slot, order.order_id, remaining_lot)
        assert matched.status == DONE, f"not resting: order={order.order_id} {matched}"
        order.remaining_lot = remaining_lot
        self._publish(matched)

    def _finish(self, taker: RestingOrder, matched: Matched) -> None:
        """Carry an entry to its end: fills, expiries, depth, and the prices it traded at."""
        assert matched.status > 0, f"refused: order={taker.order_id} {matched}"
        self._is_matching = True
        changes: Sequence[Change] = matched.changes
        while True:
            for maker, price_tick, quantity_lot, left_lot in matched.events:
                self._on_event(taker, maker, price_tick, quantity_lot, left_lot)
            if matched.status != PAUSED:
                break
            matched = self.book.resume()
            changes = [*changes, *matched.changes]
        self.publisher.end_aggregate()
        taker.slot = matched.slot
        if matched.taker_stp and taker.owner and self.sink is not None:
            self.sink.on_expire(cast(ClientOrder, taker))
        self._is_matching = False
        # The sink may have cancelled or shrunk other orders, in a pause or after the last fill:
        # those totals are out, and newer than what the match noted of the same levels.
        has_interfered, self._has_interfered = self._has_interfered, False
        self._tell(self.book.shown_now(changes) if has_interfered else changes)
        prices, self._prices = self._prices, []
        if prices and self.sink is not None:
            symbol = self.instrument.symbol
            self.sink.on_trades(symbol, min(prices), max(prices), prices[-1])

    def _on_event(
        self,
        taker: RestingOrder,
        maker: RestingOrder,
        price_tick: int,
        quantity_lot: int,
        left_lot: int,
    ) -> None:
        if not left_lot or not quantity_lot:
            maker.slot = -1
        if not quantity_lot:
            if self.sink is not None:
                self.sink.on_expire(cast(ClientOrder, maker))
            return
        taker.remaining_lot -= quantity_lot
        maker.remaining_lot = left_lot
        self.trade_id += 1
        self._prices.append(price_tick)
        self.publisher.trade(self.trade_id, price_tick, quantity_lot, taker.side != BUY)
        for order, is_maker in ((taker, False), (maker, True)):
            if order.owner and self.sink is not None:
                client = cast(ClientOrder, order)
                self.sink.on_fill(client, price_tick, quantity_lot, is_maker, self.trade_id)

    def _publish(self, matched: Matched) -> None:
        """Publish what a cancel changed; the middle of a matching step is not a best price."""
        if self._is_matching:
            self._has_interfered = True
            self._depth(matched.changes)
        else:
            self._tell(matched.changes)

    def _depth(self, changes: Sequence[Change]) -> None:
        for side, price_tick, total_lot in changes:
            update_id = self._ids.take()
            self.publisher.depth_changed(side, price_tick, total_lot, update_id, update_id)

    def _tell(self, changes: Sequence[Change]) -> None:
        """Publish what the last act changed: depth, then best bid and offer."""
        self._depth(changes)
        top = self.book.quote()
        if top != self._top:
            self._top = top
            self.publisher.ticker((top[0], top[1]), (top[2], top[3]))


def self_trade_prevention(order: RestingOrder) -> int:
    """Return the bits of a client order's mode; the flow trades with itself."""
    return PREVENTION[cast(ClientOrder, order).prevention] if order.owner else NONE


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
        kernels: Any = None,
        regime: str = REGIME_DEFAULT,
    ) -> None:
        kernels = kernels or load()
        ids = UpdateIds()
        self.instruments = {i.symbol: i for i in instruments}
        self._hub = hub
        self._speed = speed
        self.publishers = {s: Publisher(hub, i, clock_ms) for s, i in self.instruments.items()}
        self.symbols = {
            s: SyntheticSymbol(
                i, Flow(i, seed, rate, regime), MatchingBook(kernels), self.publishers[s], ids
            )
            for s, i in self.instruments.items()
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
        return book.best(BUY), book.best(SELL)

    def depth(self, symbol: str, limit: int) -> DepthView:
        """Return the book by levels."""
        row = self.symbols[symbol]
        return DepthView(
            row.publisher.last_id,
            self._clock_ms(),
            row.book.top(BUY, limit),
            row.book.top(SELL, limit),
        )

    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Match a client's order like any of the flow's."""
        row = self.symbols[order.instrument.symbol]
        row.place(order, rests, self.limit_tick(order))
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

    def amend(self, order: ClientOrder) -> None:
        """Queue a client's resting order anew on its changed terms; it may trade at once."""
        row = self.symbols[order.instrument.symbol]
        row.amend(order)
        row.publisher.flush_depth()

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take now, its owner's own orders aside."""
        book = self.symbols[order.instrument.symbol].book
        # What self-trade prevention takes away is not there to be had.
        not_owner = 0 if order.prevention == "NONE" else order.owner
        return book.available_lot(order.side, order.price_tick, order.remaining_lot, not_owner)

    def status(self) -> dict[str, object]:
        """Return counts and market time; a synthetic market never finishes."""
        return {
            "market": self.name,
            "events": sum(row.events for row in self.symbols.values()),
            "finished": False,
            "market_time_ms": self._clock_ms(),
            "slipped_ms": round(self._slipped_s * 1000),
            "regimes": {s: row.flow.weather.name for s, row in self.symbols.items()},
        }

    def on_subscribe(self, stream: str) -> None:
        """Start the depth cadence that is asked for."""
        row = self._by_stream.get(stream.partition("@")[0])
        if row is not None:
            row.publisher.on_subscribe(stream)
