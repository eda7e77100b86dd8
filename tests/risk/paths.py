"""Run generated paths of price through exits, ledger and fills, and print what was found.

    python -m tests.risk.paths [--count 1000000] [--seed 1]

A million paths take some minutes compiled. The same seed and count give the same hash, compiled or
not. The end is 1 if an invariant was violated; the line names the kinds.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import closing
from typing import Any

from risk.recovery import check_positions
from shm.records import MARKET_EVENT, SIGNAL
from tests.compiled import exported
from tests.risk.desk import Desk
from tests.risk.drivers import drive
from tests.risk.path_kernels import RUN, path_run
from tests.risk.path_venue import ROW_COUNT, SIM

BATCH = 10_000
SIM_RESULTS = (
    *("order_count", "fill_count", "stop_count", "trigger_count", "doubt_count", "refusal_count"),
    *("duplicate_count", "two_stops", "no_room", "naked_ns_max", "hash"),
)
RUN_RESULTS = tuple(
    f.name for f in RUN if f.name.startswith("bad_") or f.name in ("paths", "steps", "opened")
)


def run(count: int, seed: int) -> dict[str, Any]:
    """Run paths on a desk of their own; return counts, violations and the hash."""
    with closing(Desk(exported(), queue=64, risk__venue_stop=True)) as desk:
        assert desk.memory.order_row_count == ROW_COUNT
        sim, made = SIM.new(), RUN.new()
        signal, event = SIGNAL.new(), MARKET_EVENT.new()
        sim.random = seed
        sim.orders, sim.reports = desk.memory.ring("orders"), desk.memory.ring("reports")
        sim.rows = desk.memory.order_rows
        sim.bid, sim.ask = 45_000, 45_001
        # One symbol of a small price: a tick is large enough for steps and gaps to matter.
        desk.control.symbol_count = 1
        desk.control.wallet_e8 = 10**18
        made.context, made.sim = desk.wiring.address, ctypes.addressof(sim)
        made.signal, made.event = ctypes.addressof(signal), ctypes.addressof(event)
        made.now_ns, made.first_bad_path = 10**9, -1
        desk.symbol_state(0).bid_tick, desk.symbol_state(0).ask_tick = sim.bid, sim.ask
        desk.symbol_state(0).best_valid = 1
        left = count
        while left > 0:
            path_run(ctypes.addressof(made), min(left, BATCH))
            left -= BATCH
        assert check_positions(desk.wiring.address) == 0
        found = {name: getattr(made, name) for name in RUN_RESULTS}
        found |= {name: getattr(sim, name) for name in SIM_RESULTS}
        found["recoveries"], found["first_bad_path"] = made.recoveries, made.first_bad_path
        found["untrusted"] = desk.header.untrusted
        found["exits"] = {
            label: desk.count(label)
            for label in ("exit_stop", "exit_target", "exit_partial", "exit_trailing", "exit_time",
                          "exit_mean", "exit_imbalance", "exit_unprotected", "exit_protection",
                          "exit_retries", "exits_doubted", "stops_refused", "stops_lost")
        }  # fmt: skip
        return found


def violations(found: dict[str, Any]) -> dict[str, int]:
    """Return what must be zero and is not."""
    names = [n for n in found if n.startswith("bad_")] + ["two_stops", "no_room"]
    return {name: found[name] for name in names if found[name]}


if __name__ == "__main__":
    sys.exit(drive("tests.risk.paths", run, violations, "violations", ("paths", "steps")))
