"""Waiting and waking between stages. Waking costs a system call only when somebody sleeps.

The consumer's side, when a look at its rings found nothing:

    if should_block(wait, now):          # else it has spun, yielded or slept already
        arm(wait)
        if <another look finds nothing>:
            block(wait, now, deadline)
        disarm(wait)

The producer's side, after publishing a batch: `ring_doorbell(doorbell)`.
"""

from __future__ import annotations

from runtime.system_calls import (
    FUTEX_WAIT,
    FUTEX_WAKE,
    futex,
    nanosleep,
    sched_yield,
    write_file,
)
from runtime.wait_layout import SLEEP_NS, WAIT, WaitStrategy
from shm.atomics import fence_full, fetch_add, load_acquire, load_relaxed, pause, store_relaxed
from shm.compiled import export, kernel
from shm.tables import DOORBELL
from shm.views import view_of

wait_at = view_of(WAIT)
doorbell_at = view_of(DOORBELL)
WORD = DOORBELL.offset("word")
SLEEPING = DOORBELL.offset("sleeping")
WAKES = DOORBELL.offset("wakes")
EVENT_ONE = DOORBELL.offset("event_one")
TIMESPEC = WAIT.offset("timespec_s")

SPIN = int(WaitStrategy.SPIN)
YIELD = int(WaitStrategy.YIELD)
SLEEP = int(WaitStrategy.SLEEP)
BLOCK = int(WaitStrategy.BLOCK)


@kernel
def found_work(wait: int) -> None:
    """Note that the last look found something: waiting starts over."""
    wait_at(wait).idle_since_ns = 0


@kernel
def should_block(wait: int, now_ns: int) -> bool:
    """Wait one step in the way of the strategy, or return True when it is time to block."""
    view = wait_at(wait)
    strategy = view.strategy
    if strategy == SPIN:
        pause()
        return False
    if strategy == YIELD:
        sched_yield()
        return False
    if strategy == SLEEP:
        view.timespec_s = 0
        view.timespec_ns = SLEEP_NS
        nanosleep(_timespec(wait), 0)
        return False
    if strategy == BLOCK:
        return True
    if view.idle_since_ns == 0:
        view.idle_since_ns = now_ns
    if now_ns - view.idle_since_ns < view.idle_before_block_ns:
        sched_yield()
        return False
    return True


@kernel
def _timespec(wait: int) -> int:
    return wait + TIMESPEC


@kernel
def arm(wait: int) -> None:
    """Announce that this stage is about to block; look at the rings once more after it."""
    view = wait_at(wait)
    view.seen_word = load_acquire(view.doorbell + WORD)
    store_relaxed(view.doorbell + SLEEPING, 1)
    # Ordering: pairs with the fence in `ring_doorbell`. Either the producer sees us sleeping, or
    # our second look sees its record; store-load order needs a full fence on both sides.
    fence_full()


@kernel
def block(wait: int, now_ns: int, deadline_ns: int) -> None:
    """Sleep until the doorbell rings or the deadline passes."""
    view = wait_at(wait)
    left = deadline_ns - now_ns
    if left <= 0:
        return
    view.timespec_s = left // 1_000_000_000
    view.timespec_ns = left % 1_000_000_000
    view.blocks += 1
    # The word is compared in the kernel: a ring between `arm` and here returns at once.
    futex(view.doorbell + WORD, FUTEX_WAIT, view.seen_word & 0xFFFFFFFF, _timespec(wait))


@kernel
def disarm(wait: int) -> None:
    """Withdraw `arm`."""
    store_relaxed(wait_at(wait).doorbell + SLEEPING, 0)


@kernel
def ring_doorbell(doorbell: int) -> None:
    """Wake the stage of a doorbell if it sleeps; call it once after a batch of records."""
    # Ordering: pairs with the fence in `arm`.
    fence_full()
    if load_relaxed(doorbell + SLEEPING) == 0:
        return
    # Clearing the flag here keeps a busy producer from a system call per batch while the sleeper
    # is on its way.
    store_relaxed(doorbell + SLEEPING, 0)
    view = doorbell_at(doorbell)
    fetch_add(doorbell + WORD, 1)
    fetch_add(doorbell + WAKES, 1)
    if view.event_fd >= 0:
        write_file(view.event_fd, doorbell + EVENT_ONE, 8)
    else:
        futex(doorbell + WORD, FUTEX_WAKE, 1, 0)


@export(1)
def doorbell_ring(doorbell: int) -> int:
    """Exported `ring_doorbell`; returns 0."""
    ring_doorbell(doorbell)
    return 0


@export(1)
def wait_arm(wait: int) -> int:
    """Exported `arm`, for a stage that blocks in epoll; returns 0."""
    arm(wait)
    return 0


@export(1)
def wait_disarm(wait: int) -> int:
    """Exported `disarm`; returns 0."""
    disarm(wait)
    return 0
