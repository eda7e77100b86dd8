"""Waiting and waking: no system call when nobody sleeps, no wake-up lost, every strategy."""

from __future__ import annotations

import ctypes
import mmap
import os
import time

import pytest

from runtime.clocks import mono_ns
from runtime.wait_layout import WAIT, WaitStrategy
from runtime.waits import (
    arm,
    block,
    disarm,
    doorbell_ring,
    found_work,
    ring_doorbell,
    should_block,
    wait_arm,
    wait_disarm,
)
from shm.atomics import load_acquire, store_release
from shm.compiled import interpreted, kernel
from shm.memory import load_i64, store_i64
from shm.tables import DOORBELL

SECOND = 1_000_000_000


@pytest.fixture
def place():
    mapped = mmap.mmap(-1, 8192, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    yield ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    mapped.close()


def doorbell_at(address: int):
    bell = DOORBELL.at(address)
    bell.event_fd, bell.event_one = -1, 1
    return bell


_KEPT: list = []


def waiting(strategy: WaitStrategy, doorbell: int, idle_ns: int = 0):
    wait = WAIT.new()
    _KEPT.append(wait)  # an address alone keeps nothing alive
    wait.strategy, wait.doorbell, wait.idle_before_block_ns = int(strategy), doorbell, idle_ns
    return wait, ctypes.addressof(wait)


def test_ringing_a_doorbell_makes_no_system_call_when_nobody_sleeps(place):
    bell = doorbell_at(place)
    for _ in range(1_000):
        doorbell_ring(place)
    assert (bell.wakes, bell.word) == (0, 0)


def test_one_sleeper_costs_one_system_call_however_often_it_rings(place):
    bell = doorbell_at(place)
    _, wait = waiting(WaitStrategy.BLOCK, place)
    for number in range(1, 4):
        wait_arm(wait)
        assert bell.sleeping == 1
        for _ in range(100):
            doorbell_ring(place)
        assert (bell.wakes, bell.word, bell.sleeping) == (number, number, 0)


def test_disarmed_stage_is_not_woken(place):
    bell = doorbell_at(place)
    _, wait = waiting(WaitStrategy.BLOCK, place)
    wait_arm(wait)
    wait_disarm(wait)
    doorbell_ring(place)
    assert bell.wakes == 0


def test_event_fd_is_written_instead_of_the_futex(place):
    bell = doorbell_at(place)
    bell.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        _, wait = waiting(WaitStrategy.BLOCK, place)
        doorbell_ring(place)
        with pytest.raises(BlockingIOError):
            os.eventfd_read(bell.event_fd)
        wait_arm(wait)
        doorbell_ring(place)
        doorbell_ring(place)
        assert os.eventfd_read(bell.event_fd) == 1
        assert bell.wakes == 1
    finally:
        os.close(bell.event_fd)


def test_ring_between_arm_and_block_returns_at_once(place):
    doorbell_at(place)
    view, wait = waiting(WaitStrategy.BLOCK, place)
    arm(wait)
    doorbell_ring(place)
    now = time.monotonic_ns()
    block(wait, now, now + 60 * SECOND)
    assert time.monotonic_ns() - now < 30 * SECOND
    assert view.blocks == 1


def test_block_ends_at_its_deadline_and_not_before(place):
    doorbell_at(place)
    view, wait = waiting(WaitStrategy.BLOCK, place)
    arm(wait)
    now = time.monotonic_ns()
    block(wait, now, now + 2_000_000)
    assert time.monotonic_ns() - now >= 2_000_000
    disarm(wait)
    block(wait, now, now)
    block(wait, now, now - 5)
    assert view.blocks == 1, "blocked although the deadline had passed"


# strategy, idle before block, now since the first look → is it time to block
TABLE = """
SPIN      0   0   no
SPIN      0   9   no
YIELD     0   9   no
SLEEP     0   9   no
BLOCK     0   0   yes
ADAPTIVE  5   0   no
ADAPTIVE  5   4   no
ADAPTIVE  5   5   yes
ADAPTIVE  0   0   yes
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_strategy_decides_when_to_block(place, row: str):
    name, idle, later, wanted = row.split()
    doorbell_at(place)
    view, wait = waiting(WaitStrategy[name], place, int(idle))
    first = should_block(wait, 1_000)
    got = should_block(wait, 1_000 + int(later)) if int(later) else first
    assert bool(got) == (wanted == "yes")
    assert view.blocks == 0


def test_found_work_starts_the_idle_time_anew(place):
    doorbell_at(place)
    _, wait = waiting(WaitStrategy.ADAPTIVE, place, 5)
    assert not should_block(wait, 1_000)
    assert should_block(wait, 1_005)
    found_work(wait)
    assert not should_block(wait, 1_010)
    assert should_block(wait, 1_015)


@kernel
def take_turns(wait: int, mine: int, other: int, other_bell: int, rounds: int, begins: int) -> int:
    """Answer each turn of the other side; return the turns in which a wake-up was lost, or -1.

    mine and other are addresses of counters. A block that lasts its whole second although the
    other side has answered is a lost wake-up.
    """
    lost = 0
    give_up = mono_ns() + 60 * SECOND
    for turn in range(1, rounds + 1):
        if begins == 1:
            store_release(other, turn)
            ring_doorbell(other_bell)
        while load_acquire(mine) < turn:
            now = mono_ns()
            if now > give_up:
                return -1
            if should_block(wait, now):
                arm(wait)
                if load_acquire(mine) < turn:
                    block(wait, now, now + SECOND)
                    if mono_ns() - now >= SECOND and load_acquire(mine) >= turn:
                        lost += 1
                disarm(wait)
        found_work(wait)
        if begins == 0:
            store_release(other, turn)
            ring_doorbell(other_bell)
    return lost


@pytest.mark.skipif(interpreted(), reason="only compiled code orders memory between processes")
@pytest.mark.parametrize(
    ("strategy", "idle_ns", "rounds"),
    [(WaitStrategy.BLOCK, 0, 20_000), (WaitStrategy.ADAPTIVE, 20_000, 2_000)],
)
def test_no_wake_up_is_lost_between_two_processes(place, strategy, idle_ns, rounds):
    one, two = place, place + 1024
    bells = doorbell_at(one), doorbell_at(two)
    words = place + 4096, place + 4096 + 128
    _, wait = waiting(strategy, one, idle_ns)
    _, other_wait = waiting(strategy, two, idle_ns)
    assert take_turns(wait, words[0], words[1], two, 0, 1) == 0
    pid = os.fork()
    if pid == 0:
        lost = take_turns(other_wait, words[1], words[0], one, rounds, 0)
        store_i64(place + 6000, lost + 1)
        os._exit(0)
    lost = take_turns(wait, words[0], words[1], two, rounds, 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (lost, load_i64(place + 6000) - 1) == (0, 0)
    assert load_i64(words[0]) == load_i64(words[1]) == rounds
    # A wake is one system call for one sleep at most.
    assert all(bell.wakes <= rounds for bell in bells)
    assert sum(bell.wakes for bell in bells) > 0 or strategy is WaitStrategy.ADAPTIVE
