"""The user's strategy against its twin: the kernel alone, and in a library of the same build."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.loader import load
from config.strategies import strategies_of
from engine import UltraScalpingEngine, loop
from engine.state import PARAMETERS_OFFSET
from examples.advanced_strategies import breakout_side
from runtime import kernels as kernel_library
from shm.records import EventKind, ExitRule, Factor
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import Row, as_events
from tests.naive.engine_signals import NaiveSymbol
from tests.naive.engine_stream import best, snapshot, trade
from tests.naive.engine_validation import naive_combine
from tests.naive.example_breakout import NaiveBreakout

ROOT = Path(__file__).resolve().parents[2]
MODULE = "examples.advanced_strategies"
CODE = 5
# Every entry that it proposes and the score does not contradict is a signal.
OPEN = (
    f"signals.user_strategies={MODULE}",
    "signals.use_momentum=false",
    "signals.use_mean_reversion=false",
    "signals.use_order_flow=false",
    "signals.warmup_events=1",
    "scalping.signal_threshold=0.0",
    "scalping.confidence_threshold=0.0",
    "scalping.min_confirmations=0",
    "performance.signal_cooldown_sec=0.0",
)
SETTINGS = load(env_file=None, environ={}, overrides=OPEN)
NAMES = ("price_tick", "quantity_lot", "ask_tick", "ask_lot", "venue_ns", "kind", "flags")


def stream(seed: int, count: int) -> np.ndarray:
    """Return quiet stretches in a narrow range, and bursts that leave it either way."""
    rng = random.Random(seed)
    rows: list[Row] = snapshot(0, {9_000: 5}, {90_000: 5})
    ms, price, drift, left = 0, 30_000, 0, 0
    while len(rows) < count:
        ms += rng.choice((10, 60, 110, 240))
        if left == 0:
            drift, left = rng.choice((0, 0, 0, 1, -1)), rng.randint(20, 120)
        left -= 1
        price += drift * rng.randint(0, 3)
        if rng.random() < 0.3:
            rows.append(best(ms, price - 1, rng.randint(1, 90), price + 1, rng.randint(1, 90)))
            continue
        is_sell = int(rng.random() < 0.5 - 0.35 * drift)
        rows.append(trade(ms, price + rng.randint(-2, 2), rng.randint(1, 40), is_sell))
    return as_events(rows)


EVENTS = stream(5, 1_600)


@pytest.fixture(scope="module")
def wanted() -> dict[int, int]:
    """Return the twin's side by index of the evaluated event."""
    symbol, twin, found = NaiveSymbol(SETTINGS), NaiveBreakout(), {}
    for index, values in enumerate(zip(*(EVENTS[name].tolist() for name in NAMES), strict=True)):
        event = dict(zip(NAMES, values, strict=True))
        is_evaluated = symbol.take(event)
        if event["kind"] == EventKind.TRADE:
            twin.see(symbol.now, event["price_tick"])
        if is_evaluated:
            scores = {"momentum": symbol.momentum(), "order_flow": symbol.order_flow()}
            prices = [row[1] for row in symbol.trades]
            trend = prices[-1] / prices[-3] - 1 if len(prices) > 2 else 0.0
            found[index] = twin.side(symbol.now, scores, trend)
    assert sum(side == 1 for side in found.values()) > 20
    assert sum(side == -1 for side in found.values()) > 20
    return found


def test_kernel_equals_its_twin(wanted: dict[int, int]) -> None:
    print("seed 5")
    bench = Bench(SETTINGS, 1, require_book=False)
    parameters = bench.address + PARAMETERS_OFFSET
    for index in range(len(EVENTS)):
        bench.run(loop.engine_process_many, EVENTS[index : index + 1])
        if index in wanted:
            assert breakout_side(bench.state_address(), parameters) == wanted[index], index


def library() -> Any:
    if not kernel_library.compiler():
        pytest.skip("no C compiler")
    return kernel_library.load("ahead", strategies=SETTINGS.signals.user_strategies)


def expected_signals(wanted: dict[int, int]) -> list[tuple[int, int]]:
    """Return index and side of the events at which the score does not contradict the side."""
    bench, found = Bench(SETTINGS, 1, require_book=False), []
    for index in range(len(EVENTS)):
        bench.run(loop.engine_process_many, EVENTS[index : index + 1])
        side = wanted.get(index, 0)
        given = (bench.state(), bench.parameters, bench.thresholds())
        if side and naive_combine(*given, side, Factor.MOMENTUM)[5]:
            found.append((index, side))
    return found


