"""Rings in one process: what is read is what was written, full and empty, wraps, crashes."""

from __future__ import annotations

import ctypes
import itertools

import pytest

from shm.memory import load_i64, store_i64
from shm.ring_layout import HEAD_OFFSET, HEAD_STRIDE, RING, format_ring, ring_size
from shm.rings import (
    EMPTY,
    LAPPED,
    READY,
    ring_advance,
    ring_claim,
    ring_claim_broadcast,
    ring_newest,
    ring_peek,
    ring_publish,
    ring_read_broadcast,
    ring_recover,
)
from tests.naive.shm_rings import NaiveGatedRing

FIRSTS = [0, 1, 1000, (1 << 63) - 3, -3, -(1 << 63)]
AROUND_WRAPS = pytest.mark.parametrize("first", FIRSTS)


def push(ring: int, value: int, slot_size: int = 64) -> bool:
    slot = ring_claim(ring)
    if slot == 0:
        return False
    fill(slot, value, slot_size)
    ring_publish(ring, slot)
    return True


def fill(slot: int, value: int, slot_size: int = 64) -> None:
    for k in range(slot_size // 8 - 1):
        store_i64(slot + 8 * k, value + k)


def value_in(slot: int, slot_size: int = 64) -> int:
    words = [load_i64(slot + 8 * k) for k in range(slot_size // 8 - 1)]
    assert words == list(range(words[0], words[0] + len(words))), "torn record"
    return words[0]


def pop(ring: int, cursor: int = 0, slot_size: int = 64) -> int | None:
    slot = ring_peek(ring, cursor)
    if slot == 0:
        return None
    value = value_in(slot, slot_size)
    ring_advance(ring, cursor)
    return value


def broadcast(ring: int, value: int) -> None:
    slot = ring_claim_broadcast(ring)
    fill(slot, value)
    ring_publish(ring, slot)


@pytest.mark.parametrize("slot_size", [64, 128, 192])
def test_gated_ring_gives_records_in_order_over_many_laps(new_ring, slot_size: int):
    ring = new_ring(4, 1, slot_size)
    for value in range(100):
        assert pop(ring) is None
        assert push(ring, 10 * value, slot_size)
        if value % 3:
            assert push(ring, 10 * value + 1, slot_size)
            assert pop(ring, 0, slot_size) == 10 * value
            assert pop(ring, 0, slot_size) == 10 * value + 1
        else:
            assert pop(ring, 0, slot_size) == 10 * value


@AROUND_WRAPS
@pytest.mark.parametrize("capacity", [2, 8])
def test_full_ring_refuses_counts_and_keeps_what_it_has(new_ring, capacity: int, first: int):
    ring = new_ring(capacity, 1, first=first)
    for lap in range(3):
        for value in range(capacity):
            assert push(ring, value + lap)
        assert not push(ring, 99)
        assert not push(ring, 99)
        assert RING.at(ring).rejected == 2 * (lap + 1)
        assert [pop(ring) for _ in range(capacity)] == [value + lap for value in range(capacity)]
        assert pop(ring) is None


@AROUND_WRAPS
def test_slowest_of_four_cursors_holds_the_producer(new_ring, first: int):
    ring = new_ring(4, 4, first=first)
    naive = NaiveGatedRing(4, 4)
    for step in range(60):
        assert push(ring, step) == naive.push(step)
        for cursor in range(4):
            if (step + cursor) % (cursor + 1) == 0:
                wanted = naive.peek(cursor)
                assert pop(ring, cursor) == wanted
                if wanted is not None:
                    naive.advance(cursor)
    assert RING.at(ring).rejected == naive.rejected > 0


def test_claim_without_publish_gives_the_same_slot(new_ring):
    ring = new_ring(4, 1)
    first = ring_claim(ring)
    fill(first, 5)
    assert ring_claim(ring) == first
    assert ring_peek(ring, 0) == 0, "an unpublished record was given out"
    ring_publish(ring, first)
    assert ring_claim(ring) != first


def test_peek_without_advance_delivers_again(new_ring):
    ring = new_ring(4, 1)
    push(ring, 7)
    assert [value_in(ring_peek(ring, 0)) for _ in range(3)] == [7, 7, 7]
    assert [pop(ring), pop(ring)] == [7, None]


@AROUND_WRAPS
def test_broadcast_reader_gets_whole_records_or_finds_out(new_ring, region, first: int):
    ring, target = new_ring(4, first=first), region(4096)
    assert ring_read_broadcast(ring, first, target) == EMPTY
    for value in range(4):
        broadcast(ring, 10 * value)
    for index in range(4):
        assert ring_read_broadcast(ring, wrapped(first + index), target) == READY
        assert value_in(target) == 10 * index
        assert load_i64(target + 56) == wrapped(first + index + 1)
    assert ring_read_broadcast(ring, wrapped(first + 4), target) == EMPTY
    broadcast(ring, 40)
    assert ring_read_broadcast(ring, first, target) == LAPPED
    assert ring_read_broadcast(ring, wrapped(first + 1), target) == READY
    assert ring_newest(ring) == wrapped(first + 5)


def wrapped(value: int) -> int:
    return ctypes.c_int64(value).value


@AROUND_WRAPS
def test_slot_being_written_is_neither_old_nor_new(new_ring, region, first: int):
    ring, target = new_ring(4, first=first), region(4096)
    for value in range(4):
        broadcast(ring, value)
    slot = ring_claim_broadcast(ring)
    store_i64(slot, 12345)
    assert ring_read_broadcast(ring, first, target) == LAPPED
    assert ring_read_broadcast(ring, wrapped(first + 4), target) == EMPTY
    assert ring_read_broadcast(ring, wrapped(first + 1), target) == READY


def test_broadcast_read_copies_all_words_of_a_long_slot(new_ring, region):
    ring, target = new_ring(2, 0, 192), region(4096)
    slot = ring_claim_broadcast(ring)
    fill(slot, 100, 192)
    ring_publish(ring, slot)
    store_i64(target + 192, -1)
    assert ring_read_broadcast(ring, 0, target) == READY
    assert value_in(target, 192) == 100
    assert load_i64(target + 184) == 1
    assert load_i64(target + 192) == -1, "wrote past the slot"


def test_rejoin_counts_the_lap_of_its_own_cursor(new_ring):
    from shm.rings import rejoin

    ring = new_ring(4)
    for value in range(9):
        broadcast(ring, value)
    assert rejoin(ring, 1) == 9
    assert rejoin(ring, 1) == 9
    control = RING.at(ring)
    assert [getattr(control, f"laps_{k}") for k in range(4)] == [0, 2, 0, 0]


@AROUND_WRAPS
@pytest.mark.parametrize("gated", [True, False])
def test_writer_dead_before_the_sequence_left_nothing(new_ring, region, first: int, gated: bool):
    ring = new_ring(4, int(gated), first=first)
    claim = ring_claim if gated else ring_claim_broadcast
    for words in range(8):  # dead after that many words of the record
        slot = claim(ring)
        for k in range(min(words, 7)):
            store_i64(slot + 8 * k, 999)
        assert ring_recover(ring) == 0
        assert ring_newest(ring) == first
        if gated:
            assert ring_peek(ring, 0) == 0
        else:
            assert ring_read_broadcast(ring, first, region(4096)) == EMPTY
    assert claim(ring) == slot


@AROUND_WRAPS
@pytest.mark.parametrize("gated", [True, False])
def test_writer_dead_between_sequence_and_tail_is_completed(new_ring, first: int, gated: bool):
    ring = new_ring(4, int(gated), first=first)
    claim = ring_claim if gated else ring_claim_broadcast
    for index in range(6):
        slot = claim(ring)
        fill(slot, 50 + index)
        # What `publish` stores first; its second store, the tail, is what the crash prevented.
        store_i64(slot + 56, wrapped(first + index + 1))
        assert ring_recover(ring) == 1
        assert ring_recover(ring) == 0
        assert ring_newest(ring) == wrapped(first + index + 1)
        if gated:
            assert pop(ring) == 50 + index
        assert claim(ring) != slot


def test_recovery_of_a_full_ring_does_not_run_in_circles(new_ring):
    ring = new_ring(4, 1)
    for value in range(4):
        push(ring, value)
    RING.at(ring).tail = 0  # worse than any crash of ours: all four are found again
    assert ring_recover(ring) == 4
    assert [pop(ring) for _ in range(5)] == [0, 1, 2, 3, None]


def test_restarted_producer_sees_consumers_again(new_ring):
    ring = new_ring(2, 1)
    push(ring, 1)
    push(ring, 2)
    pop(ring)
    RING.at(ring).gate = -5  # a stale look at the consumers
    ring_recover(ring)
    assert push(ring, 3)
    assert not push(ring, 4)


@pytest.mark.parametrize(
    ("capacity", "slot_size", "cursors", "words"),
    [
        (3, 64, 1, "capacity=3"),
        (1, 64, 1, "capacity=1"),
        (0, 64, 1, "capacity=0"),
        (-4, 64, 1, "capacity=-4"),
        (4, 60, 1, "slot_size=60"),
        (4, 0, 1, "slot_size=0"),
        (4, 96, 1, "slot_size=96"),
        (4, 64, 5, "cursor_count=5"),
        (4, 64, -1, "cursor_count=-1"),
    ],
)
def test_bad_sizes_are_refused(region, capacity: int, slot_size: int, cursors: int, words: str):
    address = region(8192)
    with pytest.raises(ValueError, match=words):
        format_ring(address, capacity, slot_size, cursors)


def test_unaligned_ring_is_refused(region):
    with pytest.raises(ValueError, match="cache-line aligned"):
        format_ring(region(8192) + 8, 4, 64)


def test_words_of_different_writers_are_a_line_pair_apart():
    assert HEAD_STRIDE == 128
    places = [RING.offset("tail"), *(HEAD_OFFSET + k * HEAD_STRIDE for k in range(4))]
    assert all(b - a >= 128 for a, b in itertools.pairwise(places))
    assert ring_size(8, 128) == RING.size + 8 * 128
