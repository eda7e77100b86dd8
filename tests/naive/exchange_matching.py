"""A slow, obvious matching book: one list of orders in the order of their arrival.

Whoever is next is searched anew for every fill; levels are sums over the list; changes are found by
comparing the sums before and after. Words instead of the kernels' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 2**40


@dataclass
class Resting:
    """One order in the list."""

    number: int
    owner: int
    side: str
    price: int
    left: int


@dataclass
class Answer:
    """What happened: fills and expiries of makers, and the levels that changed."""

    word: str
    left: int = 0
    happened: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    changed: list[tuple[str, int, int]] = field(default_factory=list)
    prevented: bool = False


def other(side: str) -> str:
    """Return the side that trades with this one."""
    return {"buy": "sell", "sell": "buy"}[side]


class NaiveBook:
    """All orders, oldest first, and the taker that waits, if one does."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []
        self.waiting: tuple[Resting, str, str] | None = None  # order, force, prevention

    def levels(self, side: str) -> list[tuple[int, int]]:
        """Return (price, total), best first."""
        sums: dict[int, int] = {}
        for order in self.orders:
            if order.side == side:
                sums[order.price] = sums.get(order.price, 0) + order.left
        return sorted(sums.items(), reverse=side == "buy")

    def queue(self, side: str, price: int) -> list[tuple[int, int]]:
        """Return (number, left) of a price, oldest first."""
        return [(o.number, o.left) for o in self.orders if (o.side, o.price) == (side, price)]

    def find(self, number: int) -> Resting | None:
        """Return an order that rests."""
        return next((o for o in self.orders if o.number == number), None)

    def tradable(self, side: str, limit: int) -> list[Resting]:
        """Return the orders that a taker of `side` may meet, the first to be met first."""
        sign = 1 if side == "buy" else -1
        against = [o for o in self.orders if o.side == other(side)]
        if limit:
            against = [o for o in against if o.price * sign <= limit * sign]
        # A stable sort: of the same price the older one stays ahead.
        return sorted(against, key=lambda o: o.price * sign)

    def refusal(self, price: int, quantity: int, force: str) -> str:
        """Return the first reason not to take an order, or nothing."""
        market = price == 0 and force in ("IOC", "FOK")
        if not market and not 1 <= price <= MOST:
            return "BAD_PRICE"
        if not 1 <= quantity <= MOST:
            return "BAD_QUANTITY"
        return "BUSY" if self.waiting else ""

    def submit(
        self,
        number: int,
        owner: int,
        side: str,
        price: int,
        quantity: int,
        force: str,
        prevention: str = "NONE",
        pause: bool = False,
    ) -> Answer:
        """Match an order."""
        refused = self.refusal(price, quantity, force)
        if refused:
            return Answer(refused)
        if force == "GTX" and self.tradable(side, price):
            return Answer("CROSSES")
        taker = Resting(number, owner, side, price, quantity)
        if force == "FOK" and sum(o.left for o in self.tradable(side, price)) < quantity:
            return Answer("EXPIRED", quantity)
        return self.match(taker, force, prevention, pause)

    def match(self, taker: Resting, force: str, prevention: str, pause: bool) -> Answer:
        """Fill a taker as far as it goes, then let it rest, wait or expire."""
        answer = Answer("EXPIRED")
        before = self.levels(other(taker.side))
        waits = False
        while taker.left and not waits:
            makers = self.tradable(taker.side, taker.price)
            if not makers:
                break
            maker = makers[0]
            same = taker.owner > 0 and taker.owner == maker.owner
            if same and prevention != "NONE" and force in ("GTC", "IOC"):
                if prevention in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
                    self.orders.remove(maker)
                    answer.happened.append(("gone", maker.number, maker.price, 0, maker.left))
                if prevention in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
                    answer.prevented = True
                    break
                continue
            traded = min(taker.left, maker.left)
            taker.left -= traded
            maker.left -= traded
            if maker.left == 0:
                self.orders.remove(maker)
            answer.happened.append(("fill", maker.number, maker.price, traded, maker.left))
            waits = pause and maker.owner > 0 and taker.left > 0
        answer.changed += self.difference(other(taker.side), before)
        answer.left = taker.left
        if taker.left == 0:
            answer.word = "FILLED"
        elif waits:
            answer.word = "PAUSED"
            self.waiting = (taker, force, prevention)
        elif force in ("GTC", "GTX") and not answer.prevented:
            answer.word = "RESTS"
            before = self.levels(taker.side)
            self.orders.append(taker)
            answer.changed += self.difference(taker.side, before)
        return answer

    def resume(self, quantity: int) -> Answer:
        """Let the waiting taker go on, or with less."""
        if self.waiting is None:
            return Answer("NOT_PAUSED")
        taker, force, prevention = self.waiting
        if not -1 <= quantity <= taker.left:
            return Answer("BAD_QUANTITY")
        if quantity >= 0:
            taker.left = quantity
        self.waiting = None
        return self.match(taker, force, prevention, True)

    def cancel(self, number: int) -> Answer:
        """Remove an order."""
        order = self.find(number)
        if order is None:
            return Answer("UNKNOWN")
        before = self.levels(order.side)
        self.orders.remove(order)
        return Answer("DONE", order.left, [], self.difference(order.side, before))

    def reduce(self, number: int, left: int) -> Answer:
        """Shrink an order where it stands."""
        order = self.find(number)
        if order is None:
            return Answer("UNKNOWN")
        if not 1 <= left <= order.left:
            return Answer("BAD_QUANTITY")
        before = self.levels(order.side)
        order.left = left
        return Answer("DONE", left, [], self.difference(order.side, before))

    def amend(
        self, number: int, price: int, left: int, force: str, prevention: str, pause: bool
    ) -> Answer:
        """Take an order out and enter it again."""
        order = self.find(number)
        if order is None:
            return Answer("UNKNOWN")
        refused = self.refusal(price, left, force)
        if not refused and force not in ("GTC", "GTX"):
            refused = "BAD_HOW"
        if not refused and force == "GTX" and self.tradable(order.side, price):
            refused = "CROSSES"
        if refused:
            return Answer(refused)
        withdrawn = self.cancel(number)
        taker = Resting(number, order.owner, order.side, price, left)
        answer = self.match(taker, force, prevention, pause)
        answer.changed = withdrawn.changed + answer.changed
        return answer

    def difference(self, side: str, before: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
        """Return the levels whose total is another one now, best first."""
        old, new = dict(before), dict(self.levels(side))
        prices = sorted(old.keys() | new.keys(), reverse=side == "buy")
        return [(side, p, new.get(p, 0)) for p in prices if old.get(p, 0) != new.get(p, 0)]
