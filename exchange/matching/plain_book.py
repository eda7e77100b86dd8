"""Match orders by price, then time, at order level: the book of one instrument."""

from __future__ import annotations

from collections.abc import Callable

from exchange.matching.ladder import BUY, SELL, Ladder


class RestingOrder:
    """Be an order that can rest in a book; `owner` is 0 for the market's own flow."""

    __slots__ = ("order_id", "owner", "price_tick", "remaining_lot", "side")

    def __init__(
        self, order_id: int, side: int, price_tick: int, remaining_lot: int, owner: int = 0
    ) -> None:
        self.order_id = order_id
        self.side = side
        self.price_tick = price_tick
        self.remaining_lot = remaining_lot
        self.owner = owner


class Level:
    """Hold the orders of one price in arrival order, and their total in lots."""

    __slots__ = ("orders", "total_lot")

    def __init__(self) -> None:
        self.orders: dict[int, RestingOrder] = {}
        self.total_lot = 0


OnFill = Callable[[RestingOrder, int, int], None]  # maker, price in ticks, quantity in lots
OnExpire = Callable[[RestingOrder], None]


class Book:
    """Hold both sides of one instrument.

    # Invariant: the best bid is below the best ask, no level is empty, and a level's total is the
    # sum of what remains of its orders.
    """

    __slots__ = ("asks", "bids", "changed")

    def __init__(self) -> None:
        self.bids: Ladder[Level] = Ladder(BUY)
        self.asks: Ladder[Level] = Ladder(SELL)
        self.changed: list[tuple[int, int]] = []  # (side, price) in the order they changed

    def own(self, side: int) -> Ladder[Level]:
        """Return the side on which an order of `side` rests."""
        return self.bids if side == BUY else self.asks

    def opposite(self, side: int) -> Ladder[Level]:
        """Return the side that an order of `side` takes from."""
        return self.asks if side == BUY else self.bids

    def crosses(self, side: int, price_tick: int) -> bool:
        """Tell whether a limit at that price would take."""
        best = self.opposite(side).best()
        return best != 0 and (best - price_tick) * side <= 0

    def available_lot(self, side: int, limit_tick: int, wanted_lot: int, not_owner: int) -> int:
        """Return the quantity that an order could take up to its limit, at most `wanted_lot`.

        `limit_tick` 0 means no limit. Orders of `not_owner` do not count (0: all count).
        """
        ladder = self.opposite(side)
        found = 0
        for price in ladder.prices():
            if (limit_tick and (price - limit_tick) * side > 0) or found >= wanted_lot:
                break
            level = ladder.levels[price]
            found += level.total_lot
            if not_owner:
                own = (o.remaining_lot for o in level.orders.values() if o.owner == not_owner)
                found -= sum(own)
        return min(found, wanted_lot)

    def take(
        self,
        side: int,
        limit_tick: int,
        quantity_lot: int,
        on_fill: OnFill,
        on_expire: OnExpire,
        owner: int = 0,
    ) -> int:
        """Take liquidity up to a limit (0: none); return what is left of the quantity.

        `on_fill(maker, price_tick, quantity_lot)` and `on_expire(maker)` are called one by one with
        the book already changed; they may remove or shrink other orders.

        # Venue: "selfTradePreventionMode" EXPIRE_MAKER: an owner's resting order that its own
        taker meets leaves the book unfilled. The loop is bounded by the orders on the other side.
        """
        ladder = self.opposite(side)
        while quantity_lot > 0 and len(ladder):
            price = ladder.best()
            if limit_tick and (price - limit_tick) * side > 0:
                break
            level = ladder.levels[price]
            self.changed.append((-side, price))
            while quantity_lot > 0 and level.orders:
                maker = next(iter(level.orders.values()))
                own = owner != 0 and maker.owner == owner
                quantity = maker.remaining_lot if own else min(quantity_lot, maker.remaining_lot)
                maker.remaining_lot -= 0 if own else quantity
                level.total_lot -= quantity
                if own or maker.remaining_lot == 0:
                    del level.orders[maker.order_id]
                if own:
                    on_expire(maker)
                    continue
                quantity_lot -= quantity
                on_fill(maker, price, quantity)
            if not level.orders:
                ladder.drop(price)
        return quantity_lot

    def rest(self, order: RestingOrder) -> None:
        """Put an order at the end of its price's queue. It must not cross."""
        ladder = self.own(order.side)
        level = ladder.levels.get(order.price_tick)
        if level is None:
            level = Level()
            ladder.put(order.price_tick, level)
        level.orders[order.order_id] = order
        level.total_lot += order.remaining_lot
        self.changed.append((order.side, order.price_tick))

    def remove(self, order: RestingOrder) -> bool:
        """Take an order out of the book; return False when it is not there."""
        ladder = self.own(order.side)
        level = ladder.levels.get(order.price_tick)
        if level is None or level.orders.pop(order.order_id, None) is None:
            return False
        level.total_lot -= order.remaining_lot
        if not level.orders:
            ladder.drop(order.price_tick)
        self.changed.append((order.side, order.price_tick))
        return True

    def reduce(self, order: RestingOrder, remaining_lot: int) -> None:
        """Shrink a resting order; it keeps its place in the queue."""
        level = self.own(order.side).levels[order.price_tick]
        level.total_lot -= order.remaining_lot - remaining_lot
        order.remaining_lot = remaining_lot
        self.changed.append((order.side, order.price_tick))

    def total_lot(self, side: int, price_tick: int) -> int:
        """Return the displayed quantity of a level, 0 when there is none."""
        level = self.own(side).levels.get(price_tick)
        return level.total_lot if level is not None else 0
