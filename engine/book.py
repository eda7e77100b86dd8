"""The book of one symbol: quantities by tick in a window, far prices in an exact table.

A level change is a store, a bit and, where the best price goes, a search of at most six words. The
window follows the market: see book_window.py. All functions are exact for every price, far ones
included.
"""

from __future__ import annotations

from engine.book_layout import (
    BOOK_BUILDING,
    BOOK_INVALID,
    BOOK_VALID,
    DUMPED_LEVEL,
    FAR_SLOTS,
    SUMMARY_COUNT,
    WINDOW,
    WORD_COUNT,
)
from engine.far_table import (
    book_at,
    far_clear,
    far_next,
    far_quantity,
    far_set,
    index_of,
    side_address,
    side_at,
)
from shm.compiled import export, kernel
from shm.memory import (
    count_trailing_zeros,
    load_i64,
    shift_left,
    shift_right,
    store_i64,
)
from shm.views import view_of

dumped_at = view_of(DUMPED_LEVEL)
DUMPED_SIZE = DUMPED_LEVEL.size
PAIR_SIZE = 16  # price and quantity, as `best_levels` writes them


@kernel
def tick_of(direction: int, base_tick: int, index: int) -> int:
    """Return the price of an index."""
    return base_tick + (index if direction > 0 else WINDOW - 1 - index)


@kernel
def next_index(side: int, start: int) -> int:
    """Return the first index ≥ `start` that holds a level, or WINDOW.

    Loop bound: SUMMARY_COUNT words.
    """
    if start >= WINDOW:
        return WINDOW
    view = side_at(side)
    word = start >> 6
    bits = shift_right(view.words[word], start & 63)
    if bits != 0:
        return start + count_trailing_zeros(bits)
    word += 1
    if word >= WORD_COUNT:
        return WINDOW
    group = word >> 6
    bits = shift_left(shift_right(view.summary[group], word & 63), word & 63)
    while bits == 0:
        group += 1
        if group >= SUMMARY_COUNT:
            return WINDOW
        bits = view.summary[group]
    word = (group << 6) + count_trailing_zeros(bits)
    return (word << 6) + count_trailing_zeros(view.words[word])


@kernel
def put_index(side: int, index: int, quantity_lot: int) -> None:
    """Set a free index to a quantity in lots, > 0."""
    view = side_at(side)
    word = index >> 6
    view.lots[index] = quantity_lot
    view.words[word] |= shift_left(1, index & 63)
    view.summary[word >> 6] |= shift_left(1, word & 63)
    view.level_count += 1


@kernel
def take_index(side: int, index: int) -> None:
    """Free an index that holds a level."""
    view = side_at(side)
    word = index >> 6
    view.lots[index] = 0
    left = view.words[word] & ~shift_left(1, index & 63)
    view.words[word] = left
    if left == 0:
        view.summary[word >> 6] &= ~shift_left(1, word & 63)
    view.level_count -= 1


@kernel
def find_best(book: int, side: int) -> None:
    """Write a side's best price anew; a scan of the far table where it is not in the window."""
    view = side_at(side)
    if view.better_count == 0 and view.first_index < WINDOW:
        view.best_tick = tick_of(view.direction, book_at(book).base_tick, view.first_index)
    else:
        view.best_tick = far_next(side, 0)


@kernel
def _note_new(side: int, price_tick: int) -> None:
    view = side_at(side)
    if view.best_tick == 0 or (price_tick - view.best_tick) * view.direction < 0:
        view.best_tick = price_tick


