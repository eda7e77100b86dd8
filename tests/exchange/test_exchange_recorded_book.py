"""The recorded book's priorities: who is filled by a trade, a crossing book, an order of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from mirrored_desk import MirroredBench
from scripted_desk import SYMBOL, refusal

from exchange.instruments import INSTRUMENTS
from exchange.markets.ladder import Ladder
from exchange.markets.recorded_book import RecordedBook
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder

BTC = INSTRUMENTS["BTCUSDT"]
PRICE = 100


class Bench:
    """A recorded book of one bid level; what it fills is noted by order."""

    def __init__(self, displayed: int = 0) -> None:
        self.filled: dict[int, int] = {}
        self.heard: list[int] = []
        self.on_each_fill = lambda order: None
        self.book = RecordedBook(self._on_fill, lambda order: None)
        self.displayed = displayed
        self.book.load(1, 0, [(PRICE, displayed)] if displayed else [], [(PRICE + 9, 1_000)])

    def _on_fill(self, order: ClientOrder, price: int, lot: int, is_maker: bool) -> None:
        assert order.remaining_lot >= 0
        self.filled[order.order_id] = self.filled.get(order.order_id, 0) + lot
        self.heard.append(order.order_id)
        self.on_each_fill(order)

    def rest(self, order_id: int, lot: int, price: int = PRICE, side: int = BUY) -> ClientOrder:
        name = str(order_id)
        order = ClientOrder(BTC, order_id, name, side, "LIMIT", "GTC", price, lot, False, 0)
        self.book.submit(order, True, price)
        return order

    def update(self, bids: Sequence = (), asks: Sequence = ()) -> None:
        self.book.apply(self.book.last_update_id + 1, 0, list(bids), list(asks))
        self.book.settle()


def test_the_queue_ahead_is_used_up_once_for_all_of_our_orders():
    bench = Bench(1_000)
    first, second = bench.rest(1, 500), bench.rest(2, 500)
    bench.update(bids=[(PRICE, 500)])
    assert (first.ahead_lot, second.ahead_lot) == (500, 500)
    bench.book.on_trade(PRICE, 1_000, SELL)
    assert bench.filled == {1: 500}
    assert (first.ahead_lot, second.ahead_lot) == (0, 0)
    bench.book.on_trade(PRICE, 200, SELL)
    assert bench.filled == {1: 500, 2: 200}


def test_what_better_orders_took_does_not_serve_the_queue():
    bench = Bench(10)
    bench.rest(1, 6, PRICE + 1)
    second = bench.rest(2, 5)
    bench.book.on_trade(PRICE, 12, SELL)
    assert bench.filled == {1: 6}
    assert second.ahead_lot == 4


def serve(queue: list[list[int]], lot: int) -> None:
    """Let a trade go through a queue of [order id or 0, lots], the slow and obvious way."""
    for _ in range(lot):
        waiting = next((entry for entry in queue if entry[1]), None)
        if waiting is None:
            return
        waiting[1] -= 1


ARRIVALS = st.lists(
    st.one_of(
        st.tuples(st.just("others"), st.integers(1, 9)),
        st.tuples(st.just("ours"), st.integers(1, 9)),
        st.tuples(st.just("amend"), st.integers(0, 5)),
    ),
    min_size=1,
    max_size=12,
)


@given(ARRIVALS, st.lists(st.integers(1, 25), max_size=5))
@example([("others", 5), ("ours", 5), ("ours", 5)], [10])
def test_a_trade_serves_a_price_as_one_queue(arrivals, trades):
    """Others and ours stand in one queue; ours get what a walk through it would give them."""
    bench, queue = Bench(), []
    ours: list[ClientOrder] = []
    for kind, number in arrivals:
        if kind == "others":
            bench.displayed += number
            bench.update(bids=[(PRICE, bench.displayed)])
            queue.append([0, number])
        elif kind == "ours":
            ours.append(bench.rest(len(ours) + 1, number))
            queue.append([len(ours), number])
        elif number < len(ours):
            bench.book.amend(ours[number])
            queue.append(queue.pop([entry[0] for entry in queue].index(number + 1)))
    for traded in trades:
        before = sum(bench.filled.values())
        ahead = {o.order_id: o.ahead_lot for o in bench.book.orders.values()}
        done = dict(bench.filled)
        bench.book.on_trade(PRICE, traded, SELL)
        gained = sum(bench.filled.values()) - before
        served = [n for n in ahead if bench.filled.get(n, 0) > done.get(n, 0)]
        assert gained <= max(0, traded - max((ahead[n] for n in served), default=0))
        serve(queue, traded)
        left = {entry[0]: entry[1] for entry in queue if entry[0]}
        assert {order.order_id: order.remaining_lot for order in ours} == left


def test_an_order_that_a_fill_ended_takes_nothing_of_the_trade():
    bench = Bench()
    orders = [bench.rest(number, 100) for number in (1, 2, 3)]
    bench.on_each_fill = lambda order: bench.book.remove(orders[1])
    bench.book.on_trade(PRICE, 200, SELL)
    assert bench.filled == {1: 100, 3: 100}


def test_an_order_that_a_fill_shrank_leaves_the_rest_to_the_next():
    bench = Bench()
    orders = [bench.rest(number, 100) for number in (1, 2, 3)]

    def shrink(order: ClientOrder) -> None:
        if order is orders[0]:
            orders[1].remaining_lot = 30

    bench.on_each_fill = shrink
    bench.book.on_trade(PRICE, 200, SELL)
    assert bench.filled == {1: 100, 2: 30, 3: 70}


def test_an_order_that_a_fill_ended_takes_nothing_of_a_crossing_book():
    bench = Bench()
    orders = [bench.rest(number, 10) for number in (1, 2, 3)]
    bench.on_each_fill = lambda order: bench.book.remove(orders[1])
    bench.update(asks=[(PRICE - 1, 15)])
    assert bench.filled == {1: 10, 3: 5}


def test_an_amended_order_is_behind_those_that_rested_already():
    bench = Bench()
    first = bench.rest(1, 10)
    bench.rest(2, 10)
    bench.book.amend(first)
    bench.book.on_trade(PRICE, 5, SELL)
    assert bench.filled == {2: 5}
    bench.update(asks=[(PRICE, 7)])
    assert bench.filled == {2: 10, 1: 2}
    taker = ClientOrder(BTC, 9, "9", SELL, "LIMIT", "FOK", PRICE, 3, False, 0)
    bench.book.submit(taker, False, PRICE)
    assert bench.filled == {2: 10, 1: 5, 9: 3}


def test_a_crossing_book_fills_the_better_price_first():
    bench = Bench()
    bench.rest(1, 10, PRICE - 2)
    bench.rest(2, 10, PRICE)
    bench.rest(3, 10, PRICE - 1)
    bench.update(asks=[(PRICE - 5, 25)])
    assert bench.heard == [2, 3, 1]
    assert bench.filled == {2: 10, 3: 10, 1: 5}


class CountedLadder(Ladder[int]):
    """Count the levels that are looked at."""

    looked = 0

    def prices(self) -> Iterator[int]:
        for price in super().prices():
            self.looked += 1
            yield price


def test_a_taker_looks_at_no_more_levels_than_it_reaches():
    bench = Bench()
    bench.book.asks = faced = CountedLadder(SELL)
    bench.update(asks=[(PRICE + n, 2) for n in range(1, 3_000)])
    bench.rest(1, 5, PRICE + 2_000, SELL)
    faced.looked = 0
    order = ClientOrder(BTC, 9, "9", BUY, "MARKET", "GTC", 0, 5, False, 0)
    bench.book.submit(order, False, 0)
    assert bench.filled == {9: 5}
    assert faced.looked <= 5


def test_levels_and_own_orders_are_taken_in_order_of_price():
    bench = Bench()
    prices: list[int] = []
    bench.update(asks=[(105, 2), (107, 2), (110, 2)])
    bench.rest(1, 3, 106, SELL)
    bench.rest(2, 3, 104, SELL)
    bench.on_each_fill = lambda order: prices.append(order.price_tick)
    taker = ClientOrder(BTC, 9, "9", BUY, "LIMIT", "FOK", 107, 10, False, 0)
    bench.book.submit(taker, False, 107)
    assert [n for n in bench.heard if n != 9] == [2, 1]
    assert bench.filled == {9: 10, 2: 3, 1: 3}
    assert bench.book.traded() == (104, 107, 107)


def test_a_post_only_order_is_refused_where_it_would_take_from_one_of_the_account():
    bench = MirroredBench()
    bench.update(asks=[["64000.1", "0"]])
    sell = bench.place("SELL", "LIMIT", "0.010", "64050.0")
    terms = ("BUY", "LIMIT", "0.010")
    assert refusal(bench.place, *terms, "64050.0", timeInForce="GTX") == -5022
    buy = bench.place(*terms, "64049.9", timeInForce="GTX")
    assert (sell.status, buy.status) == ("NEW", "NEW")
    change = {"orderId": str(buy.order_id), "quantity": "0.010", "price": "64050.0"}
    bench.desk.amendments.amend({"symbol": SYMBOL, "side": "BUY", **change})
    assert (sell.status, buy.status) == ("NEW", "CANCELED")
    assert bench.held() == 0
