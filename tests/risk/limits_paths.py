"""Run generated signals, prices and fills through the limits, and print what was found.

    python -m tests.risk.limits_paths [--count 1000000] [--seed 1]

A million signals take two seconds once compiled, which takes a minute. The same seed and count give
the same hash, compiled or not. The end is 1 if a limit was breached; the line names the kinds.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import closing
from typing import Any

from risk.limit_table import REJECTED_COUNTERS
from shm import counters
from shm.records import MARKET_EVENT, SIGNAL
from tests.compiled import exported
from tests.risk.desk import Desk
from tests.risk.drivers import drive
from tests.risk.limits_path_books import BREACHES, RUN, SYMBOLS
from tests.risk.limits_path_judge import limits_path_run

BATCH = 10_000
RESULTS = ("steps", "signals", "entries", "exits", "fills", "hash", "first_bad_step")
# Most bounds are drawn anew all the time: see `_change_bounds`.
KNOBS = {
    "trading__base_position_usd": 100.0,
    "trading__leverage": 2,
    "position_sizing__max_size": 1.6,
    "position_sizing__base_size": 0.05,
    "risk__repeat_window_ms": 5000,
    "risk__correlation_min_samples": 10,
    # Their pauses and latches are tried in test_risk_exposure.py.
    "risk__max_consecutive_losses": 0,
    "risk__max_drawdown": 0.5,
    "risk__max_daily_loss": 0.5,
}
NEVER_REACHED = {
    "rejected_untrusted", "rejected_distrust", "rejected_equity", "rejected_warmup",
    "rejected_drawdown", "rejected_daily_loss", "rejected_cool_off", "rejected_disabled",
    "rejected_in_flight", "rejected_no_edge", "rejected_filter", "rejected_ring",
    # Sizing keeps within these two, and signals do not meet quotes here.
    "rejected_notional", "rejected_inventory", "rejected_quoted",
}  # fmt: skip


def run(count: int, seed: int) -> dict[str, Any]:
    """Hand over `count` signals on a desk of their own; return counts, breaches and the hash."""
    with closing(Desk(exported(), queue=64, **KNOBS)) as desk:
        for symbol in range(SYMBOLS):
            desk._fill_symbol(symbol)
            row = desk.memory.symbol(symbol)
            row.multiplier_up, row.multiplier_down = 1.004, 0.996
            row.lot_max = 28
        desk.control.symbol_count = SYMBOLS
        made, signal, event = RUN.new(), SIGNAL.new(), MARKET_EVENT.new()
        made.context, made.random = desk.wiring.address, seed
        made.signal, made.event = ctypes.addressof(signal), ctypes.addressof(event)
        block = desk.wiring.context.counters
        made.signals_count = block + counters.offset("risk.signals")
        made.accepted_count = block + counters.offset("risk.accepted")
        made.rejected_count = block + counters.offset("risk.rejected")
        # Exits in doubt are tried in paths.py; here an exit has one order at a time.
        desk.wiring.parameters.exit_doubt_ns = 1 << 60
        made.wallet_e8 = desk.control.wallet_e8
        made.now_ns, made.first_bad_step = 10**12, -1
        for symbol in range(SYMBOLS):
            made.bid[symbol], made.ask[symbol] = 45_000, 45_001
            made.mark[symbol] = 45_000
        left = count
        while left > 0:
            limits_path_run(ctypes.addressof(made), min(left, BATCH))
            left -= BATCH
        found: dict[str, Any] = {name: getattr(made, name) for name in RESULTS}
        found |= {f"bad_{name}": getattr(made, f"bad_{name}") for name, _ in BREACHES}
        found["accepted"], found["rejected"] = desk.count("accepted"), desk.count("rejected")
        found["reasons"] = {label: desk.count(label) for label in REJECTED_COUNTERS}
        return found


def breaches(found: dict[str, Any]) -> dict[str, int]:
    """Return what must be zero and is not."""
    wrong = {name: found[name] for name in found if name.startswith("bad_") and found[name]}
    rejected = sum(found["reasons"].values())
    if found["rejected"] != rejected or found["signals"] != found["accepted"] + rejected:
        wrong["counts"] = found["signals"] - found["accepted"] - rejected
    return wrong


SHOWN = ("signals", "accepted", "rejected", "fills", "exits")

if __name__ == "__main__":
    sys.exit(drive("tests.risk.limits_paths", run, breaches, "breaches", SHOWN))
