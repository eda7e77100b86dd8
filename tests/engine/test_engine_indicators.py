"""RSI, EMA and rolling statistics against libraries of others: talipp, TA-Lib and numpy.

What is defined differently, and how the comparison deals with it:

- RSI. Same as Wilder's in both libraries: the first `period` changes are averaged plainly. Without
  any movement the engine says 50; TA-Lib says 0 and talipp 100, so such stretches are not compared.
  The engine's closes are those of seconds with a trade; the others get these closes as their bars.
- EMA. The engine begins at the first price; both libraries begin at the plain mean of the first
  `span` prices. The weight of the beginning decays by (1 − gain) a price: talipp is compared after
  it has fallen below 1e-10; TA-Lib as well. The recursion itself is then the same.
- Variance, volume and spread are exponential in time, those of the libraries over a count of bars:
  they are compared with numpy's weighted means and covariance over the whole history.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import talib
from talipp.indicators import EMA, RSI

from config.loader import load
from config.settings import Settings
from shm.records import EventKind
from tests.compiled import exported
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import best, trade

TOLERANCE = 1e-9


def settings_with(**values: int) -> Settings:
    words = [f"signals.{name}={value}" for name, value in values.items()]
    return load(env_file=None, environ={}, overrides=words)


def walk(seed: int, count: int, step: int = 40) -> list[int]:
    print(f"seed {seed}")
    rng, price, prices = random.Random(seed), 500_000, []
    for _ in range(count):
        price += rng.randint(-step, step)
        prices.append(price)
    return prices


def per_second(prices: list[int], settings: Settings) -> tuple[list[float], list[int]]:
    """Return the engine's index after each closed bar of one trade a second."""
    bench, found = Bench(settings, 1), []
    for second, price in enumerate(prices):
        bench.run(exported().engine_process_many, as_events([trade(1_000 * second, price)]))
        if second > settings.signals.rsi_period:
            found.append(bench.state().rsi)
    return found, prices[:-1]


@pytest.mark.parametrize("period", [2, 14, 50])
def test_rsi_equals_talipp_and_talib(period: int) -> None:
    ours, closes = per_second(walk(14, 400), settings_with(rsi_period=period))
    others = [value for value in RSI(period, [float(c) for c in closes]) if value is not None]
    assert len(others) == len(ours) == len(closes) - period
    assert ours == pytest.approx(others, abs=TOLERANCE)
    reference = talib.RSI(np.array(closes, float), period)[period:]
    assert ours == pytest.approx(reference.tolist(), abs=TOLERANCE)


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT"])
def test_rsi_of_a_recording_equals_both(name: str) -> None:
    events = recording.chain(name)
    events = events[events["kind"] == int(EventKind.TRADE)]
    bench, closes, ours, seen = Bench(settings_with(), 1), [], [], 0
    seconds, last = events["venue_ns"] // 1_000_000_000, 0
    for index in [*(np.flatnonzero(np.diff(seconds) > 0) + 1), len(events)]:
        # The first trade of the next second closes the bar.
        bench.run(exported().engine_process_many, events[last : index + 1])
        last = index + 1
        state = bench.state()
        if state.bar_count > seen:
            seen = state.bar_count
            closes.append(float(state.close_tick))
            ours.append(state.rsi)
    assert len(closes) > 300
    others = list(RSI(14, closes))[14:]
    reference = talib.RSI(np.array(closes), 14)[14:]
    worst = np.abs(reference - np.array(ours[14:])).max()
    print(f"{name}: {len(closes)} closes, worst difference {worst:.1e}")
    assert ours[14:] == pytest.approx(others, abs=TOLERANCE)
    assert ours[14:] == pytest.approx(reference.tolist(), abs=TOLERANCE)


def test_rsi_without_movement_is_where_the_definitions_part() -> None:
    ours, closes = per_second([700] * 30, settings_with())
    assert set(ours) == {50.0}
    assert set(talib.RSI(np.array(closes, float), 14)[14:]) == {0.0}


