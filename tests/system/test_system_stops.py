"""Stops that rest at the venue, with real processes: placed, canceled, triggered without risk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk.state import GuardState
from shm.records import OrderStatus
from shm.tables import ORDER_ROW, PositionState
from tests.system.own_venue import KEY, SECRET, OwnVenue
from tests.system.pipeline import wait_until
from tests.system.risk_kills import (
    FAR,
    OFTEN,
    SYMBOLS,
    TRADING,
    Agreement,
    guard,
    kill_many,
    stops_by_symbol,
)

pytestmark = pytest.mark.system
KILLS = 10
# The stop is so near that the market reaches it soon.
NEAR = ("risk.stop_loss_pct=0.0001", "risk.venue_stop_offset_pct=0.0", "risk.take_profit_pct=0.05")


@pytest.fixture
def venue(monkeypatch) -> Iterator[OwnVenue]:
    monkeypatch.setenv("BINANCE_TESTNET_API_KEY", KEY)
    monkeypatch.setenv("BINANCE_TESTNET_API_SECRET", SECRET)
    made = OwnVenue(*FAR)
    yield made
    made.close()


def resting(memory) -> list[int]:
    """Return the symbols with a position that a stop protects, and no order in flight."""
    return [
        index
        for index in range(len(SYMBOLS))
        if guard(memory, index).state == GuardState.RESTING
        and memory.position(index).state == PositionState.OPEN
    ]


def order_row(memory, order_id: int):
    """Return the executor's row of an order, in place."""
    return ORDER_ROW.at(memory.order_rows + order_id % memory.order_row_count * ORDER_ROW.size)


def freeze_while_resting(memory) -> list[int]:
    """Freeze risk in a moment in which a stop rests; return the symbols with one."""
    pid = memory.process("risk").pid
    for _ in range(1000):
        wait_until(lambda: resting(memory), 60.0, "a stop that rests")
        os.kill(pid, signal.SIGSTOP)
        found = resting(memory)
        if found:
            return found
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("risk was never frozen with a stop at rest")


def freeze_until_triggered(memory) -> list[int]:
    """Freeze risk until a stop has triggered meanwhile; return the symbols with stops.

    The executor is awake and hears of it. The market may go the other way for long: then risk is
    let go on, and frozen with its next position.
    """
    for _ in range(20):
        frozen = freeze_while_resting(memory)
        rows = [order_row(memory, guard(memory, index).order_id) for index in frozen]
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            if any(row.status == OrderStatus.FILLED for row in rows):
                return frozen
            threading.Event().wait(0.01)
        os.kill(memory.process("risk").pid, signal.SIGCONT)
        trips = memory.counters.get("risk.round_trips")
        wait_until(
            lambda trips=trips: memory.counters.get("risk.round_trips") > trips, 60.0, "a close"
        )
    raise AssertionError("the market never reached a stop")


def test_a_stop_rests_for_each_position_and_goes_with_it(tmp_path: Path, start, venue):
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING))
    memory = pipeline.attach()
    wait_until(lambda: resting(memory), 60.0, "a stop that rests")
    wait_until(Agreement(memory, venue, holding=True), 60.0, "the venue has it")
    trips = memory.counters.get("risk.round_trips")
    wait_until(lambda: memory.counters.get("risk.round_trips") > trips + 1, 60.0, "round trips")
    wait_until(Agreement(memory, venue), 60.0, "stops for positions, and no others")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    assert pipeline.summary()["venue_matches_local"], pipeline.explain()
    assert venue.positions() == {} and venue.stops() == [], pipeline.explain()


def test_without_flattening_positions_and_their_stops_stay(tmp_path: Path, start, venue):
    keep = ("risk.flatten_on_stop=false", "risk.venue_stop_move_ms=600000")
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *keep))
    memory = pipeline.attach()
    wait_until(Agreement(memory, venue, holding=True), 60.0, "a position with a stop")
    memory.close()
    pipeline.interrupt()
    held = venue.positions()
    assert set(stops_by_symbol(venue)) == set(held), pipeline.explain()


def test_the_venue_closes_a_position_while_risk_is_frozen(tmp_path: Path, start, venue):
    """FAULTS 7: risk does not look, the stop at the venue does; risk learns of it afterwards."""
    patient = ("supervisor.heartbeat_timeout_ms=60000", *NEAR)
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *patient))
    memory = pipeline.attach()
    frozen = freeze_until_triggered(memory)
    # Risk has the stop for resting all the while.
    assert all(guard(memory, index).state == GuardState.RESTING for index in frozen)
    before = memory.counters.get("risk.exit_protection")
    os.kill(memory.process("risk").pid, signal.SIGCONT)
    wait_until(
        lambda: memory.counters.get("risk.exit_protection") > before, 10.0, "risk hears of it"
    )
    wait_until(Agreement(memory, venue), 60.0, "both agree")
    memory.close()
    pipeline.interrupt()
    assert pipeline.summary()["venue_matches_local"], pipeline.explain()


def test_everything_killed_leaves_the_stop(tmp_path: Path, start, venue):
    """FAULTS 6: what risk placed outlives all of our processes."""
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING))
    memory = pipeline.attach()
    wait_until(Agreement(memory, venue, holding=True), 60.0, "a position with a stop")
    pids = [memory.process(name).pid for name in ("supervisor", "feed", "engine", "risk")]
    pids.append(memory.process("executor").pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    held = venue.positions()
    stops = stops_by_symbol(venue)
    memory.close()
    # Frozen between a fill and its stop, or between two stops, it is without one: not here, as
    # both sides agreed a moment ago; a position that was closed meanwhile has none.
    assert set(stops) >= set(held)


def test_risk_killed_again_and_again_stays_protected(tmp_path: Path, start, venue):
    """FAULTS 3; `python -m tests.system.risk_kills` kills 200 times."""
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *OFTEN))
    memory = pipeline.attach()
    wait_until(lambda: memory.counters.get("risk.stops") > 0, 60.0, "a first stop")
    found = kill_many(memory, venue, KILLS, seed=5)
    print(found)
    memory.close()
    pipeline.interrupt()
    assert pipeline.summary()["venue_matches_local"], pipeline.explain()
    assert venue.positions() == {} and venue.stops() == [], pipeline.explain()
    assert found["kills"] == KILLS and found["kills_with_position"] > 0
    assert found["kills_held_dead"] > 0 and found["unprotected_count"] > 0 < found["venue_gaps"]
    assert found["unprotected_ms_p99"] < found["restart_ms_max"] + 1000
    assert found["venue_gap_ms_p99"] < 1000
