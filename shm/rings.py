"""Lock-free rings: one producer; gated consumers, or any number of broadcast readers.

Gated ring (signals, orders, reports)
    claim → fill the slot → publish.  A full ring gives no slot: the caller rejects with a reason.
    peek → read the slot in place → advance.  The producer never overwrites what a cursor has not
    passed, and a record counts as read only once `advance` is called: after a crash in between it
    is delivered again, so consumers are idempotent.

Broadcast ring (market)
    The producer never waits. A reader copies a record and learns whether it was whole, not there
    yet, or overwritten (`LAPPED`); it then joins again at the newest record and counts the lap.

Positions wrap at 2^64. Their arithmetic is that of `wrapping_add` and `wrapping_subtract`: with
plain `+` and `-` the compiler may assume that nothing wraps, and compare the wrong way round.

When empty, reads return at once. Nothing here waits, calls the system or allocates.
"""

from __future__ import annotations

from shm.atomics import (
    fence_acquire,
    fence_release,
    load_acquire,
    load_relaxed,
    store_relaxed,
    store_release,
)
from shm.compiled import export, inline_kernel, kernel
from shm.fields import CACHE_LINE
from shm.memory import wrapping_add, wrapping_subtract
from shm.ring_layout import HEAD_OFFSET, HEAD_STRIDE, LAPS_FROM_HEAD, RING, SLOTS_OFFSET
from shm.views import view_of

ring_at = view_of(RING)
TAIL = RING.offset("tail")
REJECTED = RING.offset("rejected")
FIRST_LINE_LAST = CACHE_LINE - 8

READY = 1
EMPTY = 0
LAPPED = -1


@kernel
def head_address(ring: int, cursor: int) -> int:
    """Return the address of a gating consumer's head."""
    return ring + HEAD_OFFSET + cursor * HEAD_STRIDE


@kernel
def slot_address(ring: int, position: int) -> int:
    """Return the address of the slot of a position."""
    control = ring_at(ring)
    return ring + SLOTS_OFFSET + (position & control.mask) * control.producer_slot_size


@kernel
def sequence_address(ring: int, slot: int) -> int:
    """Return the address of a slot's sequence, its last word."""
    return slot + ring_at(ring).producer_slot_size - 8


@kernel
def _slowest(ring: int, tail: int) -> int:
    # Loop bound: cursor_count ≤ 4.
    control = ring_at(ring)
    slowest = tail
    for cursor in range(control.cursor_count):
        # Ordering: pairs with the release store in `advance`; the slots before head may be reused.
        head = load_acquire(head_address(ring, cursor))
        if wrapping_subtract(tail, head) > wrapping_subtract(tail, slowest):
            slowest = head
    return slowest


@kernel
def _has_room(ring: int, tail: int) -> bool:
    """Look at the consumers anew; count a rejection when the ring is full."""
    control = ring_at(ring)
    control.gate = _slowest(ring, tail)
    if wrapping_subtract(tail, control.gate) > control.mask:
        store_relaxed(ring + REJECTED, control.rejected + 1)
        return False
    return True


@inline_kernel
def claim(ring: int) -> int:
    """Return the address of the next slot of a gated ring to fill, or 0 when it is full.

    Only the one producer may call it. Claiming again without `publish` gives the same slot.
    """
    control = ring_at(ring)
    tail = load_relaxed(ring + TAIL)
    # The consumers' heads are looked at once per lap, not once per record.
    if wrapping_subtract(tail, control.gate) > control.mask and not _has_room(ring, tail):
        return 0
    return ring + SLOTS_OFFSET + (tail & control.mask) * control.producer_slot_size


@kernel
def claim_broadcast(ring: int) -> int:
    """Return the address of the next slot of a broadcast ring; it is marked as being written."""
    control = ring_at(ring)
    tail = load_relaxed(ring + TAIL)
    slot = ring + SLOTS_OFFSET + (tail & control.mask) * control.producer_slot_size
    # Ordering: pairs with the fence in `read_broadcast`. Whoever sees a byte of the new record
    # sees this mark (or the final sequence) when looking at the sequence again.
    store_relaxed(slot + control.producer_slot_size - 8, tail)
    fence_release()
    return slot


@kernel
def publish(ring: int, slot: int) -> None:
    """Make a filled slot visible to the readers."""
    after = wrapping_add(load_relaxed(ring + TAIL), 1)
    # Ordering: pairs with the acquire load in `peek` and `read_broadcast`: payload before sequence.
    store_release(slot + ring_at(ring).producer_slot_size - 8, after)
    # Ordering: pairs with the acquire load in `newest`. Release keeps the sequence ahead of the
    # tail: a producer that dies between the two stores leaves a record that `recover_tail` finds.
    store_release(ring + TAIL, after)


