"""The measured loop over the matching book. bench/twins/matching.cpp mirrors it.

A step is six words: kind (0 submit, 1 cancel), number, side, price, quantity, how. The fold over
every answer stays below 2^61, so that nothing wraps and both languages agree.
"""

from __future__ import annotations

from exchange.matching.entries import matching_cancel, matching_submit
from exchange.matching.layout import BUY, EVENT_WORDS, SELL, WORD
from exchange.matching.levels import book_at, keys_of, level_at, level_count
from shm.compiled import export, kernel
from shm.memory import load_i64, store_i64

STEP_WORDS = 6
STEP_SIZE = STEP_WORDS * WORD
EVENT_SIZE = EVENT_WORDS * WORD
FOLD_MASK = (1 << 55) - 1


@kernel
def fold(answer: int, value: int) -> int:
    """Return the fold with one more number."""
    return (answer * 31 + value) & FOLD_MASK


@export(4)
def matching_steps(book: int, steps: int, count: int, slots: int) -> int:
    """Do steps one after another; return the fold over status, rest and events of each.

    Args:
        book: address of an empty book.
        steps: address of `count` steps.
        count: steps.
        slots: address of one word per order number, where the order rests.

    Loop bound: count, and the events of each.
    """
    header = book_at(book)
    answer = 0
    for index in range(count):
        step = steps + index * STEP_SIZE
        number = load_i64(step + WORD)
        if load_i64(step) == 0:
            side = load_i64(step + 2 * WORD)
            price = load_i64(step + 3 * WORD)
            lot = load_i64(step + 4 * WORD)
            how = load_i64(step + 5 * WORD)
            status = matching_submit(book, number, 0, side, price, lot, how)
            store_i64(slots + number * WORD, header.slot)
        else:
            status = matching_cancel(book, load_i64(slots + number * WORD), number)
        answer = fold(fold(answer, status), header.remaining_lot)
        for event in range(header.event_count):
            row = book + header.events_at + event * EVENT_SIZE
            answer = fold(answer, load_i64(row + WORD))
            answer = fold(answer, load_i64(row + 2 * WORD))
            answer = fold(answer, load_i64(row + 3 * WORD))
    return answer


@kernel
def fold_side(book: int, side: int, answer: int) -> int:
    """Fold price, total and number of orders of every level of a side, worst first."""
    slots = keys_of(book, side) + book_at(book).level_capacity * WORD
    for place in range(level_count(book, side)):
        level = level_at(book, load_i64(slots + place * WORD))
        answer = fold(fold(fold(answer, level.price_tick), level.total_lot), level.count)
    return answer


@export(2)
def matching_fold(book: int, answer: int) -> int:
    """Fold what rests in a book. Loop bound: its levels."""
    return fold_side(book, SELL, fold_side(book, BUY, answer))
