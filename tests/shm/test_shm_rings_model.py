"""Random sequences of operations on rings, against rings made of lists."""

from __future__ import annotations

import ctypes

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from shm.memory import load_i64, store_i64
from shm.ring_layout import RING, format_ring, ring_size
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
from tests.naive.shm_rings import NaiveBroadcastRing, NaiveGatedRing

CAPACITIES = st.sampled_from([2, 4, 8])
FIRSTS = st.sampled_from([0, 5, (1 << 63) - 4, -4])
MEMORY = (ctypes.c_int64 * 1024)()
RING_AT = -(-ctypes.addressof(MEMORY) // 64) * 64
TARGET = (ctypes.c_int64 * 8)()


def make(capacity: int, cursors: int, first: int) -> int:
    assert ring_size(capacity, 64) < ctypes.sizeof(MEMORY) - 64
    ctypes.memset(MEMORY, 0, ctypes.sizeof(MEMORY))
    format_ring(RING_AT, capacity, 64, cursors, first)
    return RING_AT


def fill(slot: int, value: int, words: int = 7) -> None:
    for k in range(words):
        store_i64(slot + 8 * k, value * (k + 1))


def whole(slot: int) -> int:
    value = load_i64(slot)
    assert [load_i64(slot + 8 * k) for k in range(7)] == [value * (k + 1) for k in range(7)]
    return value


class GatedMachine(RuleBasedStateMachine):
    @initialize(capacity=CAPACITIES, cursors=st.integers(1, 4), first=FIRSTS)
    def begin(self, capacity: int, cursors: int, first: int) -> None:
        self.ring = make(capacity, cursors, first)
        self.naive = NaiveGatedRing(capacity, cursors)
        self.next_value = 1

    @rule()
    def push(self) -> None:
        slot = ring_claim(self.ring)
        assert (slot != 0) == self.naive.push(self.next_value)
        if slot:
            fill(slot, self.next_value)
            ring_publish(self.ring, slot)
        self.next_value += 1

    @rule(words=st.integers(0, 7))
    def die_while_writing(self, words: int) -> None:
        slot = ring_claim(self.ring)
        if slot:
            fill(slot, -7, words)
        else:
            self.naive.rejected += 1
        assert ring_recover(self.ring) == 0

    @rule()
    def die_before_the_tail(self) -> None:
        slot = ring_claim(self.ring)
        assert (slot != 0) == self.naive.push(self.next_value)
        if slot:
            fill(slot, self.next_value)
            store_i64(slot + 56, RING.at(self.ring).tail + 1)
            assert ring_recover(self.ring) == 1
        self.next_value += 1

    @rule(cursor=st.integers(0, 3), advance=st.booleans())
    def read(self, cursor: int, advance: bool) -> None:
        cursor %= len(self.naive.read)
        slot = ring_peek(self.ring, cursor)
        assert (whole(slot) if slot else None) == self.naive.peek(cursor)
        if slot and advance:
            ring_advance(self.ring, cursor)
            self.naive.advance(cursor)

    def teardown(self) -> None:
        if hasattr(self, "ring"):
            assert RING.at(self.ring).rejected == self.naive.rejected


class BroadcastMachine(RuleBasedStateMachine):
    @initialize(capacity=CAPACITIES, first=FIRSTS)
    def begin(self, capacity: int, first: int) -> None:
        self.ring = make(capacity, 0, first)
        self.first = first
        self.naive = NaiveBroadcastRing(capacity)
        self.next_value = 1

    @rule(words=st.integers(0, 7))
    def start_writing(self, words: int) -> None:
        fill(ring_claim_broadcast(self.ring), -7, words)
        self.naive.begin()

    @rule()
    def push(self) -> None:
        slot = ring_claim_broadcast(self.ring)
        fill(slot, self.next_value)
        ring_publish(self.ring, slot)
        self.naive.finish(self.next_value)
        self.next_value += 1

    @rule()
    def restart(self) -> None:
        assert ring_recover(self.ring) == 0

    @rule(back=st.integers(-2, 12))
    @precondition(lambda self: hasattr(self, "ring"))
    def read(self, back: int) -> None:
        index = max(0, len(self.naive.records) - back)
        position = ctypes.c_int64(self.first + index).value
        got = ring_read_broadcast(self.ring, position, ctypes.addressof(TARGET))
        wanted = self.naive.read(index)
        assert got == {"empty": EMPTY, "lapped": LAPPED}.get(str(wanted), READY)
        if got == READY:
            assert whole(ctypes.addressof(TARGET)) == wanted
        newest = ctypes.c_int64(self.first + len(self.naive.records)).value
        assert ring_newest(self.ring) == newest


SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
TestGated = GatedMachine.TestCase
TestGated.settings = SETTINGS
TestBroadcast = BroadcastMachine.TestCase
TestBroadcast.settings = SETTINGS
