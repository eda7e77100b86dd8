"""The synthetic market's matching side: determinism, self-trade prevention, amendments, pauses."""

from __future__ import annotations

import pytest
from synthetic_bench import Sink, kernels, new_symbol, seen

from exchange.instruments import INSTRUMENTS
from exchange.markets.market import DepthView
from exchange.markets.synthetic import SyntheticMarket, SyntheticSymbol
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub

BTC = INSTRUMENTS["BTCUSDT"]


def flow_of(seed: int, n_events: int) -> list[tuple]:
    row = new_symbol("BTCUSDT", seed, "mixed")
    events = []
    for _ in range(n_events):
        row.step()
        events.append(seen(row))
    return events


def test_same_seed_same_flow():
    assert flow_of(3, 3_000) == flow_of(3, 3_000)
    assert flow_of(3, 200) != flow_of(4, 200)


def test_a_symbols_events_do_not_depend_on_how_the_others_are_driven():
    alone = flow_of(7, 600)
    symbols = [new_symbol(name, 7, "mixed") for name in ("ETHUSDT", "BTCUSDT", "SOLUSDT")]
    events = []
    for place in range(600):
        for _ in range(place % 3):
            symbols[0].step()
        symbols[1].step()
        events.append(seen(symbols[1]))
        if place % 7 == 0:
            symbols[2].step()
    assert events == alone


def client(order_id: int, side: int, price: int, lot: int) -> ClientOrder:
    return ClientOrder(BTC, order_id, str(order_id), side, "LIMIT", "GTC", price, lot, False, 0)


@pytest.fixture
def bench() -> tuple[SyntheticSymbol, Sink]:
    row = new_symbol("BTCUSDT", 3, "quiet")
    row.sink = sink = Sink()
    return row, sink


def inside(row: SyntheticSymbol) -> int:
    """Clear the touch until the spread has room for two prices; return the lower one."""
    while row.book.best(SELL) - row.book.best(BUY) < 3:
        row.cancel(row.book.first_order(SELL, 0))
    return row.book.best(BUY) + 1


PREVENTION = [
    ("NONE", [("fill", 2), ("fill", 1)], True, True),
    ("EXPIRE_MAKER", [("expire", 1)], True, False),
    ("EXPIRE_TAKER", [("expire", 2)], False, True),
    ("EXPIRE_BOTH", [("expire", 1), ("expire", 2)], True, True),
]


@pytest.mark.parametrize(("mode", "heard", "maker_gone", "taker_gone"), PREVENTION)
def test_self_trade_prevention_is_told_for_makers_and_takers(
    bench, mode, heard, maker_gone, taker_gone
):
    row, sink = bench
    price = inside(row)
    maker, taker = client(1, SELL, price, 5), client(2, BUY, price, 5)
    taker.stp_mode = mode
    row.place(maker, rests=True)
    assert maker.slot >= 0
    row.place(taker, rests=True)
    assert [line[:2] for line in sink.heard if line[0] != "trades"] == heard
    assert (maker.slot == -1) == maker_gone
    assert (taker.slot == -1) == taker_gone


def test_a_taker_of_the_flow_waits_while_the_account_is_told(bench):
    """A reduce-only order that the fill made too large shrinks before the taker reaches it."""
    row, sink = bench
    price = inside(row)
    first, second = client(1, BUY, price, 5), client(2, BUY, price, 9)
    for order in (first, second):
        row.place(order, rests=True)
    sink.on_each_fill = lambda order: (
        row.reduce(second, 2) if order is first and second.remaining_lot > 2 else None
    )
    taker = row.flow._order(SELL, price, 14)
    row.place(taker, rests=False)
    fills = [line[1:] for line in sink.heard if line[0] == "fill"]
    assert fills == [(1, price, 5, True), (2, price, 2, True)]
    assert sink.heard[-1] == ("trades", price, price, price)
    assert (first.slot, second.slot, taker.slot) == (-1, -1, -1)
    assert row.book.total(BUY, price) == 0


def test_the_range_of_a_step_is_told_once_after_it(bench):
    row, sink = bench
    best = row.book.best(SELL)
    wanted = row.book.available_lot(BUY, best + 20, 1 << 40, 0)
    levels = [price for price, _ in row.book.top(SELL, 40) if price <= best + 20]
    row.place(client(1, BUY, best + 20, wanted), rests=False)
    assert sink.heard[-1] == ("trades", best, levels[-1], levels[-1])
    assert sum(line[0] == "trades" for line in sink.heard) == 1


def test_an_amended_order_goes_to_the_end_of_its_queue_or_takes(bench):
    row, sink = bench
    price = inside(row)
    order, later = client(1, BUY, price, 5), client(2, BUY, price, 5)
    row.place(order, rests=True)
    row.place(later, rests=True)
    assert row.book.queue(BUY, price) == [order.slot, later.slot]
    order.remaining_lot = 6
    row.amend(order)
    assert row.book.queue(BUY, price) == [later.slot, order.slot]
    assert row.book.total(BUY, price) == 5 + 6
    best = row.book.best(SELL)
    order.price_tick, order.remaining_lot = best, 4
    row.amend(order)
    assert ("fill", 1, best, 4, False) in sink.heard
    assert (order.slot, order.remaining_lot, order.price_tick) == (-1, 0, best)


def test_the_market_face_agrees_with_its_books():
    instruments = [INSTRUMENTS[s] for s in ("BTCUSDT", "ETHUSDT")]
    clock = iter(range(10**6))
    market = SyntheticMarket(
        Hub(), instruments, 7, 120.0, None, lambda: next(clock), kernels(), "quiet"
    )
    market.sink = Sink()
    view = market.depth("ETHUSDT", 5)
    assert isinstance(view, DepthView)
    assert (view.bids[0][0], view.asks[0][0]) == market.best("ETHUSDT")
    assert len(view.bids) == len(view.asks) == 5
    assert market.publishers["ETHUSDT"].last_id == view.last_update_id
    order = client(1, BUY, market.best("BTCUSDT")[1], 7)
    assert market.available_lot(order) == 7
    market.submit(order, rests=True)
    assert order.executed_lot == 0  # the sink is handed on at the start
    assert market.status()["regimes"] == {"BTCUSDT": "quiet", "ETHUSDT": "quiet"}
