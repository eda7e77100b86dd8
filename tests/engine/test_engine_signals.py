"""The eight signals against sums over whole histories, extremes, and textbook examples."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from config.loader import load
from config.settings import Settings
from engine.reasons import Refusal
from shm.records import EventKind, Factor
from tests.compiled import exported
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import as_events
from tests.naive.engine_signals import NaiveSymbol
from tests.naive.engine_stream import LAST, best, level, market, row, snapshot, trade

SETTINGS = load(env_file=None, environ={})
TOLERANCE = 1e-9
OTHERS = ("price_tick", "quantity_lot", "ask_tick", "ask_lot", "venue_ns", "kind", "flags")


def compare(events: np.ndarray, settings: Settings, every: int) -> tuple[int, float]:
    """Compare the scores after every so many evaluations; return how many, and the worst."""
    bench, twin = Bench(settings, 1), NaiveSymbol(settings)
    done = evaluations = compared = 0
    worst = 0.0
    rows = zip(*(events[name].tolist() for name in OTHERS), strict=True)
    for index, values in enumerate(rows):
        if not twin.take(dict(zip(OTHERS, values, strict=True))):
            continue
        evaluations += 1
        if evaluations % every:
            continue
        bench.run(exported().engine_process_many, events[done : index + 1])
        done, compared, state = index + 1, compared + 1, bench.state()
        assert state.event_count == twin.evaluated
        for factor, wanted in zip(Factor, twin.scores(), strict=True):
            place = f"event {index}, {factor.name}"
            assert (state.known >> int(factor)) & 1 == (wanted is not None), place
            got = state.scores[int(factor)]
            assert got == pytest.approx(wanted or 0.0, abs=TOLERANCE), place
            worst = max(worst, abs(got - (wanted or 0.0)))
    return compared, worst


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT"])
def test_recording_slice_equals_sums_over_histories(name: str) -> None:
    compared, worst = compare(recording.chain(name)[:90_000], SETTINGS, 811)
    print(f"{name}: {compared} evaluations compared, worst difference {worst:.1e}")
    assert compared >= 12


def test_invented_market_equals_sums_over_histories() -> None:
    print("seed 7")
    compared, _ = compare(market(7, 4_000, 1), SETTINGS, 40)
    assert compared > 30


DEEP = load(env_file=None, environ={}, overrides=["signals.flow_levels=5"])


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
def test_recording_slice_with_order_flow_of_five_levels() -> None:
    compared, worst = compare(recording.chain("BTCUSDT")[:60_000], DEEP, 1_511)
    print(f"{compared} evaluations compared, worst difference {worst:.1e}")
    assert compared >= 4


@pytest.mark.parametrize("levels", [2, 5, 10])
def test_invented_market_with_order_flow_of_several_levels(levels: int) -> None:
    print("seed 8")
    chosen = load(env_file=None, environ={}, overrides=[f"signals.flow_levels={levels}"])
    compared, _ = compare(market(8, 2_500, 1), chosen, 30)
    assert compared > 20


prices = st.integers(50_000, 51_000)
lots = st.one_of(st.integers(1, 50), st.just(1 << 40))
gaps = st.sampled_from((0, 0, 1, 30, 249, 250, 999, 1_000, 5_000, 61_000, 70_000, 5_000_000))


@st.composite
def histories(draw: Any) -> np.ndarray:
    ms, rows = 0, snapshot(0, {40_000: 5, 39_990: 9}, {60_000: 3})
    for _ in range(draw(st.integers(1, 50))):
        ms += draw(gaps)
        late = draw(st.sampled_from((0, 0, 0, 7, 9_000)))
        at = max(ms - late, 0)
        kind = draw(st.integers(0, 3))
        if kind == 0:
            bid = draw(prices)
            rows.append(best(at, bid, draw(lots), bid + draw(st.integers(1, 300)), draw(lots)))
        elif kind == 1:
            side, away = draw(st.integers(0, 1)), draw(st.integers(0, 9))
            lot = draw(st.sampled_from((0, 1, 70)))
            rows.append(level(at, side, 60_000 + away if side else 40_000 - away, lot, LAST))
        else:
            rows.append(trade(at, draw(prices), draw(lots), draw(st.integers(0, 1))))
    return as_events(rows)


@effort(max_examples=40, deadline=None)
@given(histories())
def test_any_history_equals_sums_over_it(events: np.ndarray) -> None:
    compare(events, SETTINGS, 1)


@effort(max_examples=40, deadline=None)
@given(histories())
def test_any_history_with_order_flow_of_five_levels(events: np.ndarray) -> None:
    compare(events, DEEP, 1)


# Sound and unsound values in any order: what is refused, and what follows from the rest.
odd_ticks = st.sampled_from((0, -1, 1, 5, 1_050_000, 1 << 40, (1 << 40) + 1, 1 << 62, -(1 << 62)))
wild_ticks = st.one_of(prices, prices, st.integers(40_000, 62_000), odd_ticks)
wild_lots = st.one_of(st.integers(1, 50), st.integers(1, 50), st.sampled_from((0, -1, 1 << 49)))
wild_gaps = st.sampled_from(
    (0, 1, 30, 250, 1_000, 5_001, 61_000, -7, -10_001, -500_000, -(1 << 50))
)


@st.composite
def wild_histories(draw: Any) -> np.ndarray:
    ms, rows = 0, snapshot(0, {49_990: 5, 49_980: 9}, {51_010: 3})
    for _ in range(draw(st.integers(1, 60))):
        gap = draw(wild_gaps)
        ms += max(gap, 0)
        at = ms + min(gap, 0)
        tick, lot = draw(wild_ticks), draw(wild_lots)
        kind = draw(st.integers(0, 9))
        if kind == 0:
            spread = draw(st.sampled_from((0, 1, 30, 300, -5, 9_000, 1_000_000)))
            rows.append(best(at, tick, lot, tick + spread, draw(wild_lots)))
        elif kind == 1:
            rows += [trade(at, tick, lot, n & 1) for n in range(draw(st.sampled_from((1, 16, 40))))]
        elif kind == 2:
            rows.append(level(at, draw(st.integers(0, 1)), tick, lot, LAST))
        elif kind == 3:
            side, away = draw(st.integers(0, 1)), draw(st.integers(0, 9))
            lot = draw(st.sampled_from((0, 1, 70)))
            rows.append(level(at, side, 51_010 + away if side else 49_990 - away, lot, LAST))
        elif kind == 4:
            rows += snapshot(at, {49_990: 5, draw(prices): 2}, {51_010: 3})
        elif kind == 5:
            kinds = (EventKind.INVALID, EventKind.TRADE, EventKind.MARK, EventKind.DROPPED)
            rows.append(row(draw(st.sampled_from(kinds)), at))
        else:
            rows.append(trade(at, draw(prices), draw(lots), draw(st.integers(0, 1))))
    return as_events([(1, max(r[1], -(1 << 60)), *r[2:]) for r in rows])


def compare_refusals(events: np.ndarray, settings: Settings, take: Any) -> NaiveSymbol:
    """Compare the quarantine after each event; return the twin."""
    bench, twin = Bench(settings, 1), NaiveSymbol(settings)
    state = bench.state()
    rows = zip(*(events[name].tolist() for name in OTHERS), strict=True)
    for index, values in enumerate(rows):
        twin.take(dict(zip(OTHERS, values, strict=True)))
        bench.run(take, events[index : index + 1])
        guard, place = twin.guard, f"event {index}: {values}"
        assert state.quarantine == sum(1 << reason for reason in guard.reasons), place
        assert state.reference_tick == guard.reference, place
        assert state.clock_ms == guard.clock, place
    for reason in Refusal:
        assert bench.counter(f"refused_{reason.name.lower()}") == twin.guard.counts[reason]
    assert bench.counter("refused") == sum(twin.guard.counts.values())
    return twin


@effort(max_examples=80, deadline=None)
@given(wild_histories())
def test_any_wild_history_equals_its_twin(events: np.ndarray) -> None:
    compare_refusals(events, SETTINGS, exported().engine_process_many)
    compare(events, SETTINGS, 1)


extreme_ticks = st.one_of(st.integers(-2, 3), st.integers(1, 1 << 40), st.just(1 << 62))
extreme_lots = st.one_of(st.integers(-2, 3), st.integers(1, 1 << 48), st.just(1 << 62))
extreme_times = st.integers(-(1 << 40), 1 << 50)


@effort(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), extreme_times, extreme_ticks, extreme_lots)))
def test_nothing_drives_a_score_out_of_bounds(raw: list[tuple[int, int, int, int]]) -> None:
    rows = snapshot(0, {40_000: 5}, {60_000: 3})
    for kind, ms, tick, lot in raw:
        stamp = ms * 1_000
        rows.append((1, stamp, tick, lot, min(tick + lot, 1 << 61), lot, 0, kind, LAST))
    bench = Bench(SETTINGS, 1)
    bench.run(exported().engine_process_many, as_events(rows))
    state = bench.state()
    for factor in Factor:
        assert -1.0 <= state.scores[int(factor)] <= 1.0
    for name in ("variance", "rsi", "spread_mean", "spread_variance", "ofi_lot", "ema_slow"):
        assert math.isfinite(getattr(state, name)), name


# Wilder's index over the closes that charting services use as their example (period 14).
CLOSES = (
    4434, 4409, 4415, 4361, 4433, 4483, 4510, 4542, 4584, 4608, 4589, 4603, 4561, 4628, 4628, 4600,
    4603, 4641, 4622, 4564, 4621,
)  # fmt: skip
INDEX = (70.46, 66.25, 66.48, 69.35, 66.29, 57.92, 62.88)


def test_rsi_textbook() -> None:
    for bars in range(15, len(CLOSES) + 1):
        bench = Bench(SETTINGS, 1)
        rows = [trade(1_000 * n, price) for n, price in enumerate(CLOSES[:bars])]
        bench.run(
            exported().engine_process_many, as_events([*rows, trade(1_000 * bars, CLOSES[0])])
        )
        assert bench.state().rsi == pytest.approx(INDEX[bars - 15], abs=0.15)


def test_rsi_is_silent_before_a_period_and_50_without_movement() -> None:
    bench = Bench(SETTINGS, 1)
    bench.run(exported().engine_process_many, as_events([trade(1_000 * n, 500) for n in range(15)]))
    assert not bench.state().known >> Factor.RSI & 1
    bench.run(exported().engine_process_many, as_events([trade(1_000 * n, 500) for n in (15, 16)]))
    assert bench.state().known >> Factor.RSI & 1
    assert bench.state().rsi == 50.0
    bench.run(exported().engine_process_many, as_events([trade(90_000, 500)]))
    assert not bench.state().known >> Factor.RSI & 1, "a gap of a minute starts the index over"


def test_divergence() -> None:
    falling = [10_000 - 40 * n for n in range(20)] + [9_300 + 10 * n for n in range(14)]
    lower_low = [*falling, 9_239]
    rows = [trade(1_000 * n, price) for n, price in enumerate(lower_low)]
    bench = Bench(SETTINGS, 1)
    bench.run(exported().engine_process_many, as_events([*rows, trade(1_000 * len(rows), 9_239)]))
    assert bench.state().divergence == 1
    assert bench.state().scores[int(Factor.RSI)] >= 0.5


def test_ema_textbook() -> None:
    # Spans 3 and 4 have gains of 1/2 and 2/5: 1010, 1020, 1040 gives 1027.5, and 1010 → 1014 →
    # 1024.4.
    settings = load(
        env_file=None, environ={}, overrides=["signals.ema_fast=3", "signals.ema_slow=4"]
    )
    bench = Bench(settings, 1)
    rows = [trade(1_000 * n, price) for n, price in enumerate((1010, 1020, 1040))]
    bench.run(exported().engine_process_many, as_events(rows))
    assert bench.state().ema_fast == pytest.approx(1027.5)
    assert bench.state().ema_slow == pytest.approx(1024.4)
    assert not bench.state().known >> Factor.EMA_CROSS & 1


def test_order_flow_events_of_cont_kukanov_stoikov() -> None:
    bench = Bench(SETTINGS, 1)
    rows = [best(0, 100, 5, 102, 7), best(0, 101, 3, 102, 9), best(0, 101, 3, 103, 4)]
    for count, wanted in ((2, 3 - (9 - 7)), (3, 1 + 9)):
        bench = Bench(SETTINGS, 1)
        bench.run(exported().engine_process_many, as_events(rows[:count]))
        assert bench.state().ofi_lot == wanted


def test_quiet_market_fades() -> None:
    bench = Bench(SETTINGS, 1)
    rng = random.Random(3)
    rows = [trade(100 * n, 10_000 + n, rng.randint(1, 99)) for n in range(300)]
    bench.run(exported().engine_process_many, as_events(rows))
    assert bench.state().scores[int(Factor.ORDER_FLOW)] > 0.9
    bench.run(exported().engine_process_many, as_events([best(3_600_000, 10_300, 1, 10_301, 1)]))
    scores = list(bench.state().scores)
    assert abs(scores[int(Factor.ORDER_FLOW)]) < 1e-6
    assert scores[int(Factor.ACCELERATION)] == 0.0
    assert abs(scores[int(Factor.MOMENTUM)]) < 0.05


def test_book_imbalance_weighs_depth() -> None:
    bench = Bench(SETTINGS, 1)
    bids = {100 - n: 10 for n in range(5)}
    asks = {101 + n: (50 if n == 4 else 10) for n in range(8)}
    bench.run(exported().engine_process_many, as_events(snapshot(0, bids, asks)))
    state = bench.state()
    assert (state.bid_pressure, state.ask_pressure) == (150.0, 190.0)
    assert (state.bid_liquidity_lot, state.ask_liquidity_lot) == (50.0, 90.0)
    assert state.imbalance == pytest.approx(-40 / 340)
    one_sided = as_events(snapshot(1, bids, {}))
    bench.run(exported().engine_process_many, one_sided)
    assert (bench.state().has_imbalance, bench.state().imbalance) == (0, 0.0)
