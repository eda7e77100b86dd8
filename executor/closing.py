"""The last orders of a run: the executor closes after risk, which still needs it.

Risk may be moving a stop when the run ends, or an entry may be filled just then: the position has
no stop at the venue until risk has placed one. Loop bound: the time given.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shm.segments import is_alive
from shm.tables import ProcessState
from shm.topology import SharedMemory

# Nothing but its word in the process table tells that risk has closed; it is looked at this often.
LOOK_NS = 2_000_000


def risk_is_running(memory: SharedMemory) -> bool:
    """Return whether risk is there and has not closed yet."""
    row = memory.process("risk")
    ended = (ProcessState.ABSENT, ProcessState.STOPPED, ProcessState.DEAD, ProcessState.HALTED)
    return row.state not in ended and is_alive(row.pid, row.start_time)


def time_left(stop_s: float) -> Callable[[float], float]:
    """Return a function: the seconds until a share of the stop time, from now on, is over."""
    began_s = time.monotonic()
    return lambda share: began_s + stop_s * share - time.monotonic()


def serve_risk(memory: SharedMemory, work: Callable[[int], int], latest_ns: int) -> bool:
    """Work until risk has closed; return False when the time was over before.

    Args:
        memory: the instance's segments.
        work: takes orders and answers until a monotonic time.
        latest_ns: monotonic, the end whatever risk does.
    """
    while risk_is_running(memory):
        now = time.monotonic_ns()
        if now >= latest_ns:
            return False
        work(min(now + LOOK_NS, latest_ns))
    return True
