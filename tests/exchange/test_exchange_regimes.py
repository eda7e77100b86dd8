"""The weather of the synthetic market, and that its flow resembles recordings."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from synthetic_bench import middle, new_symbol

from exchange.markets.regimes import CHAINS, REGIMES, Weather
from exchange.matching.layout import BUY, SELL


def test_every_chain_names_regimes_that_exist_and_stays_inside_itself():
    for name, chain in CHAINS.items():
        assert set(chain) <= set(REGIMES), name
        for row in chain.values():
            assert set(row) <= set(chain), name
            assert math.isclose(sum(row.values()), 1.0), name


def test_the_common_path_does_not_depend_on_who_asks_when():
    often, seldom = Weather(5, "mixed"), Weather(5, "mixed")
    for step in range(1, 20_001):
        last = often.advance(step * 0.037)
    assert seldom.advance(20_000 * 0.037) == last
    assert (seldom.name, seldom.changes) == (often.name, often.changes)
    assert Weather(6, "mixed").advance(300.0) != Weather(5, "mixed").advance(300.0)


def test_mixed_weather_visits_every_regime():
    weather = Weather(1, "mixed")
    names = set()
    for second in range(40_000):
        weather.advance(float(second))
        names.add(weather.name)
    assert names == set(REGIMES)


def test_a_flash_crash_falls_thins_out_widens_and_recovers_in_part():
    seed = 5
    row = new_symbol("BTCUSDT", seed, "flash-crash")
    weather = row.flow.weather
    spreads: dict[str, list[int]] = {}
    depths: dict[str, list[int]] = {}
    middles: dict[str, list[float]] = {}
    before = 0.0
    while weather.name != "volatile" or "recovering" not in middles:
        row.step()
        bid, _, ask, _ = row.book.quote()
        spreads.setdefault(weather.name, []).append(ask - bid)
        middles.setdefault(weather.name, []).append(middle(row))
        if row.events % 50 == 0:
            reach = row.book.available_lot(SELL, int(bid * 0.999), 1 << 40)
            depths.setdefault(weather.name, []).append(reach)
        if weather.name == "falling" and not before:
            before = middles["volatile"][-1]
    bottom = min(middles["falling"])
    after = middles["recovering"][-1]
    assert before * 0.965 < bottom < before * 0.99
    assert 0.25 < (after - bottom) / (before - bottom) < 0.9
    mean = statistics.mean
    assert mean(spreads["falling"]) > 5 * mean(spreads["volatile"])
    assert mean(depths["falling"]) < 0.3 * mean(depths["volatile"])
    assert mean(depths["recovering"]) > 2 * mean(depths["falling"])


def grid_returns(row, step_s: float, count: int) -> list[float]:
    logs = []
    for place in range(count + 1):
        while row.next_s < 5.0 + place * step_s:
            row.step()
        logs.append(math.log(middle(row)))
    return [after - before for before, after in itertools.pairwise(logs)]


def lag_one(values: list[float]) -> float:
    mean = statistics.fmean(values)
    pairs = itertools.pairwise(values)
    square = sum((v - mean) ** 2 for v in values)
    return sum((a - mean) * (b - mean) for a, b in pairs) / square


@pytest.mark.parametrize("seed", [1, 2])
def test_returns_are_about_as_large_and_as_autocorrelated_as_recorded(seed):
    """Recorded, five seconds of BTCUSDT and ETHUSDT: sd 0.3 to 1.8 bps, lag one 0.1 to 0.4."""
    print(f"seed={seed}")
    values = grid_returns(new_symbol("ETHUSDT", seed, "trending"), 5.0, 200)
    assert 0.9 < statistics.pstdev(values) * 1e4 < 3.0
    assert -0.15 < lag_one(values) < 0.40
    quiet = grid_returns(new_symbol("ETHUSDT", seed, "quiet"), 5.0, 60)
    assert 0.2 < statistics.pstdev(quiet) * 1e4 < 1.0
    assert 0.5 < sum(v == 0.0 for v in quiet) / len(quiet) < 0.95


def test_symbols_move_together_by_their_betas():
    print("seed=9")
    btc = grid_returns(new_symbol("BTCUSDT", 9, "trending"), 5.0, 150)
    eth = grid_returns(new_symbol("ETHUSDT", 9, "trending"), 5.0, 150)
    trx = grid_returns(new_symbol("TRXUSDT", 9, "trending"), 5.0, 150)
    assert 0.45 < statistics.correlation(btc, eth) < 0.95
    assert statistics.correlation(btc, trx) < statistics.correlation(btc, eth)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "NEARUSDT"])
def test_the_book_stays_deep_and_tight(symbol):
    print("seed=11")
    row = new_symbol(symbol, 11, "trending")
    levels, tight = [], 0
    while row.next_s < 120.0:
        row.step()
        bid, _, ask, _ = row.book.quote()
        assert 0 < bid < ask
        tight += ask - bid == 1
        levels.append(min(row.book.level_count(BUY), row.book.level_count(SELL)))
    assert min(levels) >= 250
    assert statistics.median(levels) >= 350
    assert tight / len(levels) > 0.6
    assert 90 < row.events / row.next_s < 220
