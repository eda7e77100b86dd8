"""Volatility, arrival intensity and VPIN: markets of known parameters, and worked examples."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from engine.quote_flow import is_flow_known, is_flow_toxic
from engine.quoting import on_book, on_trade
from engine.quoting_state import FlowThreshold
from tests.naive.engine_quoting import vpins
from tests.naive.engine_quoting_bench import QuoteBench


@pytest.mark.parametrize("uneven", [False, True])
def test_volatility_of_a_brownian_market(uneven: bool) -> None:
    rng = random.Random(11)
    bench = QuoteBench(short_s=100.0, long_s=1_000.0, sample_ms=50, stale_ms=2_000)
    middle, ms = 1e6, 1_000
    for _ in range(20_000):
        step = rng.choice((50, 50, 200, 900)) if uneven else 100
        ms += step
        middle += rng.gauss(0.0, 25.0 * math.sqrt(step / 1_000))
        bid = round(middle)
        on_book(*bench.at[:2], ms, bid - 1, 1, bid + 1, 1)
    # 1000 s of memory in steps of 0.1 s to 0.6 s: a relative error of about √(1 / 2N).
    print("seed 11", bench.state.volatility_long, bench.state.volatility_short)
    assert bench.state.volatility_long == pytest.approx(25.0, rel=0.05)
    assert bench.state.volatility_short == pytest.approx(25.0, rel=0.15)


def test_a_gap_adds_nothing_and_long_silence_makes_unknown() -> None:
    bench = QuoteBench()
    for step in range(60):
        bench.book(1_000 + 100 * step, 1_000 + step % 2, 1, 1_003 + step % 2, 1)
    before = bench.state.volatility_long
    assert before == pytest.approx(math.sqrt(1 / 0.1))
    bench.book(6_900 + 1_001, 5_000, 1, 5_003, 1)
    assert bench.state.volatility_long == pytest.approx(before), "4000 ticks over a gap"
    assert bench.state.volatility_short == -1.0
    bench.book(6_900 + 9_000, 5_000, 1, 5_003, 1)
    assert bench.state.volatility_long == -1.0
    bench.book(16_000, 5_000, 0, 5_003, 1)
    bench.book(16_010, 9_000, 1, 9_003, 1)
    assert bench.state.long_square < 1_000.0, "prices unknown in between are no change"


def test_a_market_that_stands_still_has_no_volatility() -> None:
    bench = QuoteBench()
    for step in range(60):
        bench.book(1_000 + 100 * step, 1_000, 1, 1_003, 1)
    assert (bench.state.volatility_long, bench.state.volatility_short) == (0.0, 0.0)


@pytest.mark.parametrize(("intensity", "decay"), [(0.9, 0.3), (5.0, 0.1), (40.0, 0.5)])
def test_intensity_of_a_poisson_market(intensity: float, decay: float) -> None:
    rng, count = random.Random(12), 6_000
    memory_s = count / (2 * intensity) / 2
    bench = QuoteBench(intensity_s=memory_s, step_tick=1)
    now_s, next_s = 10.0, 10.0
    for _ in range(count):
        # Arrivals of a side come at the rate A and reach exponential distances: λ(δ) = A exp(−k δ).
        now_s += rng.expovariate(2 * intensity)
        while next_s <= now_s:
            on_book(*bench.at[:2], round(next_s * 1_000), 9_999, 1, 10_001, 1)
            next_s += 0.5
        reach, is_sell = 0.5 + rng.expovariate(decay), rng.randrange(2)
        tick = math.ceil(10_000 - reach) if is_sell else math.floor(10_000 + reach)
        on_trade(*bench.at[:2], round(now_s * 1_000), tick, 1, is_sell)
    on_book(*bench.at[:2], round(now_s * 1_000) + 1_001, 9_999, 1, 10_001, 1)
    got = bench.state
    print("seed 12", got.intensity, got.decay)
    # A trade at whole ticks reaches δ_j = ½ + j only when its order reached 1 + j.
    assert got.decay == pytest.approx(decay, rel=0.1)
    assert got.intensity == pytest.approx(intensity, rel=0.15)


def test_a_run_of_trades_is_one_arrival() -> None:
    bench = QuoteBench(step_tick=2)
    bench.book(1_000, 99, 1, 101, 1)
    for tick in (101, 102, 104, 103):
        bench.trade(1_010, tick, 1, 0)
    bench.book(1_010, 103, 1, 105, 1)
    bench.trade(1_010, 105, 1, 0)
    # Distances ½, 2½, 4½, …: 105 is 5 beyond the mid before the run, 100.
    assert list(bench.state.reached)[:4] == [1.0, 1.0, 1.0, 0.0]
    bench.trade(1_010, 103, 1, 1)
    assert list(bench.state.reached)[:4] == [2.0, 1.0, 1.0, 0.0], "the other side begins anew"
    bench.trade(2_011, 200, 1, 0)
    assert bench.state.reached[3] == 0.0, "the best prices are stale: no mid to measure from"


def test_too_few_arrivals_are_unknown() -> None:
    bench = QuoteBench()
    for step in range(100):
        bench.book(1_000 + step * 100, 99, 1, 101, 1)
        if step < 4:
            bench.trade(1_000 + step * 100, 110, 1, 0)
    assert (bench.state.intensity, bench.state.decay) == (0.0, 0.0)
    bench = QuoteBench()
    for step in range(100):
        bench.book(1_000 + step * 100, 99, 1, 101, 1)
        bench.trade(1_000 + step * 100, 150, 1, 0)
    assert bench.state.reached[15] > 5.0
    assert (bench.state.intensity, bench.state.decay) == (0.0, 0.0), "it does not fall off"


def test_vpin_by_hand() -> None:
    bench = QuoteBench(flow_lot=10, flow_buckets=5)
    # Buckets: 10 bought; 6 bought, 4 sold; 5 and 5; then 23 sold fill two and begin a third.
    for step, (lot, is_sell) in enumerate([(16, 0), (4, 1), (5, 0), (5, 1), (20, 1), (3, 1)]):
        bench.trade(1_000 + step, 9_000, lot, is_sell)
    assert bench.state.vpin == (10 + 2 + 0 + 10 + 10) / 50
    assert bench.state.flow_sell == 3
    assert is_flow_known(*bench.at[:2]) and not is_flow_toxic(*bench.at[:2])
    bench.trade(2_000, 9_000, 7, 1)
    assert bench.state.vpin == (2 + 0 + 10 + 10 + 10) / 50, "the first bucket left"
    bench.p.flow_max = 0.63
    assert is_flow_toxic(*bench.at[:2])
    bench.p.flow_lot = 11
    assert not is_flow_known(*bench.at[:2]), "buckets of another size"
    bench.trade(2_001, 9_000, 1, 1)
    assert (bench.state.flow_count, bench.state.vpin) == (0, -1.0)


@effort(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 1)), max_size=60),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_vpin_is_that_of_single_lots(trades: list[tuple[int, int]], size: int, length: int) -> None:
    bench = QuoteBench(flow_lot=size, flow_buckets=length)
    signs: list[int] = []
    for lot, is_sell in trades:
        lot = min(lot, size * length)
        bench.trade(1_000, 50, lot, is_sell)
        signs += [-1 if is_sell else 1] * lot
    whole = range(0, len(signs) - size + 1, size)
    buckets = [abs(sum(signs[start : start + size])) for start in whole]
    assert bench.twin.history.buckets == buckets
    values = vpins(buckets, size, length)
    if trades:
        assert bench.state.vpin == (values[-1] if values else -1.0)
        assert bench.state.flow_values == len(values)
    if values:
        assert bench.state.flow_share == pytest.approx(bench.twin.share(values), abs=1e-12)


def test_a_giant_trade_fills_each_bucket_once() -> None:
    bench = QuoteBench(flow_lot=3, flow_buckets=5)
    bench.trade(1_000, 50, 1 << 48, 1)
    assert (bench.state.flow_count, bench.state.vpin) == (6, 1.0)
    assert bench.state.flow_sell == ((1 << 48) - 3) % 3


def test_toxicity_by_its_own_distribution() -> None:
    bench = QuoteBench(
        flow_lot=10,
        flow_buckets=5,
        flow_threshold=int(FlowThreshold.DISTRIBUTION),
        flow_max=0.0,
    )
    rng = random.Random(3)
    for step in range(400):
        bought = rng.randint(3, 7)
        bench.trade(1_000 + step, 50, bought, 0)
        bench.trade(1_000 + step, 50, 10 - bought, 1)
        if step < 9:
            assert not is_flow_known(*bench.at[:2])
    usual = bench.state.vpin
    assert is_flow_known(*bench.at[:2])
    for step in range(3):
        bench.trade(2_000 + step, 50, 10, 1)
    print("seed 3", usual, bench.state.vpin, bench.state.flow_share)
    assert is_flow_toxic(*bench.at[:2]) and bench.state.vpin > usual
