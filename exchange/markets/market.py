"""State what a market is to the rest of the exchange: a book per symbol that orders meet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from exchange.instruments import Instrument
from exchange.orders import ClientOrder

PriceLot = tuple[int, int]  # price in ticks, quantity in lots


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
        """Take the end of an order that the market removed by itself."""


class Market(ABC):
    """Hold the books of all symbols and let client orders meet them.

    `sink` is set once before `start`.
    """

    name: str
    instruments: dict[str, Instrument]
    sink: OrderSink

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
    def available_lot(self, order: ClientOrder) -> int:
        """Return the quantity that the order could take now within its limit."""

    @abstractmethod
    def status(self) -> dict[str, object]:
        """Return the market's part of `/local/status`."""

    @abstractmethod
    def on_subscribe(self, stream: str) -> None:
        """Hear that a stream has its first subscriber."""

    def crosses(self, symbol: str, side: int, price_tick: int) -> bool:
        """Tell whether a limit order at that price would take at once."""
        bid, ask = self.best(symbol)
        best = ask if side > 0 else bid
        return best != 0 and (best - price_tick) * side <= 0

    def mark_tick(self, symbol: str) -> int:
        """Return the mark price in ticks: the middle of the book, 0 when a side is empty."""
        bid, ask = self.best(symbol)
        return (bid + ask) // 2 if bid and ask else bid or ask
