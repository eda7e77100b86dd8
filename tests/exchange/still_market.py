"""A market that stands still: one level a side, filled up again after each order."""

from __future__ import annotations

from exchange.instruments import INSTRUMENTS, Instrument
from exchange.markets.market import DepthView, Market
from exchange.orders import ClientOrder


class StillMarket(Market):
    """Take what reaches the best price, at most `lot`, and keep the rest where it rests."""

    name = "still"

    def __init__(self, symbols: tuple[str, ...] = ("BTCUSDT",)) -> None:
        self.instruments: dict[str, Instrument] = {s: INSTRUMENTS[s] for s in symbols}
        self.publishers = {}
        self.quotes = dict.fromkeys(symbols, (639_995, 640_005))
        self.lot = 10**9
        self.resting: list[ClientOrder] = []
        self.trade_id = 0

    def set(self, symbol: str, bid: int, ask: int) -> None:
        self.quotes[symbol] = (bid, ask)

    def start(self) -> None:
        """Nothing moves by itself."""

    async def close(self) -> None:
        """Nothing is open."""

    def best(self, symbol: str) -> tuple[int, int]:
        return self.quotes[symbol]

    def depth(self, symbol: str, limit: int) -> DepthView:
        bid, ask = self.quotes[symbol]
        return DepthView(1, 0, [(bid, self.lot)], [(ask, self.lot)])

    def available_lot(self, order: ClientOrder) -> int:
        crosses = not order.price_tick or self.crosses(
            order.instrument.symbol, order.side, order.price_tick
        )
        return min(self.lot, order.remaining_lot) if crosses else 0

    def submit(self, order: ClientOrder, rests: bool) -> None:
        lot = self.available_lot(order)
        if lot:
            bid, ask = self.quotes[order.instrument.symbol]
            self.trade_id += 1
            order.remaining_lot -= lot
            price = ask if order.side > 0 else bid
            self.sink.on_fill(order, price, lot, False, self.trade_id)
        if rests and order.remaining_lot:
            self.resting.append(order)

    def withdraw(self, order: ClientOrder) -> None:
        if order in self.resting:
            self.resting.remove(order)

    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        order.remaining_lot = remaining_lot

    def amend(self, order: ClientOrder) -> None:
        self.withdraw(order)
        self.submit(order, True)

    def status(self) -> dict[str, object]:
        return {"market": self.name, "market_time_ms": 0}

    def on_subscribe(self, stream: str) -> None:
        """Nobody reads here."""
