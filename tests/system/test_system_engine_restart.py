"""The engine is killed in a running pipeline: it goes on warm, and decides nothing twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from engine.reasons import StartReason
from engine.state import ENGINE, SYMBOL_STATE, symbol_state_address
from shm.tables import BOOK_REQUEST, ProcessState
from tests.system.pipeline import wait_until

pytestmark = pytest.mark.system
SETTINGS = (
    "performance.signal_cooldown_sec=0.2",
    "scalping.signal_threshold=0.05",
    "scalping.order_flow_hold_min_s=1",
    "scalping.order_flow_hold_max_s=2",
    # A cold symbol is silent for seconds: what speaks up at once went on warm.
    "signals.warmup_events=400",
)
KILLS = 3


def test_a_killed_engine_goes_on_warm(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=SETTINGS)
    memory = pipeline.attach()
    counters, place = memory.counters, memory.state("engine")
    engine, count = ENGINE.at(place), memory.control.symbol_count
    states = [SYMBOL_STATE.at(symbol_state_address(place, n)) for n in range(count)]
    requests = [BOOK_REQUEST.at(memory.book_request_address(n)) for n in range(count)]
    row = memory.process("engine")
    for kill in range(1, KILLS + 1):
        wait_until(
            lambda: all(state.event_count > 400 for state in states), 60.0, "all symbols warm"
        )
        before = [state.event_count for state in states]
        wanted = [request.wanted for request in requests]
        pid, signals = row.pid, counters.get("engine.signals")
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda pid=pid: (
                row.pid != pid
                and row.state == ProcessState.READY
                and memory.control.halt_reason == 0
            ),
            5.0,
            "the engine back at work",
        )
        reasons = [StartReason(engine.start_reasons[n]) for n in range(count)]
        warm = [n for n, reason in enumerate(reasons) if reason == StartReason.WARM]
        assert len(warm) >= count - 1, reasons
        assert counters.get("engine.warm_symbols") >= kill * (count - 1)
        # No warm-up and no snapshot: the counts go on, the books are still there.
        for index in warm:
            assert states[index].event_count >= before[index]
            assert requests[index].wanted == wanted[index]
        wait_until(
            lambda signals=signals: counters.get("engine.signals") > signals, 10.0, "a signal"
        )
    entries = counters.get("risk.accepted")
    wait_until(lambda: counters.get("risk.accepted") > entries, 30.0, "an entry after the kills")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    summary = pipeline.summary()
    assert summary["restarts"] == KILLS
    assert summary["orders_duplicated"] == summary["orders_lost"] == 0
    text = (tmp_path / "engine.log").read_text()
    assert len(re.findall(r"event=.goes on.", text)) == KILLS, text
    ids = [int(found) for found in re.findall(r"event=signal .*?\bid=(\d+)", text)]
    assert len(ids) >= KILLS, text
    assert len(ids) == len(set(ids)), "a signal was logged twice"
