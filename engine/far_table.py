"""Prices outside a book's window: an exact hash table per side, open addressing, linear probing.

Deleting moves later entries of the same run back, so there are no tombstones and a probe ends at
the first free slot. One slot in eight always stays free. What does not fit is counted and makes
the book lossy; an entry never stands for another price.
"""

from __future__ import annotations

from engine.book_layout import (
    BOOK,
    BOOK_SIDE,
    FAR_COUNT_MAX,
    FAR_SLOTS,
    SIDE_SIZE,
    SIDES_OFFSET,
    WINDOW,
)
from shm.compiled import kernel
from shm.memory import shift_right
from shm.views import view_of

book_at = view_of(BOOK)
side_at = view_of(BOOK_SIDE)

SLOT_MASK = FAR_SLOTS - 1
LOW_WORD = (1 << 32) - 1
# 2^32 divided by the golden ratio, odd (Knuth, TAOCP 3, section 6.4).
HASH_FACTOR = 2654435769
HASH_BITS = FAR_SLOTS.bit_length() - 1


@kernel
def side_address(book: int, is_ask: int) -> int:
    """Return the address of the bids (0) or the asks (1)."""
    return book + SIDES_OFFSET + is_ask * SIDE_SIZE


@kernel
def index_of(direction: int, base_tick: int, price_tick: int) -> int:
    """Return a price's index, best first; outside 0..WINDOW−1 it is far, below 0 better."""
    distance = price_tick - base_tick
    return distance if direction > 0 else WINDOW - 1 - distance


@kernel
def home_slot(price_tick: int) -> int:
    """Return the slot at which a price's probe begins."""
    # The product of two 32-bit words fits 64 bits as a pattern; its upper half is well mixed.
    mixed = ((price_tick ^ shift_right(price_tick, 32)) & LOW_WORD) * HASH_FACTOR & LOW_WORD
    return mixed >> (32 - HASH_BITS)


@kernel
def find_slot(side: int, price_tick: int) -> int:
    """Return the slot that holds a price, or the free slot where its probe ends.

    Loop bound: FAR_SLOTS, in practice a few.
    """
    view = side_at(side)
    slot = home_slot(price_tick)
    while view.far_ticks[slot] != 0 and view.far_ticks[slot] != price_tick:
        slot = (slot + 1) & SLOT_MASK
    return slot


@kernel
def far_quantity(side: int, price_tick: int) -> int:
    """Return the quantity at a far price in lots; 0 when there is none."""
    view = side_at(side)
    slot = find_slot(side, price_tick)
    return view.far_lots[slot] if view.far_ticks[slot] == price_tick else 0


@kernel
def far_set(book: int, side: int, price_tick: int, quantity_lot: int) -> bool:
    """Set the quantity at a far price, 0 removes it; return False when there was no room.

    Args:
        book: address of the book, for its base and its loss counts.
        side: address of its side.
        price_tick: ticks, > 0, outside the window.
        quantity_lot: lots, ≥ 0.
    """
    view = side_at(side)
    slot = find_slot(side, price_tick)
    exists = view.far_ticks[slot] == price_tick
    if quantity_lot == 0:
        if exists:
            _note_count(book, side, price_tick, -1)
            free_slot(side, slot)
        return True
    if not exists:
        if view.far_count >= FAR_COUNT_MAX:
            control = book_at(book)
            control.far_lost += 1
            control.is_lossy = 1
            return False
        _note_count(book, side, price_tick, 1)
        view.far_ticks[slot] = price_tick
    view.far_lots[slot] = quantity_lot
    return True


@kernel
def _note_count(book: int, side: int, price_tick: int, amount: int) -> None:
    view = side_at(side)
    view.far_count += amount
    if index_of(view.direction, book_at(book).base_tick, price_tick) < 0:
        view.better_count += amount


@kernel
def free_slot(side: int, slot: int) -> None:
    """Empty a slot and close the gap in the run behind it.

    Loop bound: the run behind the slot, ≤ FAR_SLOTS.
    """
    view = side_at(side)
    hole = slot
    probe = (slot + 1) & SLOT_MASK
    while view.far_ticks[probe] != 0:
        home = home_slot(view.far_ticks[probe])
        # Invariant: an entry stays reachable, so it moves only if its home is not behind the hole.
        if ((probe - home) & SLOT_MASK) >= ((probe - hole) & SLOT_MASK):
            view.far_ticks[hole] = view.far_ticks[probe]
            view.far_lots[hole] = view.far_lots[probe]
            hole = probe
        probe = (probe + 1) & SLOT_MASK
    view.far_ticks[hole] = 0
    view.far_lots[hole] = 0


@kernel
def far_next(side: int, price_tick: int) -> int:
    """Return the best far price worse than `price_tick` (0: the best of all), or 0 for none.

    Loop bound: FAR_SLOTS; callers need it only for prices beyond the window.
    """
    view = side_at(side)
    found = 0
    if view.far_count == 0:
        return 0
    for slot in range(FAR_SLOTS):
        candidate = view.far_ticks[slot]
        if candidate == 0:
            continue
        if price_tick != 0 and (candidate - price_tick) * view.direction <= 0:
            continue
        if found == 0 or (candidate - found) * view.direction < 0:
            found = candidate
    return found


@kernel
def far_clear(side: int) -> None:
    """Empty the table; an empty one is not touched. Loop bound: FAR_SLOTS."""
    view = side_at(side)
    if view.far_count != 0:
        for slot in range(FAR_SLOTS):
            view.far_ticks[slot] = 0
            view.far_lots[slot] = 0
    view.far_count = 0
    view.better_count = 0
