"""Keep the price levels of a book: a pool of rows, and per side their prices in order.

Invariant: a level that is listed holds at least one order, and its total is what remains of them.
Whoever takes the last order out also drops the level.
"""

from __future__ import annotations

from exchange.matching.layout import (
    BOOK,
    BUY,
    CHANGES_OFFSET,
    EVENT_WORDS,
    LEVEL,
    ORDER,
    WORD,
)
from shm.compiled import kernel
from shm.memory import load_i64, store_i64
from shm.views import view_of

book_at = view_of(BOOK)
level_view = view_of(LEVEL)
order_view = view_of(ORDER)
LEVEL_SIZE = LEVEL.size
ORDER_SIZE = ORDER.size
EVENT_SIZE = EVENT_WORDS * WORD


@kernel
def level_at(book: int, slot: int):
    """Return the view of a level's row."""
    return level_view(book + book_at(book).levels_at + slot * LEVEL_SIZE)


@kernel
def order_at(book: int, slot: int):
    """Return the view of an order's row."""
    return order_view(book + book_at(book).orders_at + slot * ORDER_SIZE)


@kernel
def keys_of(book: int, side: int) -> int:
    """Return the address of a side's sorted keys; the levels' slots follow `level_capacity` on."""
    header = book_at(book)
    return book + (header.bid_keys_at if side == BUY else header.ask_keys_at)


@kernel
def level_count(book: int, side: int) -> int:
    """Return the number of levels of a side."""
    header = book_at(book)
    return header.bid_count if side == BUY else header.ask_count


@kernel
def set_level_count(book: int, side: int, count: int) -> None:
    """Store the number of levels of a side."""
    header = book_at(book)
    if side == BUY:
        header.bid_count = count
    else:
        header.ask_count = count


@kernel
def lower_bound(keys: int, count: int, key: int) -> int:
    """Return the index of the first key that is not below `key`, `count` when all are.

    Loop bound: 2 log2(count) + 2, fewer the nearer to the end: most prices are near the best.
    """
    low, high, step = 0, count, 1
    while step <= count:
        place = count - step
        if load_i64(keys + place * WORD) < key:
            low = place + 1
            break
        high = place
        step += step
    while low < high:
        middle = (low + high) >> 1
        if load_i64(keys + middle * WORD) < key:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def find_level(book: int, side: int, price_tick: int) -> int:
    """Return the slot of the level at a price, -1 when there is none."""
    keys = keys_of(book, side)
    count = level_count(book, side)
    place = lower_bound(keys, count, side * price_tick)
    if place == count or load_i64(keys + place * WORD) != side * price_tick:
        return -1
    return load_i64(keys + (book_at(book).level_capacity + place) * WORD)


@kernel
def has_free_level(book: int) -> bool:
    """Tell whether the pool has a row left."""
    header = book_at(book)
    return header.level_free >= 0 or header.level_fresh < header.level_capacity


@kernel
def ensure_level(book: int, side: int, price_tick: int) -> int:
    """Return the slot of the level at a price, made when there is none: the caller knows of room.

    Loop bound: the search; what is better than it moves by one place.
    """
    header = book_at(book)
    keys = keys_of(book, side)
    slots = keys + header.level_capacity * WORD
    count = level_count(book, side)
    key = side * price_tick
    place = lower_bound(keys, count, key)
    if place < count and load_i64(keys + place * WORD) == key:
        return load_i64(slots + place * WORD)
    slot = header.level_free
    if slot >= 0:
        header.level_free = level_at(book, slot).head
    else:
        slot = header.level_fresh
        header.level_fresh = slot + 1
    level = level_at(book, slot)
    level.price_tick = price_tick
    level.head = -1
    level.tail = -1
    level.total_lot = 0
    level.count = 0
    for index in range(count, place, -1):
        store_i64(keys + index * WORD, load_i64(keys + (index - 1) * WORD))
        store_i64(slots + index * WORD, load_i64(slots + (index - 1) * WORD))
    store_i64(keys + place * WORD, key)
    store_i64(slots + place * WORD, slot)
    set_level_count(book, side, count + 1)
    return slot


@kernel
def drop_level(book: int, side: int, slot: int) -> None:
    """Take an empty level off its side. Loop bound: as `ensure_level`."""
    header = book_at(book)
    level = level_at(book, slot)
    keys = keys_of(book, side)
    slots = keys + header.level_capacity * WORD
    last = level_count(book, side) - 1
    place = lower_bound(keys, last, side * level.price_tick)
    for index in range(place, last):
        store_i64(keys + index * WORD, load_i64(keys + (index + 1) * WORD))
        store_i64(slots + index * WORD, load_i64(slots + (index + 1) * WORD))
    set_level_count(book, side, last)
    level.count = 0
    level.head = header.level_free
    header.level_free = slot


@kernel
def refresh_best(book: int) -> None:
    """Copy best prices and their totals into the header, where Python reads them."""
    header = book_at(book)
    slots_ahead = header.level_capacity - 1
    header.best_bid = 0
    header.best_bid_lot = 0
    header.best_ask = 0
    header.best_ask_lot = 0
    if header.bid_count > 0:
        place = book + header.bid_keys_at + (slots_ahead + header.bid_count) * WORD
        bid = level_at(book, load_i64(place))
        header.best_bid = bid.price_tick
        header.best_bid_lot = bid.total_lot
    if header.ask_count > 0:
        place = book + header.ask_keys_at + (slots_ahead + header.ask_count) * WORD
        ask = level_at(book, load_i64(place))
        header.best_ask = ask.price_tick
        header.best_ask_lot = ask.total_lot


@kernel
def note_change(book: int, side: int, price_tick: int, total_lot: int) -> None:
    """Append a level's new total to the changes of this entry."""
    header = book_at(book)
    place = book + CHANGES_OFFSET + header.change_count * (3 * WORD)
    store_i64(place, side)
    store_i64(place + WORD, price_tick)
    store_i64(place + 2 * WORD, total_lot)
    header.change_count += 1


@kernel
def note_event(book: int, slot: int, price_tick: int, quantity_lot: int, left_lot: int) -> None:
    """Append a fill, or with quantity 0 an expiry, to the events of this entry."""
    header = book_at(book)
    place = book + header.events_at + header.event_count * EVENT_SIZE
    store_i64(place, slot)
    store_i64(place + WORD, price_tick)
    store_i64(place + 2 * WORD, quantity_lot)
    store_i64(place + 3 * WORD, left_lot)
    header.event_count += 1
