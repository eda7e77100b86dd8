"""Faults 11, 42 and 43 with real processes: a full ring, a runaway strategy, a fat finger.

In two of them the test gives the signals itself (see hand.py); each ends flat, equal to the venue,
and with every order accounted for.
"""

from __future__ import annotations

import math
import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from risk.state import GuardState
from shm.records import OrderFlag, OrderStatus
from shm.tables import PositionState, ProcessState
from tests.system.hand import PATIENT, SILENT_ENGINE, order_rows, refusals, waiting
from tests.system.pipeline import wait_until
from tests.system.risk_kills import TRADING, guard
from tests.system.test_system_kill import command
from tests.system.test_system_stops import end

pytestmark = pytest.mark.system
MANY = "BTCUSDT,ETHUSDT,BNBUSDT,SOLUSDT,XRPUSDT,DOGEUSDT,ADAUSDT,LTCUSDT,LINKUSDT,AVAXUSDT"
# An eighth of the order ring is for what is no entry: one slot.
RING_SLOTS, ENTRY_SLOTS = 8, 7
EASY = (
    "risk.warmup_s=0",
    "position_sizing.correlation_limit=1.0",
    "risk.max_orders_per_s=300",
    "scalping.momentum_hold_min_s=0",
)
EXIT = int(OrderFlag.EXIT)


def is_protected(memory: Any, symbol: int) -> bool:
    row = memory.position(symbol)
    return row.state == PositionState.OPEN and guard(memory, symbol).state == GuardState.RESTING


def test_fault_11_a_full_order_ring_refuses_entries_and_takes_exits(
    tmp_path: Path, make_venue, start, take_over
):
    venue = make_venue("--regime", "quiet", "--rate", "20", symbols=MANY)
    own = (f"trading.symbols={MANY}", f"performance.queue_size={RING_SLOTS}")
    patient = (*PATIENT, "risk.order_time_to_live_ms=300")
    pipeline = start(tmp_path, settings=(*venue.settings, *EASY, *SILENT_ENGINE, *patient, *own))
    memory = pipeline.attach()
    hand = take_over(memory)
    wait_until(lambda: all(map(hand.has_price, range(10))), 30.0, "prices of all symbols")
    hand.enter(0)
    wait_until(lambda: is_protected(memory, 0), 20.0, f"a position: {refusals(memory)}")
    placed = venue.placed()
    executor = memory.process("executor").pid
    os.kill(executor, signal.SIGSTOP)
    try:
        for symbol in range(1, 1 + ENTRY_SLOTS):
            hand.enter(symbol)
        assert waiting(memory, "orders") == ENTRY_SLOTS, refusals(memory)
        hand.refused("rejected_ring", symbol=8)
        hand.refused("rejected_ring", symbol=9)
        # The other way: the position is closed, which is no entry.
        hand.refused("rejected_duplicate", symbol=0, side=-1)
        wait_until(lambda: waiting(memory, "orders") == RING_SLOTS, 5.0, "the exit has its slot")
        log = tmp_path / "risk.log"
        wait_until(lambda: "order ring full" in log.read_text(), 5.0, "people are told")
        old_s = time.monotonic() + 0.4
        wait_until(lambda: time.monotonic() > old_s, 5.0, "entries are too old")
        assert venue.placed() == placed
    finally:
        os.kill(executor, signal.SIGCONT)
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 10.0, "closed")
    get = memory.counters.get
    wait_until(lambda: get("executor.not_sent") == ENTRY_SLOTS, 5.0, "old entries are dropped")
    assert venue.placed() == placed + 1, "the exit, and nothing of what had grown old"
    wait_until(lambda: venue.positions() == {} and venue.stops() == [], 10.0, "flat at the venue")
    hand.enter(8)
    wait_until(lambda: is_protected(memory, 8), 20.0, f"it goes on: {refusals(memory)}")
    hand.release()
    end(pipeline, memory, venue)


