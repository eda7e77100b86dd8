"""make kill and make rearm on real processes, judged by what the venue itself shows afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shm import segments
from shm.latch_table import is_latched
from shm.tables import STAGES, ProcessState
from tests.system.own_venue import KEY, SECRET, OwnVenue
from tests.system.pipeline import ROOT, Pipeline, wait_until

pytestmark = pytest.mark.system
BUSY = (
    "performance.signal_cooldown_sec=1",
    "scalping.order_flow_hold_min_s=1",
    "scalping.order_flow_hold_max_s=3",
    "supervisor.kill_takeover_ms=700",
)


def command(pipeline: Pipeline, *words: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "supervisor.py", *words]
    for pair in pipeline.own:
        whole += ["--set", pair]
    return subprocess.run(
        whole, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def load_the_account(venue: OwnVenue) -> None:
    """Two entries that rest, a position, and the stop that protects it."""
    for symbol, quantity in (("BTCUSDT", "0.01"), ("ETHUSDT", "0.2")):
        venue.rest_order(symbol, quantity)
    venue.rest_order("BTCUSDT", "0.02")
    venue.open_position("ETHUSDT", "0.1")
    venue.rest_stop("ETHUSDT", "0.1")
    assert len(venue.orders()) == 3 and len(venue.stops()) == 1


def freeze(name: str) -> Callable:
    return lambda memory: os.kill(memory.process(name).pid, signal.SIGSTOP)


def kill_supervisor(memory) -> None:
    """Its stages close by themselves; its segments stay."""
    pids = [memory.process(name).pid for name in STAGES]
    os.kill(memory.process("supervisor").pid, signal.SIGKILL)
    wait_until(lambda: not any(map(segments.process_start_time, pids)), 15.0, "stages gone")


def kill_everything(memory) -> None:
    pids = [memory.process(name).pid for name in ("supervisor", *STAGES)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # nobody reacts to the death of another
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(segments.process_start_time, pids)), 15.0, "all gone")


SCENES = {
    "risk frozen": freeze("risk"),
    "executor frozen": freeze("executor"),
    "supervisor dead": kill_supervisor,
    "everything dead": kill_everything,
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("flatten", [False, True])
def test_kill_clears_the_venue_whoever_is_dead(tmp_path: Path, start, venue, scene, flatten):
    quiet = ("supervisor.heartbeat_timeout_ms=60000", "scalping.signal_threshold=0.99")
    pipeline = start(tmp_path, settings=(*venue.settings, *BUSY, *quiet))
    memory = pipeline.attach()
    SCENES[scene](memory)
    load_the_account(venue)
    done = command(pipeline, "kill", *(["--flatten"] if flatten else []))
    text = done.stdout + done.stderr + pipeline.explain()
    assert done.returncode == 0, text
    assert venue.orders() == [], text
    assert is_latched(memory.control)
    if flatten:
        assert venue.positions() == {} and venue.stops() == [], text
    else:
        assert list(venue.positions()) == ["ETHUSDT"], text
        assert len(venue.stops()) == 1, text
        assert "positions stay: ETHUSDT 0.1" in done.stdout
        assert "no stop rests" not in done.stdout
    assert SECRET not in text and KEY not in text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    for name in STAGES:
        pid = memory.process(name).pid
        if segments.process_start_time(pid):
            os.kill(pid, signal.SIGCONT)
    memory.close()
    again = command(pipeline, "kill")
    assert again.returncode == 0, again.stderr
    pipeline.end()


def test_kill_of_a_living_pipeline_and_its_rearm(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=BUSY)
    memory = pipeline.attach()
    counters = memory.counters
    wait_until(lambda: memory.control.open_position_count, 40.0, "a position")
    done = command(pipeline, "kill", "--flatten")
    assert done.returncode == 0, done.stdout + done.stderr + pipeline.explain()
    assert "pipeline: orders withdrawn" in done.stdout
    assert "no position" in done.stdout
    assert memory.control.open_position_count == 0
    accepted, rejected = counters.get("risk.accepted"), counters.get("risk.rejected_halted")
    wait_until(lambda: counters.get("risk.rejected_halted") > rejected, 40.0, "a refused signal")
    assert counters.get("risk.accepted") == accepted

    status = command(pipeline, "status").stdout
    assert "latched by operator: operator" in status and "a person ran make kill" in status
    for words, code in (((), 2), (("--confirm", "perhaps"), 2), (("--confirm", "yes"), 0)):
        told = command(pipeline, "rearm", *words)
        assert told.returncode == code, told.stderr
        assert "by operator (user" in told.stdout and "a person ran make kill" in told.stdout
        if code:
            assert told.stderr.count("\n") == 1 and "CONFIRM=yes" in told.stderr
            assert is_latched(memory.control)
    assert not is_latched(memory.control)
    wait_until(lambda: counters.get("risk.accepted") > accepted, 40.0, "entries again")
    assert command(pipeline, "rearm").stdout.startswith("nothing is latched")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    assert "latched, only risk-reducing orders pass" in pipeline.errors
    left = [path.name for path in (tmp_path / "state").rglob("*.json")]
    assert left == ["last_venue.json"], "a clean end leaves nothing but where it traded"


def test_a_latch_outlives_stages_and_the_run_until_a_person_rearms(tmp_path: Path, start):
    first = start(tmp_path, settings=BUSY)
    memory = first.attach()
    assert command(first, "kill").returncode == 0
    for name in ("risk", "executor"):
        row = memory.process(name)
        before = row.pid
        os.kill(before, signal.SIGKILL)
        wait_until(
            lambda row=row, before=before: (
                row.pid != before
                and row.state in (ProcessState.READY, ProcessState.RUNNING)
                and memory.control.halt_reason == 0
            ),
            10.0,
            f"{name} is back",
        )
        assert is_latched(memory.control)
    memory.close()
    first.interrupt()
    assert first.process.returncode == 0, first.explain()

    second = start(tmp_path, settings=BUSY)
    memory = second.attach()
    counters = memory.counters
    wait_until(lambda: counters.get("risk.rejected_halted") > 0, 40.0, "a refused signal")
    assert counters.get("risk.accepted") == counters.get("executor.sent") == 0
    told = command(second, "rearm", "--confirm", "yes")
    assert told.returncode == 0 and told.stdout.count("a person ran make kill") == 1, told.stdout
    wait_until(lambda: counters.get("risk.accepted") > 0, 40.0, "entries again")
    memory.close()
    second.interrupt()
    assert second.process.returncode == 0, second.explain()
    assert "latched since an earlier run" in second.errors


def test_fault_40_a_cancel_all_that_leaves_orders_is_repeated(tmp_path: Path, start, venue):
    pipeline = start(tmp_path, settings=(*venue.settings, *BUSY, "scalping.signal_threshold=0.99"))
    memory = pipeline.attach()
    kill_everything(memory)
    memory.close()
    load_the_account(venue)
    venue.fault(name="cancel_all_partial", keep=1, count=0)
    done = command(pipeline, "kill")
    assert done.returncode == 0, done.stdout + done.stderr
    assert venue.orders() == [] and len(venue.stops()) == 1
    pipeline.end()


def test_kill_of_what_does_not_run_says_so(tmp_path: Path, start):
    pipeline = start(tmp_path, "--duration", "0.5")
    pipeline.finish()
    done = command(pipeline, "kill")
    assert done.returncode == 1
    assert done.stderr.startswith("error: not running:") and done.stderr.count("\n") == 1


def wear_out(pipeline: Pipeline, memory, name: str) -> None:
    """Kill a stage whenever it is back, until the supervisor gives it up."""
    row = memory.process(name)
    while row.supervised_state != ProcessState.HALTED and pipeline.process.poll() is None:
        if row.state == ProcessState.READY and segments.process_start_time(row.pid):
            with contextlib.suppress(ProcessLookupError):  # the supervisor was faster
                os.kill(row.pid, signal.SIGKILL)
        wait_until(
            lambda: (
                row.state == ProcessState.READY
                or row.supervised_state == ProcessState.HALTED
                or pipeline.process.poll() is not None
            ),
            10.0,
            f"{name} back or given up",
        )


@pytest.mark.parametrize("name", ["risk", "executor"])
@pytest.mark.parametrize("flatten", ["true", "false"])
def test_positions_are_not_left_alone_when_a_stage_is_given_up(
    tmp_path: Path, start, venue, name, flatten
):
    pipeline = start(
        tmp_path,
        settings=(
            *venue.settings, *BUSY, "scalping.signal_threshold=0.99",
            "supervisor.restart_budget=1", f"supervisor.emergency_flatten={flatten}",
        ),
    )  # fmt: skip
    memory = pipeline.attach()
    load_the_account(venue)
    wear_out(pipeline, memory, name)
    memory.close()
    assert pipeline.finish() == 1, pipeline.explain()
    text = pipeline.explain()
    assert "kept dying" in pipeline.errors and "make rearm" in pipeline.errors, text
    assert venue.orders() == [], text
    if flatten == "true":
        assert venue.positions() == {} and venue.stops() == [], text
    else:
        assert list(venue.positions()) == ["ETHUSDT"] and len(venue.stops()) == 1, text
    assert SECRET not in text
    told = command(pipeline, "status")
    assert told.returncode == 1 and "restart_budget, a stage kept dying" in told.stderr
    assert f"supervisor ({name})" in told.stderr


def test_a_rearm_gives_a_stage_that_was_given_up_another_life(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=(*BUSY, "supervisor.restart_budget=1"))
    memory = pipeline.attach()
    wear_out(pipeline, memory, "engine")
    wait_until(lambda: is_latched(memory.control), 2.0, "latched")
    accepted = memory.counters.get("risk.accepted")
    assert command(pipeline, "rearm", "--confirm", "yes").returncode == 0
    wait_until(lambda: memory.control.halt_reason == 0, 10.0, "entries again")
    wait_until(lambda: memory.counters.get("risk.accepted") > accepted, 60.0, "an entry")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()


def test_fault_05_supervisor_killed_its_stages_withdraw_their_orders(tmp_path: Path, start, venue):
    pipeline = start(tmp_path, settings=(*venue.settings, *BUSY, "scalping.signal_threshold=0.99"))
    memory = pipeline.attach()
    load_the_account(venue)
    kill_supervisor(memory)
    memory.close()
    assert venue.orders() == []
    assert list(venue.positions()) == ["ETHUSDT"] and len(venue.stops()) == 1
    pipeline.end()


def test_fault_06_after_everything_was_killed_the_next_start_finds_what_is_there(
    tmp_path: Path, start, venue
):
    settings = (*venue.settings, *BUSY, "scalping.signal_threshold=0.99")
    first = start(tmp_path, settings=settings)
    memory = first.attach()
    load_the_account(venue)
    kill_everything(memory)
    memory.close()
    first.finish()
    second, log = start(tmp_path, settings=settings), tmp_path / "supervisor.log"
    running = f"pid={second.process.pid}"  # the venue is not polled: looks cost request weight
    wait_until(lambda: running in log.read_text(), 60.0, "running")
    assert venue.orders() == [], "what the dead run left is withdrawn"
    assert venue.positions()["ETHUSDT"] > 0 and len(venue.stops()) >= 1, "it is still protected"
    done = command(second, "kill", "--flatten")
    assert done.returncode == 0, done.stdout + done.stderr
    assert venue.positions() == {} and venue.stops() == [] and venue.orders() == []
    second.end()
