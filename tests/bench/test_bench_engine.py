"""The small version of the engine's bench: every row has its form and its answer is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import engine, engine_others, engine_twin, harness, ring_twin
from bench.__main__ import stages
from bench.engine_memory import SIGNALS_MAX, EngineMemory, run, settings_of
from bench.engine_stream import invented, level_steps
from bench.harness import WrongAnswerError
from engine import loop
from engine.state import THRESHOLDS, thresholds_address
from shm.records import MARKET_EVENT, SIGNAL, EventKind
from tests.compiled import compiling

ROOT = Path(__file__).resolve().parents[2]
NEEDS_COMPILER = pytest.mark.skipif(not ring_twin.compiler(), reason="no C++ compiler")


@pytest.fixture(scope="module")
def rows():
    """Run the small version once, with kernels compiled in process."""
    with compiling("engine"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load", lambda mode: loop)
        return list(engine.cases(quick=True))


def test_every_case_has_a_row_whose_answer_was_checked(rows):
    assert "engine" in stages()
    assert "engine_others" not in stages()
    cases = [row.case for row in rows]
    assert cases[:7] == [
        "all events",
        "ticks, eight signals each",
        "level update, best 5",
        "level update",
        "tick in ring to signal, one core",
        "tick in ring to signal, two cores",
        "100 symbols in turn",
    ]
    assert len(cases) == 7 + len(engine_others.PACKAGES)
    for row in rows:
        if row.p50 is None:
            assert row.note
            continue
        assert 0 < row.p50 <= row.p99 <= row.max
        assert row.hash != "-"
        assert len(harness.line(row)) > 100
    twin = "C++ twin" if ring_twin.compiler() else "no C++ compiler"
    assert all(twin in row.note for row in rows[:4])


def test_invented_market_is_the_same_each_time_and_leads_to_signals():
    first, second = invented(3_000), invented(3_000)
    assert first.events.tobytes() == second.events.tobytes()
    assert set(first.events["symbol"]) == {0, 1}
    before, steps = level_steps(first.of_symbol(0))
    assert len(before) == 800
    assert len(steps) > 300
    assert set(first.of_symbol(1)["symbol"]) == {0}


@NEEDS_COMPILER
@pytest.mark.parametrize("overrides", [(), ("signals.warmup_events=1", "signals.ema_slow=300")])
def test_twin_gives_the_same_signals_byte_for_byte(tmp_path, overrides):
    twin = engine_twin.build(tmp_path)
    events = invented(16_000).events
    trades = np.flatnonzero(events["kind"] == int(EventKind.TRADE))
    events["venue_ns"][trades[200]] = 1  # refused
    events["price_tick"][trades[201]] = 0  # refused
    events["kind"][trades[202]] = int(EventKind.INVALID)
    events["price_tick"][trades[203]] *= 3  # a jump
    part = events[len(events) // 2 : len(events) // 2 + 1_500]
    part["price_tick"] *= 3  # a market that moved, believed after a run, and one that came back
    part["ask_tick"][part["kind"] == int(EventKind.BEST)] *= 3
    bests = np.flatnonzero(events["kind"] == int(EventKind.BEST))
    events["ask_tick"][bests[200]] = 1  # crossed
    events["ask_lot"][bests[201]] = -1
    short = ("performance.signal_cooldown_sec=0.0", "signals.quarantine_s=0.2")
    chosen = settings_of(*short, *overrides)
    memory = EngineMemory(chosen, 2, require_book=False)
    # Each symbol has limits of its own.
    first, second = (THRESHOLDS.at(thresholds_address(memory.address, n)) for n in range(2))
    first.signal_threshold, first.confidence_threshold = 0.06, 0.5
    second.signal_threshold, second.min_confirmations, second.cooldown_ms = 0.2, 2, 700
    wanted = run(loop, memory, events)
    refused = memory.counter("refused")
    handle = twin("twin_new")(memory.parameters, 2, memory.thresholds)
    out = np.zeros(SIGNALS_MAX, SIGNAL.dtype)
    found = twin("twin_process_many")(
        handle, events.ctypes.data, len(events), out.ctypes.data, SIGNALS_MAX
    )
    assert twin("twin_evaluations")(handle) == memory.counter("evaluations")
    twin("twin_delete")(handle)
    assert refused >= 40
    assert memory.counter("refused_jump") >= 30
    assert found * SIGNAL.size == len(wanted) > 10 * SIGNAL.size
    assert out[:found].tobytes() == wanted


@NEEDS_COMPILER
def test_a_twin_that_differs_is_a_wrong_answer(tmp_path):
    build = engine_twin.build(tmp_path)

    def forgetful(symbol):
        function = build(symbol)
        if symbol != "twin_process_many":
            return function
        return lambda engine, events, count, *rest: function(engine, events, count - 500, *rest)

    stream = invented(6_000)
    with pytest.raises(WrongAnswerError, match=r"twin|evaluations"):
        engine._events(loop, stream, stream.events, True, "all events", 1, forgetful)


def test_struct_states_the_layout():
    text = engine_twin.struct_of("market_event", MARKET_EVENT)
    assert f"sizeof(market_event) == {MARKET_EVENT.size}" in text
    assert "update_id" not in text, "an overlay is no field of its own"
    assert f"offsetof(market_event, sequence) == {MARKET_EVENT.offset('sequence')}" in text


def test_books_of_others_say_why_they_are_absent(monkeypatch, tmp_path):
    monkeypatch.setattr(engine_others, "ENVIRONMENT", tmp_path / "others")
    monkeypatch.setattr(engine_others, "DONE", tmp_path / "others" / "installed.json")

    def refuse(command, **rest):
        raise subprocess.CalledProcessError(1, command, stderr=b"ERROR: No matching distribution")

    monkeypatch.setattr(engine_others.subprocess, "run", refuse)
    rows = list(engine_others.rows(loop, invented(3_000), quick=False))
    assert [row.p50 for row in rows] == [None] * 3
    assert all("No matching distribution" in row.note for row in rows)


def test_an_answer_of_others_is_compared(monkeypatch):
    def answering(name, paths):
        steps = np.load(paths[0])
        assert steps.shape[1] == 3
        return {"version": "1", "figures": [100.0], "answer": [[[1, 1]], [[2, 2]]]}

    monkeypatch.setattr(engine_others, "_install", lambda: "")
    monkeypatch.setattr(engine_others, "_theirs", answering)
    monkeypatch.setattr(engine_others, "CLOSES", 100)
    with pytest.raises(WrongAnswerError, match="best levels"):
        list(engine_others.rows(loop, invented(3_000), quick=False))


def test_the_script_for_others_imports_nothing_of_ours():
    code = (
        "import json, runpy, sys; sys.path.pop(0);"
        f"runpy.run_path({str(engine_others.SCRIPT)!r});"
        "print(json.dumps([n for n in sys.modules if n.split('.')[0] in "
        "('shm', 'engine', 'bench', 'config', 'runtime')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
