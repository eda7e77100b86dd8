"""Rings between two processes: order, sums, laps, and writers and readers that are killed."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

import pytest

from runtime.system_calls import sched_yield
from shm.compiled import interpreted, kernel
from shm.memory import load_i64, store_i64
from shm.ring_layout import RING
from shm.rings import (
    EMPTY,
    LAPPED,
    READY,
    advance,
    claim,
    claim_broadcast,
    peek,
    publish,
    read_broadcast,
    rejoin,
    ring_advance,
    ring_claim,
    ring_claim_broadcast,
    ring_peek,
    ring_publish,
    ring_read_broadcast,
    ring_recover,
)

pytestmark = pytest.mark.skipif(interpreted(), reason="only compiled code is atomic")
YIELDS_MAX = 1 << 26


@kernel
def produce(ring: int, n: int, limit: int) -> int:
    """Write records 0 … n - 1, yielding while the ring is full; -1 after `limit` yields."""
    for i in range(n):
        slot = claim(ring)
        spins = 0
        while slot == 0:
            sched_yield()
            spins += 1
            if spins > limit:
                return -1
            slot = claim(ring)
        for k in range(7):
            store_i64(slot + 8 * k, i + k)
        publish(ring, slot)
    return 0


@kernel
def consume(ring: int, n: int, limit: int) -> int:
    """Read n records, checking order and content; return the sum of all words, or -1."""
    total = 0
    for i in range(n):
        slot = peek(ring, 0)
        spins = 0
        while slot == 0:
            sched_yield()
            spins += 1
            if spins > limit:
                return -1
            slot = peek(ring, 0)
        for k in range(7):
            if load_i64(slot + 8 * k) != i + k:
                return -1
            total += load_i64(slot + 8 * k)
        advance(ring, 0)
    return total


@kernel
def broadcast_many(ring: int, n: int) -> int:
    for i in range(n):
        slot = claim_broadcast(ring)
        for k in range(7):
            store_i64(slot + 8 * k, i * (k + 1))
        publish(ring, slot)
    return 0


@kernel
def follow(ring: int, n: int, target: int, found: int, limit: int) -> int:
    """Read until record n - 1; found: records, laps, lost, sum. Returns 0, or what is wrong."""
    position = 0
    spins = 0
    while position < n:
        state = read_broadcast(ring, position, target)
        if state == READY:
            spins = 0
            for k in range(7):
                if load_i64(target + 8 * k) != position * (k + 1):
                    return 1
            if load_i64(target + 56) != position + 1:
                return 2
            store_i64(found, load_i64(found) + 1)
            store_i64(found + 24, load_i64(found + 24) + position)
            position += 1
        elif state == LAPPED:
            ahead = rejoin(ring, 2)
            if ahead <= position:
                return 3
            # The newest published record is the last before `tail`: join there, so that the end
            # is seen even when the producer has finished.
            store_i64(found + 8, load_i64(found + 8) + 1)
            store_i64(found + 16, load_i64(found + 16) + ahead - 1 - position)
            position = ahead - 1
        else:
            sched_yield()
            spins += 1
            if spins > limit:
                return 4
    return 0


def forked(work: Callable[[], int]) -> int:
    """Run work in a child; return its pid."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("capacity", [2, 64, 4096])
