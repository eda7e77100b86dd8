"""Market making on real processes: quotes stand, are filled, are withdrawn; the venue agrees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from risk.quote_state import QUOTES
from risk.state import QUOTES_OFFSET
from shm.tables import ProcessState
from shm.topology import SharedMemory
from tests.system.pipeline import ROOT, Pipeline, wait_until
from tests.system.test_system_pipeline import check_books

pytestmark = pytest.mark.system
STAND_S = 60.0
# Short memories, so that a run of seconds knows its market; a fee of nothing, so that quotes stand
# near enough to it to be filled.
QUOTING = (
    "optimization.USE_MARKET_MAKING=true",
    'trading.symbols=["BTCUSDT", "ETHUSDT"]',
    'quoting.symbols=["BTCUSDT"]',
    "signals.use_momentum=false",
    "signals.use_mean_reversion=false",
    "signals.use_order_flow=false",
    "quoting.quote_usd=200",
    "quoting.max_inventory_usd=900",
    "quoting.risk_aversion=0.1",
    "quoting.volatility_long_s=8",
    "quoting.volatility_short_s=2",
    "quoting.intensity_s=3",
    "quoting.vpin_bucket_usd=10000",
    "quoting.vpin_buckets=5",
    "quoting.vpin_threshold=fixed",
    "quoting.vpin_max=1.0",
    "quoting.burst_ratio=1000",
    "quoting.stale_ms=3000",
    "quoting.spread_max_bps=50",
    "exchange.maker_fee=0.0",
    "exchange.regime=volatile",
    "exchange.rate=100",
    "risk.warmup_s=0",
    "performance.status_interval_s=1",
)


def quotes_of(memory: SharedMemory) -> Any:
    return QUOTES.at(memory.state("risk") + QUOTES_OFFSET)


def both_stand(memory: SharedMemory) -> bool:
    """Return whether risk has an order on each side that it has not asked to cancel."""
    quotes = quotes_of(memory)
    return all(quotes.order_id[side] and not quotes.cancel_ns[side] for side in (0, 1))


def none_stands(memory: SharedMemory) -> bool:
    return not any(quotes_of(memory).order_id)


def fills(memory: SharedMemory) -> tuple[int, int]:
    get = memory.counters.get
    return get("risk.quote_fills_buy"), get("risk.quote_fills_sell")


def counted(memory: SharedMemory, key: str) -> Callable[[], bool]:
    before = memory.counters.get(key)
    return lambda: memory.counters.get(key) > before


def leave_out_a_depth_message(pipeline: Pipeline) -> None:
    """Arm the fault at the run's own exchange."""
    path = pipeline.folder / "state" / pipeline.instance / "venue.json"
    rest_url = json.loads(path.read_text())["rest_url"]
    fault = {"name": "depth_gap", "symbol": "BTCUSDT"}
    reply = requests.post(f"{rest_url}/local/faults", json=fault, timeout=5)
    assert reply.ok, reply.text


def end(pipeline: Pipeline, memory: SharedMemory) -> dict[str, Any]:
    memory.close()
    assert pipeline.interrupt() < 20.0
    assert pipeline.process.returncode == 0, pipeline.explain()
    summary = check_books(pipeline)
    assert summary["quotes"]["placed"] > 0
    return summary


def test_both_sides_stand_and_are_filled_and_the_venue_agrees(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=QUOTING)
    memory = pipeline.attach()
    wait_until(lambda: both_stand(memory), STAND_S, "quotes on both sides")
    wait_until(lambda: min(fills(memory)) >= 2, STAND_S, "fills on both sides")
    summary = end(pipeline, memory)
    quotes = summary["quotes"]
    assert quotes["maker_share"] == 1.0, quotes
    assert sum(summary["signals"].values()) == 0
    assert "quotes" in pipeline.output and "placed" in pipeline.output
    # Before its memories are full it says what it waits for.
    assert "no quotes" in (tmp_path / "engine.log").read_text()


def test_quotes_are_pulled_when_prices_stop_or_a_person_kills(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=(*QUOTING, "supervisor.heartbeat_timeout_ms=10000"))
    memory = pipeline.attach()
    wait_until(lambda: both_stand(memory), STAND_S, "quotes on both sides")
    row = memory.process("feed")
    before = row.pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: none_stands(memory), 5.0, "quotes pulled after the feed's death")
    wait_until(lambda: row.pid != before and row.state == ProcessState.READY, 10.0, "feed back")
    wait_until(lambda: both_stand(memory), STAND_S, "quotes again")
    # A feed that lives and says nothing: prices grow old.
    stale = counted(memory, "risk.quotes_stopped_stale")
    frozen = row.pid
    os.kill(frozen, signal.SIGSTOP)
    try:
        wait_until(lambda: none_stands(memory), 8.0, "quotes pulled without prices")
    finally:
        os.kill(frozen, signal.SIGCONT)
    wait_until(lambda: both_stand(memory), STAND_S, "quotes after prices came back")
    assert stale()
    kill = [sys.executable, "supervisor.py", "kill"]
    kill += ["--set", f"system.instance={pipeline.instance}"]
    subprocess.run(kill, cwd=ROOT, check=False, capture_output=True)
    wait_until(lambda: none_stands(memory), 5.0, "quotes pulled after make kill")
    placed = memory.counters.get("risk.quote_orders")
    assert memory.control.kill_latch
    summary = end(pipeline, memory)
    assert summary["quotes"]["placed"] == placed


@pytest.mark.parametrize("name", ["engine", "risk", "executor"])
def test_a_stage_killed_with_quotes_standing_ends_consistent(tmp_path: Path, start, name: str):
    pipeline = start(tmp_path, settings=QUOTING)
    memory = pipeline.attach()
    wait_until(lambda: both_stand(memory), STAND_S, "quotes on both sides")
    row = memory.process(name)
    before = row.pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: row.pid != before and row.state == ProcessState.READY, 10.0, f"{name} back")
    more = counted(memory, "risk.quote_orders")
    wait_until(lambda: more() and both_stand(memory), STAND_S, "quotes anew")
    total = sum(fills(memory))
    wait_until(lambda: sum(fills(memory)) > total, STAND_S, "fills after the kill")
    summary = end(pipeline, memory)
    assert summary["restarts"] == 1


def test_a_gap_in_the_depth_pulls_quotes(tmp_path: Path, start):
    pipeline = start(tmp_path, settings=QUOTING)
    memory = pipeline.attach()
    stopped = counted(memory, "risk.quotes_stopped_stale")
    # A burst may have withdrawn the quotes in just the moment of a gap: then there is another.
    for _ in range(10):
        wait_until(lambda: both_stand(memory), STAND_S, "quotes on both sides")
        gap, snapshot = counted(memory, "feed.gaps"), counted(memory, "feed.snapshots")
        leave_out_a_depth_message(pipeline)
        wait_until(gap, 10.0, "a gap")
        wait_until(snapshot, 10.0, "the new snapshot")
        if stopped():
            break
    assert stopped(), "quotes were never pulled by a gap"
    wait_until(lambda: both_stand(memory), STAND_S, "quotes after the new snapshot")
    end(pipeline, memory)
