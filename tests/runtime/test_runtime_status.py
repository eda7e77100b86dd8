"""What an instance says about itself, from what lies in shared memory."""

from __future__ import annotations

import os
import time

import pytest

from runtime.status import (
    halt_text,
    latency_ns,
    process_table,
    pss_bytes,
    pss_total,
    state_text,
    status_line,
    summary,
)
from runtime.wait_layout import WaitStrategy
from shm.tables import STAGES, HaltReason, ProcessState


@pytest.fixture
def running(memory):
    """Make an instance look as if it ran, with this process in the place of all."""
    control = memory.control
    control.reconciled = control.clock_ready = 1
    control.started_ns = time.monotonic_ns() - 5_000_000_000
    for index, name in enumerate((*STAGES, "supervisor")):
        row = memory.process(name)
        row.pid, row.core, row.wait = os.getpid(), index, int(WaitStrategy.ADAPTIVE)
        row.state = row.supervised_state = int(ProcessState.RUNNING)
        row.heartbeat_ns = time.monotonic_ns()
        row.work_count = 1_000
    return memory


def test_own_memory_is_measured_and_a_dead_process_has_none():
    size = pss_bytes(os.getpid())
    assert size is not None and 1 << 20 < size < 1 << 34
    assert pss_bytes(1 << 30) is None


def test_total_needs_every_process(running):
    own = pss_bytes(os.getpid()) or 0
    assert (pss_total(running) or 0) == pytest.approx(5 * own, rel=0.05)
    running.process("risk").pid = 1 << 30
    assert pss_total(running) is None


HALTS = (
    ("kill_latch", 1, "latched by operator: operator"),
    ("risk_latch", 3, "latched by risk: drawdown"),
    ("halt_reason", int(HaltReason.RESTART_BUDGET), "restart_budget"),
    ("reconciled", 0, "venue not reconciled"),
    ("clock_ready", 0, "clock not measured"),
)


@pytest.mark.parametrize(("field", "value", "words"), HALTS)
def test_every_reason_for_a_halt_is_named(running, field: str, value: int, words: str):
    assert halt_text(running) == ""
    setattr(running.control, field, value)
    assert halt_text(running) == words
    assert f"entries halted: {words}" in status_line(running, 0, 1.0)
    assert process_table(running, {}, 1.0, {}).endswith(f"entries: halted ({words})")


def test_all_reasons_are_named_together(running):
    for field, value, _ in HALTS:
        setattr(running.control, field, value)
    assert halt_text(running) == ", ".join(words for _, _, words in HALTS)


def test_status_line_holds_counts_rates_and_profit(running):
    counters = running.counters
    for key, value in (
        ("feed.events", 3_000),
        ("engine.signals", 7),
        ("executor.sent", 5),
        ("executor.fills", 4),
        ("risk.round_trips", 2),
        ("engine.laps", 1),
        ("risk.laps", 2),
        ("supervisor.restarts", 9),
    ):
        counters.add(key, value)
    running.control.realized_e8, running.control.fee_e8 = 250_000_000, 50_000_000
    running.histograms.get("tick_to_order").record(40_000)
    line = status_line(running, 1_000, 2.0)
    for words in (
        "events 3000 (1000/s)",
        "signals 7",
        "orders 5",
        "fills 4",
        "round trips 2",
        "pnl after fees +2.0000",
        "laps 3",
        "restarts 9",
        "tick to order p50 40 µs",
    ):
        assert words in line.split(" | "), line
    assert "halted" not in line


def test_empty_histogram_shows_a_dash_not_a_number(running):
    assert latency_ns(running, "ack") == {"p50": None, "p90": None, "p99": None}
    assert "tick to order p50 -" in status_line(running, 0, 1.0)


