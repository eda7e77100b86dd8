"""A desk over a market that does only what a test tells it, with a clock that a test turns."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count
from typing import cast

from exchange.errors import VenueError
from exchange.instruments import INSTRUMENTS, Instrument
from exchange.markets.market import DepthView, Market
from exchange.matching.layout import BUY, SELL
from exchange.matching.resting import RestingOrder
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

SYMBOL = "BTCUSDT"
START_MS = 1_790_000_000_000
BALANCE_E8 = 100_000 * 10**8
UNPREVENTED = ("FOK", "GTX")


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeTime:
    """Be the clock and its timers."""

    def __init__(self) -> None:
        self.ms = START_MS
        self._due: list[tuple[int, int, FakeTimer]] = []
        self._numbers = count()

    def now_ms(self) -> int:
        return self.ms

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._due, (due_ms, next(self._numbers), timer))
        return timer

    def armed(self) -> int:
        return sum(timer.callback is not None for _, _, timer in self._due)

    def advance(self, by_ms: int) -> None:
        until_ms = self.ms + by_ms
        while self._due and self._due[0][0] <= until_ms:
            due_ms, _, timer = heapq.heappop(self._due)
            self.ms = max(self.ms, due_ms)
            if timer.callback is not None:
                timer.callback()
        self.ms = until_ms


class ScriptedMarket(Market):
    """Match by price and time in plain lists; nothing moves by itself."""

    name = "scripted"

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.instruments = {i.symbol: i for i in instruments}
        self.publishers = {}
        self.resting: dict[str, list[RestingOrder]] = {s: [] for s in self.instruments}
        self.marks_by_symbol: dict[str, int] = {}
        self.shut: set[str] = set()  # symbols that take no orders
        self.trade_ids = count(1)
        self.flow_ids = count(-1, -1)

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def status(self) -> dict[str, object]:
        return {}

    def on_subscribe(self, stream: str) -> None: ...

    def check_open(self, symbol: str) -> None:
        if symbol in self.shut:
            raise VenueError(-1008)

    def side(self, symbol: str, side: int) -> list[RestingOrder]:
        """Return the orders of a side, the first to fill first."""
        return sorted(
            (o for o in self.resting[symbol] if o.side == side), key=lambda o: -side * o.price_tick
        )

    def best(self, symbol: str) -> tuple[int, int]:
        bids, asks = self.side(symbol, BUY), self.side(symbol, SELL)
        return (bids[0].price_tick if bids else 0), (asks[0].price_tick if asks else 0)

    def depth(self, symbol: str, limit: int) -> DepthView:
        return DepthView(0, 0, self._levels(symbol, BUY, limit), self._levels(symbol, SELL, limit))

    def _levels(self, symbol: str, side: int, limit: int) -> list[tuple[int, int]]:
        totals: dict[int, int] = {}
        for order in self.side(symbol, side):
            totals[order.price_tick] = totals.get(order.price_tick, 0) + order.remaining_lot
        return list(totals.items())[:limit]

    def mark_tick(self, symbol: str) -> int:
        return self.marks_by_symbol.get(symbol) or super().mark_tick(symbol)

    def quote(self, side: int, price_tick: int, lot: int, symbol: str = SYMBOL) -> None:
        """Let somebody else's order come in."""
        order = RestingOrder(next(self.flow_ids), side, price_tick, lot)
        self._match(symbol, order, "NONE", True)

    def take(self, side: int, lot: int, symbol: str = SYMBOL) -> None:
        """Let somebody else take at any price."""
        self._match(symbol, RestingOrder(next(self.flow_ids), side, 0, lot), "NONE", False)

    def submit(self, order: ClientOrder, rests: bool) -> None:
        stp = "NONE" if order.time_in_force in UNPREVENTED else order.stp_mode
        self._match(order.instrument.symbol, order, stp, rests, self.limit_tick(order))

    def withdraw(self, order: ClientOrder) -> None:
        self._drop(order.instrument.symbol, order)

    def reduce(self, order: ClientOrder, remaining_lot: int) -> None:
        assert order in self.resting[order.instrument.symbol]
        order.remaining_lot = remaining_lot

    def amend(self, order: ClientOrder) -> None:
        self.withdraw(order)
        self.submit(order, True)

    def available_lot(self, order: ClientOrder) -> int:
        within = self._within(order.instrument.symbol, order, order.price_tick)
        found = sum(o.remaining_lot for o in within)
        return min(found, order.remaining_lot)

    def _drop(self, symbol: str, order: RestingOrder) -> None:
        if order in self.resting[symbol]:
            self.resting[symbol].remove(order)

    def _within(self, symbol: str, taker: RestingOrder, limit: int) -> list[RestingOrder]:
        side = taker.side
        makers = self.side(symbol, -side)
        return [m for m in makers if not limit or (m.price_tick - limit) * side <= 0]

    def _match(
        self, symbol: str, taker: RestingOrder, stp: str, rests: bool, limit: int = 0
    ) -> None:
        prices = []
        while taker.remaining_lot:
            makers = self._within(symbol, taker, limit or taker.price_tick)
            if not makers:
                break
            maker = makers[0]
            if taker.owner and maker.owner == taker.owner and stp != "NONE":
                if stp != "EXPIRE_TAKER":
                    self._drop(symbol, maker)
                    self.sink.on_expire(cast(ClientOrder, maker))
                if stp != "EXPIRE_MAKER":
                    self.sink.on_expire(cast(ClientOrder, taker))
                    rests = False
                    break
                continue
            prices.append(maker.price_tick)
            self._trade(symbol, taker, maker)
        if rests and taker.remaining_lot:
            self.resting[symbol].append(taker)
        if prices:
            self.sink.on_trades(symbol, min(prices), max(prices), prices[-1])

    def _trade(self, symbol: str, taker: RestingOrder, maker: RestingOrder) -> None:
        lot = min(taker.remaining_lot, maker.remaining_lot)
        taker.remaining_lot -= lot
        maker.remaining_lot -= lot
        if not maker.remaining_lot:
            self._drop(symbol, maker)
        trade_id = next(self.trade_ids)
        for order, is_maker in ((taker, False), (maker, True)):
            if order.owner:
                client = cast(ClientOrder, order)
                self.sink.on_fill(client, maker.price_tick, lot, is_maker, trade_id)


