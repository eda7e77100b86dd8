"""The book against two dictionaries: recordings, random updates, moving windows, full tables."""

from __future__ import annotations

import ctypes
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import book as kernels
from engine.book_layout import (
    BOOK,
    BOOK_INVALID,
    BOOK_VALID,
    DUMPED_LEVEL,
    FAR_COUNT_MAX,
    WINDOW,
)
from engine.book_window import CROSSED, LOSSY, SETTLED, recentre, settle
from shm.records import EventFlag, EventKind
from tests.compiled import exported
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench, aligned
from tests.naive.engine_book import NaiveBook
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import LAST, level, row, snapshot

DUMPED_MAX = 40_000
_OUT = np.zeros(DUMPED_MAX, DUMPED_LEVEL.dtype)


def dumped(address: int) -> tuple[dict[int, int], dict[int, int]]:
    found = kernels.engine_book_dump(address, _OUT.ctypes.data, DUMPED_MAX)
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for is_ask in range(2):
        rows = _OUT[:found][_OUT[:found]["is_ask"] == is_ask]
        ticks = rows["price_tick"].tolist()
        assert len(set(ticks)) == len(ticks), "a price appears twice"
        sides[is_ask].update(zip(ticks, rows["quantity_lot"].tolist(), strict=True))
    return sides


class Pair:
    """A book and its twin."""

    def __init__(self) -> None:
        self._memory, self.address = aligned(BOOK.size)
        kernels.begin_snapshot(self.address)
        kernels.end_snapshot(self.address)
        self.view = BOOK.at(self.address)
        self.twin = NaiveBook()

    def set(self, is_ask: int, price_tick: int, lot: int) -> None:
        kernels.apply_level(self.address, is_ask, price_tick, lot)
        self.twin.set(is_ask, price_tick, lot)

    def check(self) -> None:
        assert dumped(self.address) == self.twin.sides
        pairs = (ctypes.c_int64 * 40)()
        for is_ask in range(2):
            assert kernels.best_tick(self.address, is_ask) == self.twin.best(is_ask)
            assert kernels.count_levels(self.address, is_ask) == len(self.twin.sides[is_ask])
            place = ctypes.addressof(pairs)
            count = kernels.best_levels(self.address, is_ask, 20, place)
            got = [(pairs[2 * k], pairs[2 * k + 1]) for k in range(count)]
            assert got == self.twin.levels(is_ask, 20)


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT"])
def test_recording_equals_rebuild_after_every_100th_update(bench: Bench, name: str) -> None:
    events, twin = recording.chain(name), NaiveBook()
    done = compared = 0
    columns = {k: events[k].tolist() for k in ("kind", "flags", "price_tick", "quantity_lot")}
    for index, (kind, flags, tick, lot) in enumerate(zip(*columns.values(), strict=True)):
        event = {"kind": kind, "flags": flags, "price_tick": tick, "quantity_lot": lot}
        if twin.take(event) and twin.updates % 100 == 0:
            bench.run(exported().engine_process_many, events[done : index + 1])
            done, compared = index + 1, compared + 1
            assert dumped(bench.book()) == twin.sides
            assert kernels.best_tick(bench.book(), 0) == twin.best(0)
            assert kernels.best_tick(bench.book(), 1) == twin.best(1)
    print(f"{name}: {compared} books compared, {len(twin.sides[0])} + {len(twin.sides[1])} levels")
    assert compared >= 80
    assert bench.counter("crossed") == bench.counter("far_overflow") == 0


def test_random_updates_and_a_market_that_wanders() -> None:
    print("seed 20240718")
    rng, pair, middle = random.Random(20240718), Pair(), 640_000
    for step in range(30_000):
        if step % 500 == 0:
            middle += rng.randint(-9_000, 9_000)
        is_ask = rng.randint(0, 1)
        away = int(rng.expovariate(1 / 200)) if rng.random() < 0.95 else rng.randint(0, 60_000)
        tick = middle + 1 + away if is_ask else middle - away
        pair.set(is_ask, tick, rng.choice((0, 0, 1, 2, 3)))
        if step % 250 == 249:
            for crossed in [t for t in pair.twin.sides[0] if t > middle]:
                pair.set(0, crossed, 0)
            for crossed in [t for t in pair.twin.sides[1] if t <= middle]:
                pair.set(1, crossed, 0)
            assert settle(pair.address) == SETTLED
            pair.check()
    assert pair.view.recentres > 10
    assert pair.view.far_lost == 0


ticks = st.one_of(st.integers(1, 40), st.integers(1, 1 << 40), st.integers(8_000, 9_000))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), ticks, st.sampled_from((0, 0, 1, 1 << 48)))), ticks)
def test_any_updates(updates: list[tuple[int, int, int]], middle: int) -> None:
    pair = Pair()
    for update in updates:
        pair.set(*update)
    pair.check()
    if updates:
        recentre(pair.address, middle)
        pair.check()
        settle(pair.address)
        pair.check()
    kernels.clear(pair.address)
    assert dumped(pair.address) == ({}, {})


