"""The synthetic market under a desk: what is told of the book is what the book shows."""

from __future__ import annotations

import random

import pytest
from scripted_desk import SYMBOL
from synthetic_desk import SyntheticDesk

from exchange.matching.layout import BUY, SELL


def test_a_reduce_only_order_that_the_last_fill_ended_leaves_no_level_behind():
    bench = SyntheticDesk(7)
    bench.place("BUY", 100)
    price, lot = bench.row.book.quote()[2:]
    bench.flow(BUY, lot, price)  # the level is free for ours
    first = bench.place("SELL", 100, price, reduceOnly="true")
    second = bench.place("SELL", 100, price, reduceOnly="true")
    assert first is not None
    assert second is not None
    bench.flow(BUY, 100, price)
    assert (first.status, second.status) == ("FILLED", "EXPIRED")
    assert bench.told[SELL, price] == 0
    bench.compare()


@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_of_the_levels_is_what_the_book_shows(seed):
    """Takers of ours and of others meet reduce-only orders that shrink each other."""
    print("seed", seed)
    bench, draw = SyntheticDesk(seed), random.Random(seed)
    for _ in range(400):
        bid, bid_lot, ask, ask_lot = bench.row.book.quote()
        side = draw.choice((BUY, SELL))
        held = bench.account.held_lot(SYMBOL, "BOTH")
        kind = draw.random()
        if kind < 0.15 or not held:
            bench.place("BUY" if side == BUY else "SELL", draw.randint(5, 200))
        elif kind < 0.5:
            best, closing = (ask, "SELL") if held > 0 else (bid, "BUY")
            price = best + draw.choice((0, 0, 0, 1, -1, 2))
            bench.place(closing, draw.randint(2, abs(held) + 5), price, reduceOnly="true")
        elif kind < 0.85:
            closing_side, best, lot = (SELL, ask, ask_lot) if held > 0 else (BUY, bid, bid_lot)
            deep = best + closing_side * -draw.randint(0, 2)
            bench.flow(-closing_side, lot + draw.choice((-1, 0, 0, 1, 50, 200)) or 1, deep)
        else:
            for _ in range(5):
                bench.row.step()
        bench.compare()
    orders = bench.register.orders.values()
    trimmed = sum(o.reduce_only and o.status in ("EXPIRED", "FILLED") for o in orders)
    assert trimmed > 20