class RecordedEvents(UserEvents):
    """Keep what would be sent."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(Hub(), clock_ms)
        self.sent: list[dict] = []

    def _has_reader(self) -> bool:
        return True

    def _send(self, event: dict[str, object]) -> None:
        self.sent.append(event)

    def orders(self) -> list[tuple[str, str]]:
        """Return (execution, status) of the order events."""
        rows = [e["o"] for e in self.sent if e["e"] == "ORDER_TRADE_UPDATE"]
        return [(row["x"], row["X"]) for row in rows]

    def algo(self) -> list[str]:
        """Return the statuses of the algo events."""
        return [e["o"]["X"] for e in self.sent if e["e"] == "ALGO_UPDATE"]


class Bench:
    """A desk with all its parts; BTCUSDT quoted 63,999.9 to 64,000.0, ten lots a tick."""

    def __init__(self, symbols: Iterable[str] = (SYMBOL,), quotes: int = 30) -> None:
        instruments = [INSTRUMENTS[s] for s in symbols]
        self.time = FakeTime()
        self.market = ScriptedMarket(instruments)
        self.account = Account(instruments, BALANCE_E8, 20_000, 50_000, self.market.mark_tick)
        self.events = RecordedEvents(self.time.now_ms)
        self.register = Register()
        self.desk = Desk(
            self.market, self.account, self.register, self.events, self.time.now_ms, self.time
        )
        self.market.sink = self.desk
        for rank in range(quotes):
            self.market.quote(BUY, 639_999 - rank, 10)
            self.market.quote(SELL, 640_000 + rank, 10)

    def place(self, side: str, kind: str, quantity: object, price: object = None, **more):
        """Place an order; prices and quantities as the venue writes them."""
        params = {"symbol": SYMBOL, "side": side, "type": kind, "quantity": str(quantity), **more}
        if price is not None:
            params["price"] = str(price)
        if kind == "LIMIT":
            params.setdefault("timeInForce", "GTC")
        return self.desk.place(params)[0]

    def algo(self, side: str, kind: str, **more):
        params = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": side, "type": kind}
        if kind != "TRAILING_STOP_MARKET":
            params.setdefault("triggerPrice", "60000")
        if "closePosition" not in more:
            params["quantity"] = "0.010"
        return self.desk.algo.place({**params, **{k: str(v) for k, v in more.items()}})

    def held(self, position_side: str = "BOTH") -> int:
        return self.account.held_lot(SYMBOL, position_side)

    def print_at(self, price: object) -> None:
        """Let others trade one lot at a price inside or at the spread's edge."""
        tick = int(Decimal(str(price)) * 10)
        self.desk.on_trades(SYMBOL, tick, tick, tick)


def refusal(call: Callable[..., object], *arguments, **names) -> int:
    """Return the code of the refusal that the call must meet."""
    try:
        call(*arguments, **names)
    except VenueError as error:
        return error.code
    raise AssertionError("it was not refused")
