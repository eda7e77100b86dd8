"""Clocks for kernels. Plain Python uses `time.monotonic_ns` and `time.time_ns`: the same clocks.

CLOCK_MONOTONIC is one clock for all processes of a machine, so stamps of different stages compare.
"""

from __future__ import annotations

from runtime.system_calls import CLOCK_MONOTONIC, CLOCK_REALTIME, clock_ns
from shm.compiled import export, kernel


@kernel
def mono_ns() -> int:
    """Return nanoseconds of CLOCK_MONOTONIC."""
    return clock_ns(CLOCK_MONOTONIC)


@kernel
def wall_ns() -> int:
    """Return nanoseconds of CLOCK_REALTIME, since 1970."""
    return clock_ns(CLOCK_REALTIME)


@export(0)
def clock_mono_ns() -> int:
    """Exported `mono_ns`."""
    return mono_ns()
