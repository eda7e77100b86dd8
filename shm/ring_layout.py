"""The memory layout of a ring: control words first, then the slots. The algorithm is in rings.py.

Control words of different writers stand 128 bytes apart (adjacent-line prefetch pulls pairs). A
slot is one or more whole cache lines whose last word is the sequence:

    sequence == position + 1              the record of `position` is complete
    sequence == position                  the producer is writing it (broadcast rings)
    anything older                        not yet written in this lap

Positions count records since the ring was made, 64-bit and wrapping; the slot of a position is
`position & (capacity - 1)`.
"""

from __future__ import annotations

from shm.fields import CACHE_LINE, CACHE_LINE_PAIR, Field, Record

# Cursors that hold the producer of a gated ring back; observers keep theirs to themselves.
CURSOR_COUNT = 4

RING = Record(
    "ring",
    "Control words of a ring; the slots follow at the end of this record.",
    [
        Field("capacity", "i64", "records", "creator", "slots, a power of two"),
        Field("slot_size", "i64", "bytes", "creator", "bytes of one slot, whole cache lines"),
        Field("cursor_count", "i64", "count", "creator", "gating consumers; 0 = broadcast ring"),
        Field("slots_offset", "i64", "bytes", "creator", "from this record to slot 0"),
        Field(
            "tail",
            "i64",
            "position",
            "producer",
            "next position to write; recovered from the slots after a crash",
            align=CACHE_LINE_PAIR,
        ),
        Field("gate", "i64", "position", "producer", "slowest consumer as last looked at"),
        Field("mask", "i64", "records", "creator", "capacity - 1, beside the producer's words"),
        Field("producer_slot_size", "i64", "bytes", "creator", "copy of slot_size, same reason"),
        Field("rejected", "i64", "records", "producer", "claims refused because it was full"),
        Field("head_0", "i64", "position", "consumer 0", "next to read", align=CACHE_LINE_PAIR),
        Field("laps_0", "i64", "count", "consumer 0", "times this reader was lapped"),
        Field("head_1", "i64", "position", "consumer 1", "next to read", align=CACHE_LINE_PAIR),
        Field("laps_1", "i64", "count", "consumer 1", "times this reader was lapped"),
        Field("head_2", "i64", "position", "consumer 2", "next to read", align=CACHE_LINE_PAIR),
        Field("laps_2", "i64", "count", "consumer 2", "times this reader was lapped"),
        Field("head_3", "i64", "position", "consumer 3", "next to read", align=CACHE_LINE_PAIR),
        Field("laps_3", "i64", "count", "consumer 3", "times this reader was lapped"),
        Field("slots_start", "u8", "bytes", "-", "marks the end", align=CACHE_LINE_PAIR),
    ],
)

HEAD_OFFSET = RING.offset("head_0")
HEAD_STRIDE = RING.offset("head_1") - HEAD_OFFSET
LAPS_FROM_HEAD = RING.offset("laps_0") - HEAD_OFFSET
SLOTS_OFFSET = RING.size

assert RING.offset("tail") % CACHE_LINE_PAIR == 0
assert HEAD_STRIDE == CACHE_LINE_PAIR
assert RING.offset("head_0") - RING.offset("tail") >= CACHE_LINE_PAIR
assert SLOTS_OFFSET % CACHE_LINE == 0


def ring_size(capacity: int, slot_size: int) -> int:
    """Return the bytes a ring takes.

    Raises:
        ValueError: capacity is no power of two ≥ 2, or the slot is not whole cache lines.
    """
    if capacity < 2 or capacity & (capacity - 1):
        raise ValueError(f"capacity must be a power of two: capacity={capacity}")
    if slot_size < CACHE_LINE or slot_size % CACHE_LINE:
        raise ValueError(f"slot size must be whole cache lines: slot_size={slot_size}")
    return SLOTS_OFFSET + capacity * slot_size


def format_ring(
    address: int, capacity: int, slot_size: int, cursor_count: int = 0, first: int = 0
) -> None:
    """Write an empty ring at `address` (64-byte aligned memory of `ring_size` bytes).

    Args:
        address: where the control words start.
        capacity: records, a power of two.
        slot_size: bytes, a multiple of 64.
        cursor_count: consumers that gate the producer; 0 makes a broadcast ring.
        first: position of the first record; tests start near the 64-bit wrap with it.

    Raises:
        ValueError: as `ring_size`; an unaligned address; more cursors than there are.
    """
    ring_size(capacity, slot_size)
    if address % CACHE_LINE:
        raise ValueError(f"a ring must be cache-line aligned: address={address:#x}")
    if not 0 <= cursor_count <= CURSOR_COUNT:
        raise ValueError(f"cursor_count must be 0..{CURSOR_COUNT}: cursor_count={cursor_count}")
    ring = RING.at(address)
    ring.capacity = capacity
    ring.slot_size = ring.producer_slot_size = slot_size
    ring.cursor_count = cursor_count
    ring.slots_offset = SLOTS_OFFSET
    ring.mask = capacity - 1
    ring.rejected = 0
    ring.tail = ring.gate = first
    for index in range(CURSOR_COUNT):
        setattr(ring, f"head_{index}", first)
        setattr(ring, f"laps_{index}", 0)
    if first:  # fresh shared memory is zero, which reads as "not yet written" from position 0
        _mark_slots_old(address, capacity, slot_size, first)


def _mark_slots_old(address: int, capacity: int, slot_size: int, first: int) -> None:
    import ctypes

    for ahead in range(capacity):
        position = first + ahead
        slot = address + SLOTS_OFFSET + (position & (capacity - 1)) * slot_size
        old = position + 1 - capacity
        ctypes.c_int64.from_address(slot + slot_size - 8).value = old
