"""A user's strategy in the whole pipeline: registered by one setting, compiled, traded, named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import kernels
from tests.system.pipeline import ROOT, wait_until

pytestmark = pytest.mark.system
MODULE = "examples.advanced_strategies"
SETTINGS = (
    f"signals.user_strategies={MODULE}",
    "signals.use_momentum=false",
    "signals.use_mean_reversion=false",
    "signals.use_order_flow=false",
    "signals.warmup_events=50",
    "scalping.signal_threshold=0.01",
    "scalping.confidence_threshold=0.3",
    "performance.signal_cooldown_sec=1",
    "performance.status_interval_s=1",
    "exchange.regime=volatile",
)


def test_the_pipeline_trades_a_strategy_of_a_user(tmp_path: Path, start) -> None:
    if kernels.compiler():
        kernels.ensure_built(strategies=(MODULE,))
    pipeline = start(tmp_path, settings=SETTINGS)
    memory = pipeline.attach()
    counters = memory.counters
    wait_until(lambda: counters.get("executor.fills") > 0, 60.0, "a first fill of the user's")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    summary = pipeline.summary()
    assert summary["user_strategies"] == MODULE
    assert summary["signals"]["breakout"] > 0, pipeline.explain()
    others = {name: n for name, n in summary["signals"].items() if name != "breakout"}
    assert set(others.values()) == {0}
    assert summary["counters"]["risk.accepted"] > 0
    assert summary["orders_lost"] == summary["orders_duplicated"] == 0
    assert re.search(r"signals: .*breakout \d", pipeline.output)
    log = (tmp_path / "engine.log").read_text()
    assert "strategy=breakout" in log
    assert re.search(r"breakout (buy|sell) [A-Z]+, strength .* triggered by momentum", log)
    assert not pipeline.segments_left()


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("examples.absent", "no such module in the project's folder: examples.absent"),
        ("examples.basic_scalping", "examples.basic_scalping registers no strategy"),
        (f"{MODULE},{MODULE}", "more than once"),
    ],
)
def test_a_registration_that_cannot_be_meant_is_one_line(
    tmp_path: Path, module: str, wanted: str
) -> None:
    command = [sys.executable, "supervisor.py", "run", "--log-folder", str(tmp_path)]
    command += ["--duration", "1", "--set", f"signals.user_strategies={module}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ") and wanted in done.stderr
