"""Questions to a book against answers from dictionaries: recordings, extremes, far levels."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from engine import book as kernels
from engine import book_queries as queries
from engine.book_layout import BOOK, BOOK_MEASURES, WINDOW
from engine.book_window import recentre
from runtime import kernels as kernel_library
from tests.compiled import exported
from tests.naive import engine_book_queries as naive
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench, aligned
from tests.naive.engine_book import NaiveBook

ROOT = Path(__file__).resolve().parents[2]


class Asked:
    """A book, its twin, and the record that questions are answered into."""

    def __init__(self, address: int = 0, twin: NaiveBook | None = None) -> None:
        self._memory, own = aligned(BOOK.size)
        self.address = address or own
        if not address:
            kernels.begin_snapshot(own)
            kernels.end_snapshot(own)
        self.twin = twin or NaiveBook()
        self._answer_memory, self.place = aligned(BOOK_MEASURES.size)
        self.view = BOOK_MEASURES.at(self.place)

    def set(self, is_ask: int, price_tick: int, lot: int) -> None:
        kernels.apply_level(self.address, is_ask, price_tick, lot)
        self.twin.set(is_ask, price_tick, lot)

    def ask(self, ticks: int, levels: int, quantity: int, prices: tuple[int, int]) -> Any:
        view = self.view
        view.ticks, view.levels, view.quantity_lot = ticks, levels, quantity
        view.price_tick[0], view.price_tick[1] = prices
        queries.engine_book_measures(self.address, self.place)
        return view

    def check(self, ticks: int, levels: int, quantity: int, prices: tuple[int, int]) -> None:
        got, twin = self.ask(ticks, levels, quantity, prices), self.twin
        for side in range(2):
            assert got.best_tick[side] == twin.best(side)
            assert got.depth_lot[side] == naive.depth_within(twin, side, ticks)
            assert got.queue_lot[side] == naive.queue_ahead(twin, side, prices[side])
            assert got.liquidity_lot[side] == naive.liquidity(twin, side, levels)
            wanted = naive.pressure(twin, side, levels)
            assert got.pressure_lot[side] == pytest.approx(wanted, rel=1e-15)
            left, worst, mean = naive.sweep(twin, side, quantity)
            assert (got.unfilled_lot[side], got.worst_tick[side]) == (left, worst)
            # The mean is best price plus mean distance: its error is that of the larger of the two.
            error = 1e-14 * max(twin.best(side), worst)
            assert got.average_tick[side] == pytest.approx(float(mean), rel=0, abs=error)
        mid, weighted, micro = naive.prices(twin)
        assert got.mid_tick == float(mid)
        # Both add to the mid: a wide spread leaves the error of the larger price.
        error = 1e-15 * max(twin.best(0), twin.best(1))
        assert got.weighted_tick == pytest.approx(float(weighted), rel=1e-14, abs=error)
        assert got.micro_tick == pytest.approx(float(micro), rel=1e-14, abs=error)
        assert got.has_mid == int(mid > 0)

    def walk(self, is_ask: int) -> list[int]:
        found, tick = [], queries.worse_tick(self.address, is_ask, 0)
        while tick:
            found.append(tick)
            tick = queries.worse_tick(self.address, is_ask, tick)
        return found


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT"])
def test_recording(bench: Bench, name: str) -> None:
    print("seed 18")
    events, twin, rng = recording.chain(name), NaiveBook(), random.Random(18)
    asked = Asked(bench.book(), twin)
    done = compared = 0
    columns = {k: events[k].tolist() for k in ("kind", "flags", "price_tick", "quantity_lot")}
    for index, (kind, flags, tick, lot) in enumerate(zip(*columns.values(), strict=True)):
        event = {"kind": kind, "flags": flags, "price_tick": tick, "quantity_lot": lot}
        if twin.take(event) and twin.updates % 150 == 0:
            bench.run(exported().engine_process_many, events[done : index + 1])
            done, compared = index + 1, compared + 1
            bid, ask = twin.best(0), twin.best(1)
            places = (bid - rng.randint(-5, 3_000), ask + rng.randint(-5, 30_000))
            asked.check(rng.randint(0, 20_000), rng.randint(1, 40), rng.randint(0, 10**6), places)
    print(f"{name}: {compared} books compared")
    assert compared >= 50


ticks = st.one_of(st.integers(1, 40), st.integers(1, 1 << 40), st.integers(8_000, 9_000))
lots = st.sampled_from((0, 1, 7, 1 << 47))
updates = st.lists(st.tuples(st.integers(0, 1), ticks, lots), max_size=25)
questions = st.tuples(
    st.one_of(st.integers(0, 50), st.integers(0, 1 << 41)),
    st.integers(0, 30),
    st.one_of(st.integers(0, 30), st.integers(0, 1 << 50)),
    st.tuples(ticks, ticks),
)


@effort(max_examples=150, deadline=None)
@given(updates, questions, ticks)
def test_any_book(rows: list[tuple[int, int, int]], asked: Any, middle: int) -> None:
    book = Asked()
    for row in rows:
        book.set(*row)
    book.check(*asked)
    if rows:
        recentre(book.address, middle)
        book.check(*asked)
    for side in range(2):
        assert book.walk(side) == [tick for tick, _ in book.twin.levels(side, len(rows))]
        for tick in (1, 40, 8_500, 1 << 39):
            worse = [t for t in book.twin.sides[side] if (t > tick if side else t < tick)]
            best = (min(worse) if side else max(worse)) if worse else 0
            assert queries.worse_tick(book.address, side, tick) == best


def test_empty_book_answers_nothing() -> None:
    got = Asked().ask(100, 5, 10, (50, 60))
    assert (got.has_mid, got.mid_tick, got.weighted_tick, got.micro_tick) == (0, 0.0, 0.0, 0.0)
    for side in range(2):
        assert (got.depth_lot[side], got.queue_lot[side], got.unfilled_lot[side]) == (0, 0, 10)
        assert (got.worst_tick[side], got.average_tick[side]) == (0, 0.0)


def test_one_side_has_a_sweep_but_no_mid() -> None:
    book = Asked()
    book.set(0, 100, 4)
    book.set(0, 98, 2)
    got = book.ask(1, 5, 5, (98, 1))
    assert (got.has_mid, got.micro_tick, got.depth_lot[0], got.queue_lot[0]) == (0, 0.0, 4, 6)
    assert (got.unfilled_lot[0], got.worst_tick[0]) == (0, 98)
    assert got.average_tick[0] == pytest.approx((4 * 100 + 98) / 5)
    assert (got.unfilled_lot[1], got.worst_tick[1]) == (5, 0)


def test_prices_of_a_lopsided_market() -> None:
    book = Asked()
    book.set(0, 100, 9)
    book.set(1, 101, 3)
    got = book.ask(0, 1, 1, (100, 101))
    # I = 9/12: a spread of one tick makes both prices the same, 100 + 3/4.
    assert (got.mid_tick, got.weighted_tick, got.micro_tick) == (100.5, 100.75, 100.75)
    book.set(1, 101, 0)
    book.set(1, 105, 3)
    got = book.ask(0, 1, 1, (100, 105))
    assert (got.mid_tick, got.weighted_tick, got.micro_tick) == (102.5, 103.75, 102.75)


def test_levels_far_on_both_ends_of_the_window_are_walked_in_order() -> None:
    book = Asked()
    middle = 10 * WINDOW
    for step in range(60):
        for side, sign in ((0, -1), (1, 1)):
            book.set(side, middle + sign * (1 + 997 * step), 1 + step)
    # The market jumps: what was best is now better than the window, for a side at least.
    recentre(book.address, middle + 2 * WINDOW)
    for quantity in (0, 1, 500, 5_000):
        book.check(20_000, 20, quantity, (middle - 30_000, middle + 30_000))
    for side in range(2):
        assert book.walk(side) == [tick for tick, _ in book.twin.levels(side, 100)]
    assert BOOK.at(book.address).recentres == 1


def test_plain_python_equals_compiled() -> None:
    code = "from tests.engine.test_engine_book_queries import small; print(small())"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == small()


def test_ahead_of_time_equals_jit() -> None:
    if not (kernel_library.is_built() or kernel_library.compiler()):
        pytest.skip("no C compiler: kernels cannot be built ahead of time")
    assert small(kernel_library.load("ahead").engine_book_measures) == small()


def small(measures: Any = queries.engine_book_measures) -> str:
    """Return the answers of a small book as bytes in hexadecimal digits."""
    book = Asked()
    for side, tick, lot in ((0, 100, 5), (0, 99, 3), (1, 104, 2), (1, 90_000, 8), (0, 1, 4)):
        book.set(side, tick, lot)
    book.ask(2, 3, 9, (99, 90_000))
    ctypes.memset(book.place + BOOK_MEASURES.offset("has_mid"), 0, 8)
    measures(book.address, book.place)
    return ctypes.string_at(book.place, BOOK_MEASURES.size).hex()