@pytest.mark.parametrize("count", [1, 5, 20])
def test_best_levels_that_are_kept_equal_those_read_anew(count: int) -> None:
    print("seed 5")
    rng, pair = random.Random(5), Pair()
    kept = [(ctypes.c_int64 * (2 * count))() for _ in range(2)]
    known = [0, 0]
    for _ in range(4_000):
        is_ask = rng.randint(0, 1)
        away = int(rng.expovariate(1 / 15)) if rng.random() < 0.97 else rng.randint(0, 30_000)
        tick = 640_001 + away if is_ask else 640_000 - away
        pair.set(is_ask, tick, rng.choice((0, 0, 1, 2)))
        place = ctypes.addressof(kept[is_ask])
        known[is_ask] = kernels.keep_best_levels(
            pair.address, is_ask, tick, count, place, known[is_ask]
        )
        got = [(kept[is_ask][2 * k], kept[is_ask][2 * k + 1]) for k in range(known[is_ask])]
        assert got == pair.twin.levels(is_ask, count)


def test_colliding_far_prices_stay_apart() -> None:
    pair = Pair()
    pair.set(0, 1_000_000, 7)
    for step in range(3_000):
        pair.set(0, 900_000 - 128 * step, step + 1)
        pair.set(1, 1_100_000 + 8_192 * step, step + 1)
    for step in range(0, 3_000, 3):
        pair.set(0, 900_000 - 128 * step, 0)
        pair.set(1, 1_100_000 + 8_192 * step, 0)
    pair.check()
    assert kernels.quantity_at(pair.address, 0, 900_000 - 128) == 2
    assert kernels.quantity_at(pair.address, 0, 900_000) == 0


def test_full_far_table_is_counted_and_holds_the_window_where_it_is() -> None:
    pair = Pair()
    pair.set(0, 1_000_000, 7)
    for step in range(FAR_COUNT_MAX + 5):
        kernels.apply_level(pair.address, 0, 100_000 + step, 1)
    assert pair.view.far_lost == 5
    assert kernels.count_levels(pair.address, 0) == FAR_COUNT_MAX + 1
    assert settle(pair.address) == SETTLED
    kernels.apply_level(pair.address, 0, 1_000_000 + WINDOW // 3, 1)
    assert settle(pair.address) == LOSSY


def test_crossed_book_is_seen_and_one_sided_is_not_crossed() -> None:
    pair = Pair()
    pair.set(0, 100, 1)
    assert settle(pair.address) == SETTLED
    pair.set(1, 100, 1)
    assert settle(pair.address) == CROSSED
    pair.set(1, 100, 0)
    pair.set(1, 101, 1)
    assert settle(pair.address) == SETTLED
    assert pair.view.crossed_run == 0


def test_snapshot_replaces_and_invalid_withdraws(bench: Bench) -> None:
    state = BOOK.at(bench.book())
    rows = [level(0, 0, 99, 5, LAST)]
    bench.run(exported().engine_process_many, as_events(rows))
    assert state.state == BOOK_INVALID
    assert dumped(bench.book()) == ({}, {})
    bench.run(exported().engine_process_many, as_events(snapshot(1, {99: 5, 98: 4}, {101: 3})))
    assert state.state == BOOK_VALID
    assert dumped(bench.book()) == ({99: 5, 98: 4}, {101: 3})
    again = [level(2, 0, 97, 1, LAST), *snapshot(3, {95: 1}, {96: 2})]
    bench.run(exported().engine_process_many, as_events(again))
    assert dumped(bench.book()) == ({95: 1}, {96: 2})
    bench.run(exported().engine_process_many, as_events([row(EventKind.INVALID, 4)]))
    assert state.state == BOOK_INVALID
    assert bench.counter("invalidations") == 1
    unbegun = row(EventKind.SNAPSHOT_END, 5, 0, int(EventFlag.LAST))
    bench.run(exported().engine_process_many, as_events([unbegun]))
    assert state.state == BOOK_INVALID


def test_crossed_twice_is_withdrawn_and_asked_for(bench: Bench) -> None:
    rows = [*snapshot(0, {99: 5}, {101: 3}), level(1, 0, 102, 5, LAST), level(2, 0, 98, 5, LAST)]
    bench.run(exported().engine_process_many, as_events(rows[:-1]))
    assert (bench.counter("crossed"), bench.wanted(0)) == (1, 0)
    assert BOOK.at(bench.book()).state == BOOK_VALID
    bench.run(exported().engine_process_many, as_events(rows[-1:]))
    assert (bench.counter("crossed"), bench.wanted(0)) == (2, 1)
    assert BOOK.at(bench.book()).state == BOOK_INVALID


@pytest.mark.parametrize("tick,lot", [(0, 1), (-5, 1), (1 << 41, 1), (99, -1), (99, 1 << 50)])
def test_impossible_level_withdraws_the_book(bench: Bench, tick: int, lot: int) -> None:
    rows = [*snapshot(0, {99: 5}, {101: 3}), level(1, 0, tick, lot, LAST)]
    bench.run(exported().engine_process_many, as_events(rows))
    assert BOOK.at(bench.book()).state == BOOK_INVALID
    assert (bench.counter("refused"), bench.wanted(0)) == (1, 1)
