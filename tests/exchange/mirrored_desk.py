"""A desk over a mirrored book that a test feeds with the messages of an upstream."""

from __future__ import annotations

from collections.abc import Sequence

from scripted_desk import BALANCE_E8, SYMBOL, FakeTime, RecordedEvents

from exchange.instruments import INSTRUMENTS
from exchange.markets.live import LiveMarket, LiveSymbol
from exchange.markets.mirror import MirrorMarket, TradeIds
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.algo_orders import AlgoOrder
from exchange.trading.desk import Desk
from exchange.trading.register import Register

BTC = INSTRUMENTS[SYMBOL]
BIDS = [["64000.0", "1"], ["63900.0", "5"]]
ASKS = [["64000.1", "1"], ["64100.0", "5"]]


class FedMarket(LiveMarket):
    """The live market of one symbol without connections; a test may set the mark price."""

    def __init__(self, row: LiveSymbol) -> None:
        MirrorMarket.__init__(self, {SYMBOL: row})
        self.mark = 0

    def mark_tick(self, symbol: str) -> int:
        return self.mark or super().mark_tick(symbol)


def snapshot(last_id: int, bids: list, asks: list) -> dict:
    return {"lastUpdateId": last_id, "T": 1, "E": 1, "bids": bids, "asks": asks}


def diff(first: int, last: int, before: int, bids: list, asks: list) -> dict:
    return {"e": "depthUpdate", "T": 1, "U": first, "u": last, "pu": before, "b": bids, "a": asks}


class MirroredBench:
    """BTCUSDT mirrored at update id 14: a thousand lots at the touch, 64,000.0 and 64,000.1."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.row = LiveSymbol(BTC, "btcusdt@depth@0ms", Hub(), self.time.now_ms, TradeIds())
        self.market = FedMarket(self.row)
        self.account = Account([BTC], BALANCE_E8, 20_000, 50_000, self.market.mark_tick)
        self.events = RecordedEvents(self.time.now_ms)
        self.desk = Desk(
            self.market, self.account, Register(), self.events, self.time.now_ms, self.time
        )
        self.market.sink = self.desk
        self.market.attach()
        self.row.on_update(diff(10, 14, 8, [], []))
        assert self.row.on_snapshot(snapshot(12, BIDS, ASKS))

    def update(self, bids: Sequence = (), asks: Sequence = ()) -> None:
        """Let the next diff come."""
        last_id = self.row.book.last_update_id
        message = diff(last_id + 1, last_id + 1, last_id, list(bids), list(asks))
        assert not self.row.on_update(message)

    def trade(self, price: str, quantity: str, seller_takes: bool) -> None:
        """Let two others trade."""
        message = {"t": 1, "T": 1, "E": 1, "p": price, "q": quantity, "m": seller_takes}
        self.row.on_trade(message)

    def place(
        self, side: str, kind: str, quantity: str, price: str = "", **more: str
    ) -> ClientOrder:
        params = {"symbol": SYMBOL, "side": side, "type": kind, "quantity": quantity, **more}
        if price:
            params["price"] = price
            params.setdefault("timeInForce", "GTC")
        return self.desk.place(params)[0]

    def stop(self, trigger: str) -> AlgoOrder:
        """Protect a long position."""
        params = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL"}
        terms = {"type": "STOP_MARKET", "triggerPrice": trigger, "closePosition": "true"}
        return self.desk.algo.place(params | terms)

    def held(self) -> int:
        return self.account.held_lot(SYMBOL)
