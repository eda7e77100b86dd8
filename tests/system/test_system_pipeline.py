"""The whole pipeline on real processes: fills, clean ends, kills, refusals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shm import segments
from shm.tables import STAGES, ProcessState
from tests.system.pipeline import RECORDINGS, ROOT, Pipeline, wait_until

pytestmark = pytest.mark.system
# Trade often, so that a short run sees orders, fills and closed positions.
BUSY = (
    "performance.signal_cooldown_sec=1",
    "scalping.order_flow_hold_min_s=1",
    "scalping.order_flow_hold_max_s=3",
    "performance.status_interval_s=1",
)


def check_books(pipeline: Pipeline) -> dict:
    summary = pipeline.summary()
    text = pipeline.explain()
    assert summary["orders_lost"] == 0, text
    assert summary["orders_duplicated"] == 0, text
    assert summary["venue_matches_local"] is True, text
    assert summary["open_positions"] == 0, text
    assert pipeline.segments_left() == []
    return summary


def test_a_run_trades_and_leaves_nothing_behind(tmp_path: Path, start):
    pipeline = start(tmp_path, "--duration", "12", settings=BUSY)
    memory = pipeline.attach()
    pids = [memory.process(name).pid for name in (*STAGES, "supervisor", "exchange")]
    memory.close()
    assert pipeline.finish() == 0, pipeline.explain()
    summary = check_books(pipeline)
    for key in ("events", "orders", "fills", "round_trips"):
        assert summary[key] > 0, (key, pipeline.explain())
    assert sum(summary["signals"].values()) > 0
    assert summary["restarts"] == 0
    assert 0 < summary["pss_bytes_total"] < 64 * 2**20
    quantiles = summary["tick_to_order_ns"]
    assert 0 < quantiles["p50"] <= quantiles["p90"] <= quantiles["p99"]
    assert len(re.findall(r"^ +\d+\.\d s \| events \d+", pipeline.output, re.M)) >= 5
    assert not any(segments.process_start_time(pid) for pid in pids)
    for name in (*STAGES, "supervisor", "exchange"):
        assert (tmp_path / f"{name}.log").stat().st_size > 0, name


def test_a_killed_stage_is_back_within_a_second_and_no_order_is_lost(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=BUSY)
    memory = pipeline.attach()
    counters = memory.counters
    for name in STAGES:
        wait_until(lambda: counters.get("executor.fills") > 0, 30.0, "a first fill")
        row = memory.process(name)
        before = row.pid
        os.kill(before, signal.SIGKILL)
        wait_until(
            lambda row=row, before=before: (
                row.pid != before
                and row.state == ProcessState.READY
                and memory.control.halt_reason == 0
            ),
            5.0,
            f"{name} back at work",
        )
    fills = counters.get("executor.fills")
    wait_until(lambda: counters.get("executor.fills") > fills, 30.0, "fills after the kills")
    memory.close()
    assert pipeline.interrupt() < 6.0
    assert pipeline.process.returncode == 0, pipeline.explain()
    summary = check_books(pipeline)
    assert summary["restarts"] == len(STAGES)
    back_ms = [
        float(found)
        for found in re.findall(r"after_ms=([\d.]+)", (tmp_path / "supervisor.log").read_text())
    ]
    assert len(back_ms) == len(STAGES)
    assert max(back_ms) < 1000, back_ms


def test_stages_end_when_the_supervisor_is_killed(tmp_path: Path, start):
    pipeline = start(tmp_path)
    memory = pipeline.attach()
    pids = [memory.process(name).pid for name in (*STAGES, "exchange")]
    memory.close()
    pipeline.process.kill()
    wait_until(
        lambda: not any(segments.process_start_time(pid) for pid in pids), 10.0, "stages gone"
    )
    pipeline.finish()
    assert pipeline.segments_left()
    clean = [sys.executable, "supervisor.py", "clean-shm"]
    clean += ["--set", f"system.instance={pipeline.instance}"]
    subprocess.run(clean, cwd=ROOT, check=True, capture_output=True)
    assert pipeline.segments_left() == []


def test_a_second_supervisor_is_refused_and_stop_ends_the_first(tmp_path: Path, start):
    first = start(tmp_path)
    first.attach().close()
    second = start(tmp_path, settings=(f"system.instance={first.instance}",))
    assert second.finish() == 1
    assert f"supervisor_pid={first.process.pid}" in second.errors
    stop = [sys.executable, "supervisor.py", "stop", "--set", f"system.instance={first.instance}"]
    done = subprocess.run(stop, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert first.finish() == 0, first.explain()
    check_books(first)


@pytest.mark.recordings
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings in ../shared are not there")
@pytest.mark.parametrize("speed", ["10", "max"])
def test_a_recording_is_traded(tmp_path: Path, start, speed: str):
    files = [str(RECORDINGS / f"usdm_{coin}usdt_20240718.gz") for coin in ("btc", "eth")]
    options = ["--market", "capture", "--speed", speed, "--duration", "40", "--capture", *files]
    # The fastest replay is over before a warm-up would be.
    settings = ("performance.signal_cooldown_sec=1", "risk.warmup_s=0")
    pipeline = start(tmp_path, *options, settings=settings)
    assert pipeline.finish() == 0, pipeline.explain()
    summary = check_books(pipeline)
    assert summary["ended"] == "capture is finished"
    assert summary["symbols"] == "BTCUSDT,ETHUSDT"
    for key in ("events", "orders", "fills", "round_trips"):
        assert summary[key] > 0, (key, pipeline.explain())


def test_bad_input_gives_one_line_and_leaves_nothing(tmp_path: Path, start):
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    port = holder.getsockname()[1]
    missing = str(tmp_path / "missing.gz")
    cases = {
        "missing capture": (["--market", "capture", "--capture", missing], (), "missing.gz"),
        "port in use": ([], (f"exchange.port={port}",), str(port)),
        "unknown symbol": ([], ('trading.symbols=["NOPEUSDT"]',), "NOPEUSDT"),
        "unknown key": ([], ("risk.stop_los_pct=0.1",), "stop_loss_pct"),
        "out of bounds": ([], ("risk.stop_loss_pct=2",), "risk.stop_loss_pct"),
    }
    for name, (options, settings, wanted) in cases.items():
        folder = tmp_path / name.replace(" ", "")
        folder.mkdir()
        pipeline = start(folder, *options, settings=settings)
        code = pipeline.finish()
        assert code in (1, 2), (name, pipeline.explain())
        lines = [line for line in pipeline.errors.splitlines() if line.startswith("error:")]
        assert len(lines) == 1, (name, pipeline.errors)
        assert wanted in lines[0], (name, lines)
        assert "Traceback" not in pipeline.errors, (name, pipeline.errors)
        assert pipeline.segments_left() == [], name
    holder.close()


def test_no_room_for_shared_memory_gives_one_line(tmp_path: Path):
    """Run in a mount namespace of its own, where /dev/shm holds 64 KiB."""
    probe = ["unshare", "--mount", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces are not permitted here")
    program = (
        "mount -t tmpfs -o size=64k tmpfs /dev/shm && "
        f"{sys.executable} supervisor.py run --log-folder {tmp_path} --set system.instance=tsmall; "
        "code=$?; ls /dev/shm; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done
    assert [line for line in done.stderr.splitlines() if "no space in /dev/shm" in line]
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() == ""


def test_too_few_cores_is_a_warning(tmp_path: Path, start):
    pipeline = start(tmp_path, "--duration", "2", settings=("system.cpu_cores=[0]",))
    assert pipeline.finish() == 0, pipeline.explain()
    warnings = [line for line in pipeline.errors.splitlines() if "too few cores" in line]
    assert len(warnings) == 1


@pytest.mark.parametrize("name", ["risk", "engine"])
def test_a_stage_that_keeps_dying_is_not_started_for_ever(tmp_path: Path, start, name: str):
    pipeline = start(tmp_path, settings=(*BUSY, "supervisor.restart_budget=1"))
    memory = pipeline.attach()
    row = memory.process(name)
    for _ in range(2):
        before = row.pid
        os.kill(before, signal.SIGKILL)
        wait_until(
            lambda before=before: row.pid != before or row.supervised_state == ProcessState.HALTED,
            5.0,
            f"{name} restarted or halted",
        )
        wait_until(
            lambda: (
                row.state == ProcessState.READY
                or row.supervised_state == ProcessState.HALTED
                or pipeline.process.poll() is not None
            ),
            5.0,
            f"{name} ready or halted",
        )
    if name == "risk":  # nobody guards positions any more: the run ends
        assert pipeline.finish() == 1
        assert "kept dying" in pipeline.errors
    else:  # risk goes on guarding what is open
        assert memory.control.halt_reason
        pipeline.interrupt()
    memory.close()
    assert pipeline.segments_left() == []


def test_a_hang_up_of_the_terminal_stops_in_order(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=BUSY)
    memory = pipeline.attach()
    wait_until(lambda: memory.counters.get("executor.fills") > 0, 30.0, "a first fill")
    groups = {os.getpgid(memory.process(name).pid) for name in STAGES}
    memory.close()
    assert os.getpgid(pipeline.process.pid) not in groups
    pipeline.process.send_signal(signal.SIGHUP)
    assert pipeline.finish() == 0, pipeline.explain()
    check_books(pipeline)
