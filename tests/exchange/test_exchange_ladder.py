"""One side of a mirrored book stays in price order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.markets.ladder import Ladder
from exchange.matching.layout import BUY, SELL


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
        assert len(ladder) == len(ordered)