@kernel
def apply_level(book: int, is_ask: int, price_tick: int, quantity_lot: int) -> bool:
    """Set the total quantity at a price, 0 removes the level; return whether the price is far.

    Args:
        book: address of the book.
        is_ask: 0 bids, 1 asks.
        price_tick: 1..PRICE_TICK_MAX, ticks; checked by the caller.
        quantity_lot: 0..QUANTITY_LOT_MAX, lots; checked by the caller.
    """
    control = book_at(book)
    if control.base_tick == 0:
        control.base_tick = max(price_tick - WINDOW // 2, 1)
    side = side_address(book, is_ask)
    view = side_at(side)
    index = index_of(view.direction, control.base_tick, price_tick)
    if index < 0 or index >= WINDOW:
        kept = far_set(book, side, price_tick, quantity_lot)
        if kept and quantity_lot != 0:
            _note_new(side, price_tick)
        elif price_tick == view.best_tick:
            find_best(book, side)
        return True
    before = view.lots[index]
    if quantity_lot != 0:
        if before != 0:
            view.lots[index] = quantity_lot
            return False
        put_index(side, index, quantity_lot)
        if index < view.first_index:
            view.first_index = index
            _note_new(side, price_tick)
    elif before != 0:
        take_index(side, index)
        if index == view.first_index:
            view.first_index = next_index(side, index + 1)
            if price_tick == view.best_tick:
                find_best(book, side)
    return False


@kernel
def quantity_at(book: int, is_ask: int, price_tick: int) -> int:
    """Return the quantity at a price in lots; 0 when there is no such level."""
    side = side_address(book, is_ask)
    view = side_at(side)
    index = index_of(view.direction, book_at(book).base_tick, price_tick)
    if index < 0 or index >= WINDOW:
        return far_quantity(side, price_tick)
    return view.lots[index]


@kernel
def best_tick(book: int, is_ask: int) -> int:
    """Return the best price of a side, or 0 when it is empty."""
    return side_at(side_address(book, is_ask)).best_tick


@kernel
def count_levels(book: int, is_ask: int) -> int:
    """Return the number of levels of a side, far ones included."""
    view = side_at(side_address(book, is_ask))
    return view.level_count + view.far_count


@kernel
def _write_pair(out: int, place: int, price_tick: int, quantity_lot: int) -> None:
    store_i64(out + place * PAIR_SIZE, price_tick)
    store_i64(out + place * PAIR_SIZE + 8, quantity_lot)


@kernel
def _write_window(side: int, base_tick: int, written: int, count: int, out: int) -> int:
    # Loop bound: count. The bits of a word are taken one after another: neighbours share a word.
    view = side_at(side)
    direction = view.direction
    best = tick_of(direction, base_tick, 0)
    word = view.first_index >> 6
    bits = view.words[word]
    while written < count:
        if bits == 0:
            index = next_index(side, (word + 1) << 6)
            if index >= WINDOW:
                break
            word = index >> 6
            bits = view.words[word]
        bit = count_trailing_zeros(bits)
        bits &= ~shift_left(1, bit)
        index = (word << 6) + bit
        _write_pair(out, written, best + direction * index, view.lots[index])
        written += 1
    return written


@kernel
def best_levels(book: int, is_ask: int, count: int, out: int) -> int:
    """Write the best levels of a side, best first; return how many there are, ≤ count.

    Args:
        book: address of the book.
        is_ask: 0 bids, 1 asks.
        count: levels wanted.
        out: i64[count][2], price in ticks and quantity in lots; changed.

    Loop bound: count; levels beyond the window cost a scan of the far table each.
    """
    side = side_address(book, is_ask)
    view = side_at(side)
    base = book_at(book).base_tick
    written = 0
    if view.better_count != 0:
        tick = far_next(side, 0)
        while tick != 0 and written < count and index_of(view.direction, base, tick) < 0:
            _write_pair(out, written, tick, far_quantity(side, tick))
            written += 1
            tick = far_next(side, tick)
    if view.first_index < WINDOW:
        written = _write_window(side, base, written, count, out)
    if written < count and view.far_count > view.better_count:
        tick = far_next(side, tick_of(view.direction, base, WINDOW - 1))
        while tick != 0 and written < count:
            _write_pair(out, written, tick, far_quantity(side, tick))
            written += 1
            tick = far_next(side, tick)
    return written


@kernel
def keep_best_levels(
    book: int, is_ask: int, price_tick: int, count: int, out: int, known: int
) -> int:
    """Bring the best levels up to date after `apply_level` at a price; return how many there are.

    A change at a price worse than all of `count` known levels leaves them as they are. For readers
    that look after every level. The engine looks once an update, when several levels have changed,
    so it reads them anew; the bench measures this way beside it.

    Args:
        book: address of the book.
        is_ask: the side that was changed: 0 bids, 1 asks.
        price_tick: where it was changed, ticks.
        count: levels wanted, > 0.
        out: i64[count][2] as `best_levels` or this function wrote it before the change; changed.
        known: what that returned; 0 reads the book anew.

    Loop bound: as `best_levels`.
    """
    if known == count:
        worst_tick = load_i64(out + (count - 1) * PAIR_SIZE)
        if (price_tick - worst_tick) * side_at(side_address(book, is_ask)).direction > 0:
            return known
    return best_levels(book, is_ask, count, out)


@kernel
def clear(book: int) -> None:
    """Forget all levels; untouched pages stay untouched. Loop bound: levels, plus FAR_SLOTS."""
    control = book_at(book)
    for is_ask in range(2):
        side = side_address(book, is_ask)
        view = side_at(side)
        index = next_index(side, 0)
        while index < WINDOW:
            take_index(side, index)
            index = next_index(side, index + 1)
        far_clear(side)
        view.direction = 2 * is_ask - 1
        view.first_index = WINDOW
        view.best_tick = 0
    control.base_tick = 0
    control.crossed_run = 0
    control.is_lossy = 0


@kernel
def begin_snapshot(book: int) -> None:
    """Forget all levels and take in what follows, until `end_snapshot`."""
    clear(book)
    book_at(book).state = BOOK_BUILDING


@kernel
def end_snapshot(book: int) -> None:
    """Make a book valid whose snapshot has arrived whole; one that never began stays invalid."""
    if book_at(book).state == BOOK_BUILDING:
        book_at(book).state = BOOK_VALID


@kernel
def withdraw(book: int) -> bool:
    """Make a book invalid until the next snapshot; return whether it was not already."""
    control = book_at(book)
    was_trusted = control.state != BOOK_INVALID
    control.state = BOOK_INVALID
    return was_trusted


@export(3)
def engine_book_dump(book_address: int, out_address: int, capacity: int) -> int:
    """Write all levels: bids best first, asks best first, each side's far levels after it.

    Args:
        book_address: address of a BOOK.
        out_address: DUMPED_LEVEL[capacity]; changed.
        capacity: records that fit.

    Returns:
        the number of levels; those beyond the capacity are not written.
        Loop bound: levels, plus FAR_SLOTS for each side.
    """
    written = 0
    for is_ask in range(2):
        side = side_address(book_address, is_ask)
        view = side_at(side)
        base = book_at(book_address).base_tick
        index = next_index(side, 0)
        while index < WINDOW:
            if written < capacity:
                level = dumped_at(out_address + written * DUMPED_SIZE)
                level.price_tick = tick_of(view.direction, base, index)
                level.quantity_lot = view.lots[index]
                level.is_ask = is_ask
            written += 1
            index = next_index(side, index + 1)
        for slot in range(FAR_SLOTS if view.far_count != 0 else 0):
            if view.far_ticks[slot] != 0:
                if written < capacity:
                    level = dumped_at(out_address + written * DUMPED_SIZE)
                    level.price_tick = view.far_ticks[slot]
                    level.quantity_lot = view.far_lots[slot]
                    level.is_ask = is_ask
                written += 1
    return written
