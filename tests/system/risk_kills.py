"""Kill risk again and again while it trades, and hold what it believes against the venue.

    python -m tests.system.risk_kills [--kills 200] [--seed 1]

Each kill is a SIGKILL after a seeded delay. After it risk must be back, its positions be the
venue's, and a stop rest for each of them, never two. The time without a stop is printed as risk
measured it: from the first fill, or the cancel that precedes a move, to the report that one rests.
"""

from __future__ import annotations

import argparse
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
from shm.tables import PositionState, ProcessState
from tests.system.own_venue import KEY, SECRET, OwnVenue
from tests.system.pipeline import Pipeline, wait_until

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADING = (
    "performance.signal_cooldown_sec=0.2",
    "scalping.signal_threshold=0.05",
    "scalping.confidence_threshold=0.3",
    "scalping.min_confirmations=0",
    "scalping.order_flow_imbalance=0.05",
    "scalping.order_flow_hold_min_s=1",
    "scalping.order_flow_hold_max_s=4",
    "scalping.momentum_hold_min_s=1",
    "scalping.momentum_hold_max_s=4",
    "risk.venue_stop_move_ms=500",
    "risk.max_consecutive_losses=0",
    "risk.warmup_s=0",
    "position_sizing.correlation_limit=1.0",
    "risk.max_repeats=31",
    "risk.repeat_window_ms=1000",
    "risk.max_daily_loss=0.5",
)
OFTEN = (
    "supervisor.restart_budget=100",
    "supervisor.restart_window_s=1",
    "supervisor.restart_backoff_ms=0",
    # A busy machine stops processes for seconds: that is not what is tried here.
    "supervisor.heartbeat_timeout_ms=30000",
)
# The venue is asked over REST: what it shows and what risk knows differ for as long as that takes.
AGREE_S = 20.0
ASK_S = 0.5
FOLLOWING = 0.8


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


def stops_by_symbol(venue: OwnVenue) -> Counter[str]:
    """Return how many stops rest at the venue for each symbol; more than one is an error."""
    # Venue: of weight 1 for each symbol, of 40 for all of them.
    listed = [venue.call("GET", "/fapi/v1/openAlgoOrders", symbol=name) for name in SYMBOLS]
    found = Counter(stop["symbol"] for stops in listed for stop in stops)
    assert all(count == 1 for count in found.values()), found
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


def kill_risk(memory: Any) -> float:
    """Kill risk and wait until it is back; return the seconds that took."""
    row = memory.process("risk")
    before = row.pid
    assert before > 1, f"no process to kill: pid={before}"
    started = time.monotonic()
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: row.pid != before and row.state in (ProcessState.READY, ProcessState.RUNNING),
        60.0,
        "risk back at work",
    )
    return time.monotonic() - started


def kill_many(memory: Any, venue: OwnVenue, kills: int, seed: int) -> dict[str, Any]:
    """Kill risk at seeded moments; return what was measured. Any disagreement fails."""
    chance = random.Random(seed)
    pause = threading.Event()
    back, held = [], 0
    get = memory.counters.get
    for _ in range(kills):
        # Most kills follow an order of risk's: between an entry, its fills, its stop and its exit.
        if chance.random() < FOLLOWING:
            orders = get("risk.orders")
            wait_until(lambda orders=orders: get("risk.orders") > orders, 60.0, "an order")
        pause.wait(chance.choice((0.0, 0.005, 0.05, 0.3, 1.0)) * chance.random())
        held += bool(believed(memory))
        back.append(kill_risk(memory))
        wait_until(Agreement(memory, venue), AGREE_S, "risk and venue agree")
    histogram = memory.histograms.get("unprotected")
    p50, p99 = (value or 0 for value in histogram.percentiles((0.5, 0.99)))
    return {
        "kills": kills,
        "kills_with_position": held,
        "restart_ms_max": round(max(back) * 1000, 1),
        "round_trips": get("risk.round_trips"),
        "stops": get("risk.stops"),
        "exits_by_venue_stop": get("risk.exit_protection"),
        "unprotected_count": histogram.count,
        "unprotected_ms_p50": round(p50 / 1e6, 3),
        "unprotected_ms_p99": round(p99 / 1e6, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.risk_kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["BINANCE_TESTNET_API_KEY"] = KEY
    os.environ["BINANCE_TESTNET_API_SECRET"] = SECRET
    venue = OwnVenue()
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
        finally:
            pipeline.end()
            venue.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
