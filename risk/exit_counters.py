"""Which counter counts which reason of an exit. Loops: none."""

from __future__ import annotations

from shm import counters
from shm.compiled import kernel
from shm.records import OrderReason

TARGET = int(OrderReason.TARGET)
PARTIAL = int(OrderReason.PARTIAL)
TRAILING = int(OrderReason.TRAILING)
TIME_LIMIT = int(OrderReason.TIME_LIMIT)
REVERSAL = int(OrderReason.REVERSAL)
FLATTEN = int(OrderReason.FLATTEN)
STALE = int(OrderReason.STALE)
HALT = int(OrderReason.HALT)
DRAWDOWN = int(OrderReason.DRAWDOWN)
FOREIGN = int(OrderReason.FOREIGN)
MEAN = int(OrderReason.MEAN)
IMBALANCE = int(OrderReason.IMBALANCE)
UNPROTECTED = int(OrderReason.UNPROTECTED)

EXIT_STOP = counters.offset("risk.exit_stop")
EXIT_TARGET = counters.offset("risk.exit_target")
EXIT_PARTIAL = counters.offset("risk.exit_partial")
EXIT_TRAILING = counters.offset("risk.exit_trailing")
EXIT_TIME = counters.offset("risk.exit_time")
EXIT_REVERSAL = counters.offset("risk.exit_reversal")
EXIT_FLATTEN = counters.offset("risk.exit_flatten")
EXIT_STALE = counters.offset("risk.exit_stale")
EXIT_HALT = counters.offset("risk.exit_halt")
EXIT_DRAWDOWN = counters.offset("risk.exit_drawdown")
EXIT_FOREIGN = counters.offset("risk.exit_foreign")
EXIT_MEAN = counters.offset("risk.exit_mean")
EXIT_IMBALANCE = counters.offset("risk.exit_imbalance")
EXIT_UNPROTECTED = counters.offset("risk.exit_unprotected")


@kernel
def _level_counter(reason: int) -> int:
    """Return the counter of a reason that the exit machine finds."""
    if reason == TARGET:
        return EXIT_TARGET
    if reason == PARTIAL:
        return EXIT_PARTIAL
    if reason == TRAILING:
        return EXIT_TRAILING
    if reason == TIME_LIMIT:
        return EXIT_TIME
    if reason == MEAN:
        return EXIT_MEAN
    return EXIT_IMBALANCE if reason == IMBALANCE else EXIT_STOP


@kernel
def exit_counter(reason: int) -> int:
    """Return the counter of an exit reason."""
    if reason == REVERSAL:
        return EXIT_REVERSAL
    if reason == FLATTEN:
        return EXIT_FLATTEN
    if reason == STALE:
        return EXIT_STALE
    if reason == HALT:
        return EXIT_HALT
    if reason == DRAWDOWN:
        return EXIT_DRAWDOWN
    if reason == FOREIGN:
        return EXIT_FOREIGN
    if reason == UNPROTECTED:
        return EXIT_UNPROTECTED
    return _level_counter(reason)
