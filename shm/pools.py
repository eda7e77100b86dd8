"""Lock-free object pools: take a cache-line-aligned object, give it back, from any process.

    object = pool_take(pool)         # address, or 0: none is free, counted as `exhausted`
    pool_give(pool, object)          # 0, or -1: not an object that is taken, counted as `refused`

Nothing is allocated, nothing waits: both retry only when another process changed the list in
between. Who dies while holding an object leaves it taken; the list itself stays whole at every
instruction. The layout is in pool_layout.py.
"""

from __future__ import annotations

from shm.atomics import compare_and_swap, fetch_add, load_acquire, load_relaxed, store_relaxed
from shm.compiled import export, kernel
from shm.memory import shift_left, shift_right, wrapping_add
from shm.pool_layout import INDEX_MASK, LINKS_OFFSET, POOL, TAG_ONE, TAKEN, objects_offset
from shm.views import view_of

pool_at = view_of(POOL)
HEAD = POOL.offset("head")
EXHAUSTED = POOL.offset("exhausted")
REFUSED = POOL.offset("refused")

assert objects_offset(8) == LINKS_OFFSET + 64, "one link is 8 bytes: `index << 3` below"


@kernel
def take(pool: int) -> int:
    """Return the address of an object that was free, or 0 when none is.

    Its content is what the last owner left. Loop bound: none, but each retry means that another
    process has succeeded (lock-free).
    """
    control = pool_at(pool)
    while True:
        # Ordering: pairs with the release of the swap in `give`: the link before the head.
        head = load_acquire(pool + HEAD)
        place = head & INDEX_MASK
        if place == 0:
            fetch_add(pool + EXHAUSTED, 1)
            return 0
        link = pool + LINKS_OFFSET + shift_left(place - 1, 3)
        # Another process may take the object and give it back before the swap. What is read here
        # is then old, and the swap fails, because every take counts the tag up.
        following = load_relaxed(link)
        # Invariant: a link only changes while its object is off the list, and leaving the list
        # changes the tag; equal heads mean an equal link (2^40 takes in between excepted).
        tag = wrapping_add(head & ~INDEX_MASK, TAG_ONE)
        if compare_and_swap(pool + HEAD, head, tag | (following & INDEX_MASK)):
            store_relaxed(link, TAKEN)
            return pool + control.objects_offset + shift_left(place - 1, control.object_shift)


@kernel
def give(pool: int, address: int) -> int:
    """Put an object back on the free list.

    Returns:
        0, or -1 when the address is no object of the pool or is not taken; then nothing changes.
        Two simultaneous gives of one object are the caller's error and are not told apart.
        Loop bound: as `take`.
    """
    control = pool_at(pool)
    ahead = address - pool - control.objects_offset
    index = shift_right(ahead, control.object_shift)
    inside = ahead >= 0 and index < control.object_count
    if not inside or shift_left(index, control.object_shift) != ahead:
        fetch_add(pool + REFUSED, 1)
        return -1
    link = pool + LINKS_OFFSET + shift_left(index, 3)
    if load_relaxed(link) != TAKEN:
        fetch_add(pool + REFUSED, 1)
        return -1
    while True:
        head = load_acquire(pool + HEAD)
        store_relaxed(link, head & INDEX_MASK)
        # Ordering: pairs with the acquire load in `take`: object and link before the head.
        if compare_and_swap(pool + HEAD, head, (head & ~INDEX_MASK) | (index + 1)):
            return 0


@export(1)
def pool_take(pool: int) -> int:
    """Exported `take`."""
    return take(pool)


@export(2)
def pool_give(pool: int, address: int) -> int:
    """Exported `give`."""
    return give(pool, address)
