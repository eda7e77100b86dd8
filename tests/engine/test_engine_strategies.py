"""The chain of strategies, their rows, and what signals tell risk about leaving."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from config.loader import load
from config.strategies import strategies_of
from engine.state import PARAMETERS
from engine.strategies.registry import ENTRIES, Entry, first_entry
from shm.compiled import kernel
from shm.memory import load_i64, store_i64
from shm.records import ExitRule, Factor, Strategy
from tests.compiled import exported
from tests.naive.engine_bench import Bench
from tests.naive.engine_stream import market
from tests.naive.engine_validation import naive_hints

DEFAULTS = load(env_file=None, environ={})
EAGER = (
    "signals.warmup_events=20",
    "scalping.signal_threshold=0.02",
    "scalping.confidence_threshold=0.4",
    "performance.signal_cooldown_sec=1.0",
)


def test_registry_and_the_rows_read_from_text_agree() -> None:
    known = strategies_of(DEFAULTS)
    assert [entry.code for entry in ENTRIES] == list(known) == [1, 2, 3]
    for entry, (code, row) in zip(ENTRIES, known.items(), strict=True):
        assert (entry.code, entry.trigger) == (code, int(row.trigger))
        assert row.name == Strategy(code).name.lower()
        assert row.module.endswith(f".{row.name}")
    triggers = [known[code].trigger for code in known]
    assert triggers == [Factor.ACCELERATION, Factor.RSI, Factor.BOOK_IMBALANCE]


@kernel
def _first(state: int, parameters: int) -> int:
    return load_i64(state)


@kernel
def _second(state: int, parameters: int) -> int:
    return load_i64(state + 8)


@kernel
def _judge(
    engine: int, symbol: int, parameters: int, strategy: int, trigger: int, side: int
) -> bool:
    # Memory: calls so far, then strategy, trigger and side of each; accepts what equals `wanted`.
    calls = load_i64(engine)
    place = engine + 16 + 24 * calls
    store_i64(engine, calls + 1)
    store_i64(place, strategy)
    store_i64(place + 8, trigger)
    store_i64(place + 16, side * symbol)
    return strategy == load_i64(engine + 8)


ASKED = first_entry((Entry(6, 3, _first), Entry(2, 7, _second)), _judge)


# sides of 6 and of 2, switched on, accepted → result, calls
@pytest.mark.parametrize(
    ("sides", "enabled", "accepted", "result", "calls"),
    [
        ((1, -1), (6, 2), 6, 1, [(6, 3, 1)]),
        ((-1, -1), (6, 2), 2, 1, [(6, 3, -1), (2, 7, -1)]),
        ((0, 1), (6, 2), 2, 1, [(2, 7, 1)]),
        ((1, 1), (2,), 6, 0, [(2, 7, 1)]),
        ((1, 1), (), 6, 0, []),
        ((2, -2), (6, 2), 6, 0, []),
        ((1, 1), (6, 2), 0, 0, [(6, 3, 1), (2, 7, 1)]),
    ],
)
def test_first_accepted_strategy_wins(
    sides: Any, enabled: Any, accepted: int, result: int, calls: list[Any]
) -> None:
    parameters, memory, state = PARAMETERS.new(), (ctypes.c_int64 * 32)(), (ctypes.c_int64 * 2)()
    state[:] = sides
    memory[1] = accepted
    for code in enabled:
        parameters.strategy_enabled[code] = 1
    places = [ctypes.addressof(each) for each in (memory, state, parameters)]
    assert ASKED(places[0], 3, *places[1:]) == result
    assert memory[0] == len(calls)
    found = [tuple(memory[2 + 3 * n : 5 + 3 * n]) for n in range(memory[0])]
    assert found == [(code, trigger, 3 * side) for code, trigger, side in calls]


def test_signals_tell_how_their_positions_are_left() -> None:
    bench = Bench(load(env_file=None, environ={}, overrides=[*EAGER, "signals.rsi_period=3"]))
    events, seen = market(21, 30_000), set()
    for event in np.split(events, len(events)):
        for found in bench.run(exported().engine_process_many, event):
            code, mean = int(found["strategy"]), bench.state(int(found["symbol"])).ema_slow
            wanted = naive_hints(code, mean)
            assert {name: found[name] for name in wanted} == wanted
            seen.add(Strategy(code))
    assert {Strategy.MEAN_REVERSION, Strategy.ORDER_FLOW} <= seen


def test_hints_of_every_strategy_follow_the_settings() -> None:
    chosen = load(
        env_file=None,
        environ={},
        overrides=["scalping.max_hold_time=20", "scalping.order_flow_hold_max_s=15"],
    )
    known = strategies_of(chosen)
    windows = {row.name: (row.hold_ms_min, row.hold_ms_max) for row in known.values()}
    assert windows == {
        "momentum": (20_000, 20_000),
        "mean_reversion": (20_000, 20_000),
        "order_flow": (10_000, 15_000),
    }
    assert [row.exit_rule for row in known.values()] == [
        ExitRule.TRAIL_RISK,
        ExitRule.RETURN_TO_MEAN,
        ExitRule.IMBALANCE,
    ]
    parameters = Bench(chosen).parameters
    for code, row in known.items():
        assert parameters.hold_ms_min[code] == row.hold_ms_min
        assert parameters.hold_ms_max[code] == row.hold_ms_max
        assert parameters.exit_rule[code] == row.exit_rule