def test_gated_ring_between_processes_keeps_order_and_sum(new_ring, capacity: int):
    ring, n = new_ring(capacity, 1), 50_000
    produce(new_ring(2, 1), 0, 1)
    consume(new_ring(2, 1), 0, 1)
    pid = forked(lambda: produce(ring, n, YIELDS_MAX))
    total = consume(ring, n, YIELDS_MAX)
    assert exit_code(pid) == 0
    assert total == 7 * (n * (n - 1) // 2) + 21 * n
    assert ring_peek(ring, 0) == 0


@pytest.mark.parametrize("capacity", [2, 16, 1 << 15])
def test_broadcast_reader_never_sees_a_torn_record(new_ring, region, capacity: int):
    ring, target, found = new_ring(capacity), region(4096), region(4096)
    n = 200_000
    broadcast_many(new_ring(2), 0)
    follow(new_ring(2), 0, target, found, 1)
    pid = forked(lambda: broadcast_many(ring, n))
    assert follow(ring, n, target, found, YIELDS_MAX) == 0
    assert exit_code(pid) == 0
    records, laps, lost, _ = (ctypes.c_int64 * 4).from_address(found)
    assert records + lost == n, "a record was neither read nor counted as lost"
    assert laps == RING.at(ring).laps_2
    assert (lost > 0) <= (laps > 0)


def test_broadcast_reader_with_room_reads_everything(new_ring, region):
    ring, target, found = new_ring(1 << 14), region(4096), region(4096)
    n = 1 << 14
    broadcast_many(new_ring(2), 0)
    follow(new_ring(2), 0, target, found, 1)
    pid = forked(lambda: broadcast_many(ring, n))
    assert follow(ring, n, target, found, YIELDS_MAX) == 0
    assert exit_code(pid) == 0
    assert list((ctypes.c_int64 * 4).from_address(found)) == [n, 0, 0, n * (n - 1) // 2]


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")


@pytest.mark.parametrize("words", range(8))
@pytest.mark.parametrize("gated", [True, False])
def test_writer_killed_mid_record_is_never_consumed(new_ring, region, words: int, gated: bool):
    ring = new_ring(4, int(gated))
    claim = ring_claim if gated else ring_claim_broadcast
    for index in range(5):  # so that the slot holds a record of the lap before
        slot = claim(ring)
        store_i64(slot, index)
        ring_publish(ring, slot)
        if gated:
            ring_advance(ring, 0)

    def write_and_die() -> int:
        place = claim(ring)
        for k in range(min(words, 7)):
            store_i64(place + 8 * k, 666)
        return die()

    assert exit_code(forked(write_and_die)) == -signal.SIGKILL
    target = region(4096)
    if gated:
        assert ring_peek(ring, 0) == 0
    else:
        assert ring_read_broadcast(ring, 5, target) == EMPTY
        assert ring_read_broadcast(ring, 1, target) == LAPPED, "half overwritten"
        assert ring_read_broadcast(ring, 2, target) == READY
    assert ring_recover(ring) == 0
    slot = claim(ring)
    for k in range(7):
        store_i64(slot + 8 * k, 5)
    ring_publish(ring, slot)
    if gated:
        slot = ring_peek(ring, 0)
    else:
        assert ring_read_broadcast(ring, 5, target) == READY
        slot = target
    assert [load_i64(slot + 8 * k) for k in range(7)] == [5] * 7


def test_reader_killed_between_peek_and_advance_gets_the_record_again(new_ring):
    ring = new_ring(4, 1)
    for value in (1, 2, 3):
        slot = ring_claim(ring)
        store_i64(slot, value)
        ring_publish(ring, slot)

    def read_two_and_die() -> int:
        assert load_i64(ring_peek(ring, 0)) == 1
        ring_advance(ring, 0)
        assert load_i64(ring_peek(ring, 0)) == 2
        return die()

    assert exit_code(forked(read_two_and_die)) == -signal.SIGKILL
    seen = []
    while slot := ring_peek(ring, 0):
        seen.append(load_i64(slot))
        ring_advance(ring, 0)
    assert seen == [2, 3]


def test_writer_killed_at_any_instruction_leaves_a_ring_that_goes_on(new_ring):
    """Kill a producer at arbitrary points of its stream; what follows is exactly what is left."""
    ring = new_ring(64, 1)
    produce(new_ring(2, 1), 0, 1)
    next_value = 0
    for round_number in range(5):
        pid = forked(lambda: produce(ring, 1 << 40, YIELDS_MAX))
        # Let it run by consuming; the count read before the kill varies with the machine, and
        # every outcome has to satisfy the same checks.
        wanted = next_value
        for _ in range(1000 * (round_number + 1)):
            slot = spin_for(ring)
            assert load_i64(slot) == wanted - next_value
            ring_advance(ring, 0)
            wanted += 1
        os.kill(pid, signal.SIGKILL)
        assert exit_code(pid) == -signal.SIGKILL
        assert ring_recover(ring) in (0, 1)
        while slot := ring_peek(ring, 0):
            value = load_i64(slot)
            assert value == wanted - next_value
            assert [load_i64(slot + 8 * k) for k in range(7)] == list(range(value, value + 7))
            ring_advance(ring, 0)
            wanted += 1
        next_value = wanted
        control = RING.at(ring)
        assert control.tail == control.head_0 == next_value


def spin_for(ring: int) -> int:
    for _ in range(YIELDS_MAX):
        slot = ring_peek(ring, 0)
        if slot:
            return slot
        os.sched_yield()
    raise AssertionError("the producer does not produce")