@kernel
def peek(ring: int, cursor: int) -> int:
    """Return the address of the next unread slot of a gated ring, or 0 when there is none."""
    control = ring_at(ring)
    head = load_relaxed(head_address(ring, cursor))
    slot = ring + SLOTS_OFFSET + (head & control.mask) * control.slot_size
    # Ordering: pairs with the release store in `publish`.
    if load_acquire(slot + control.slot_size - 8) != wrapping_add(head, 1):
        return 0
    return slot


@kernel
def advance(ring: int, cursor: int) -> None:
    """Give the slot returned by `peek` back to the producer."""
    place = head_address(ring, cursor)
    # Ordering: pairs with the acquire load in `_slowest`: reads of the slot before its reuse.
    store_release(place, wrapping_add(load_relaxed(place), 1))


@kernel
def read_broadcast(ring: int, position: int, target: int) -> int:
    """Copy the record of `position` to `target`.

    Args:
        ring: address of the ring.
        position: which record is wanted.
        target: `slot_size` bytes, 8-byte aligned; its last word gets the sequence.

    Returns:
        READY, EMPTY (not written yet) or LAPPED (overwritten; `target` is not to be used).
        Loop bound: slot_size / 8 words.
    """
    control = ring_at(ring)
    slot = ring + SLOTS_OFFSET + (position & control.mask) * control.slot_size
    last = control.slot_size - 8
    sequence = wrapping_add(position, 1)
    # Ordering: pairs with the release store in `publish`.
    ahead = wrapping_subtract(load_acquire(slot + last), sequence)
    if ahead != 0:
        return LAPPED if ahead > 0 else EMPTY
    # Every slot has one line at least: a constant bound lets the compiler unroll its seven words.
    for offset in range(0, FIRST_LINE_LAST, 8):
        store_relaxed(target + offset, load_relaxed(slot + offset))
    for offset in range(FIRST_LINE_LAST, last, 8):
        store_relaxed(target + offset, load_relaxed(slot + offset))
    store_relaxed(target + last, sequence)
    # Ordering: pairs with the fence in `claim_broadcast`: payload before the second look.
    fence_acquire()
    if load_relaxed(slot + last) != sequence:
        return LAPPED
    return READY


@kernel
def newest(ring: int) -> int:
    """Return the position after the last published record, as an observer sees it."""
    return load_acquire(ring + TAIL)


@kernel
def rejoin(ring: int, cursor: int) -> int:
    """Count a lap for a broadcast reader and return the position at which it goes on."""
    place = head_address(ring, cursor) + LAPS_FROM_HEAD
    store_relaxed(place, load_relaxed(place) + 1)
    return newest(ring)


@kernel
def recover_tail(ring: int) -> int:
    """Bring `tail` up to date after the producer died; return the records recovered.

    The sequence is stored before the tail, so at most one complete record can lie beyond it.
    A record without its sequence was never published and is written again.
    """
    recovered = 0
    control = ring_at(ring)
    tail = load_relaxed(ring + TAIL)
    while recovered <= control.mask:
        slot = slot_address(ring, tail)
        after = wrapping_add(tail, 1)
        if load_acquire(sequence_address(ring, slot)) != after:
            break
        tail = after
        recovered += 1
    store_relaxed(ring + TAIL, tail)
    control.gate = _slowest(ring, tail)
    return recovered


@export(1)
def ring_claim(ring: int) -> int:
    """Exported `claim`, for the Python side of a stage."""
    return claim(ring)


@export(1)
def ring_claim_broadcast(ring: int) -> int:
    """Exported `claim_broadcast`."""
    return claim_broadcast(ring)


@export(2)
def ring_publish(ring: int, slot: int) -> int:
    """Exported `publish`; returns 0."""
    publish(ring, slot)
    return 0


@export(2)
def ring_peek(ring: int, cursor: int) -> int:
    """Exported `peek`."""
    return peek(ring, cursor)


@export(2)
def ring_advance(ring: int, cursor: int) -> int:
    """Exported `advance`; returns 0."""
    advance(ring, cursor)
    return 0


@export(3)
def ring_read_broadcast(ring: int, position: int, target: int) -> int:
    """Exported `read_broadcast`."""
    return read_broadcast(ring, position, target)


@export(1)
def ring_newest(ring: int) -> int:
    """Exported `newest`."""
    return newest(ring)


@export(1)
def ring_recover(ring: int) -> int:
    """Exported `recover_tail`."""
    return recover_tail(ring)
