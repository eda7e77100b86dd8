"""Market orders go no further from the mark price than `marketTakeBound`, on every market."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mirrored_desk import BTC, MirroredBench
from scripted_desk import SYMBOL
from scripted_desk import Bench as ScriptedBench
from synthetic_desk import SyntheticDesk

from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder


def market_order(side: int, take_bound_e4: int) -> ClientOrder:
    return ClientOrder(
        replace(BTC, take_bound_e4=take_bound_e4), 1, "1", side, "MARKET", "GTC", 0, 10, False, 0
    )


@pytest.mark.parametrize(
    ("side", "mark", "bound_e4", "limit"),
    [
        (BUY, 640_000, 500, 672_000),
        (SELL, 640_000, 500, 608_000),
        (BUY, 101, 500, 106),
        (SELL, 101, 500, 96),
        (SELL, 101, 10_000, 1),
        (SELL, 1, 500, 1),
        (BUY, 0, 500, 0),
        (SELL, 0, 500, 0),
    ],
)
def test_the_limit_of_a_market_order_is_the_bound_rounded_towards_the_mark(
    side, mark, bound_e4, limit
):
    market = ScriptedBench(quotes=0).market
    market.marks_by_symbol[SYMBOL] = mark
    assert market.limit_tick(market_order(side, take_bound_e4=bound_e4)) == limit


def test_a_scripted_market_expires_what_lies_beyond_the_bound():
    bench = ScriptedBench(quotes=1)
    bench.market.marks_by_symbol[SYMBOL] = 640_000
    bench.market.quote(SELL, 672_000, 5)
    bench.market.quote(SELL, 672_001, 5)
    order = bench.place("BUY", "MARKET", "0.020")
    assert (order.status, order.executed_lot) == ("EXPIRED", 15)
    assert bench.events.orders()[-1] == ("EXPIRED", "EXPIRED")


@pytest.mark.parametrize(("side", "bound"), [("BUY", "67200.0"), ("SELL", "60800.0")])
def test_a_mirrored_market_expires_what_lies_beyond_the_bound(side, bound):
    bench = MirroredBench()
    bench.market.mark = 640_000
    bids = [["64000.0", "0"], ["63900.0", "0"], ["60800.0", "0.003"], ["60799.9", "5"]]
    asks = [["64000.1", "0"], ["64100.0", "0"], ["67200.0", "0.003"], ["67200.1", "5"]]
    bench.update(bids, asks)
    order = bench.place(side, "MARKET", "0.010")
    assert (order.status, order.executed_lot) == ("EXPIRED", 3)
    assert order.average_text().startswith(bound)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_the_synthetic_market_expires_what_lies_beyond_the_bound(side):
    bench = SyntheticDesk(7)
    book, direction = bench.row.book, BUY if side == "BUY" else SELL
    mark = bench.market.mark_tick(SYMBOL)
    narrow = replace(BTC, take_bound_e4=2)
    bench.market.instruments[SYMBOL] = narrow
    bench.row.instrument = narrow
    bound = bench.market.limit_tick(market_order(direction, take_bound_e4=2))
    assert abs(bound - mark) < mark // 4_000
    reachable = book.available_lot(direction, bound, 1 << 40)
    order = bench.place(side, reachable + 1_000)
    assert order is not None
    assert (order.status, order.executed_lot) == ("EXPIRED", reachable)
    assert book.available_lot(direction, bound, 1 << 40) == 0
    assert book.best(-direction) != 0
    bench.compare()
