"""Pools: every object once, in one process and between two that hammer it."""

from __future__ import annotations

import ctypes
import os
import random
import signal

import pytest

from shm.compiled import interpreted, kernel
from shm.memory import load_i64, store_i64
from shm.pool_layout import (
    OBJECT_COUNT_MAX,
    POOL,
    TAG_ONE,
    TAKEN,
    format_pool,
    free_indices,
    pool_size,
)
from shm.pools import give, pool_give, pool_take, take
from tests.naive.shm_pools import NaivePool

SEED = 99


@pytest.fixture
def new_pool(region):
    def make(count: int, size: int = 64) -> int:
        address = region(pool_size(count, size))
        format_pool(address, count, size)
        return address

    return make


def index_of(pool: int, address: int) -> int:
    control = POOL.at(pool)
    index, rest = divmod(address - pool - control.objects_offset, 1 << control.object_shift)
    assert rest == 0
    return index


@pytest.mark.parametrize("size", [64, 256, 4096])
def test_objects_are_aligned_disjoint_and_inside(new_pool, size: int):
    pool = new_pool(9, size)
    taken = [pool_take(pool) for _ in range(9)]
    assert pool_take(pool) == 0
    assert POOL.at(pool).exhausted == 1
    assert all(address % 64 == 0 for address in taken)
    assert sorted(taken) == list(range(min(taken), min(taken) + 9 * size, size))
    assert min(taken) >= pool + POOL.size + 9 * 8
    assert max(taken) + size <= pool + pool_size(9, size)
    assert free_indices(pool) == []


def test_random_use_against_a_stack(new_pool):
    print("seed", SEED)
    rng = random.Random(SEED)
    pool, naive = new_pool(7), NaivePool(7)
    addresses = {index: pool + POOL.at(pool).objects_offset + 64 * index for index in range(7)}
    for _ in range(3_000):
        if rng.random() < 0.5:
            wanted = naive.take()
            got = pool_take(pool)
            assert got == (0 if wanted is None else addresses[wanted])
        else:
            index = rng.randrange(7)
            assert (pool_give(pool, addresses[index]) == 0) == naive.give(index)
        assert free_indices(pool) == naive.free
    control = POOL.at(pool)
    assert (control.exhausted, control.refused) == (naive.exhausted, naive.refused)
    assert naive.exhausted and naive.refused


def test_addresses_that_are_no_taken_object_are_refused(new_pool):
    pool = new_pool(4, 128)
    taken = pool_take(pool)
    wrong = [0, pool, taken - 128, taken + 1, taken + 64, taken + 128, taken + 4 * 128, -1]
    for address in wrong:
        assert pool_give(pool, address) == -1, address
    assert POOL.at(pool).refused == len(wrong)
    assert pool_give(pool, taken) == 0
    assert pool_give(pool, taken) == -1, "given twice"
    assert sorted(free_indices(pool)) == [0, 1, 2, 3]


def test_writing_over_a_free_object_does_not_harm_the_list(new_pool):
    pool = new_pool(3)
    taken = [pool_take(pool) for _ in range(3)]
    for address in taken:
        assert pool_give(pool, address) == 0
        ctypes.memset(address, 0xFF, 64)
    assert sorted(free_indices(pool)) == [0, 1, 2]


def test_tag_makes_a_returned_head_look_different(new_pool):
    """The ABA case: the same object on top again, with another successor below it."""
    pool = new_pool(3)
    seen = POOL.at(pool).head
    first, second = pool_take(pool), pool_take(pool)
    pool_give(pool, first)
    now = POOL.at(pool).head
    assert index_of(pool, first) == 0
    assert (now & 0xFFFFFF) == (seen & 0xFFFFFF), "the same object is on top"
    assert now != seen, "a stale swap would succeed"
    pool_give(pool, second)


@pytest.mark.parametrize("tag", [-1, (1 << 39) - 1, -(1 << 39)])
def test_tag_wraps(new_pool, tag: int):
    pool = new_pool(2)
    POOL.at(pool).head = 1 + tag * TAG_ONE
    for _ in range(3):
        taken = pool_take(pool)
        assert index_of(pool, taken) == 0
        assert pool_give(pool, taken) == 0
    wanted = ctypes.c_int64(1 + (tag + 3) * TAG_ONE).value
    assert POOL.at(pool).head == wanted


