"""The smallest example runs as a program, and finds what its words promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_basic_scalping_prints_its_signal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.basic_scalping"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        # Whatever the person's shell sets, the words are about the settings as they are shipped.
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    *signals, last = done.stdout.splitlines()
    assert last == f"720 ticks, {len(signals)} signals"
    assert len(signals) == 1
    assert signals[0].startswith("BUY BTCUSDT: momentum buy BTCUSDT, strength")
    assert "price accelerates upwards" in signals[0]
