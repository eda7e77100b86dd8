"""The trigger index against a list that is searched from end to end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.trading.triggers import SPARE_ROWS, TriggerIndex

LEVEL = st.tuples(st.integers(1, 60), st.booleans())
STEP = st.one_of(
    st.tuples(st.just("watch"), st.integers(1, 8), st.lists(LEVEL, min_size=1, max_size=2)),
    st.tuples(st.just("forget"), st.integers(1, 8), st.none()),
    st.tuples(st.just("price"), st.integers(1, 60), st.integers(0, 10)),
)


class PlainIndex:
    def __init__(self) -> None:
        self.levels: dict[int, list[tuple[int, bool]]] = {}

    def reached(self, low: int, high: int) -> set[int]:
        found = {
            order_id
            for order_id, levels in self.levels.items()
            if any(high >= tick if rises else low <= tick for tick, rises in levels)
        }
        for order_id in found:
            del self.levels[order_id]
        return found


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(STEP, max_size=60))
def test_it_finds_what_a_search_finds(steps):
    index, plain = TriggerIndex(), PlainIndex()
    for kind, number, more in steps:
        if kind == "watch":
            index.watch(number, more)
            plain.levels[number] = more
        elif kind == "forget":
            index.forget(number)
            plain.levels.pop(number, None)
        else:
            found = index.reached(number, number + more, number)
            assert len(found) == len(set(found))
            assert set(found) == plain.reached(number, number + more)
        assert len(index) == len(plain.levels)


def test_the_nearest_to_the_price_before_comes_first_in_either_direction():
    index = TriggerIndex()
    for order_id, tick in ((1, 105), (2, 101), (3, 104)):
        index.watch(order_id, [(tick, True)])
    for order_id, tick in ((4, 99), (5, 98)):
        index.watch(order_id, [(tick, False)])
    assert index.reached(98, 104, 100) == [2, 4, 5, 3]
    assert index.reached(98, 104, 100) == []
    assert index.reached(105, 105, 100) == [1]


def test_what_was_reached_already_comes_before_all_and_the_oldest_of_equals_first():
    index = TriggerIndex()
    index.watch(1, [(101, True)])
    index.watch(2, [(90, True)])  # long passed: it could not fire until now
    index.watch(3, [(99, False), (101, True)])
    index.watch(4, [(101, True)])
    assert index.reached(99, 102, 100) == [2, 1, 3, 4]


def test_dead_rows_do_not_pile_up():
    index = TriggerIndex()
    for tick in range(1, 5_000):
        index.watch(1, [(10_000 + tick, True), (5_000 - tick % 4_000, False)])
    assert len(index._rising) <= SPARE_ROWS + 5
    assert len(index._falling) <= SPARE_ROWS + 5
    assert index.reached(5_000, 14_999, 10_000) == [1]
