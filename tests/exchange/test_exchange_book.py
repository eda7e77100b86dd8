"""The matching engine: priority, limits, self-trade, and conservation of quantity."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.matching.ladder import BUY, SELL, Ladder
from exchange.matching.plain_book import Book, RestingOrder


def filled_book(*rows: tuple[int, int, int, int]) -> Book:
    book = Book()
    for order_id, side, price, quantity in rows:
        book.rest(RestingOrder(order_id, side, price, quantity))
    return book


def take(book: Book, side: int, limit: int, quantity: int, owner: int = 0):
    fills: list[tuple[int, int, int]] = []
    expired: list[int] = []
    left = book.take(
        side,
        limit,
        quantity,
        lambda maker, price, lot: fills.append((maker.order_id, price, lot)),
        lambda maker: expired.append(maker.order_id),
        owner,
    )
    return fills, left, expired


BOOK = (
    (1, SELL, 101, 5),
    (2, SELL, 101, 3),
    (3, SELL, 103, 10),
    (4, BUY, 99, 4),
    (5, BUY, 98, 6),
)

# side, limit, quantity -> fills (maker, price, lots), left
TABLE = [
    (BUY, 100, 4, [], 4),
    (BUY, 101, 4, [(1, 101, 4)], 0),
    (BUY, 101, 6, [(1, 101, 5), (2, 101, 1)], 0),
    (BUY, 102, 10, [(1, 101, 5), (2, 101, 3)], 2),
    (BUY, 0, 10, [(1, 101, 5), (2, 101, 3), (3, 103, 2)], 0),
    (BUY, 0, 99, [(1, 101, 5), (2, 101, 3), (3, 103, 10)], 81),
    (SELL, 100, 4, [], 4),
    (SELL, 98, 7, [(4, 99, 4), (5, 98, 3)], 0),
    (SELL, 0, 50, [(4, 99, 4), (5, 98, 6)], 40),
]


@pytest.mark.parametrize(("side", "limit", "quantity", "fills", "left"), TABLE)
def test_taker_walks_by_price_then_time(side, limit, quantity, fills, left):
    book = filled_book(*BOOK)
    available = book.available_lot(side, limit, quantity, 0)
    assert take(book, side, limit, quantity) == (fills, left, [])
    assert available == quantity - left


def test_cancelled_order_loses_its_place_and_a_shrunk_one_keeps_it():
    book = filled_book((1, SELL, 10, 5), (2, SELL, 10, 5), (3, SELL, 10, 5))
    orders = book.asks.levels[10].orders
    first, second = orders[1], orders[2]
    assert book.remove(first)
    assert not book.remove(first)
    book.reduce(second, 2)
    book.rest(first)
    assert take(book, BUY, 10, 8)[0] == [(2, 10, 2), (3, 10, 5), (1, 10, 1)]


def test_owner_meets_its_own_order():
    book = filled_book((1, SELL, 10, 5))
    own = RestingOrder(2, SELL, 9, 4, owner=1)
    book.rest(own)
    assert book.available_lot(BUY, 0, 9, 1) == 5
    assert take(book, BUY, 0, 6, owner=1) == ([(1, 10, 5)], 1, [2])
    assert len(book.asks) == 0


class NaiveBook:
    """A slow twin: one list of orders, searched anew for every fill."""

    def __init__(self) -> None:
        self.orders: list[list[int]] = []  # id, side, price, remaining

    def place(self, order_id: int, side: int, price: int, quantity: int) -> list[tuple]:
        fills = []
        while quantity:
            others = [o for o in self.orders if o[1] == -side and (o[2] - price) * side <= 0]
            if not others:
                self.orders.append([order_id, side, price, quantity])
                break
            best = min(others, key=lambda o: (o[2] * side, self.orders.index(o)))
            lot = min(quantity, best[3])
            best[3] -= lot
            quantity -= lot
            fills.append((best[0], best[2], lot))
            if not best[3]:
                self.orders.remove(best)
        return fills

    def cancel(self, order_id: int) -> None:
        self.orders = [o for o in self.orders if o[0] != order_id]


STEP = st.one_of(
    st.tuples(
        st.just("place"), st.sampled_from((BUY, SELL)), st.integers(90, 110), st.integers(1, 20)
    ),
    st.tuples(st.just("cancel"), st.integers(0, 40), st.just(0), st.just(0)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(STEP, max_size=60))
def test_book_equals_its_naive_twin(steps):
    book, naive = Book(), NaiveBook()
    placed: list[RestingOrder] = []
    entered = traded = cancelled = 0
    for kind, a, b, c in steps:
        if kind == "cancel":
            if a < len(placed) and book.remove(placed[a]):
                cancelled += placed[a].remaining_lot
            naive.cancel(a)
            continue
        order = RestingOrder(len(placed), a, b, c)
        placed.append(order)
        entered += c
        fills, order.remaining_lot, _ = take(book, a, b, c)
        if order.remaining_lot:
            book.rest(order)
        assert fills == naive.place(order.order_id, a, b, c)
        traded += sum(lot for _, _, lot in fills)
        bid, ask = book.bids.best(), book.asks.best()
        assert not (bid and ask) or bid < ask, "the book is crossed"
    resting = 0
    for ladder in (book.bids, book.asks):
        for level in ladder.levels.values():
            assert level.total_lot == sum(o.remaining_lot for o in level.orders.values()) > 0
            resting += level.total_lot
    assert entered == 2 * traded + cancelled + resting
    assert resting == sum(o[3] for o in naive.orders)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from((BUY, SELL)), st.lists(st.tuples(st.booleans(), st.integers(1, 50))))
def test_ladder_stays_sorted(side, steps):
    ladder: Ladder[int] = Ladder(side)
    naive: set[int] = set()
    for add, price in steps:
        if add:
            ladder.put(price, 1)
            naive.add(price)
        else:
            ladder.drop(price)
            naive.discard(price)
        ordered = sorted(naive, reverse=side == BUY)
        assert list(ladder.prices()) == ordered
        assert ladder.best() == (ordered[0] if ordered else 0)
        assert not ordered or ladder.nth(2) == ordered[min(2, len(ordered) - 1)]
