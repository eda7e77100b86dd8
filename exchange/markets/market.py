"""State what a market is to the rest of the exchange: a book per symbol that orders meet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from exchange.instruments import Instrument
from exchange.markets.marks import Marks
from exchange.orders import ClientOrder
from exchange.streams.publisher import Publisher

PriceLot = tuple[int, int]  # price in ticks, quantity in lots
ONE_E4 = 10_000


@dataclass(frozen=True, slots=True)
class DepthView:
    """Show a book at one update id, best first; times are the market's, in ms."""

    last_update_id: int
    time_ms: int
    bids: list[PriceLot]
    asks: list[PriceLot]


class OrderSink(Protocol):
    """Hear what happens to the account's orders, in the order in which it happens."""

    def on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool, trade_id: int
    ) -> None:
        """Take one fill; the order's `remaining_lot` is already reduced."""

    def on_expire(self, order: ClientOrder) -> None:
        """Take the end of an order that the market removed by itself.

        Self-trade prevention ends a resting order, the taker itself, or both.
        """

    def on_trades(self, symbol: str, low_tick: int, high_tick: int, last_tick: int) -> None:
        """Take the range of a matching step that traded, after the step, so orders may follow."""


class Market(ABC):
    """Hold the books of all symbols and let client orders meet them.

    `sink` is set once before `start`.
    """

    name: str
    instruments: dict[str, Instrument]
    publishers: dict[str, Publisher]
    sink: OrderSink
    marks: Marks | None = None  # set once before `start`; without it the middle is the mark

    @abstractmethod
    def start(self) -> None:
        """Start the flow of time. Called once, inside the event loop."""

    @abstractmethod
    async def close(self) -> None:
        """Stop the flow of time and release files."""

    @abstractmethod
    def best(self, symbol: str) -> tuple[int, int]:
        """Return best bid and best ask in ticks, 0 for an empty side."""

    @abstractmethod
    def depth(self, symbol: str, limit: int) -> DepthView:
        """Return the book, at most `limit` levels a side."""

    @abstractmethod
    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Match an accepted order; what is left rests if `rests`, else it stays unfilled."""

    @abstractmethod
    def withdraw(self, order: ClientOrder) -> None:
        """Take a resting order out of the market."""

    @abstractmethod
    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        """Shrink a resting order to `remaining_lot`."""

    @abstractmethod
    def amend(self, order: ClientOrder) -> None:
        """Let a resting order whose price and remaining lots were just changed queue anew.

        It is matched on its new terms; what is left rests behind the others.

        # Venue: "Modify Order": whatever is changed, the order goes to the end of the queue.
        """

    @abstractmethod
    def available_lot(self, order: ClientOrder) -> int:
        """Return the quantity that the order could take now within its limit."""

    @abstractmethod
    def status(self) -> dict[str, object]:
        """Return the market's part of `/local/status`."""

    @abstractmethod
    def on_subscribe(self, stream: str) -> None:
        """Hear that a stream has its first subscriber."""

    def check_open(self, symbol: str) -> None:  # noqa: B027 (most markets are always open)
        """Raise the venue's error when a symbol takes no orders at present."""

    def crosses(self, symbol: str, side: int, price_tick: int) -> bool:
        """Tell whether a limit order at that price would take at once."""
        bid, ask = self.best(symbol)
        best = ask if side > 0 else bid
        return best != 0 and (best - price_tick) * side <= 0

    def limit_tick(self, order: ClientOrder) -> int:
        """Return the worst price that an order may trade at as it enters, 0 for any.

        # Venue: exchangeInfo, `marketTakeBound`: how far from the mark price a market order goes.
        """
        if order.kind != "MARKET":
            return order.price_tick
        mark_tick = self.mark_tick(order.instrument.symbol)
        bound_e4 = order.instrument.take_bound_e4
        if order.side > 0:
            return mark_tick * (ONE_E4 + bound_e4) // ONE_E4
        # A sale's bound is rounded up; a mark price of 0, without a book, sets no bound.
        return min(mark_tick, max(1, -(-mark_tick * (ONE_E4 - bound_e4) // ONE_E4)))

    def mark_tick(self, symbol: str) -> int:
        """Return the mark price in ticks, 0 where there is none: of `marks`, else the middle."""
        if self.marks is not None:
            return self.marks.tick(symbol)
        bid, ask = self.best(symbol)
        return (bid + ask) // 2 if bid and ask else bid or ask
