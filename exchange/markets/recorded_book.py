"""Keep a recorded book and let client orders meet it, by what the recording shows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from exchange.markets.market import PriceLot
from exchange.matching.ladder import BUY, SELL, Ladder
from exchange.orders import ClientOrder

OnFill = Callable[[ClientOrder, int, int, bool], None]  # order, ticks, lots, is maker


class RecordedBook:
    """Hold displayed quantities by price, what our takers consumed of them, and our orders.

    The recording does not know of our orders: they change no level. What a taker of ours consumed
    of a level is remembered until the recording next updates that level.
    """

    def __init__(self, on_fill: OnFill) -> None:
        self.bids: Ladder[int] = Ladder(BUY)
        self.asks: Ladder[int] = Ladder(SELL)
        self.last_update_id = 0
        self.time_ms = 0
        self.orders: dict[int, ClientOrder] = {}
        self._on_fill = on_fill
        self._consumed: dict[tuple[int, int], int] = {}

    def side(self, side: int) -> Ladder[int]:
        """Return the ladder on which orders of `side` rest."""
        return self.bids if side == BUY else self.asks

    def load(
        self, update_id: int, time_ms: int, bids: list[PriceLot], asks: list[PriceLot]
    ) -> None:
        """Replace the book by a snapshot."""
        self._consumed.clear()
        for ladder, rows in ((self.bids, bids), (self.asks, asks)):
            ladder.clear()
            for price_tick, quantity_lot in rows:
                ladder.put(price_tick, quantity_lot)
        self.last_update_id, self.time_ms = update_id, time_ms

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
        self.last_update_id, self.time_ms = update_id, time_ms
        if self.orders:
            self._shrink_queues()
            self._fill_crossed()

    def on_trade(self, price_tick: int, quantity_lot: int, taker_side: int) -> None:
        """Let a recorded trade fill our resting orders at or through its price.

        A trade at an order's price first uses up the quantity ahead of it. The orders share the
        traded quantity, best price first, then oldest.
        """
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

    def take(self, order: ClientOrder) -> None:
        """Walk the recorded levels up to the order's limit, less what we consumed already."""
        ladder = self.side(-order.side)
        for price_tick in list(ladder.prices()):
            beyond = (price_tick - order.price_tick) * order.side
            if order.remaining_lot == 0 or (order.price_tick and beyond > 0):
                break
            quantity = min(order.remaining_lot, self._offered(-order.side, price_tick))
            if quantity:
                self._consume(-order.side, price_tick, quantity)
                order.remaining_lot -= quantity
                self._on_fill(order, price_tick, quantity, False)

    def available_lot(self, order: ClientOrder) -> int:
        """Return what the order could take now, at most its own quantity."""
        found = 0
        for price_tick in self.side(-order.side).prices():
            beyond = (price_tick - order.price_tick) * order.side
            if found >= order.remaining_lot or (order.price_tick and beyond > 0):
                break
            found += self._offered(-order.side, price_tick)
        return min(found, order.remaining_lot)

    def rest(self, order: ClientOrder) -> None:
        """Put an order behind the quantity that its level displays now."""
        order.ahead_lot = self.side(order.side).levels.get(order.price_tick, 0)
        self.orders[order.order_id] = order

    def remove(self, order: ClientOrder) -> None:
        """Take an order out if it is there."""
        self.orders.pop(order.order_id, None)

    def top(self, side: int, limit: int) -> list[PriceLot]:
        """Return at most `limit` levels of a side, best first."""
        ladder = self.side(side)
        return [(price, ladder.levels[price]) for price in islice(ladder.prices(), limit)]

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
            if (price_tick - order.price_tick) * order.side > 0:
                break
            reached.append(price_tick)
        return reached

    def _fill_maker(self, order: ClientOrder, quantity_lot: int) -> None:
        # A fill may end other orders (reduce-only), so membership is checked here.
        if quantity_lot <= 0 or order.order_id not in self.orders:
            return
        order.remaining_lot -= quantity_lot
        if order.remaining_lot == 0:
            del self.orders[order.order_id]
        self._on_fill(order, order.price_tick, quantity_lot, True)
