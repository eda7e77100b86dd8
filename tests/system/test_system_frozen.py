"""FAULTS 7, stages that are frozen: what waited for one of them meanwhile is not acted on late."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from executor.venue import CODE_STALE
from shm.tables import PositionState
from tests.system.hand import PATIENT, SILENT_ENGINE, Hand, best_prices, refusals, waiting
from tests.system.own_venue import OwnVenue
from tests.system.pipeline import wait_until
from tests.system.risk_kills import FAR, TRADING
from tests.system.test_system_stops import end

pytestmark = pytest.mark.system
VENUE_OPTIONS = FAR
# The age at which a signal, and an order, is too old; how long a stage is frozen for it.
OLD_MS = 300
AWAY_S = 0.5
# A look of risk takes so many market events; where more wait, the price is what is too old.
TRIES = 30


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Freeze a process for as long as the block lasts."""
    assert pid > 1, pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_for_the_kill(memory: Any, log: Path, name: str, before: int) -> None:
    """Wait until a stage is killed for being frozen, and entries are allowed again."""
    row = memory.process(name)

    def is_killed() -> bool:
        lines = (line for line in log.read_text().splitlines() if "stage frozen, killed" in line)
        return row.pid != before and any(f"stage_name={name} " in f"{line} " for line in lines)

    wait_until(is_killed, 30.0, f"{name} is killed for being frozen")
    wait_until(
        lambda: (
            memory.control.halt_reason == 0
            and memory.control.reconciled
            and waiting(memory, "signals") == waiting(memory, "orders") == 0
        ),
        60.0,
        "all is taken, entries are allowed",
    )


def check_stale(folder: Path) -> None:
    """Check that the executor left out one order, for its age, by its own word."""
    lines = (folder / "executor.log").read_text().splitlines()
    (line,) = (line for line in lines if "order not sent" in line)
    assert f"code={CODE_STALE} " in f"{line} ", line


def end_with_an_entry(pipeline: Any, memory: Any, venue: OwnVenue, hand: Hand) -> None:
    """Check that entries still come through; end the run. One may find that its price is gone."""
    while not memory.counters.get("risk.stops"):
        if memory.position(0).state == PositionState.FLAT:
            hand.enter(0)
        wait_until(
            lambda: (
                memory.position(0).state == PositionState.FLAT or memory.counters.get("risk.stops")
            ),
            20.0,
            "an entry with its stop, or none",
        )
    hand.release()
    end(pipeline, memory, venue)


def test_fault_07_what_grew_old_with_a_stage_that_was_killed_for_it_is_dropped(
    tmp_path: Path, venue, start, take_over
):
    """The heartbeat trips; risk comes back halted, the executor finds that its order is old."""
    short = (
        # The engine is frozen with the others: what is done meanwhile has this time.
        "supervisor.heartbeat_timeout_ms=4000",
        "risk.order_time_to_live_ms=1000",
        "risk.max_stale_ms=1000",
    )
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *SILENT_ENGINE, *short))
    memory = pipeline.attach()
    get = memory.counters.get
    log = tmp_path / "supervisor.log"

    wait_until(lambda: best_prices(memory, 0)[0], 20.0, "a price")
    hand = take_over(memory)
    executor = memory.process("executor").pid
    os.kill(executor, signal.SIGSTOP)
    hand.enter(0)
    assert waiting(memory, "orders") == 1
    wait_for_the_kill(memory, log, "executor", executor)
    check_stale(tmp_path)
    assert get("executor.not_sent") == get("risk.accepted") == 1

    wait_until(lambda: best_prices(memory, 1)[0], 20.0, "a price")
    before = refusals(memory)
    hand = take_over(memory)
    risk = memory.process("risk").pid
    os.kill(risk, signal.SIGSTOP)
    hand.send(1)
    wait_for_the_kill(memory, log, "risk", risk)
    halted = before.get("rejected_halted", 0) + 1
    assert refusals(memory) == before | {"rejected_halted": halted}
    assert get("executor.not_sent") == get("risk.accepted") == 1
    assert venue.placed() == 0 and venue.positions() == {}

    wait_until(lambda: best_prices(memory, 0)[0], 20.0, "a price")
    end_with_an_entry(pipeline, memory, venue, take_over(memory))


def test_fault_07_what_waited_for_a_stage_that_was_only_slow_is_refused_for_its_age(
    tmp_path: Path, venue, start, take_over
):
    """Nothing dies and nothing is halted: age alone refuses, in risk and in the executor."""
    brief = (f"risk.max_stale_ms={OLD_MS}", f"risk.order_time_to_live_ms={OLD_MS}")
    pipeline = start(
        tmp_path, settings=(*venue.settings, *TRADING, *SILENT_ENGINE, *PATIENT, *brief)
    )
    memory = pipeline.attach()
    get = memory.counters.get
    hand = take_over(memory)
    pause = threading.Event()
    wait_until(lambda: hand.has_price(0), 20.0, "a price")

    risk, tries = memory.process("risk").pid, 0
    while not get("risk.rejected_late"):
        tries += 1
        with frozen(risk):
            sent_s = time.monotonic()
            # It is new when it is written, and grows old in the ring.
            hand.send(0)
            pause.wait(AWAY_S)
            assert time.monotonic() - sent_s > OLD_MS / 1000
        wait_until(lambda: waiting(memory, "signals") == 0, 20.0, "the signal is taken")
        found = refusals(memory)
        assert found.keys() <= {"rejected_late", "rejected_stale"}, found
        assert sum(found.values()) == tries <= TRIES, found
    assert get("risk.accepted") == 0 and memory.process("risk").pid == risk

    executor = memory.process("executor").pid
    with frozen(executor):
        hand.enter(0)
        pause.wait(AWAY_S)
        assert waiting(memory, "orders") == 1
    wait_until(lambda: waiting(memory, "orders") == 0, 20.0, "the order is taken")
    wait_until(lambda: get("executor.not_sent") == 1, 20.0, "the order is left out")
    check_stale(tmp_path)
    assert memory.process("executor").pid == executor
    assert venue.placed() == 0 and venue.positions() == {}
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "risk hears of it")
    end_with_an_entry(pipeline, memory, venue, hand)
