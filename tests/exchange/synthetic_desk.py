"""A desk over one synthetic symbol, and a reader that follows the levels it is told."""

from __future__ import annotations

from scripted_desk import BALANCE_E8, SYMBOL, FakeTime, RecordedEvents
from synthetic_bench import kernels

from exchange.errors import VenueError
from exchange.instruments import INSTRUMENTS
from exchange.markets.synthetic import SyntheticMarket
from exchange.matching.layout import BUY, SELL
from exchange.matching.resting import RestingOrder
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.register import Register

BTC = INSTRUMENTS[SYMBOL]
DEEP = 1 << 20


class SyntheticDesk:
    """Own the parts; `told` is what the reader knows of the levels."""

    def __init__(self, seed: int) -> None:
        self.time = FakeTime()
        self.market = SyntheticMarket(
            Hub(), [BTC], seed, 120.0, None, self.time.now_ms, kernels(), "quiet"
        )
        self.row = self.market.symbols[SYMBOL]
        self.account = Account([BTC], BALANCE_E8, 20_000, 50_000, self.market.mark_tick)
        self.register = Register()
        self.desk = Desk(
            self.market,
            self.account,
            self.register,
            RecordedEvents(self.time.now_ms),
            self.time.now_ms,
            self.time,
        )
        self.market.sink = self.row.sink = self.desk
        self.flow_id = -1_000_000_000
        book = self.row.book
        self.told = {(s, p): lot for s in (BUY, SELL) for p, lot in book.top(s, DEEP)}
        self.quote: tuple = ()
        publisher = self.row.publisher
        tell = publisher.depth_changed

        def depth_changed(side: int, price: int, lot: int, first: int, last: int) -> None:
            self.told[side, price] = lot
            tell(side, price, lot, first, last)

        publisher.depth_changed = depth_changed  # type: ignore[method-assign, assignment]

    def compare(self) -> None:
        """Check that a reader of the depth and of the ticker sees the book."""
        for side in (BUY, SELL):
            shown = {p: lot for (s, p), lot in self.told.items() if s == side and lot}
            assert shown == dict(self.row.book.top(side, DEEP))
        publisher = self.row.publisher
        assert [*publisher.bid, *publisher.ask] == self.row.book.quote()

    def place(self, side: str, lot: int, price: int = 0, **more: str) -> ClientOrder | None:
        params = {"symbol": SYMBOL, "side": side, "quantity": BTC.quantity_text(lot), **more}
        params["type"] = "LIMIT" if price else "MARKET"
        if price:
            params |= {"price": BTC.price_text(price), "timeInForce": "GTC"}
        try:
            return self.desk.place(params)[0]
        except VenueError:
            return None

    def flow(self, side: int, lot: int, price: int, rests: bool = False) -> None:
        """Let somebody else's order come in."""
        self.flow_id -= 1
        self.row.place(RestingOrder(self.flow_id, side, price, lot), rests)