def test_fault_42_a_runaway_strategy_is_latched_until_a_person_rearms(
    tmp_path: Path, make_venue, start, take_over
):
    venue = make_venue("--regime", "volatile")
    runaway = (
        "performance.signal_cooldown_sec=0",
        "signals.use_momentum=false",
        "signals.use_mean_reversion=false",
        "scalping.order_flow_hold_max_s=1",
        "risk.max_repeats=1",
        "risk.repeat_window_ms=3600000",
    )
    pipeline = start(tmp_path, settings=(*venue.settings, *TRADING, *runaway))
    memory = pipeline.attach()
    get = memory.counters.get
    wait_until(lambda: memory.control.throttle_latches == 2, 60.0, "both symbols are latched")
    wait_until(lambda: not memory.control.open_position_count, 20.0, "positions are closed")

    def flood() -> None:
        accepted, refused = get("risk.accepted"), get("risk.rejected_throttled")
        wait_until(lambda: get("risk.rejected_throttled") > refused + 50, 30.0, "it goes on firing")
        assert get("risk.accepted") == accepted, refusals(memory)

    placed = venue.placed()
    flood()
    row = memory.process("risk")
    before = row.pid
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: row.pid != before and row.state in (ProcessState.READY, ProcessState.RUNNING),
        20.0,
        "risk is back",
    )
    flood()
    assert venue.placed() == placed and memory.control.throttle_latches == 2
    assert "latched for repeating itself" in (tmp_path / "risk.log").read_text()
    accepted = get("risk.accepted")
    told = command(pipeline, "rearm", "--confirm", "yes")
    assert told.returncode == 0, told.stdout + told.stderr
    wait_until(lambda: get("risk.accepted") > accepted, 20.0, "entries after a person re-armed")
    assert get("risk.rearmed") == 2
    end(pipeline, memory, venue)


def odd_signals(bid: int, ask: int) -> list[tuple[str, dict[str, Any]]]:
    """Return what nobody can mean, and the reason it is refused for."""
    up, down = {"bid_tick": 2 * bid, "ask_tick": 2 * ask}, {"bid_tick": 1, "ask_tick": 2}
    return [
        ("rejected_invalid", {"side": 0}),
        ("rejected_invalid", {"symbol": 99}),
        ("rejected_invalid", {"strategy": 200}),
        ("rejected_invalid", {"strength": math.nan}),
        ("rejected_invalid", {"strength": 1e9}),
        ("rejected_invalid", {"confidence": -1.0}),
        ("rejected_invalid", {"volatility": math.inf}),
        ("rejected_invalid", {"bid_tick": 0, "ask_tick": 0}),
        ("rejected_invalid", {"bid_tick": ask, "ask_tick": bid}),
        ("rejected_invalid", {"stop_pct": 50.0}),
        ("rejected_late", {"age_ms": 60_000}),
        ("rejected_late", {"age_ms": -60_000}),
        ("rejected_collar", {"side": 1} | down),
        ("rejected_collar", {"side": -1} | up),
    ]


def test_fault_43_a_fat_finger_and_a_symbol_without_price_are_refused(
    tmp_path: Path, make_venue, start, take_over
):
    venue = make_venue("--regime", "quiet")
    own = ("risk.max_order_notional_usd=300", "trading.base_position_usd=1000")
    pipeline = start(tmp_path, settings=(*venue.settings, *EASY, *SILENT_ENGINE, *PATIENT, *own))
    memory = pipeline.attach()
    hand = take_over(memory)
    wait_until(lambda: hand.has_price(0) and hand.has_price(1), 30.0, "prices")
    placed = venue.placed()
    bid, ask = hand.best(0)
    for label, changes in odd_signals(bid, ask):
        hand.refused(label, **changes)
    # The feed can read nothing of a symbol any more: a restart forgets what it knew.
    venue.fault(name="malformed", symbol="ETHUSDT", count=0)
    row = memory.process("feed")
    before = row.pid
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: row.pid != before and memory.control.halt_reason == 0 and hand.has_price(0),
        20.0,
        "the feed is back with one symbol",
    )
    assert not hand.has_price(1)
    hand.refused("rejected_no_price", symbol=1, bid_tick=400_000, ask_tick=400_001)
    assert venue.placed() == placed and not memory.control.open_position_count
    # The wildest hints that are allowed ask for more than three times the limit.
    hand.enter(0, strength=1.0, confidence=1.0, volatility=1e-9, stop_pct=1e-6, target_pct=0.5)
    wait_until(lambda: memory.position(0).state == PositionState.FLAT, 20.0, "closed by its stop")
    (entry,) = [found for found in order_rows(memory) if not found.flags & EXIT]
    quantity = entry.quantity_lot * Decimal("0.001")
    assert 200 < quantity * venue.price("BTCUSDT") <= 300 and entry.status == OrderStatus.FILLED
    hand.release()
    end(pipeline, memory, venue)
