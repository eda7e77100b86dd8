"""One recording, four runs, one stream of signals: twice ahead of time, twice compiled in process.

Whole SIGNAL records are compared. Two of their fields are stamps: `origin_ns` is the receive stamp
that the recording holds, and `engine_process_many` reads no clock but writes it into `written_ns`
too, which is checked. In trading `written_ns` is the monotonic clock and differs from run to run.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from config.loader import load
from engine import loop
from runtime import kernels as kernel_library
from shm.records import SIGNAL
from tests.compiled import compiling
from tests.naive import engine_recording as recording
from tests.naive.engine_bench import Bench
from tests.naive.engine_stream import market

SETTINGS = load(env_file=None, environ={})
RUNS = 2

pytestmark = [
    pytest.mark.recordings,
    pytest.mark.skipif(bool(recording.ABSENT), reason=recording.ABSENT or "present"),
]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    with compiling("engine"):
        Bench(SETTINGS).run(loop.engine_process_many, market(1, 1))


def outcome(process_many: Any) -> tuple[bytes, bytes]:
    """Return the signal records and the final state of an engine that begins cold."""
    bench = Bench(SETTINGS)
    signals = bench.run(process_many, recording.both())
    assert (signals["written_ns"] == signals["origin_ns"]).all()
    return signals.tobytes(), bench.state_bytes()


def test_same_recording_same_bytes() -> None:
    if not (kernel_library.is_built() or kernel_library.compiler()):
        pytest.skip("no C compiler: kernels cannot be built ahead of time")
    ways = {
        "ahead of time": kernel_library.load("ahead").engine_process_many,
        "in process": loop.engine_process_many,
    }
    found = []
    for name, process_many in ways.items():
        for number in range(RUNS):
            signals, state = outcome(process_many)
            found.append((signals, state))
            print(
                f"{name}, run {number + 1}: {len(signals) // SIGNAL.size} signals, SHA-256 "
                f"{hashlib.sha256(signals).hexdigest()}"
            )
    assert len(found[0][0]) >= 100 * SIGNAL.size
    assert len(set(found)) == 1


def test_other_parameters_give_other_bytes() -> None:
    """The comparison above can fail: a threshold a little higher changes the stream."""
    other = load(env_file=None, environ={}, overrides=["scalping.signal_threshold=0.13"])
    events = recording.both()
    streams = [Bench(each).run(loop.engine_process_many, events) for each in (SETTINGS, other)]
    assert streams[0].tobytes() != streams[1].tobytes()
