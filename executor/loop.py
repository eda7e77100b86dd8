"""The compiled half of the executor: wait for an order in the ring or a readable descriptor.

Everything else the executor does is Python: what it waits for comes seldom and is never late by
more than the interpreter takes.
"""

from __future__ import annotations

from executor.state import EVENT_COUNT_MAX, READABLE_FIRST, WAIT_CONTEXT, WATCHED_COUNT
from executor.state import ORDER as FOUND_ORDER
from executor.state import WOKEN as FOUND_WOKEN
from runtime.clocks import mono_ns
from runtime.system_calls import EPOLL_DATA_OFFSET, EPOLL_EVENT_SIZE, epoll_wait, read_file
from runtime.waits import arm, disarm, found_work, should_block
from shm.compiled import export, kernel
from shm.memory import load_i32
from shm.rings import peek
from shm.views import address_of, view_of

context_at = view_of(WAIT_CONTEXT)
SCRATCH = WAIT_CONTEXT.offset("scratch")


@kernel
def _readable(context: int, count: int) -> int:
    """Return the bits of `count` events; the doorbell's count is taken.

    Loop bound: count ≤ EVENT_COUNT_MAX events, WATCHED_COUNT places each.
    """
    view = context_at(context)
    found = 0
    events = address_of(view.events)
    for index in range(count):
        # Whoever registered the descriptor stored it in the low 32 bits of the event's data.
        fd = load_i32(events + index * EPOLL_EVENT_SIZE + EPOLL_DATA_OFFSET)
        if fd == view.bell_fd:
            read_file(fd, context + SCRATCH, 8)
            found |= FOUND_WOKEN
        for place in range(WATCHED_COUNT):
            if fd == view.watched[place]:
                found |= READABLE_FIRST << place
    return found


@kernel
def _look(context: int, timeout_ms: int) -> int:
    """Return what is there, waiting for descriptors at most `timeout_ms`."""
    view = context_at(context)
    wait_ms = 0 if peek(view.orders, 0) != 0 else timeout_ms
    count = epoll_wait(view.epoll_fd, address_of(view.events), EVENT_COUNT_MAX, wait_ms)
    # Interrupted by a signal: the caller looks at its stop flag.
    found = FOUND_WOKEN if count < 0 else _readable(context, count)
    # Looked at last: the order that the doorbell announced is there by now.
    if peek(view.orders, 0) != 0:
        found |= FOUND_ORDER
    return found


@export(2)
def executor_wait(context: int, deadline_ns: int) -> int:
    """Wait for work until a deadline, in the way of the stage's strategy.

    Args:
        context: address of a WAIT_CONTEXT.
        deadline_ns: of CLOCK_MONOTONIC; blocking may overrun it by the millisecond of epoll.

    Returns:
        Bits of executor.state; 0 when the deadline passed. Loop bound: the deadline.
    """
    view = context_at(context)
    while True:
        found = _look(context, 0)
        if found != 0:
            if found != FOUND_WOKEN:
                found_work(view.wait)
            return found
        now = mono_ns()
        if now >= deadline_ns:
            return 0
        if should_block(view.wait, now):
            # Ordering: arm fences before the second look at the ring, as in runtime.waits. The
            # doorbell writes its eventfd, so a ring between look and epoll_wait ends the wait.
            arm(view.wait)
            found = _look(context, (deadline_ns - now + 999_999) // 1_000_000)
            disarm(view.wait)
            if found != 0:
                if found != FOUND_WOKEN:
                    found_work(view.wait)
                return found
