"""The window of a book follows the market, and a complete update is looked at as a whole.

`settle`, called when an update is complete, moves the window once the middle of the market has
left its middle half. Levels that leave go to the far table, levels that enter come from it.
"""

from __future__ import annotations

from engine.book import best_tick, find_best, next_index, put_index, take_index, tick_of
from engine.book_layout import FAR_SLOTS, WINDOW, WORD_COUNT
from engine.far_table import book_at, far_set, free_slot, index_of, side_address, side_at
from shm.compiled import kernel
from shm.memory import count_leading_zeros, count_trailing_zeros, shift_left

SETTLED = 0
CROSSED = 1
LOSSY = 2


@kernel
def _move_levels(book: int, side: int, old_base: int) -> None:
    # Loop bound: WORD_COUNT words and the levels in them. Levels are moved in the order in which
    # their new places are free.
    view = side_at(side)
    shift = (old_base - book_at(book).base_tick) * view.direction
    for step in range(WORD_COUNT):
        word = step if shift < 0 else WORD_COUNT - 1 - step
        bits = view.words[word]
        while bits != 0:
            bit = count_trailing_zeros(bits) if shift < 0 else 63 - count_leading_zeros(bits)
            bits &= ~shift_left(1, bit)
            index = (word << 6) + bit
            quantity_lot = view.lots[index]
            take_index(side, index)
            moved = index + shift
            if 0 <= moved < WINDOW:
                put_index(side, moved, quantity_lot)
            else:
                far_set(book, side, tick_of(view.direction, old_base, index), quantity_lot)


@kernel
def _bring_in(book: int, side: int) -> None:
    # Loop bound: FAR_SLOTS, plus one look for each level that comes in.
    view = side_at(side)
    base = book_at(book).base_tick
    slot = 0
    while slot < FAR_SLOTS and view.far_count != 0:
        tick = view.far_ticks[slot]
        index = index_of(view.direction, base, tick)
        if tick != 0 and 0 <= index < WINDOW:
            put_index(side, index, view.far_lots[slot])
            view.far_count -= 1
            # The gap is closed by a later entry of the run, so this slot is looked at again.
            free_slot(side, slot)
        else:
            slot += 1


@kernel
def _count_better(book: int, side: int) -> int:
    # Loop bound: FAR_SLOTS.
    view = side_at(side)
    found = 0
    if view.far_count != 0:
        for slot in range(FAR_SLOTS):
            tick = view.far_ticks[slot]
            if tick != 0 and index_of(view.direction, book_at(book).base_tick, tick) < 0:
                found += 1
    return found


@kernel
def recentre(book: int, middle_tick: int) -> bool:
    """Move the window so that a price is in its middle; return whether it moved.

    Levels that leave go to the far table, levels that enter come from it.
    """
    control = book_at(book)
    old_base = control.base_tick
    new_base = max(middle_tick - WINDOW // 2, 1)
    if new_base == old_base:
        return False
    control.base_tick = new_base
    for is_ask in range(2):
        side = side_address(book, is_ask)
        view = side_at(side)
        view.better_count = _count_better(book, side)
        _move_levels(book, side, old_base)
        _bring_in(book, side)
        view.first_index = next_index(side, 0)
        find_best(book, side)
    control.recentres += 1
    return True


@kernel
def is_crossed(book: int) -> bool:
    """Return whether the best bid is at or above the best ask; never on a one-sided book."""
    bid = best_tick(book, 0)
    ask = best_tick(book, 1)
    return bid != 0 and ask != 0 and bid >= ask


@kernel
def settle(book: int) -> int:
    """Finish an update: let the window follow the market, look whether the book is crossed.

    Returns:
        SETTLED, CROSSED (counted in `crossed_run`), or LOSSY: the window would have to move, but
        far levels were lost since the snapshot, so the book could not be exact any more.
    """
    control = book_at(book)
    bid = best_tick(book, 0)
    ask = best_tick(book, 1)
    middle = bid if ask == 0 else ask
    # A market wider than a quarter of the window cannot be held as a whole: the bids then are.
    if bid != 0 and ask != 0:
        middle = (bid + ask) >> 1 if abs(ask - bid) < WINDOW // 4 else bid
    if middle != 0:
        distance = middle - control.base_tick
        leaves = distance < WINDOW // 4 or distance >= WINDOW - WINDOW // 4
        if leaves and max(middle - WINDOW // 2, 1) != control.base_tick:
            if control.is_lossy != 0:
                return LOSSY
            recentre(book, middle)
    if is_crossed(book):
        control.crossed_run += 1
        return CROSSED
    control.crossed_run = 0
    return SETTLED
