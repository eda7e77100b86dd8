"""The engine on real rings: cursors, laps, a full ring, reports, deadlines, a restart."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config.loader import load
from engine import loop
from engine.agent import Agent
from engine.book_layout import BOOK, BOOK_INVALID
from engine.state import ENGINE, SYMBOL_STATE, book_address, state_size, symbol_state_address
from runtime import waits
from runtime.stage import StageContext
from runtime.wait_layout import WaitStrategy
from shm import rings, topology
from shm.histogram_layout import HISTOGRAM
from shm.memory import copy_bytes
from shm.records import REPORT, SIGNAL, OrderStatus
from shm.ring_layout import RING
from shm.tables import BOOK_REQUEST, DOORBELL
from tests.compiled import exported
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import market, trade

SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        "signals.warmup_events=20",
        "scalping.signal_threshold=0.02",
        "scalping.confidence_threshold=0.4",
        "performance.signal_cooldown_sec=1.0",
    ],
)
SYMBOLS = ("AAAUSDT", "BBBUSDT")


class Log:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, text: str, **values: Any) -> None:
        self.lines.append(("info", text, values))

    def warning(self, text: str, **values: Any) -> None:
        self.lines.append(("warning", text, values))


class Stage:
    """An engine agent on an instance of its own."""

    settings = SETTINGS

    def __init__(self, market_queue: int = 8192, queue: int = 64) -> None:
        state = {"engine": state_size(self.settings, len(SYMBOLS))}
        sizes = topology.Sizes(market_queue, queue, 16, state)
        self.memory = topology.create_all(f"tengine{os.getpid()}", sizes)
        self.log = Log()
        self.start(restarted=False)
        # Compiled before a test measures time; a deadline in the past looks once.
        exported().engine_run(self.memory.state("engine"), 1)

    def start(self, restarted: bool) -> None:
        kernels = SimpleNamespace(
            engine_run=exported().engine_run,
            engine_start=exported().engine_start,
            ring_recover=rings.ring_recover,
        )
        # The endpoints and the core are none of the engine's business.
        context: Any = StageContext
        self.context = context(
            "engine", self.settings, self.memory, kernels, self.log, SYMBOLS, None, None,
            WaitStrategy.BLOCK, restarted=restarted,
        )  # fmt: skip
        self.agent = Agent(self.context)
        self.agent.on_start()
        self.engine = ENGINE.at(self.memory.state("engine"))

    def send(self, events: np.ndarray) -> None:
        ring, size = self.memory.ring("market"), events.itemsize
        for index in range(len(events)):
            slot = rings.ring_claim_broadcast(ring)
            copy_bytes(slot, events.ctypes.data + index * size, size - 8)
            rings.ring_publish(ring, slot)

    def run(self) -> int:
        return exported().engine_run(self.memory.state("engine"), time.monotonic_ns() + 20_000_000)

    def take_signals(self) -> list[bytes]:
        ring, found = self.memory.ring("signals"), []
        while slot := rings.ring_peek(ring, 0):
            found.append(ctypes.string_at(slot, SIGNAL.size))
            rings.ring_advance(ring, 0)
        return found

    def counter(self, label: str) -> int:
        return self.memory.counters.get(f"engine.{label}")

    def wanted(self, symbol: int) -> int:
        return BOOK_REQUEST.at(self.memory.book_request_address(symbol)).wanted

    def close(self) -> None:
        self.memory.close()
        self.memory.unlink()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def fields_but_stamps(record: bytes) -> bytes:
    # written_ns is the one word that a clock decides.
    start = SIGNAL.offset("written_ns")
    return record[:start] + record[start + 8 : SIGNAL.offset("sequence")]


def test_rings_give_the_same_signals_as_events_alone(stage: Stage) -> None:
    assert [stage.wanted(index) for index in range(2)] == [1, 1]
    events = market(21, 5_000)
    expected = Bench(SETTINGS).run(exported().engine_process_many, events)
    assert len(expected) > 5
    found = []
    for start in range(0, len(events), 500):
        stage.send(events[start : start + 500])
        while stage.counter("events") < min(start + 500, len(events)):
            stage.run()
        found += stage.take_signals()
    whole = [fields_but_stamps(row.tobytes()) for row in expected]
    assert [fields_but_stamps(record) for record in found] == whole
    assert stage.counter("events") == len(events)
    # The invented stamps lie after this machine's start: the histogram keeps such values apart.
    histogram = HISTOGRAM.at(stage.memory.histograms.address_of("engine"))
    assert histogram.count + histogram.negative == len(found)


def test_full_ring_drops_counts_and_goes_on() -> None:
    stage = Stage(queue=2)
    try:
        events = market(21, 5_000)
        expected = Bench(SETTINGS).run(exported().engine_process_many, events)
        stage.send(events)
        stage.run()
        assert stage.counter("ring_full") == len(expected) - 2
        assert stage.counter("signals") == len(stage.take_signals()) == 2
        assert stage.engine.signal_id == len(expected)
    finally:
        stage.close()


def test_lap_invalidates_all_books_and_asks_for_them() -> None:
    stage = Stage(market_queue=256)
    try:
        stage.send(market(22, 200))
        stage.run()
        books = [BOOK.at(book_address(stage.memory.state("engine"), 2, n)) for n in range(2)]
        assert stage.counter("invalidations") == 0
        stage.send(market(22, 800))
        stage.run()
        assert stage.counter("laps") == RING.at(stage.memory.ring("market")).laps_0 == 1
        assert [book.state for book in books] == [BOOK_INVALID] * 2
        assert [stage.wanted(index) for index in range(2)] == [2, 2]
        for index in range(2):
            place = symbol_state_address(stage.memory.state("engine"), index)
            assert SYMBOL_STATE.at(place).event_count == 0
    finally:
        stage.close()


def test_deadline_is_kept_with_and_without_work(stage: Stage) -> None:
    started = time.monotonic_ns()
    assert stage.run() == 0
    assert time.monotonic_ns() - started >= 19_000_000
    stage.send(market(23, 4_000))
    past = exported().engine_run(stage.memory.state("engine"), 1)
    assert 0 < past <= loop.BATCH


def test_sleeping_engine_is_woken_by_the_doorbell(stage: Stage) -> None:
    place = stage.memory.state("engine")
    bell = DOORBELL.at(stage.memory.doorbell("engine"))
    far = time.monotonic_ns() + 60_000_000_000
    found: list[int] = []
    runner = threading.Thread(target=lambda: found.append(exported().engine_run(place, far)))
    runner.start()
    sent = market(25, 300)
    for events in (sent, sent[:0]):
        while not bell.sleeping:
            pass
        stage.send(events)
        waits.doorbell_ring(stage.memory.doorbell("engine"))
        while stage.counter("events") < len(events):
            pass
    runner.join(timeout=30)
    assert found == [len(sent)], "woken for work it goes on, woken for nothing it returns"


def test_reports_that_overtook_the_engine_are_counted(stage: Stage) -> None:
    for order_id in range(1, 61):
        report(stage, order_id=order_id, symbol=0, side=1, fill_lot=1, filled_lot=1)
    stage.run()
    assert stage.engine.reports_missed == 1
    assert stage.engine.report_position == 60


def report(stage: Stage, **values: int) -> None:
    ring = stage.memory.ring("reports")
    slot = rings.ring_claim(ring)
    assert slot
    made = REPORT.new()
    for name, value in values.items():
        setattr(made, name, value)
    copy_bytes(slot, ctypes.addressof(made), REPORT.size - 8)
    rings.ring_publish(ring, slot)


def test_inventory_is_the_signed_sum_of_fills_however_often_they_come(stage: Stage) -> None:
    partial, filled = int(OrderStatus.PARTIALLY_FILLED), int(OrderStatus.FILLED)
    report(stage, order_id=1, symbol=0, side=1, fill_lot=3, filled_lot=3, status=partial)
    report(stage, order_id=1, symbol=0, side=1, fill_lot=3, filled_lot=3, status=partial)
    report(stage, order_id=1, symbol=0, side=1, fill_lot=4, filled_lot=7, status=filled)
    report(stage, order_id=1, symbol=0, side=1, fill_lot=3, filled_lot=3, status=partial)
    report(stage, order_id=2, symbol=1, side=-1, fill_lot=5, filled_lot=5, status=filled)
    report(stage, order_id=0, symbol=1, side=-1, fill_lot=2, trade_id=9, status=filled)
    report(stage, order_id=0, symbol=1, side=-1, fill_lot=2, trade_id=9, status=filled)
    stage.run()
    assert list(stage.engine.inventories)[:2] == [7, -7]
    assert stage.counter("reports") == 7
    assert RING.at(stage.memory.ring("reports")).head_0 == 0, "the executor is not held back"


def test_restart_goes_on_with_ids_inventory_and_the_next_event(stage: Stage) -> None:
    stage.send(market(24, 5_000))
    report(stage, order_id=1, symbol=0, side=1, fill_lot=3, filled_lot=3)
    stage.run()
    before, position = stage.engine.signal_id, stage.engine.market_position
    assert before > 0
    ring = RING.at(stage.memory.ring("signals"))
    tail = ring.tail
    ring.tail = tail - 1  # died between the sequence and the tail,
    stage.engine.applying = 2  # so the event is not marked as done
    report(stage, order_id=1, symbol=0, side=1, fill_lot=1, filled_lot=4)
    sent = market(24, 300)
    sent["venue_ns"] += 600_000_000_000
    stage.send(sent)
    bell = DOORBELL.at(stage.memory.doorbell("risk"))
    rung = bell.word
    stage.start(restarted=True)
    assert ring.tail == tail
    assert bell.word >= rung
    assert [stage.wanted(index) for index in range(2)] == [1, 2], "only the torn book is asked for"
    assert stage.engine.market_position == position
    assert ("info", "goes on", {"warm": 1, "cold": 1}) in stage.log.lines
    torn = {"symbol": SYMBOLS[1], "reason": "torn"}
    assert ("warning", "symbol starts cold", torn) in stage.log.lines
    base = stage.memory.state("engine")
    states = [SYMBOL_STATE.at(symbol_state_address(base, n)) for n in range(2)]
    assert states[0].trade_count > 0
    assert (states[1].event_count, states[1].trade_count) == (0, 0)
    stage.run()
    assert stage.engine.inventories[0] == 4
    assert stage.engine.signal_id >= before


def test_agent_logs_signals_and_troubles(stage: Stage) -> None:
    stage.send(market(21, 5_000))
    stage.send(as_events([trade(1, 0)]))
    assert stage.agent.do_work() > 0
    logged = [values for _, text, values in stage.log.lines if text == "signal"]
    assert logged
    assert "strength" in logged[0]["reasoning"]
    stage.agent.on_close()
    assert ("warning", "since the last status", {"refused": 1}) in [
        (level, text, {"refused": values.get("refused")}) for level, text, values in stage.log.lines
    ]