def test_process_table_has_a_line_per_process_that_was_started(running):
    running.histograms.get("engine").record(2_000)
    table = process_table(running, dict.fromkeys(STAGES, 500), 0.5, {"feed": 12.34}).splitlines()
    assert table[0].split()[:6] == ["process", "pid", "core", "node", "wait", "state"]
    names = [line.split()[0] for line in table[1:-1]]
    assert names == [*STAGES, "supervisor"], "the exchange was never started"
    engine = next(line for line in table if line.startswith("engine")).split()
    assert engine[1:3] == [str(os.getpid()), "1"]
    assert engine[4:6] == ["adaptive", "running"]
    assert engine[7] == "1000", "work per second"
    assert engine[8:10] == ["2", "2"]
    feed = next(line for line in table if line.startswith("feed")).split()
    assert feed[10] == "12.3", "CPU use of one core"
    assert engine[10] == "-", "not looked at"
    assert table[-1] == "entries: allowed"


def test_a_beat_newer_than_the_reading_has_no_age(running):
    running.process("feed").heartbeat_ns = time.monotonic_ns() + 10**12
    assert process_table(running, {}, 1.0, {}).splitlines()[1].split()[6] == "0"


def test_dead_process_is_shown_as_gone(running):
    running.process("feed").pid = 1 << 30
    feed = process_table(running, {}, 1.0, {}).splitlines()[1].split()
    assert feed[0] == "feed" and feed[5] == "gone"


@pytest.mark.parametrize(
    ("supervised", "own", "size", "wanted"),
    [
        (ProcessState.RUNNING, ProcessState.READY, 1, "ready"),
        (ProcessState.STARTING, ProcessState.READY, 1, "starting"),
        (ProcessState.DEAD, ProcessState.RUNNING, 1, "dead"),
        (ProcessState.HALTED, ProcessState.RUNNING, 1, "halted"),
        (ProcessState.RUNNING, ProcessState.ABSENT, 1, "running"),
        (ProcessState.RUNNING, ProcessState.RUNNING, None, "gone"),
    ],
)
def test_state_is_what_the_supervisor_knows_else_what_it_says(
    running, supervised, own, size, wanted
):
    row = running.process("feed")
    row.supervised_state, row.state = int(supervised), int(own)
    assert state_text(row, size) == wanted


def test_summary_adds_up(running):
    counters = running.counters
    counters.add("engine.signals_momentum", 3)
    counters.add("risk.exit_stop", 2)
    counters.set("executor.venue_matches", 1)
    running.control.realized_e8, running.control.fee_e8 = 100, 250
    made = summary(running, 123, "stopped")
    assert made["ended"] == "stopped"
    assert made["signals"] == {"momentum": 3, "mean_reversion": 0, "order_flow": 0}
    counters.add("engine.signals_user_2", 4)
    mine = summary(running, 123, "stopped", ("breakout", "fade"))["signals"]
    assert mine == {**made["signals"], "breakout": 0, "fade": 4}
    assert made["exits"]["stop"] == 2
    assert made["pnl_after_fees"] == -0.0000015
    assert made["duration_s"] >= 5.0
    assert made["pss_bytes_total"] == 123
    assert made["venue_matches_local"] is False, "the executor has not closed"
    running.process("executor").state = int(ProcessState.STOPPED)
    assert summary(running, None, "x")["venue_matches_local"] is True
    assert made["counters"]["engine.signals_momentum"] == 3
    assert 0 not in made["counters"].values()


def test_quotes_are_told_of_where_symbols_are_quoted(running):
    counters = running.counters
    assert "quotes" not in status_line(running, 0, 1.0)
    assert summary(running, None, "")["quotes"] is None
    counters.set("engine.quoted_symbols", 1)
    assert "quotes none wanted yet" in status_line(running, 0, 1.0)
    counters.add("engine.quotes", 9)
    assert summary(running, None, "")["quotes"]["maker_share"] is None
    for label, amount in (
        ("quote_orders", 6),
        ("quote_cancels", 4),
        ("quote_fills_buy", 3),
        ("quote_fills_sell", 1),
        ("quote_fills_maker", 3),
        ("quotes_stopped_stale", 2),
        ("quotes_refused_rate", 5),
    ):
        counters.add(f"risk.{label}", amount)
    found = summary(running, None, "")["quotes"]
    assert (found["placed"], found["fills_buy"], found["fills_sell"]) == (6, 3, 1)
    assert found["maker_share"] == 0.75
    assert found["stopped"]["stale"] == 2 and found["refused"]["rate"] == 5
    assert "quotes 6 placed 4 canceled 4 fills" in status_line(running, 0, 1.0)
