"""What is refused, when the engine is silent, and what it decides."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest

from config.loader import load
from config.settings import Settings
from engine.book import quantity_at
from engine.state import PARAMETERS_OFFSET, thresholds_address
from engine.strategies.registry import ENTRIES
from engine.validation import combine, is_confirmed, is_cooling_down
from shm.records import EventKind, Factor, Strategy
from tests.compiled import exported
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import LAST, START_MS, best, level, market, row, snapshot, trade
from tests.naive.engine_validation import naive_combine, naive_proposal


def configured(*overrides: str) -> Settings:
    return load(env_file=None, environ={}, overrides=overrides)


EAGER_KNOBS = (
    "signals.warmup_events=20",
    "scalping.signal_threshold=0.02",
    "scalping.confidence_threshold=0.4",
    "performance.signal_cooldown_sec=1.0",
)
EAGER = configured(*EAGER_KNOBS)

REFUSED = {
    "unknown symbol": trade(1, 100, symbol=2),
    "unknown kind": (*row(EventKind.TRADE, 1)[:7], 9, LAST),
    "no price": trade(1, 0),
    "negative price": trade(1, -3),
    "absurd price": trade(1, 1 << 50),
    "no quantity": trade(1, 100, 0),
    "negative quantity": trade(1, 100, -1),
    "no time": (1, 0, 100, 1, 0, 0, 0, int(EventKind.TRADE), LAST),
    "crossed best": best(1, 101, 1, 101, 1),
    "best without a bid": best(1, 0, 1, 101, 1),
    "best without quantity": best(1, 100, 0, 101, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(bench: Bench, name: str) -> None:
    bench.run(exported().engine_process_many, as_events([trade(0, 100), best(0, 99, 1, 100, 1)]))
    bench.run(exported().engine_process_many, as_events([REFUSED[name]]))
    assert bench.counter("refused") == 1
    assert bench.state().trade_count == 1
    if "best" in name:
        assert bench.state().bid_tick == 0, "best prices are unknown after nonsense"


def test_late_events_are_taken_at_the_clock_and_far_ones_refused(bench: Bench) -> None:
    bench.run(exported().engine_process_many, as_events([trade(60_000, 100), trade(59_990, 101)]))
    state = bench.state()
    assert (state.clock_ms, state.late_count) == (START_MS + 60_000, 1)
    far = as_events([trade(1_000, 90)] * 15)
    bench.run(exported().engine_process_many, far)
    assert (bench.counter("refused"), state.trade_count) == (15, 2)
    bench.run(exported().engine_process_many, as_events([trade(1_000, 90), trade(1_001, 91)]))
    assert (state.clock_ms, state.trade_count) == (START_MS + 1_001, 2)
    assert bench.counter("refused") == 15, "a clock that went back is followed, from cold"


def test_one_event_far_ahead_does_not_stop_the_symbol(bench: Bench) -> None:
    rows = [trade(n, 100) for n in range(5)] + [trade(86_400_000, 100)]
    bench.run(exported().engine_process_many, as_events(rows))
    bench.run(exported().engine_process_many, as_events([trade(10 + n, 100) for n in range(40)]))
    assert bench.state().clock_ms == START_MS + 49
    assert bench.counter("refused") == 15


def test_levels_count_whatever_their_time(bench: Bench) -> None:
    rows = [*snapshot(0, {99: 5}, {101: 3}), trade(600_000, 100), level(1, 0, 98, 5, LAST)]
    bench.run(exported().engine_process_many, as_events(rows))
    assert bench.counter("refused") == 1
    assert bench.state().bid_liquidity_lot == 5.0
    assert quantity_at(bench.book(), 0, 98) == 5


def test_silent_until_warm_and_without_a_book() -> None:
    events = market(11, 6_000)
    found = Bench(EAGER).run(exported().engine_process_many, events)
    assert len(found) > 5
    for symbol in range(2):
        own = events[events["symbol"] == symbol]
        first = found[found["symbol"] == symbol]["venue_ns"][0]
        ends = (own["kind"] <= 2) | ((own["kind"] == 3) & (own["flags"] & LAST != 0))
        assert np.count_nonzero(ends & (own["venue_ns"] <= first)) >= 20
    no_book = events[(events["kind"] != int(EventKind.SNAPSHOT_BEGIN))]
    assert len(Bench(EAGER).run(exported().engine_process_many, no_book)) == 0
    cold = configured("signals.warmup_events=100000")
    assert len(Bench(cold).run(exported().engine_process_many, events)) == 0


def test_counters_add_up_and_the_cooldown_holds() -> None:
    bench = Bench(EAGER)
    found = bench.run(exported().engine_process_many, market(12, 8_000))
    held = bench.counter("cooled_down") + bench.counter("unconfirmed")
    assert bench.counter("candidates") == held + len(found)
    kinds = ("signals_momentum", "signals_mean_reversion", "signals_order_flow")
    assert sum(bench.counter(kind) for kind in kinds) == bench.counter("signals") == len(found)
    assert found["signal_id"].tolist() == list(range(1, len(found) + 1))
    for symbol in range(2):
        stamps = found[found["symbol"] == symbol]["venue_ns"]
        assert np.all(np.diff(stamps) >= 1_000_000_000)
    assert np.all(found["strength"] >= 0.02)
    assert np.all(found["confidence"] >= 0.4)


@pytest.mark.parametrize(
    "strategy", [Strategy.MOMENTUM, Strategy.MEAN_REVERSION, Strategy.ORDER_FLOW]
)
def test_a_strategy_switched_off_is_silent(strategy: Strategy) -> None:
    eager = ["signals.warmup_events=20", "scalping.signal_threshold=0.01"]
    eager += ["signals.rsi_oversold=49", "signals.rsi_overbought=51", "signals.rsi_period=3"]
    name = strategy.name.lower()
    settings = configured(*eager, f"signals.use_{name}=false")
    found = Bench(settings).run(exported().engine_process_many, market(13, 6_000))
    assert len(found) > 0
    assert int(strategy) not in found["strategy"]


def test_same_events_same_bytes() -> None:
    benches = [Bench(EAGER), Bench(EAGER)]
    events = market(14, 6_000)
    whole = benches[0].run(exported().engine_process_many, events)
    cuts = [events[n : n + 701] for n in range(0, len(events), 701)]
    parts = [benches[1].run(exported().engine_process_many, cut) for cut in cuts]
    assert whole.tobytes() == b"".join(part.tobytes() for part in parts)
    assert benches[0].state_bytes() == benches[1].state_bytes()


SCORE = (-1.0, -0.6, -0.05, -0.049, 0.0, 0.049, 0.05, 0.3, 0.7, 1.0)


def random_state(bench: Bench, rng: Any) -> Any:
    state = bench.state()
    for factor in Factor:
        state.scores[int(factor)] = rng.choice(SCORE)
    state.known = rng.choice((0, 255, 255, rng.randrange(256)))
    state.acceleration = rng.choice((-0.002, -0.001, 0.0, 0.001, 0.0011))
    state.velocity = rng.choice((-0.01, 0.0, 0.01))
    state.micro_trend = rng.choice((-0.01, 0.0, 0.01))
    state.rsi = rng.choice((0.0, 24.9, 25.0, 50.0, 75.0, 75.1, 100.0))
    state.signal_ms, state.clock_ms = rng.choice((0, 5, 6_000)), 10_000
    return state


def test_strategies_and_validation_equal_their_twins() -> None:
    print("seed 99")
    rng, bench = random.Random(99), Bench(EAGER)
    state, place = bench.state(), bench.state_address()
    parameters = bench.address + PARAMETERS_OFFSET
    limits = thresholds_address(bench.address, 0)
    for _ in range(2_000):
        random_state(bench, rng)
        for index in range(8):
            bench.parameters.weights[index] = rng.choice((0.0, 1.0, 1.0, 2.5))
        bench.parameters.use_volume_spikes = rng.randrange(2)
        for entry in ENTRIES:
            wanted_side = naive_proposal(state, bench.parameters, entry.code)
            assert entry.side(place, parameters) == wanted_side
        side, trigger = rng.choice((-1, 1)), rng.randrange(8)
        wanted = naive_combine(state, bench.parameters, bench.thresholds(), side, trigger)
        combine(place, parameters, side, trigger)
        assert (state.agreeing, state.opposing, state.confirmations) == wanted[2:5]
        assert (state.score, state.confidence) == pytest.approx(wanted[:2], abs=1e-12)
        assert is_confirmed(place, limits, side) == wanted[5]
        waited = state.signal_ms == 0 or 10_000 - state.signal_ms >= 1_000
        assert is_cooling_down(place, limits) == (not waited)


def test_volume_spikes_off_take_no_part() -> None:
    bench = Bench(configured("signals.use_volume_spikes=false"))
    assert bench.parameters.weights[int(Factor.VOLUME_SPIKE)] == 0.0
    basic = Bench(configured("optimization.USE_ADVANCED_SIGNALS=false"))
    assert [bool(weight) for weight in basic.parameters.weights] == [
        factor in (Factor.MOMENTUM, Factor.ORDER_FLOW, Factor.BOOK_IMBALANCE) for factor in Factor
    ]


def test_thresholds_of_a_symbol_are_its_own() -> None:
    own = ("BTCUSDT.signal_threshold=0.25", "BTCUSDT.signal_cooldown_sec=3.0")
    more = ("ETHUSDT.confidence_threshold=0.8", "ETHUSDT.min_confirmations=3")
    chosen = configured(*EAGER_KNOBS, *(f"scalping.by_symbol.{pair}" for pair in (*own, *more)))
    events = market(16, 9_000)
    plain, found = (
        Bench(settings).run(exported().engine_process_many, events) for settings in (EAGER, chosen)
    )
    for signals, least, gap_s in ((plain, 0.02, 1), (found, 0.25, 3)):
        mine = signals[signals["symbol"] == 0]
        assert len(mine) > 3 and np.all(mine["strength"] >= least)
        assert np.all(np.diff(mine["venue_ns"]) >= gap_s * 1_000_000_000)
    assert (plain["strength"][plain["symbol"] == 0] < 0.25).any(), "the limit has cut something"
    other = found[found["symbol"] == 1]
    assert len(other) > 3
    assert np.all(other["confidence"] >= 0.8) and np.all(other["confirmations"] >= 3)
    assert np.diff(other["venue_ns"]).min() < 3_000_000_000
    before = plain[plain["symbol"] == 1]
    assert (before["confidence"] < 0.8).any() and (before["confirmations"] < 3).any()


def test_thresholds_outlive_a_state_that_starts_over() -> None:
    bench = Bench(configured("scalping.by_symbol.BTCUSDT.min_confirmations=7"), 1)
    bench.run(exported().engine_process_many, as_events([trade(60_000, 100)]))
    bench.run(exported().engine_process_many, as_events([trade(1_000, 90)] * 16))
    assert bench.state().clock_ms == START_MS + 1_000, "the state has started over"
    assert bench.thresholds().min_confirmations == 7


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
def test_quiet_recording_gives_order_flow_signals(settings: Settings) -> None:
    bench, events = Bench(settings), recording.both()
    found = bench.run(exported().engine_process_many, events)
    minutes = (found["venue_ns"] - events["venue_ns"][0]) // 60_000_000_000
    flow = found[found["strategy"] == int(Strategy.ORDER_FLOW)]
    counts = {kind.name: int((found["strategy"] == int(kind)).sum()) for kind in Strategy}
    print(counts, "order flow by minute:", np.bincount(minutes[found["strategy"] == 3]))
    print("hash", hashlib.sha256(found.tobytes()).hexdigest()[:16])
    first_minute = np.count_nonzero(minutes[found["strategy"] == int(Strategy.ORDER_FLOW)] == 0)
    assert 1 <= first_minute <= 24
    assert 8 <= len(flow) <= 192
    assert bench.counter("refused") == bench.counter("invalidations") == 0