@pytest.mark.parametrize(
    ("count", "size", "words"),
    [
        (0, 64, "object_count=0"),
        (OBJECT_COUNT_MAX + 1, 64, f"object_count={OBJECT_COUNT_MAX + 1}"),
        (4, 32, "object_size=32"),
        (4, 96, "object_size=96"),
        (4, 0, "object_size=0"),
    ],
)
def test_bad_sizes_are_refused(count: int, size: int, words: str):
    with pytest.raises(ValueError, match=words):
        pool_size(count, size)


def test_unaligned_pool_is_refused(region):
    with pytest.raises(ValueError, match="aligned"):
        format_pool(region(8192) + 8, 4, 64)


def test_damaged_list_is_noticed(new_pool):
    pool = new_pool(3)
    links = (ctypes.c_int64 * 3).from_address(pool + POOL.size)
    links[2] = 1
    with pytest.raises(ValueError, match="damaged"):
        free_indices(pool)
    links[2] = 99
    with pytest.raises(ValueError, match="place=99"):
        free_indices(pool)


@kernel
def hammer(pool: int, rounds: int, owner: int, held: int) -> int:
    """Hold up to three objects at a time; return 0, or what is wrong.

    An object is marked with its owner while held; another mark means that two hold it.
    """
    for step in range(rounds):
        place = held + 8 * (step % 3)
        old = load_i64(place)
        if old != 0:
            if load_i64(old) != owner or load_i64(old + 56) != step - 3:
                return 1
            store_i64(old, 0)
            if give(pool, old) != 0:
                return 2
            store_i64(place, 0)
        fresh = take(pool)
        if fresh != 0:
            if load_i64(fresh) != 0:
                return 3
            store_i64(fresh, owner)
            store_i64(fresh + 56, step)
            store_i64(place, fresh)
    for k in range(3):
        old = load_i64(held + 8 * k)
        if old != 0:
            store_i64(old, 0)
            if give(pool, old) != 0:
                return 4
    return 0


@pytest.mark.skipif(interpreted(), reason="only compiled code is atomic between processes")
@pytest.mark.parametrize("count", [2, 4, 5, 64])
def test_two_processes_never_hold_the_same_object(new_pool, region, count: int):
    pool, rounds = new_pool(count), 100_000
    held, other = region(4096), region(4096)
    assert hammer(pool, 0, 1, held) == 0
    pid = os.fork()
    if pid == 0:
        os._exit(hammer(pool, rounds, 2, other))
    ours = hammer(pool, rounds, 1, held)
    theirs = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert (ours, theirs) == (0, 0)
    assert sorted(free_indices(pool)) == list(range(count)), "objects were lost"
    assert POOL.at(pool).refused == 0


@pytest.mark.skipif(interpreted(), reason="only compiled code is atomic between processes")
def test_process_killed_while_hammering_leaves_a_whole_list(new_pool, region):
    pool = new_pool(8)
    started = region(4096)
    hammer(pool, 0, 1, region(4096))
    for owner in range(2, 5):
        before = POOL.at(pool).head
        pid = os.fork()
        if pid == 0:
            store_i64(started, owner)
            os._exit(hammer(pool, 1 << 40, owner, region(4096)))
        while POOL.at(pool).head == before or load_i64(started) != owner:
            os.sched_yield()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        free = free_indices(pool)
        assert len(set(free)) == len(free)
        # At most three were held and one was on its way in or out.
        lost = set(range(8)) - set(free)
        assert len(lost) <= 4
        links = (ctypes.c_int64 * 8).from_address(pool + POOL.size)
        for index in lost:  # what a supervisor does after a death: give back what the dead held
            address = pool + POOL.at(pool).objects_offset + 64 * index
            ctypes.memset(address, 0, 64)
            links[index] = TAKEN
            assert pool_give(pool, address) == 0
        for index in free:
            ctypes.memset(pool + POOL.at(pool).objects_offset + 64 * index, 0, 64)
        assert sorted(free_indices(pool)) == list(range(8))
