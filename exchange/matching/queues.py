"""Keep the orders of a book: a pool of rows, and the queue of each level, oldest first."""

from __future__ import annotations

from exchange.matching.layout import LEVELS_FULL, ORDERS_FULL
from exchange.matching.levels import (
    book_at,
    drop_level,
    ensure_level,
    find_level,
    has_free_level,
    level_at,
    note_change,
    order_at,
)
from shm.compiled import kernel


@kernel
def resting(book: int, slot: int, order_id: int) -> bool:
    """Tell whether a slot holds that order: a slot is used again, so the number has to agree."""
    if slot < 0 or slot >= book_at(book).order_fresh:
        return False
    order = order_at(book, slot)
    return order.level != 0 and order.order_id == order_id


@kernel
def room_for(book: int, side: int, price_tick: int) -> int:
    """Return 0 when one more order can rest at that price, else why not."""
    header = book_at(book)
    if header.order_free < 0 and header.order_fresh >= header.order_capacity:
        return ORDERS_FULL
    if not has_free_level(book) and find_level(book, side, price_tick) < 0:
        return LEVELS_FULL
    return 0


@kernel
def append(
    book: int, order_id: int, owner: int, side: int, price_tick: int, remaining_lot: int
) -> int:
    """Put an order at the end of its level and return its slot. The caller knows of room."""
    header = book_at(book)
    slot = header.order_free
    if slot >= 0:
        header.order_free = order_at(book, slot).following
    else:
        slot = header.order_fresh
        header.order_fresh = slot + 1
    place = ensure_level(book, side, price_tick)
    level = level_at(book, place)
    order = order_at(book, slot)
    order.order_id = order_id
    order.owner = owner
    order.side = side
    order.price_tick = price_tick
    order.remaining_lot = remaining_lot
    order.previous = level.tail
    order.following = -1
    order.level = place + 1
    if level.tail >= 0:
        order_at(book, level.tail).following = slot
    else:
        level.head = slot
    level.tail = slot
    level.count += 1
    level.total_lot += remaining_lot
    header.order_count += 1
    return slot


@kernel
def unlink(book: int, slot: int) -> None:
    """Take an order out of its level and free its row; an empty level is left to the caller."""
    header = book_at(book)
    order = order_at(book, slot)
    level = level_at(book, order.level - 1)
    if order.previous >= 0:
        order_at(book, order.previous).following = order.following
    else:
        level.head = order.following
    if order.following >= 0:
        order_at(book, order.following).previous = order.previous
    else:
        level.tail = order.previous
    level.count -= 1
    level.total_lot -= order.remaining_lot
    order.remaining_lot = 0
    order.level = 0
    order.following = header.order_free
    header.order_free = slot
    header.order_count -= 1


@kernel
def withdraw(book: int, slot: int) -> None:
    """Take a resting order out of the book and note the change of its level."""
    order = order_at(book, slot)
    side = order.side
    place = order.level - 1
    level = level_at(book, place)
    price_tick = order.price_tick
    unlink(book, slot)
    note_change(book, side, price_tick, level.total_lot)
    if level.count == 0:
        drop_level(book, side, place)
