"""The engine on real rings: a parsed tick in the market ring until its signal stands in its ring.

Every event is stamped with the monotonic clock when it is written into the ring, every signal when
it is written into its ring, right before it is published: a sample is the difference of the two,
clock calls inside. Only events that lead to a signal give one. Settings are such that many do;
what is computed for an event does not depend on that, except that its signal is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import engine_kernels, harness
from bench.engine_memory import EAGER, SIGNALS_MAX, EngineMemory, run, settings_of
from bench.engine_stream import Events
from bench.harness import Row, answer_hash, timed
from bench.pairs import beside
from runtime.clocks import mono_ns
from shm.records import SIGNAL

STAGE = "engine"
CAPACITY = 1 << 16  # more than the ticks of a run: nothing is lost where a core is taken away
PERIOD_NS = 20_000
P50_NS_MAX = 500
GIVE_UP_NS = 60 * 1_000_000_000
# Fields that do not depend on when something ran.
TIMELESS = tuple(
    field.name for field in SIGNAL if field.name not in ("origin_ns", "written_ns", "sequence")
)


def _memory(events: Events) -> EngineMemory:
    return EngineMemory(settings_of(*EAGER), int(events["symbol"].max()) + 1, require_book=False)


def _wanted(kernels: Any, events: Events) -> npt.NDArray[Any]:
    return np.frombuffer(run(kernels, _memory(events), events), SIGNAL.dtype)


def _row(case: str, written: npt.NDArray[Any], wanted: npt.NDArray[Any], count: int) -> Row:
    harness.check(f"{case}: signals", len(written), len(wanted))
    for name in TIMELESS:
        harness.check(f"{case}: {name}", written[name].tobytes(), wanted[name].tobytes())
    samples = (written["written_ns"] - written["origin_ns"]).astype(float).tolist()
    row_hash = answer_hash(*(wanted[name].tobytes() for name in TIMELESS))
    p50 = harness.median(samples)
    met = "met" if p50 <= P50_NS_MAX else "MISSED"
    note = f"{len(samples)} signals of {count} ticks; goal p50 {P50_NS_MAX} ns {met}"
    return timed(STAGE, case, samples, len(samples), hash=row_hash, note=note)


def _first(kernels: Any, events: Events, limit: int) -> tuple[Events, npt.NDArray[Any]]:
    chosen = np.ascontiguousarray(events[:limit])
    wanted = _wanted(kernels, chosen)
    assert 0 < len(wanted) <= SIGNALS_MAX
    return chosen, wanted


def one_core(kernels: Any, events: Events, quick: bool) -> Row:
    """Return the row where the same core writes each tick and then runs the engine."""
    chosen, wanted = _first(kernels, events, 1_000 if quick else 50_000)
    memory = _memory(chosen)
    memory.add_rings(CAPACITY)
    ring = memory.engine.market
    engine_kernels.write_and_run(ring, memory.address, chosen.ctypes.data, 0)  # compiles
    worked = engine_kernels.write_and_run(ring, memory.address, chosen.ctypes.data, len(chosen))
    case = "tick in ring to signal, one core"
    harness.check(f"{case}: items", worked, len(chosen))
    return _row(case, memory.written(), wanted, len(chosen))


def across_cores(kernels: Any, events: Events, quick: bool, cores: Sequence[int]) -> Row:
    """Return the row where another core writes ticks at fixed times."""
    case = "tick in ring to signal, two cores"
    if len(cores) < 2:
        return Row(STAGE, case, note="needs two cores")
    chosen, wanted = _first(kernels, events, 1_000 if quick else 50_000)
    memory = _memory(chosen)
    memory.add_rings(CAPACITY)
    ring, count = memory.engine.market, len(chosen)
    engine_kernels.write_scheduled(ring, chosen.ctypes.data, 0, PERIOD_NS)  # compiles
    kernels.engine_run(memory.address, 1)

    def write() -> int:
        return engine_kernels.write_scheduled(ring, chosen.ctypes.data, count, PERIOD_NS)

    def work() -> int:
        worked, given_up_ns = 0, mono_ns() + GIVE_UP_NS
        while worked < count and mono_ns() < given_up_ns:
            worked += kernels.engine_run(memory.address, mono_ns() + 2_000_000)
        return worked

    worked = beside(cores[1], write, count, work)
    harness.check(f"{case}: items", worked, count)
    harness.check(f"{case}: laps", memory.counter("laps"), 0)
    return _row(case, memory.written(), wanted, count)
