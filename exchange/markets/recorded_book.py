"""Keep a book of displayed levels and let client orders meet it, by what the levels show."""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge
from itertools import groupby, islice

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

    # Invariant: `orders` holds ours in the order in which they queued; an amended one queues anew.
    Every walk over them is by price, then by that order.
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
        """Replace the book by a snapshot; `settle` then fills our orders that it crosses."""
        self._consumed.clear()
        for ladder, rows in ((self.bids, bids), (self.asks, asks)):
            ladder.clear()
            for price_tick, quantity_lot in rows:
                ladder.put(price_tick, quantity_lot)
        self._arrive(update_id, time_ms)

    def apply(
        self, update_id: int, time_ms: int, bids: list[PriceLot], asks: list[PriceLot]
    ) -> None:
        """Apply a diff's absolute quantities; `settle` then fills our orders that it crosses."""
        for side, ladder, rows in ((BUY, self.bids, bids), (SELL, self.asks, asks)):
            for price_tick, quantity_lot in rows:
                self._consumed.pop((side, price_tick), None)
                if quantity_lot:
                    ladder.put(price_tick, quantity_lot)
                else:
                    ladder.drop(price_tick)
        self._arrive(update_id, time_ms)

    def settle(self) -> None:
        """Fill our orders that the opposite side reached, at their own price, by priority."""
        if not self.orders:
            return
        for order in [*self._queued(BUY), *self._queued(SELL)]:
            for price_tick in self.side(-order.side).prices():
                if order.order_id not in self.orders:
                    break  # it is filled, or the fills of others ended it
                if not _reaches(order.side, order.price_tick, price_tick):
                    break
                offered = self._offered(-order.side, price_tick)
                filled = self._fill_maker(order, min(order.remaining_lot, offered))
                if filled:
                    self._consume(-order.side, price_tick, filled)

    def on_trade(self, price_tick: int, quantity_lot: int, taker_side: int) -> None:
        """Let a trade of the source fill our resting orders at or through its price.

        The orders share what was traded, by priority. At the trade's own price the displayed
        quantity ahead of an order is served before it, and is not there for those behind it.

        # Invariant: ours get no more than the trade less the longest queue that it used up.
        """
        self._traded.append(price_tick)
        if not self.orders:
            return
        left, used_ahead = quantity_lot, 0  # what no order of ours took; of it, what others had
        for order in self._queued(-taker_side):
            through = (order.price_tick - price_tick) * order.side
            if through < 0 or left == 0:
                break
            if order.order_id not in self.orders:
                continue  # the fills before ended it
            if through == 0:
                waited = min(order.ahead_lot, left)
                order.ahead_lot -= waited
                used_ahead = max(used_ahead, waited)
            left -= self._fill_maker(order, min(order.remaining_lot, left - used_ahead))

    def traded(self) -> tuple[int, int, int] | None:
        """Return the lowest, highest and last price since the last call, None without a trade."""
        prices, self._traded = self._traded, []
        return (min(prices), max(prices), prices[-1]) if prices else None

    def submit(self, order: ClientOrder, rests: bool, limit_tick: int) -> None:
        """Take what the order reaches; let the rest queue behind the displayed quantity.

        `limit_tick` is the worst price it may take at, 0 for none.
        """
        if self._take(order, limit_tick) and rests and order.remaining_lot:
            order.ahead_lot = self.side(order.side).levels.get(order.price_tick, 0)
            self.orders[order.order_id] = order

    def amend(self, order: ClientOrder) -> None:
        """Queue a resting order anew on its changed terms; see `Market.amend`."""
        self.remove(order)
        self.submit(order, True, order.price_tick)

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take now, at most its own quantity."""
        found = 0
        for price_tick in self.side(-order.side).prices():
            if found >= order.remaining_lot:
                break
            if not _reaches(order.side, order.price_tick, price_tick):
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

    def crosses(self, side: int, price_tick: int) -> bool:
        """Tell whether a limit at that price would take at once, of the levels or of our orders."""
        best = self.side(-side).best()
        if best and _reaches(side, price_tick, best):
            return True
        own = (o.price_tick for o in self.orders.values() if o.side != side)
        return any(_reaches(side, price_tick, price) for price in own)

    def _queued(self, side: int) -> list[ClientOrder]:
        """Return our resting orders of a side by priority: price, then who queued first."""
        own = [order for order in self.orders.values() if order.side == side]
        own.sort(key=lambda o: -o.side * o.price_tick)
        return own

    def _take(self, order: ClientOrder, limit_tick: int) -> bool:
        """Walk what faces an order, best price first; return False when it must not rest.

        At a price where an order of ours rests, what is displayed ahead of it comes first, then
        the meeting of the two, then what is left of the level. Bound: the levels it reaches.
        """
        side, own = order.side, self._queued(-order.side)
        displayed = self.side(-side).prices()
        # A book has thousands of levels and an order takes few of them, so they are not listed.
        prices = merge(displayed, (o.price_tick for o in own), key=lambda price: price * side)
        for price_tick, _ in groupby(prices):
            if not order.remaining_lot or not _reaches(side, limit_tick, price_tick):
                break
            for maker in [o for o in own if o.price_tick == price_tick]:
                consumed = self._consumed.get((-side, price_tick), 0)
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

    def _arrive(self, update_id: int, time_ms: int) -> None:
        """Note where the book is now, and bound the quantity ahead by what a level displays."""
        self.last_update_id, self.time_ms = update_id, time_ms
        for order in self.orders.values():
            shown = self.side(order.side).levels.get(order.price_tick, 0)
            order.ahead_lot = min(order.ahead_lot, shown)

    def _offered(self, side: int, price_tick: int) -> int:
        shown = self.side(side).levels.get(price_tick, 0)
        return max(0, shown - self._consumed.get((side, price_tick), 0))

    def _consume(self, side: int, price_tick: int, quantity_lot: int) -> None:
        key = (side, price_tick)
        self._consumed[key] = self._consumed.get(key, 0) + quantity_lot

    def _fill_taker(self, order: ClientOrder, price_tick: int, quantity_lot: int) -> None:
        order.remaining_lot -= quantity_lot
        self._traded.append(price_tick)
        self._on_fill(order, price_tick, quantity_lot, False)

    def _fill_maker(self, order: ClientOrder, quantity_lot: int) -> int:
        """Fill a resting order; return how much: none if it has left the book meanwhile."""
        # A fill may end other orders (reduce-only), so membership is checked here.
        if quantity_lot <= 0 or order.order_id not in self.orders:
            return 0
        order.remaining_lot -= quantity_lot
        if order.remaining_lot == 0:
            del self.orders[order.order_id]
        self._traded.append(order.price_tick)
        self._on_fill(order, order.price_tick, quantity_lot, True)
        return quantity_lot


def _reaches(side: int, limit_tick: int, price_tick: int) -> bool:
    """Tell whether a limit, 0 for none, allows a price of the other side."""
    return not limit_tick or (price_tick - limit_tick) * side <= 0
