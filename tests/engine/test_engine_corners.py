"""The signals where data is scarce or odd: warm-up, gaps, no volume, one side, equal prices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from config.loader import load
from engine.state import FLOW_LEVELS_MAX
from shm.records import EventKind, Factor
from tests.compiled import exported
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import Row, as_events
from tests.naive.engine_stream import LAST, best, level, market, row, snapshot, trade

SETTINGS = load(env_file=None, environ={})
DEEP = load(env_file=None, environ={}, overrides=["signals.flow_levels=3"])


def after(rows: list[Row], bench: Bench | None = None) -> Bench:
    bench = bench or Bench(SETTINGS, 1)
    bench.run(exported().engine_process_many, as_events(rows))
    return bench


def known(bench: Bench) -> set[Factor]:
    return {factor for factor in Factor if bench.state().known >> int(factor) & 1}


def test_signals_speak_up_one_after_another() -> None:
    """Each needs what its definition needs, and not more: windows by count and by time."""
    first: dict[Factor, int] = {}
    bench = Bench(SETTINGS, 1)
    for index in range(120):
        after([trade(100 * index, 50_000 + index % 3, 5, index % 2)], bench)
        for factor in known(bench):
            first.setdefault(factor, index + 1)
    assert first == {
        Factor.ORDER_FLOW: 1,
        Factor.VOLUME_SPIKE: 2,  # needs time to have passed
        Factor.MOMENTUM: 3,  # three trades
        Factor.EMA_CROSS: 26,  # the slow span
        Factor.ACCELERATION: 101,  # twice 5 s
    }
    after([best(12_000, 50_000, 3, 50_002, 4), best(12_001, 50_000, 3, 50_002, 4)], bench)
    assert known(bench) == set(Factor) - {Factor.RSI}
    for second in range(13, 17):
        after([trade(1_000 * second, 50_000)], bench)
    assert Factor.RSI in known(bench), "fifteen closes"


def test_three_trades_of_one_instant_are_a_trend_of_a_second() -> None:
    rows = [trade(0, 100), trade(5_000, 100), *(trade(5_000, price) for price in (100, 102, 105))]
    bench = after(rows)
    state = bench.state()
    assert state.micro_trend == pytest.approx(0.05)
    assert math.isfinite(state.scores[int(Factor.MOMENTUM)])
    assert state.clock_ms % 1_000_000 == 5_000


@pytest.mark.parametrize("gap_ms", [61_000, 3_600_000, 40_000_000])
def test_a_gap_leaves_counts_and_lets_times_fade(gap_ms: int) -> None:
    rows = [trade(250 * n, 50_000 + 7 * n, 9) for n in range(200)]
    bench = after([*rows, trade(49_750 + gap_ms, 51_393, 9)])
    state = bench.state()
    # Time windows have nothing but what just came; windows by count know their prices still.
    assert (state.velocity, state.acceleration) == (0.0, 0.0)
    assert state.scores[int(Factor.MOMENTUM)] == pytest.approx(
        state.micro_trend
        / math.sqrt(state.variance * (gap_ms + 250) / 1000)
        / (1 + state.micro_trend / math.sqrt(state.variance * (gap_ms + 250) / 1000))
    )
    assert state.buy_lot == pytest.approx(9, rel=1e-3)
    assert state.ema_fast > state.ema_slow
    assert Factor.RSI not in known(bench), "its closes are from before the gap"
    # 9 lots in the last second against what 60 s remember of 36 lots a second before the gap.
    rest = 36 * math.exp(-gap_ms / 60_000) * -math.expm1(-49_750 / 60_000)
    assert state.volume_ratio == pytest.approx(9 / (rest + 9 / 60), rel=0.3)


def test_no_volume_is_no_direction() -> None:
    rows = [best(100 * n, 50_000, 5, 50_002, 5) for n in range(100)]
    bench = after(rows)
    assert known(bench) == {Factor.ORDER_FLOW, Factor.BOOK_IMBALANCE, Factor.SPREAD}
    assert list(bench.state().scores) == [0.0] * 8
    # A trade without a quantity is no trade.
    after([trade(10_000, 50_001, 0)], bench)
    assert bench.state().trade_count == 0
    assert bench.counter("refused") == 1
    # Once everything has decayed to nothing, the spike says nothing, not a division by zero.
    after([trade(10_001, 50_001, 1), best(80_000_000, 50_000, 5, 50_002, 5)], bench)
    assert math.isfinite(bench.state().volume_ratio)
    assert bench.state().scores[int(Factor.VOLUME_SPIKE)] == 0.0


def test_one_sided_book_has_no_imbalance_and_no_order_flow_of_the_other_side() -> None:
    bench = after(snapshot(0, {100: 5, 99: 4}, {}), Bench(DEEP, 1))
    after([level(5, 0, 100, 9, LAST)], bench)
    state = bench.state()
    assert (state.has_imbalance, state.bid_tick, state.bid_liquidity_lot) == (0, 0, 13.0)
    assert list(state.flow_lot)[:3] == [4.0, 0.0, 0.0]
    after([level(5, 1, 103, 2, LAST)], bench)
    assert state.has_imbalance == 1
    assert list(state.flow_lot)[:3] == [2.0, 0.0, 0.0]


def test_equal_prices_move_nothing() -> None:
    bench = after([trade(200 * n, 50_000, 3, n % 2) for n in range(400)])
    state = bench.state()
    scores = {factor: state.scores[int(factor)] for factor in Factor}
    for factor in (Factor.MOMENTUM, Factor.ACCELERATION, Factor.EMA_CROSS, Factor.RSI):
        assert scores[factor] == 0.0
    assert state.rsi == 50.0
    assert state.divergence == 0
    assert state.variance == pytest.approx(50_000.0**-2), "a tick a second at least"


@pytest.mark.parametrize("sign", [1, -1])
def test_divergence_needs_a_new_extreme_and_looks_back_twenty_closes(sign: int) -> None:
    """Its pivot is the lowest (highest) of the 20 closes before; the latest one of equals."""
    falling = [10_000 - 40 * n for n in range(20)] + [9_300 + 10 * n for n in range(14)]

    def divergence(last: int) -> int:
        closes = [10_000 + sign * (price - 10_000) for price in [*falling, last]]
        rows = [trade(1_000 * n, price) for n, price in enumerate([*closes, closes[-1]])]
        return after(rows).state().divergence

    assert divergence(9_239) == sign
    assert divergence(9_240) == 0, "as low as the pivot is not lower"


def test_multi_level_order_flow_by_hand() -> None:
    rows = snapshot(0, {100: 5, 99: 4, 98: 3}, {102: 7, 103: 6, 104: 5})
    bench = after(rows, Bench(DEEP, 1))
    assert bench.state().flow_updates == 0
    # The best bid goes: 99 and 98 move up a place, and 97 comes into sight.
    after([level(1, 0, 97, 8), level(1, 0, 100, 0, LAST)], bench)
    state = bench.state()
    assert list(state.flow_lot)[:3] == [-5.0, -4.0, -3.0]
    # A better ask of 2: every ask is pushed back a place, which is worse for those who buy.
    after([level(1, 1, 101, 2, LAST)], bench)
    assert list(state.flow_lot)[:3] == [-7.0, -11.0, -9.0]
    assert list(state.flow_gross_lot)[:3] == [7.0, 11.0, 9.0]
    assert state.scores[int(Factor.ORDER_FLOW)] == pytest.approx(-27 / 28)
    assert state.flow_updates == 2


def test_a_new_snapshot_and_a_withdrawn_book_are_not_compared_with_what_was() -> None:
    bench = after(snapshot(0, {100: 5}, {102: 7}), Bench(DEEP, 1))
    after(snapshot(1, {90: 500}, {92: 700}), bench)
    assert bench.state().flow_updates == 0
    after([level(2, 0, 90, 501, LAST), row(EventKind.INVALID, 3)], bench)
    after(snapshot(4, {80: 500}, {82: 700}), bench)
    assert bench.state().flow_updates == 1
    assert bench.state().flow_lot[0] == 1.0


def test_one_level_leaves_the_depth_flow_alone_and_ten_is_the_most() -> None:
    bench = Bench(SETTINGS, 1)
    bench.run(exported().engine_process_many, market(5, 1_000, 1))
    assert bench.state().flow_updates == bench.state().flow_known == 0
    bench = Bench(load(env_file=None, environ={}, overrides=["signals.flow_levels=10"]), 1)
    assert bench.parameters.flow_levels == FLOW_LEVELS_MAX == 10
    bench.run(exported().engine_process_many, market(5, 1_000, 1))
    assert bench.state().flow_updates > 50
    assert np.all(np.isfinite(list(bench.state().flow_lot)))


def test_scores_that_stand_are_those_that_a_fresh_look_gives() -> None:
    """What is not computed again must be what it was: every event against its own whole run."""
    events = market(9, 700, 1)
    step = Bench(SETTINGS, 1)
    for index in range(len(events)):
        step.run(exported().engine_process_many, events[index : index + 1])
    whole = Bench(SETTINGS, 1)
    whole.run(exported().engine_process_many, events)
    again = whole.state().scored_ms, whole.state().scored_trades
    assert again == (whole.state().clock_ms, whole.state().trade_count)
    before = (list(whole.state().scores), whole.state().known)
    whole.state().scored_ms = 0  # the price scores are computed anew with the next event
    same = as_events([best(0, 1, 1, 2, 1)])
    for bench in (whole, step):
        bench.run(exported().engine_process_many, same)
    assert whole.state().known == step.state().known
    assert list(whole.state().scores) == list(step.state().scores)
    assert before[1] == whole.state().known
