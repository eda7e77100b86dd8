"""The measured loops over rings, pools, histograms and doorbells. bench/twins/ring.cpp mirrors it.

Loop bounds: n, and `limit` spins for each wait; a wait that exceeds it makes the whole run -1.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from runtime.clocks import mono_ns
from runtime.waits import ring_doorbell
from shm.atomics import pause
from shm.compiled import export, inline_kernel
from shm.histograms import record_value
from shm.memory import define, load_i64, store_i64
from shm.pools import give, take
from shm.rings import (
    advance,
    claim,
    claim_broadcast,
    newest,
    peek,
    publish,
    read_broadcast,
)


def read_ticks() -> int:
    """Return the processor's time stamp counter; exists in compiled code only."""
    raise AssertionError("the time stamp counter is read by compiled code only")


def _code_ticks(context: object, builder: ir.IRBuilder, values: object) -> object:
    kind = ir.FunctionType(ir.IntType(64), [])
    name = "llvm.readcyclecounter"
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [])


define(read_ticks, types.int64, (), _code_ticks)


@inline_kernel
def fill(slot: int, first: int) -> None:
    """Write the seven payload words of a slot."""
    for k in range(7):
        store_i64(slot + 8 * k, first + k)


@inline_kernel
def sum_of(slot: int) -> int:
    """Return the sum of the seven payload words."""
    total = 0
    for k in range(7):
        total += load_i64(slot + 8 * k)
    return total


@inline_kernel
def claim_waiting(ring: int, limit: int) -> int:
    """Claim, spinning while the ring is full; 0 after `limit` spins."""
    for _ in range(limit):
        slot = claim(ring)
        if slot != 0:
            return slot
        pause()
    return 0


@inline_kernel
def peek_waiting(ring: int, limit: int) -> int:
    """Peek, spinning while the ring is empty; 0 after `limit` spins."""
    for _ in range(limit):
        slot = peek(ring, 0)
        if slot != 0:
            return slot
        pause()
    return 0


@export(0)
def bench_ticks() -> int:
    """Return the time stamp counter."""
    return read_ticks()


@export(2)
def gated_same_thread(ring: int, n: int) -> int:
    """Push and pop n records; return the sum of all words read, or -1."""
    total = 0
    for i in range(n):
        slot = claim(ring)
        if slot == 0:
            return -1
        fill(slot, i)
        publish(ring, slot)
        got = peek(ring, 0)
        if got == 0:
            return -1
        total += sum_of(got)
        advance(ring, 0)
    return total


@export(3)
def broadcast_same_thread(ring: int, n: int, target: int) -> int:
    """Push n records and copy each out; return the sum of all words read, or -1."""
    start = newest(ring)
    total = 0
    for i in range(n):
        slot = claim_broadcast(ring)
        fill(slot, i)
        publish(ring, slot)
        if read_broadcast(ring, start + i, target) != 1:
            return -1
        total += sum_of(target)
    return total


@export(5)
def ping(out: int, back: int, n: int, samples: int, limit: int) -> int:
    """Send n records one at a time and wait for each echo; round trips in ticks to `samples`."""
    total = 0
    for i in range(n):
        started = read_ticks()
        slot = claim_waiting(out, limit)
        if slot == 0:
            return -1
        fill(slot, i)
        publish(out, slot)
        got = peek_waiting(back, limit)
        if got == 0:
            return -1
        total += sum_of(got)
        advance(back, 0)
        store_i64(samples + 8 * i, read_ticks() - started)
    return total


@export(4)
def pong(ring: int, back: int, n: int, limit: int) -> int:
    """Echo n records; return the sum of all words, or -1."""
    total = 0
    for _ in range(n):
        got = peek_waiting(ring, limit)
        if got == 0:
            return -1
        slot = claim_waiting(back, limit)
        if slot == 0:
            return -1
        total += sum_of(got)
        for k in range(7):
            store_i64(slot + 8 * k, load_i64(got + 8 * k))
        publish(back, slot)
        advance(ring, 0)
    return total


@export(3)
def produce(ring: int, n: int, limit: int) -> int:
    """Push n records as fast as there is room; return 0, or -1."""
    for i in range(n):
        slot = claim_waiting(ring, limit)
        if slot == 0:
            return -1
        fill(slot, i)
        publish(ring, slot)
    return 0


@export(4)
def consume(ring: int, n: int, elapsed: int, limit: int) -> int:
    """Pop n records, checking their order; nanoseconds since the first to `elapsed`."""
    total = 0
    started = 0
    for i in range(n):
        got = peek_waiting(ring, limit)
        if got == 0 or load_i64(got) != i:
            return -1
        if i == 0:
            started = mono_ns()
        total += sum_of(got)
        advance(ring, 0)
    store_i64(elapsed, mono_ns() - started)
    return total


@export(4)
def send_scheduled(ring: int, n: int, period: int, limit: int) -> int:
    """Push n records at fixed times `period` ticks apart; word 1 carries the scheduled time."""
    first = read_ticks() + period
    for i in range(n):
        due = first + i * period
        while read_ticks() < due:
            pause()
        slot = claim_waiting(ring, limit)
        if slot == 0:
            return -1
        fill(slot, i)
        store_i64(slot + 8, due)
        publish(ring, slot)
    return 0


@export(4)
def receive_scheduled(ring: int, n: int, samples: int, limit: int) -> int:
    """Pop n records; ticks since each one's scheduled time to `samples`."""
    total = 0
    for i in range(n):
        got = peek_waiting(ring, limit)
        if got == 0 or load_i64(got) != i:
            return -1
        due = load_i64(got + 8)
        store_i64(samples + 8 * i, read_ticks() - due)
        total += sum_of(got) - due
        advance(ring, 0)
    return total


@export(2)
def pool_pairs(pool: int, n: int) -> int:
    """Take and give n times, touching each object; return the sum of what was in them, or -1."""
    total = 0
    for i in range(n):
        taken = take(pool)
        if taken == 0:
            return -1
        store_i64(taken, i)
        total += load_i64(taken)
        if give(pool, taken) != 0:
            return -1
    return total


@export(2)
def histogram_values(histogram: int, n: int) -> int:
    """Record n values of up to 2^20 ns in a fixed mix; return n."""
    value = 1
    for _ in range(n):
        value = (value * 1_103_515_245 + 12_345) & 0xFFFFF
        record_value(histogram, value)
    return n


@export(2)
def doorbell_rings(doorbell: int, n: int) -> int:
    """Ring a doorbell n times; return n."""
    for _ in range(n):
        ring_doorbell(doorbell)
    return n
