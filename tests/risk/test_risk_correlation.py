"""Correlation of mid-price returns: against numpy, on the desk, and what is not known."""

from __future__ import annotations

import ctypes
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.correlation import (
    UNKNOWN,
    correlation_of,
    likeness_of,
    observe_prices,
    pair_index,
    take_returns,
)
from risk.limit_state import PAIR_COUNT
from risk.state import CORRELATION, CORRELATION_OFFSET, PAIR, PAIRS_OFFSET
from shm.records import SYMBOL_COUNT_MAX
from tests.naive.risk_correlation import Prices
from tests.risk.test_risk_exposure import LARGE, check_counts, try_entry

SECOND = 1_000_000_000
MIN = 5


class Estimate:
    """A CORRELATION record and all pairs, as a fresh start leaves them."""

    def __init__(self) -> None:
        self.record = CORRELATION.new()
        self._pairs = ctypes.create_string_buffer(PAIR.size * PAIR_COUNT)
        self.address = ctypes.addressof(self.record)
        self.pairs = ctypes.addressof(self._pairs)


def step(estimate: Estimate, prices: Prices, mids: list[float | None], decay: float) -> None:
    """Give both the next prices; returns as `observe_prices` makes them."""
    before = prices.rows[-1] if prices.rows else [None] * len(mids)
    prices.add(mids)
    for symbol, (old, new) in enumerate(zip(before, mids, strict=True)):
        known = old is not None and new is not None
        estimate.record.step_return[symbol] = new / old - 1.0 if known else math.nan
    take_returns(estimate.address, estimate.pairs, len(mids), decay)


def agree(estimate: Estimate, prices: Prices, count: int) -> None:
    for first in range(count):
        for second in range(count):
            found = correlation_of(estimate.pairs, first, second, MIN)
            wanted = prices.correlation(first, second, MIN)
            if wanted is None:
                assert found == UNKNOWN
            else:
                assert math.isclose(found, wanted, abs_tol=1e-9), (first, second)
                assert -1.0 <= found <= 1.0
            for sign in (1, -1):
                for least in (0.0, 0.4, 1.0):
                    alike = likeness_of(estimate.pairs, first, second, MIN, sign, least)
                    above = UNKNOWN if wanted is None else max(least, found * sign)
                    assert math.isclose(alike, above, abs_tol=1e-15), (first, second, least)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 60),
    st.sampled_from([0.5, 0.9, 0.9977, 1.0]), st.floats(0.0, 0.4),
)  # fmt: skip
def test_any_prices_agree_with_numpy(seed, count, steps, decay, missing):
    generator = np.random.default_rng(seed)
    estimate, prices = Estimate(), Prices(decay)
    mixing = generator.normal(size=(count, count))
    mids = np.full(count, 1000.0)
    for _ in range(steps):
        mids = mids * (1.0 + 1e-3 * mixing @ generator.normal(size=count))
        gone = generator.random(count) < missing
        step(estimate, prices, [None if g else m for g, m in zip(gone, mids, strict=True)], decay)
    agree(estimate, prices, count)


def test_pairs_have_places_of_their_own():
    places = {pair_index(i, j) for i in range(SYMBOL_COUNT_MAX) for j in range(i + 1)}
    assert places == set(range(len(places))) and pair_index(3, 7) == pair_index(7, 3)


def test_a_price_that_never_moves_is_not_known_and_likeness_is():
    estimate, prices = Estimate(), Prices(0.9)
    for k in range(20):
        up = 1000.0 + (k % 3)
        step(estimate, prices, [up, 2 * up, 5000.0 - 3 * up, 77.0], 0.9)
    pairs = estimate.pairs
    assert correlation_of(pairs, 0, 1, MIN) == pytest.approx(1.0, abs=1e-6)
    assert correlation_of(pairs, 0, 2, MIN) == pytest.approx(-1.0, abs=1e-3)
    assert correlation_of(pairs, 0, 3, MIN) == correlation_of(pairs, 3, 3, MIN) == UNKNOWN
    assert correlation_of(pairs, 0, 1, 20) == UNKNOWN, "19 returns are too few"


def walk(desk, alike: bool, steps: int = 12) -> None:
    """Let the prices of two symbols move together, or apart, on the grid."""
    now = 10**15
    for k in range(steps):
        up = (k % 3) * 50
        down = up if alike else 50 * (k % 2) * (-1) ** (k // 2)
        for symbol, move in ((0, up), (1, down)):
            state = desk.symbol_state(symbol)
            state.bid_tick, state.ask_tick = 450_000 + move, 450_001 + move
            state.best_valid = 1
        assert observe_prices(desk.wiring.address, now + k * SECOND) == 1


def samples(desk, first: int, second: int) -> int:
    base = desk.memory.state("risk") + PAIRS_OFFSET
    return PAIR.at(base + pair_index(first, second) * PAIR.size).sample_count


@pytest.fixture
def limited(make_desk):
    return make_desk(
        position_sizing__correlation_limit=0.7, risk__correlation_min_samples=10, **LARGE
    )


def test_one_position_at_a_time_until_correlation_is_known(limited):
    desk = limited
    assert len(try_entry(desk, 1, 0)) == 1
    assert try_entry(desk, 1, 1) == [] and desk.count("rejected_correlation") == 1
    assert try_entry(desk, -1, 1) == [], "the other side is no safer while nothing is known"
    walk(desk, alike=False)
    assert len(try_entry(desk, 1, 1)) == 1
    check_counts(desk)


def test_what_moves_alike_is_refused_on_the_same_side_alone(limited):
    desk = limited
    walk(desk, alike=True)
    assert len(try_entry(desk, 1, 0)) == 1
    assert try_entry(desk, 1, 1) == [] and desk.count("rejected_correlation") == 1
    assert len(try_entry(desk, -1, 1)) == 1, "long and short of what moves alike is a hedge"
    check_counts(desk)


def test_steps_keep_to_the_grid_and_a_lost_price_gives_no_return(limited):
    desk = limited
    estimate = CORRELATION.at(desk.memory.state("risk") + CORRELATION_OFFSET)
    walk(desk, alike=True, steps=4)
    last = estimate.step_ns
    assert samples(desk, 0, 1) == 3
    assert observe_prices(desk.wiring.address, last + SECOND - 1) == 0
    desk.symbol_state(1).best_valid = 0
    assert observe_prices(desk.wiring.address, last + SECOND) == 1
    desk.symbol_state(1).best_valid = 1
    assert observe_prices(desk.wiring.address, last + 2 * SECOND) == 1
    assert samples(desk, 0, 1) == 3
    assert samples(desk, 0, 0) == 5
    # After a pause of the process the return over the pause is one sample.
    assert observe_prices(desk.wiring.address, last + 9 * SECOND) == 1
    assert samples(desk, 0, 1) == 4


def test_the_loop_takes_the_steps(make_desk):
    desk = make_desk(risk__correlation_grid_ms=100, **LARGE)
    estimate = CORRELATION.at(desk.memory.state("risk") + CORRELATION_OFFSET)
    desk.best(450_000, 450_001)
    desk.look()
    before = estimate.step_count
    deadline = estimate.step_ns + 100_000_000
    while time.monotonic_ns() < deadline:
        desk.look()
    desk.look()
    assert estimate.step_count > before >= 1
