"""Keep a book of displayed levels and let client orders meet it, by what the levels show."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from exchange.markets.ladder import Ladder
from exchange.markets.market import PriceLot
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder

OnFill = Callable[[ClientOrder, int, int, bool], None]  # order, ticks, lots, is maker
OnExpire = Callable[[ClientOrder], None]


class RecordedBook:
    """Hold displayed quantities by price, what our takers consumed of them, and our orders.

    The source of the levels does not know of our orders: they change no level. What a taker of ours
    consumed of a level is remembered until the source next updates that level.
    """

    def __init__(self, on_fill: OnFill, on_expire: OnExpire) -> None:
        self.bids: Ladder[int] = Ladder(BUY)
        self.asks: Ladder[int] = Ladder(SELL)
        self.last_update_id = 0
        self.time_ms = 0
        self.orders: dict[int, ClientOrder] = {}
        self._on_fill = on_fill
        self._on_expire = on_expire
        self._consumed: dict[tuple[int, int], int] = {}
        self._traded: list[int] = []

    def side(self, side: int) -> Ladder[int]:
        """Return the ladder on which orders of `side` rest."""
        return self.bids if side == BUY else self.asks

    def load(
        self, update_id: int, time_ms: int, bids: list[PriceLot], asks: list[PriceLot]
    ) -> None:
        """Replace the book by a snapshot, then fill our orders that it crosses."""
        self._consumed.clear()
        for ladder, rows in ((self.bids, bids), (self.asks, asks)):
            ladder.clear()
            for price_tick, quantity_lot in rows:
                ladder.put(price_tick, quantity_lot)
        self._settle(update_id, time_ms)

    def apply(
        self, update_id: int, time_ms: int, bids: list[PriceLot], asks: list[PriceLot]
    ) -> None:
        """Apply a diff's absolute quantities, then fill our orders that the new book crosses."""
        for side, ladder, rows in ((BUY, self.bids, bids), (SELL, self.asks, asks)):
            for price_tick, quantity_lot in rows:
                self._consumed.pop((side, price_tick), None)
                if quantity_lot:
                    ladder.put(price_tick, quantity_lot)
                else:
                    ladder.drop(price_tick)
        self._settle(update_id, time_ms)

    def on_trade(self, price_tick: int, quantity_lot: int, taker_side: int) -> None:
        """Let a trade of the source fill our resting orders at or through its price.

        A trade at an order's price first uses up the quantity ahead of it. The orders share the
        traded quantity, best price first, then oldest.
        """
        self._traded.append(price_tick)
        if not self.orders:
            return
        makers = [o for o in self.orders.values() if o.side == -taker_side]
        makers.sort(key=lambda o: (-o.side * o.price_tick, o.order_id))
        left = quantity_lot
        for order in makers:
            through = (order.price_tick - price_tick) * order.side
            if through < 0 or left <= 0:
                break
            if through == 0:
                waited = min(order.ahead_lot, quantity_lot)
                order.ahead_lot -= waited
                quantity = min(order.remaining_lot, left, quantity_lot - waited)
            else:
                quantity = min(order.remaining_lot, left)
            left -= quantity
            self._fill_maker(order, quantity)

    def traded(self) -> tuple[int, int, int] | None:
        """Return the lowest, highest and last price since the last call, None without a trade."""
        prices, self._traded = self._traded, []
        return (min(prices), max(prices), prices[-1]) if prices else None

    def submit(self, order: ClientOrder, rests: bool) -> None:
        """Take what the order reaches; let the rest queue behind the displayed quantity."""
        if self._take(order) and rests and order.remaining_lot:
            order.ahead_lot = self.side(order.side).levels.get(order.price_tick, 0)
            self.orders[order.order_id] = order

    def amend(self, order: ClientOrder) -> None:
        """Queue a resting order anew on its changed terms; see `Market.amend`."""
        self.remove(order)
        self.submit(order, rests=True)

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take now, at most its own quantity."""
        found = 0
        for price_tick in self.side(-order.side).prices():
            if found >= order.remaining_lot or not _reaches(order, price_tick):
                break
            found += self._offered(-order.side, price_tick)
        return min(found, order.remaining_lot)

    def remove(self, order: ClientOrder) -> None:
        """Take an order out if it is there."""
        self.orders.pop(order.order_id, None)

    def top(self, side: int, limit: int) -> list[PriceLot]:
        """Return at most `limit` levels of a side, best first."""
        ladder = self.side(side)
        return [(price, ladder.levels[price]) for price in islice(ladder.prices(), limit)]

    def quote(self) -> tuple[PriceLot, PriceLot]:
        """Return best bid and best ask with their quantities, zeros for an empty side."""
        bid, ask = self.bids.best(), self.asks.best()
        return (bid, self.bids.levels.get(bid, 0)), (ask, self.asks.levels.get(ask, 0))

    def _take(self, order: ClientOrder) -> bool:
        """Walk what faces an order, best price first; return False when it must not rest.

        At a price where an order of ours rests, what is displayed ahead of it comes first, then
        the meeting of the two, then what is left of the level.
        """
        faced = self.side(-order.side)
        own = sorted(
            (o for o in self.orders.values() if o.side != order.side),
            key=lambda o: (-o.side * o.price_tick, o.order_id),
        )
        prices = set(faced.levels) if own else set()
        walk = sorted(prices.union(o.price_tick for o in own), key=lambda p: p * order.side)
        for price_tick in walk or list(faced.prices()):
            if order.remaining_lot == 0 or not _reaches(order, price_tick):
                break
            for maker in [o for o in own if o.price_tick == price_tick]:
                consumed = self._consumed.get((-order.side, price_tick), 0)
                self._take_level(order, price_tick, max(0, maker.ahead_lot - consumed))
                if order.remaining_lot and not self._meet(order, maker):
                    return False
            self._take_level(order, price_tick, order.remaining_lot)
        return True

    def _take_level(self, order: ClientOrder, price_tick: int, most_lot: int) -> None:
        offered = self._offered(-order.side, price_tick)
        quantity = min(order.remaining_lot, offered, most_lot)
        if quantity > 0:
            self._consume(-order.side, price_tick, quantity)
            self._fill_taker(order, price_tick, quantity)

    def _meet(self, taker: ClientOrder, maker: ClientOrder) -> bool:
        """Let two orders of the account meet; return False when that ends the taker.

        # Venue: "selfTradePreventionMode", the taker's mode decides.
        """
        if maker.order_id not in self.orders:
            return True
        mode = taker.prevention
        if mode == "NONE":
            quantity = min(taker.remaining_lot, maker.remaining_lot)
            self._fill_taker(taker, maker.price_tick, quantity)
            self._fill_maker(maker, quantity)
            return True
        if mode in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            self.remove(maker)
            self._on_expire(maker)
        if mode in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            self._on_expire(taker)
            return False
        return True

    def _settle(self, update_id: int, time_ms: int) -> None:
        self.last_update_id, self.time_ms = update_id, time_ms
        if self.orders:
            self._shrink_queues()
            self._fill_crossed()

    def _offered(self, side: int, price_tick: int) -> int:
        shown = self.side(side).levels.get(price_tick, 0)
        return max(0, shown - self._consumed.get((side, price_tick), 0))

    def _consume(self, side: int, price_tick: int, quantity_lot: int) -> None:
        key = (side, price_tick)
        self._consumed[key] = self._consumed.get(key, 0) + quantity_lot

    def _shrink_queues(self) -> None:
        """Bound the quantity ahead by what the level still displays."""
        for order in self.orders.values():
            shown = self.side(order.side).levels.get(order.price_tick, 0)
            order.ahead_lot = min(order.ahead_lot, shown)

    def _fill_crossed(self) -> None:
        """Fill our orders that the opposite side reached, at their own price, oldest first."""
        for order in list(self.orders.values()):
            for price_tick in list(self._reached(order)):
                if order.remaining_lot == 0 or order.order_id not in self.orders:
                    break
                quantity = min(order.remaining_lot, self._offered(-order.side, price_tick))
                self._consume(-order.side, price_tick, quantity)
                self._fill_maker(order, quantity)

    def _reached(self, order: ClientOrder) -> list[int]:
        reached = []
        for price_tick in self.side(-order.side).prices():
            if not _reaches(order, price_tick):
                break
            reached.append(price_tick)
        return reached

    def _fill_taker(self, order: ClientOrder, price_tick: int, quantity_lot: int) -> None:
        order.remaining_lot -= quantity_lot
        self._traded.append(price_tick)
        self._on_fill(order, price_tick, quantity_lot, False)

    def _fill_maker(self, order: ClientOrder, quantity_lot: int) -> None:
        # A fill may end other orders (reduce-only), so membership is checked here.
        if quantity_lot <= 0 or order.order_id not in self.orders:
            return
        order.remaining_lot -= quantity_lot
        if order.remaining_lot == 0:
            del self.orders[order.order_id]
        self._traded.append(order.price_tick)
        self._on_fill(order, order.price_tick, quantity_lot, True)


def _reaches(order: ClientOrder, price_tick: int) -> bool:
    """Tell whether the order's limit, if it has one, allows a price of the other side."""
    return not order.price_tick or (price_tick - order.price_tick) * order.side <= 0