def test_the_same_build_compiles_it_and_its_signals_are_the_twins(wanted: dict[int, int]) -> None:
    kernels, bench, found = library(), Bench(SETTINGS, 1, require_book=False), []
    for index in range(len(EVENTS)):
        for signal in bench.run(kernels.engine_process_many, EVENTS[index : index + 1]):
            assert signal["strategy"] == CODE
            assert signal["exit_rule"] == ExitRule.TRAIL_RISK
            assert (signal["hold_ms_min"], signal["hold_ms_max"]) == (5_000, 90_000)
            found.append((index, int(signal["side"])))
    assert found == expected_signals(wanted)
    assert len(found) > 30
    assert bench.counter("signals_user_1") == bench.counter("signals") == len(found)
    assert bench.counter("signals_order_flow") == 0


def test_it_changes_nothing_about_the_built_in_strategies() -> None:
    settings = load(env_file=None, environ={}, overrides=["signals.warmup_events=1"])
    plain, more = Bench(settings, 1, require_book=False), Bench(settings, 1, require_book=False)
    one = plain.run(loop.engine_process_many, EVENTS)
    other = more.run(library().engine_process_many, EVENTS)
    assert one.tobytes() == other.tobytes(), "it is compiled in, and not registered here"


def test_kernels_of_the_process_take_it_too() -> None:
    """KERNELS=jit: the process that compiles its own kernels is told which; here uncompiled."""
    bench = Bench(SETTINGS, 1, require_book=False)
    ahead = bench.run(library().engine_process_many, EVENTS)
    code = (
        "from runtime import kernels\n"
        f"made = kernels.load('jit', strategies=({MODULE!r},))\n"
        "import hashlib\n"
        "from tests.examples import test_advanced_strategies as mine\n"
        "bench = mine.Bench(mine.SETTINGS, 1, require_book=False)\n"
        "found = bench.run(made.engine_process_many, mine.EVENTS)\n"
        "print(len(found), hashlib.sha256(found.tobytes()).hexdigest())\n"
        "try:\n"
        "    kernels.load('jit')\n"
        "except kernels.KernelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"{len(ahead)} {hashlib.sha256(ahead.tobytes()).hexdigest()}"
    assert "other strategies in this process" in lines[1] and MODULE in lines[1]


def test_python_face_uses_it() -> None:
    engine = UltraScalpingEngine(["BTCUSDT"], settings=SETTINGS, tick_sizes={"BTCUSDT": 0.1})
    found = []
    for event in EVENTS[EVENTS["kind"] == EventKind.TRADE]:
        signal = engine.process_tick(
            symbol="BTCUSDT",
            price=float(event["price_tick"]) / 10,
            size=float(event["quantity_lot"]),
            is_buyer_maker=bool(event["flags"] & 1),
            trade_id=1,
            time_ns=int(event["venue_ns"]),
        )
        found += [signal] if signal is not None else []
    assert found and {signal.strategy for signal in found} == {"breakout"}
    assert found[0].reasoning.startswith("breakout ")
    assert "triggered by momentum" in found[0].reasoning


def test_sources_and_order_decide_which_library_it_is() -> None:
    names = [kernel_library.library_path(), kernel_library.library_path(strategies=(MODULE,))]
    names.append(kernel_library.library_path(strategies=(MODULE, "examples.other")))
    names.append(kernel_library.library_path(strategies=("examples.other", MODULE)))
    assert len(set(names)) == 4
    path = ROOT / "examples" / "advanced_strategies.py"
    assert path in kernel_library.source_files(("engine.loop",), (MODULE,))
    assert path not in kernel_library.source_files(("engine.loop",))
    assert path not in kernel_library.source_files(("risk.loop",), (MODULE,))
    risk = [kernel_library.build_hash("host", ("risk.loop",), each) for each in ((), (MODULE,))]
    assert risk[0] == risk[1], "only the engine's kernels know strategies"


def test_known_by_the_settings_alone() -> None:
    known = strategies_of(SETTINGS)[CODE]
    assert (known.name, known.label, known.module) == ("breakout", "breakout", MODULE)
    assert (known.trigger, known.exit_rule) == (Factor.MOMENTUM, ExitRule.TRAIL_RISK)
    assert (known.hold_ms_min, known.hold_ms_max) == (5_000, 90_000)
