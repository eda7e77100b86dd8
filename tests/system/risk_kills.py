"""Kill risk again and again while it trades, and hold what it believes against the venue.

    python -m tests.system.risk_kills [--kills 200] [--seed 1]

Each kill is a SIGKILL after a seeded delay. After it risk must be back, its positions be the
venue's, and a stop rest for each of them, never two. Before a seeded share of the kills the
supervisor is frozen: risk then stays dead for a while, in which nothing may be placed.

The time without a stop is judged twice. Risk measures it (histogram `unprotected`): from the
report of a fill, or the cancel that precedes a move, to its reading that one rests. The venue
remembers fills and stops by the millisecond (see venue_gaps.py). By either, of 100 such times 99
are shorter than a second, and none is longer than the longest restart and what its recovery takes.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

from risk.state import GUARD, GUARDS_OFFSET, GuardState
from shm.records import OrderStatus
from shm.ring_layout import HEAD_OFFSET, RING
from shm.segments import process_start_time
from shm.tables import ORDER_ROW, PositionState, ProcessState
from tests.system.own_venue import KEY, SECRET, OwnVenue
from tests.system.pipeline import Pipeline, wait_until
from tests.system.venue_gaps import quantile, signed, venue_gaps

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADING = (
    # Large enough to be closed by halves.
    "trading.base_position_usd=400",
    "performance.signal_cooldown_sec=0.2",
    "scalping.signal_threshold=0.05",
    "scalping.confidence_threshold=0.3",
    "scalping.min_confirmations=0",
    "scalping.order_flow_imbalance=0.05",
    "scalping.order_flow_hold_min_s=0",
    "scalping.order_flow_hold_max_s=2",
    "scalping.momentum_hold_min_s=0",
    "scalping.momentum_hold_max_s=2",
    "scalping.mean_reversion_hold_min_s=0",
    "scalping.mean_reversion_hold_max_s=2",
    # The stop at the venue follows often.
    "risk.trailing_activation_pct=0.0002",
    "risk.trailing_distance_pct=0.0002",
    "risk.stop_loss_pct=0.00015",
    "risk.trail_risk_fraction=0.1",
    "risk.profit_step_risk=0.1",
    "risk.imbalance_exit=1.0",
    "risk.close_on_reverse_signal=false",
    "risk.venue_stop_offset_pct=0.0001",
    "risk.venue_stop_move_pct=0.00002",
    "risk.venue_stop_move_ms=50",
    "risk.max_consecutive_losses=0",
    "risk.warmup_s=0",
    "position_sizing.correlation_limit=1.0",
    "risk.max_repeats=31",
    "risk.repeat_window_ms=1000",
    "risk.max_daily_loss=0.5",
)
# Requests take 10 to 20 ms to the venue, so that each phase is long enough to be hit.
FAR = ("--regime", "volatile", "--fault", "request_latency:delay_ms=10,jitter_ms=10")
OFTEN = (
    "supervisor.restart_budget=100",
    "supervisor.restart_window_s=1",
    "supervisor.restart_backoff_ms=0",
    # A busy machine stops processes for seconds: that is not what is tried here.
    "supervisor.heartbeat_timeout_ms=60000",
)
# The venue is asked over REST: what it shows and what risk knows differ for as long as that takes.
AGREE_S = 60.0
ASK_S = 0.5
# Most kills are aimed at one of the phases, which last from a millisecond to seconds; half of them
# fall a little later.
AIMED, LATE = 0.85, 0.5
PATIENCE_S, LOOK_S = 2.0, 0.0001
# What both judges of the time without a stop must find.
JUDGES = ("unprotected", "venue_gap")
BARE_MS_P99, RECOVERY_MS = 1000, 2000
# Of the kills, and how long risk is kept dead then, once what it had written is on its way.
SILENT = 0.1
DEAD_S = 0.2
TOLD = 20
# From rest to the most delicate.
PHASES = ("flat", "open", "exiting", "entering", "canceling", "placing")


def guard(memory: Any, symbol: int) -> Any:
    """Return a symbol's row of risk's ledger, in place."""
    return GUARD.at(memory.state("risk") + GUARDS_OFFSET + symbol * GUARD.size)


def believed(memory: Any) -> dict[str, Decimal]:
    """Return the positions that risk believes in."""
    found = {}
    for index, name in enumerate(SYMBOLS):
        lots = memory.position(index).quantity_lot
        row = memory.symbol(index)
        if lots:
            found[name] = lots * Decimal(row.lot_unit).scaleb(-row.quantity_decimals)
    return found


def stops_by_symbol(venue: OwnVenue) -> dict[str, Decimal]:
    """Return what the stops that rest at the venue would trade, signed; two of one symbol fail."""
    found: dict[str, Decimal] = {}
    for name in SYMBOLS:
        # Venue: of weight 1 for each symbol, of 40 for all of them.
        for stop in venue.call("GET", "/fapi/v1/openAlgoOrders", symbol=name):
            assert name not in found, f"two stops of one symbol: {stop} and {found}"
            found[name] = signed(stop["side"], stop["quantity"])
    return found


def is_settled(memory: Any) -> bool:
    """Return whether risk waits for nothing: no order in flight, and the ledger is at rest."""
    for index in range(len(SYMBOLS)):
        row = memory.position(index)
        resting = guard(memory, index).state == GuardState.RESTING
        if row.state not in (PositionState.FLAT, PositionState.OPEN):
            return False
        if (row.state == PositionState.OPEN) != resting:
            return False
        if not resting and guard(memory, index).state != GuardState.NONE:
            return False
    return True


class Agreement:
    """Call it until positions and stops are the same on both sides, in a moment of rest.

    The venue limits requests by weight, so it is asked twice a second at most.
    """

    def __init__(self, memory: Any, venue: OwnVenue, holding: bool = False) -> None:
        self._memory, self._venue, self._holding = memory, venue, holding
        self._next = 0.0

    def __call__(self) -> bool:
        """Return whether both agree, on a position at least where one is wanted."""
        mine = believed(self._memory)
        if not is_settled(self._memory) or (self._holding and not mine):
            return False
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + ASK_S
        stops, theirs = stops_by_symbol(self._venue), self._venue.positions()
        return mine == theirs == believed(self._memory) and set(stops) == set(theirs)


def waiting_orders(memory: Any) -> tuple[int, int]:
    """Return how many orders were ever written to the ring, and how many of them still wait."""
    ring = memory.ring("orders")
    tail = RING.at(ring).tail
    head = ctypes.c_int64.from_address(ring + HEAD_OFFSET).value
    return tail, tail - head


def is_sending(memory: Any) -> bool:
    """Return whether an order is on its way to the venue. Loop bound: order_row_count."""
    rows = (memory.order_rows + index * ORDER_ROW.size for index in range(memory.order_row_count))
    return any(ORDER_ROW.at(row).status == OrderStatus.SENDING for row in rows)


def moment(memory: Any) -> str:
    """Return in which phase the symbol is that is furthest from rest, for the statistics."""
    found = "flat"
    for index in range(len(SYMBOLS)):
        row, stop = memory.position(index), guard(memory, index).state
        if row.state == PositionState.ENTERING:
            phase = "entering"
        elif row.state == PositionState.EXITING:
            phase = "exiting"
        elif stop in (GuardState.PLACING, GuardState.CANCELING):
            phase = GuardState(stop).name.lower()
        else:
            phase = "open" if row.quantity_lot else "flat"
        found = max(found, phase, key=PHASES.index)
    return found


def check_silence(memory: Any, venue: OwnVenue, dead_s: float) -> int:
    """Check that nothing is placed while risk is dead; what it had written before may be.

    Returns the signals that the engine gave meanwhile.
    """
    wait_until(lambda: waiting_orders(memory)[1] == 0, 5.0, "the executor has read all orders")
    written = waiting_orders(memory)[0]
    wait_until(lambda: not is_sending(memory), 5.0, "the venue has answered to all of them")
    placed, signals = venue.placed(), memory.counters.get("engine.signals")
    threading.Event().wait(dead_s)
    assert waiting_orders(memory) == (written, 0)
    assert venue.placed() == placed, "placed while risk was dead"
    return memory.counters.get("engine.signals") - signals


class Killer:
    """Kill risk at seeded moments and remember what was measured. Any disagreement fails."""

    def __init__(self, memory: Any, venue: OwnVenue, seed: int) -> None:
        self.memory, self.venue = memory, venue
        self._chance = random.Random(seed)
        self._get = memory.counters.get
        self.back_s: list[float] = []
        self.moments: Counter[str] = Counter()
        self.held = self.silences = self.unheard = 0

    def kill(self) -> None:
        """Wait for a seeded moment, kill risk, wait until it is back and agrees with the venue."""
        chance = self._chance
        if chance.random() < AIMED:
            self._aim(chance.choice(PHASES))
        else:
            threading.Event().wait(chance.random())
        if chance.random() < LATE:
            threading.Event().wait(chance.choice((0.001, 0.02, 0.3)) * chance.random())
        is_silence = chance.random() < SILENT
        self.moments[moment(self.memory)] += 1
        self.held += bool(believed(self.memory))
        self._kill(is_silence)
        wait_until(Agreement(self.memory, self.venue), AGREE_S, "risk and venue agree")

    def _aim(self, phase: str) -> None:
        """Wait for a phase; the rarest may not come, then the kill falls wherever it falls."""
        end_s = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while moment(self.memory) != phase and time.monotonic() < end_s:
            pause.wait(LOOK_S)

    def _kill(self, is_silence: bool) -> None:
        row = self.memory.process("risk")
        before, supervisor = row.pid, self.memory.process("supervisor").pid
        assert before > 1 and supervisor > 1, f"no process to kill: {before} {supervisor}"
        if is_silence:
            os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(before, signal.SIGKILL)
            if is_silence:
                wait_until(lambda: process_start_time(before) == 0, 5.0, "risk is dead")
                self.unheard += check_silence(self.memory, self.venue, DEAD_S)
                self.silences += 1
        finally:
            os.kill(supervisor, signal.SIGCONT)
        started = time.monotonic()
        wait_until(
            lambda: row.pid != before and row.state in (ProcessState.READY, ProcessState.RUNNING),
            60.0,
            "risk back at work",
        )
        self.back_s.append(time.monotonic() - started)

    def result(self) -> dict[str, Any]:
        """Return what was measured, times in ms."""
        get = self._get
        histogram = self.memory.histograms.get("unprotected")
        p50, p99, worst = (value or 0 for value in histogram.percentiles((0.5, 0.99, 1.0)))
        gaps = [gap.length_ms for gap in venue_gaps(self.venue, SYMBOLS)]
        back_ms = [round(seconds * 1000) for seconds in self.back_s]
        return {
            "kills": len(self.back_s),
            "kills_with_position": self.held,
            "kills_by_phase": "/".join(f"{name}:{self.moments[name]}" for name in PHASES),
            "kills_held_dead": self.silences,
            "signals_meanwhile": self.unheard,
            "restart_ms_p50": quantile(back_ms, 0.5),
            "restart_ms_max": max(back_ms),
            "round_trips": get("risk.round_trips"),
            "stops": get("risk.stops"),
            "exits_by_venue_stop": get("risk.exit_protection"),
            "unprotected_count": histogram.count,
            "unprotected_ms_p50": round(p50 / 1e6, 3),
            "unprotected_ms_p99": round(p99 / 1e6, 3),
            "unprotected_ms_max": round(worst / 1e6, 3),
            "venue_gaps": len(gaps),
            "venue_gap_ms_p50": quantile(gaps, 0.5),
            "venue_gap_ms_p99": quantile(gaps, 0.99),
            "venue_gap_ms_max": max(gaps, default=0),
        }


def kill_many(memory: Any, venue: OwnVenue, kills: int, seed: int) -> dict[str, Any]:
    """Kill risk that often; return what was measured."""
    killer = Killer(memory, venue, seed)
    for done in range(1, kills + 1):
        killer.kill()
        if done % TOLD == 0:
            print(f"{done} kills, {killer.held} with a position", file=sys.stderr, flush=True)
    return killer.result()


def check_times(found: dict[str, Any]) -> None:
    """Check that positions were without a stop for no longer than they may be, by both judges."""
    for judge in JUDGES:
        assert found[f"{judge}_ms_p99"] < BARE_MS_P99, found
        assert found[f"{judge}_ms_max"] < found["restart_ms_max"] + RECOVERY_MS, found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.risk_kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["BINANCE_TESTNET_API_KEY"] = KEY
    os.environ["BINANCE_TESTNET_API_SECRET"] = SECRET
    venue = OwnVenue(*FAR)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Path(folder), settings=(*venue.settings, *TRADING, *OFTEN))
        try:
            memory = pipeline.attach()
            found = kill_many(memory, venue, arguments.kills, arguments.seed)
            memory.close()
            pipeline.interrupt()
            summary = pipeline.summary()
            print(f"seed={arguments.seed}", *(f"{key}={value}" for key, value in found.items()))
            assert summary["venue_matches_local"], pipeline.explain()
            assert summary["orders_lost"] == summary["orders_duplicated"] == 0, summary
            assert venue.positions() == {} and venue.stops() == []
            check_times(found)
        except BaseException:
            pipeline.end()
            print(pipeline.explain(), file=sys.stderr)
            raise
        finally:
            pipeline.end()
            venue.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