@pytest.mark.parametrize("fast,slow", [(2, 3), (12, 26)])
def test_ema_equals_talipp_and_talib_once_its_beginning_is_forgotten(fast: int, slow: int) -> None:
    prices = walk(26, 700)
    bench, ours = Bench(settings_with(ema_fast=fast, ema_slow=slow), 1), []
    for index, price in enumerate(prices):
        bench.run(exported().engine_process_many, as_events([trade(250 * index, price)]))
        ours.append((bench.state().ema_fast, bench.state().ema_slow))
    for place, span in enumerate((fast, slow)):
        # The beginnings differ by less than 26 × 40 ticks; relative to 500,000 that is 2e-3.
        forgotten = span + math.ceil(math.log(1e-9) / math.log(1 - 2 / (span + 1)))
        assert forgotten < len(prices) - 100
        mine = [pair[place] for pair in ours][forgotten:]
        others = list(EMA(span, [float(p) for p in prices]))[forgotten:]
        reference = talib.EMA(np.array(prices, float), span)[forgotten:]
        assert mine == pytest.approx(others, rel=TOLERANCE)
        assert mine == pytest.approx(reference.tolist(), rel=TOLERANCE)


def weights(ages_ms: np.ndarray, tau_s: float) -> np.ndarray:
    return np.exp(-ages_ms / 1000 / tau_s)


def test_variance_is_a_weighted_mean_of_squared_returns() -> None:
    prices = walk(60, 3_000)
    rng = random.Random(60)
    times = np.cumsum([rng.choice((0, 3, 500, 2_000)) for _ in prices])
    bench = Bench(settings_with(), 1)
    rows = [trade(int(ms), price) for ms, price in zip(times, prices, strict=True)]
    bench.run(exported().engine_process_many, as_events(rows))
    returns = np.diff(prices) / np.array(prices[:-1], float)
    ages = (times[-1] - times[1:]).astype(float)
    weight = weights(ages, 60.0)
    # np.average divides by the weights' sum, the engine by the time seen: 60 s × (1 − e^(−age/60)).
    seen = -60.0 * math.expm1(-(times[-1] - times[0]) / 60_000)
    wanted = np.average(returns**2, weights=weight) * weight.sum() / seen
    assert bench.state().variance == pytest.approx(wanted, rel=TOLERANCE)


def test_volume_ratio_is_one_weighted_sum_over_another() -> None:
    print("seed 61")
    rng = random.Random(61)
    lots = np.array([rng.randint(1, 900) for _ in range(4_000)], float)
    times = np.cumsum([rng.choice((0, 10, 100, 700)) for _ in lots])
    pairs = zip(times, lots, strict=True)
    rows = [trade(int(ms), 500_000 + n % 2, int(lot), n % 2) for n, (ms, lot) in enumerate(pairs)]
    bench = Bench(settings_with(), 1)
    bench.run(exported().engine_process_many, as_events(rows))
    ages = (times[-1] - times).astype(float)
    fast, slow = (np.dot(lots, weights(ages, tau)) / tau for tau in (1.0, 60.0))
    weight = -math.expm1(-(times[-1] - times[0]) / 60_000)
    assert bench.state().volume_ratio == pytest.approx(fast / (slow / weight), rel=TOLERANCE)


def test_spread_mean_and_variance_equal_numpy_over_time() -> None:
    print("seed 62")
    rng = random.Random(62)
    spreads = [rng.randint(1, 30) for _ in range(2_000)]
    times = np.cumsum([rng.choice((1, 10, 100, 900)) for _ in spreads])
    rows = [best(int(ms), 5_000, 3, 5_000 + s, 4) for ms, s in zip(times, spreads, strict=True)]
    bench = Bench(settings_with(), 1)
    bench.run(exported().engine_process_many, as_events(rows))
    # Each spread counts with the time it stood; the last has not stood yet.
    ends, starts = weights(times[-1] - times[1:], 60.0), weights(times[-1] - times[:-1], 60.0)
    stood = np.array(spreads[:-1], float)
    mean = np.average(stood, weights=ends - starts)
    variance = np.cov(stood, aweights=ends - starts, ddof=0)
    assert bench.state().spread_mean == pytest.approx(mean, rel=TOLERANCE)
    assert bench.state().spread_variance == pytest.approx(float(variance), rel=TOLERANCE)
