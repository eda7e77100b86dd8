"""One source, three ways to run it: ahead of time, JIT and plain Python give the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.loader import load as load_settings
from engine import loop
from runtime.kernels import Kernels, compiler, load
from tests.compiled import compiling
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench
from tests.naive.engine_stream import market

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = load_settings(
    env_file=None,
    environ={},
    overrides=["signals.warmup_events=20", "scalping.signal_threshold=0.01"],
)


def outcome(process_many: Any, count: int) -> str:
    bench = Bench(SETTINGS)
    signals = bench.run(process_many, market(41, count))
    state = hashlib.sha256(bench.state_bytes()).hexdigest()[:16]
    return f"{len(signals)} {hashlib.sha256(signals.tobytes()).hexdigest()[:16]} {state}"


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    return kept | more


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    with compiling("engine"):
        outcome(loop.engine_process_many, 1)


@pytest.fixture(scope="module")
def library() -> Kernels:
    if not compiler():
        pytest.skip("no C compiler")
    return load("ahead")


def test_ahead_of_time_equals_jit(library: Any) -> None:
    assert outcome(library.engine_process_many, 5_000) == outcome(loop.engine_process_many, 5_000)


@pytest.mark.recordings
@pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present")
def test_ahead_of_time_equals_jit_over_a_recording(library: Any) -> None:
    events = recording.both()[:300_000]
    benches = [Bench(SETTINGS), Bench(SETTINGS)]
    ahead = benches[0].run(library.engine_process_many, events).tobytes()
    jit = benches[1].run(loop.engine_process_many, events).tobytes()
    print("signals", len(ahead) // 128, "hash", hashlib.sha256(ahead).hexdigest())
    assert len(ahead) > 128 * 10
    assert ahead == jit
    assert benches[0].state_bytes() == benches[1].state_bytes()


def test_plain_python_equals_compiled() -> None:
    code = (
        "from engine import loop\n"
        "from tests.engine.test_engine_builds import outcome\n"
        "print(outcome(loop.engine_process_many, 900))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(NUMBA_DISABLE_JIT="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == outcome(loop.engine_process_many, 900)
    assert int(done.stdout.split()[0]) > 0
