"""Drive synthetic symbols without a clock, a network or clients."""

from __future__ import annotations

from functools import cache

from exchange.instruments import INSTRUMENTS
from exchange.markets.flow import Flow
from exchange.markets.regimes import RATE_DEFAULT
from exchange.markets.synthetic import SyntheticSymbol
from exchange.matching.book import MatchingBook
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.streams.publisher import Publisher, UpdateIds
from runtime.kernels import Kernels, load


@cache
def kernels() -> Kernels:
    return load()


def new_symbol(symbol: str, seed: int, chain: str) -> SyntheticSymbol:
    instrument = INSTRUMENTS[symbol]
    flow = Flow(instrument, seed, RATE_DEFAULT, chain)
    publisher = Publisher(Hub(), instrument, lambda: 0)
    return SyntheticSymbol(instrument, flow, MatchingBook(kernels()), publisher, UpdateIds())


def seen(row: SyntheticSymbol) -> tuple:
    """Return everything that the next events depend on, as far as it shows."""
    return (row.next_s, *row.book.quote(), row.book.order_count, row.trade_id)


def middle(row: SyntheticSymbol) -> float:
    return (row.book.best(BUY) + row.book.best(SELL)) / 2.0


class Sink:
    """Note what happens to the account's orders, as the desk would hear it."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []
        self.on_each_fill = lambda order: None

    def on_fill(
        self, order: ClientOrder, price_tick: int, quantity_lot: int, is_maker: bool, trade_id: int
    ) -> None:
        order.executed_lot += quantity_lot
        self.heard.append(("fill", order.order_id, price_tick, quantity_lot, is_maker))
        self.on_each_fill(order)

    def on_expire(self, order: ClientOrder) -> None:
        self.heard.append(("expire", order.order_id))

    def on_trades(self, symbol: str, low_tick: int, high_tick: int, last_tick: int) -> None:
        self.heard.append(("trades", low_tick, high_tick, last_tick))
