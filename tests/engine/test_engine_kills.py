"""A real engine process is killed with SIGKILL at seeded places of a stream, and goes on."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import time
from typing import Any

import numpy as np
import pytest

from config.loader import load
from engine.reasons import StartReason
from engine.restart import make_cold
from engine.state import ENGINE
from shm.records import MARKET_EVENT, SIGNAL
from shm.ring_layout import RING, SLOTS_OFFSET
from tests.compiled import exported
from tests.engine.test_engine_loop import SYMBOLS, Stage
from tests.naive.engine_bench import Bench
from tests.naive.engine_stream import market

pytestmark = pytest.mark.system

SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        "signals.warmup_events=50",
        "scalping.signal_threshold=0.005",
        "scalping.confidence_threshold=0.3",
        "performance.signal_cooldown_sec=0.0",
    ],
)
KILLS = 120
# Long enough that a kill on its way finds the process still at work: some 60 ns an event.
PART, PARTS = 16_000, 6
EVENTS = PART * PARTS
FIELDS = [name for name in SIGNAL.dtype.names if name not in ("written_ns", "sequence")]


class KilledStage(Stage):
    """An engine whose loop runs in a process of its own, and is killed there."""

    settings = SETTINGS

    def write(self, events: np.ndarray) -> None:
        """Put events into the empty market ring at once."""
        ring = self.memory.ring("market")
        assert RING.at(ring).tail == 0 and len(events) <= RING.at(ring).mask + 1
        ctypes.memmove(ring + SLOTS_OFFSET, events.ctypes.data, events.nbytes)
        RING.at(ring).tail = len(events)

    def run_and_die(self, after: int) -> None:
        """Fork a process that works the events off, and kill it once it has read so many."""
        place, far_ns = self.memory.state("engine"), time.monotonic_ns() + 60_000_000_000
        pid = os.fork()
        if pid == 0:
            try:
                exported().engine_run(place, far_ns)
            finally:
                os._exit(1)
        engine, deadline = self.engine, time.monotonic() + 30
        while engine.market_position < after:
            assert time.monotonic() < deadline, "the child does not read"
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    def finish(self, count: int) -> np.ndarray:
        """Restart here, work off the rest and return all signals there ever were."""
        self.start(restarted=True)
        while self.engine.market_position < count:
            self.run()
        ring, place = RING.at(self.memory.ring("signals")), self.memory.ring("signals")
        raw = ctypes.string_at(place + SLOTS_OFFSET, ring.tail * SIGNAL.size)
        return np.frombuffer(raw, SIGNAL.dtype)


def stream(seed: int) -> np.ndarray:
    """Return a market that repeats itself in time; a stamp of its own names every event."""
    part = market(seed, PART, len(SYMBOLS))[:PART]
    events = np.concatenate([part.view(np.uint8).reshape(PART, -1)] * PARTS)
    events = np.ascontiguousarray(events).reshape(-1).view(MARKET_EVENT.dtype)
    length = part["venue_ns"][-1] - part["venue_ns"][0] + 1_000_000_000
    events["venue_ns"] += np.repeat(np.arange(PARTS), PART) * length
    events["origin_ns"] = np.arange(1, EVENTS + 1)
    events["sequence"] = np.arange(1, EVENTS + 1)
    return events


def plain(signals: np.ndarray) -> list[Any]:
    columns = [signals[name].tolist() for name in FIELDS]
    return list(zip(*columns, strict=True))


def model(events: np.ndarray, found: dict[str, int], published: bool) -> list[Any]:
    """Return the signals of an engine that nobody killed, whose torn symbol was made cold."""
    bench = Bench(SETTINGS)
    event = found["sequence"] - 1
    before = bench.run(exported().engine_process_many, events[:event], EVENTS)
    whole = plain(before)
    if published:
        twin = Bench(SETTINGS)
        whole = plain(twin.run(exported().engine_process_many, events[: event + 1], EVENTS))
        assert len(whole) == len(before) + 1
    make_cold(bench.address, found["applying"] - 1)
    bench.engine.signal_id = found["signal_id"]
    rest = bench.run(exported().engine_process_many, events[found["position"] :], EVENTS)
    return whole + plain(rest)


def test_kills_at_seeded_places_of_a_stream() -> None:
    print("seed 77")
    rng = random.Random(77)
    events = stream(77)
    undisturbed = plain(Bench(SETTINGS).run(exported().engine_process_many, events, EVENTS))
    assert len(undisturbed) > 300
    symbol_at, id_at = FIELDS.index("symbol"), FIELDS.index("signal_id")
    origin_at = FIELDS.index("origin_ns")
    torn, inside = 0, 0
    for _ in range(KILLS):
        stage = KilledStage(market_queue=1 << 17, queue=1 << 14)
        try:
            stage.write(events)
            stage.run_and_die(rng.randrange(1, EVENTS - 500))
            engine = stage.engine
            copied = MARKET_EVENT.at(stage.memory.state("engine") + ENGINE.offset("event"))
            found = {
                "applying": engine.applying, "position": engine.market_position,
                "signal_id": engine.signal_id, "sequence": copied.sequence,
            }  # fmt: skip
            inside += found["position"] < EVENTS
            got = plain(stage.finish(EVENTS))
            reasons = [StartReason(engine.start_reasons[n]) for n in range(len(SYMBOLS))]
            cold = found["applying"] - 1
            if cold < 0:
                assert StartReason.TORN not in reasons
                assert got == undisturbed
                continue
            torn += 1
            assert reasons[cold] == StartReason.TORN
            published = any(row[origin_at] == found["sequence"] for row in got)
            assert got == model(events, found, published)
            # Whatever was torn, other symbols decide what they would have decided.
            others = [[row[:id_at] + row[id_at + 1 :] for row in rows if row[symbol_at] != cold]
                      for rows in (got, undisturbed)]  # fmt: skip
            assert others[0] == others[1]
            ids = [row[id_at] for row in got]
            assert ids == sorted(set(ids)), "no id twice"
            assert len({row[origin_at] for row in got}) == len(got), "no event decides twice"
        finally:
            stage.close()
    print(f"{KILLS} kills, {inside} within the stream, {torn} with a torn symbol")
    assert inside > KILLS // 2
    assert torn > KILLS // 3
