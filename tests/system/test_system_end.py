"""The end of a run that leaves its positions: each keeps its stop, whatever was under way."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from risk.state import HEADER
from shm.records import TERMINAL_STATUS_MIN
from shm.tables import ProcessState
from tests.system.hand import PATIENT, SILENT_ENGINE, Hand
from tests.system.pipeline import Pipeline, wait_until
from tests.system.risk_kills import FAR, TRADING
from tests.system.test_system_stops import (
    ETH,
    LASTING,
    check_that_all_stands,
    hold_all,
    is_decided,
    order_row,
    standing,
)

pytestmark = pytest.mark.system
VENUE_OPTIONS = FAR


def test_without_flattening_positions_and_their_stops_stay(tmp_path: Path, venue, start):
    # Stops move as often as they may: the end comes in the middle of a move now and then.
    keep = ("risk.flatten_on_stop=false", "risk.venue_stop_move_ms=100")
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *LASTING, *keep))
    memory = pipeline.attach()
    hold_all(memory, venue)
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    check_that_all_stands(venue)


def has_ended(entry: Any) -> bool:
    return bool(entry.status >= TERMINAL_STATUS_MIN)


def begin(tmp_path: Path, venue, start, take_over) -> tuple[Pipeline, Any, Hand]:
    """Start a run that leaves its positions, and have its signals in hand."""
    keep = ("risk.flatten_on_stop=false", *PATIENT, *SILENT_ENGINE)
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *LASTING, *keep))
    memory = pipeline.attach()
    hand = take_over(memory)
    wait_until(lambda: hand.has_price(ETH), 20.0, "a price")
    return pipeline, memory, hand


def fill_unheard(memory, venue, hand: Hand) -> None:
    """Have an entry filled while risk is frozen: it has no stop, and risk does not know of it.

    The executor is frozen first, so that risk writes the order and hears nothing of it. An entry
    that comes to nothing at the venue is tried again.
    """
    risk, executor = memory.process("risk").pid, memory.process("executor").pid
    for _ in range(20):
        wait_until(lambda: is_decided(memory, ETH), 20.0, "the end of the entry before")
        os.kill(executor, signal.SIGSTOP)
        hand.enter(ETH)
        os.kill(risk, signal.SIGSTOP)
        os.kill(executor, signal.SIGCONT)
        entry = order_row(memory, HEADER.at(memory.state("risk")).last_order_id)
        ended = partial(has_ended, entry)
        wait_until(ended, 20.0, "the entry's end")
        if entry.filled_lot:
            return
        os.kill(risk, signal.SIGCONT)
    raise AssertionError("no entry was filled")


def test_an_entry_that_is_filled_while_the_system_stops_gets_its_stop(
    tmp_path: Path, venue, start, take_over
):
    """Risk is frozen before it hears of the fill, and wakes up when the executor is closing."""
    pipeline, memory, hand = begin(tmp_path, venue, start, take_over)
    fill_unheard(memory, venue, hand)
    risk = memory.process("risk").pid
    try:
        assert venue.positions().keys() == {"ETHUSDT"} and venue.stops() == []
        hand.release()
        pipeline.process.send_signal(signal.SIGINT)
        wait_until(
            lambda: memory.process("executor").state == ProcessState.STOPPING, 20.0, "its closing"
        )
    finally:
        os.kill(risk, signal.SIGCONT)
    memory.close()
    assert pipeline.finish() == 0, pipeline.explain()
    held, stops = standing(venue)
    assert held.keys() == {"ETHUSDT"} and stops == {s: -q for s, q in held.items()}


def test_a_position_that_has_no_stop_at_the_end_is_told_and_closed(
    tmp_path: Path, venue, start, take_over
):
    """The venue takes no stop at all: what the end finds bare is closed without the pipeline."""
    pipeline, memory, hand = begin(tmp_path, venue, start, take_over)
    venue.fault(name="unavailable_503", path="algoOrder.place", count=0)
    venue.fault(name="unavailable_503", path="/fapi/v1/algoOrder", method="POST", count=0)
    for _ in range(20):
        hand.enter(ETH)
        entry = order_row(memory, HEADER.at(memory.state("risk")).last_order_id)
        wait_until(partial(has_ended, entry), 20.0, "the entry's end")
        if entry.filled_lot:
            break
    assert venue.positions().keys() == {"ETHUSDT"} and venue.stops() == []
    hand.release()
    memory.close()
    pipeline.interrupt()
    assert "the end has left something unsettled: ETHUSDT" in pipeline.errors
    assert "closing orders sent: 1" in pipeline.errors
    assert pipeline.process.returncode == 0, pipeline.explain()
    assert venue.positions() == {} and venue.stops() == venue.orders() == [], pipeline.explain()
