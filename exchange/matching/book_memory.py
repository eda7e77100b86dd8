"""Keep a book's memory and look into it from Python: no kernel call, only words.

All of it is one mapping of the process; it doubles when a pool is full. Bounds are stated where a
look takes more than a few words.
"""

from __future__ import annotations

import ctypes
import mmap
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from exchange.matching.layout import (
    BOOK,
    BUY,
    LEVEL,
    LEVELS_FULL,
    ORDER,
    ORDERS_FULL,
    WORD,
    book_size,
    format_book,
)

_ORDER_WORDS = ORDER.size // WORD
_LEVEL_WORDS = LEVEL.size // WORD
_OWNER = ORDER.offset("owner") // WORD
_FOLLOWING = ORDER.offset("following") // WORD
_LEVEL = ORDER.offset("level") // WORD
_HEAD = LEVEL.offset("head") // WORD
_TOTAL = LEVEL.offset("total_lot") // WORD
_COUNT = LEVEL.offset("count") // WORD
_BID_COUNT = BOOK.offset("bid_count") // WORD
_ASK_COUNT = BOOK.offset("ask_count") // WORD
_ORDER_COUNT = BOOK.offset("order_count") // WORD
_ORDER_FRESH = BOOK.offset("order_fresh") // WORD
_BEST_BID = BOOK.offset("best_bid") // WORD
_BEST_ASK = BOOK.offset("best_ask") // WORD
# What a larger copy takes over: all counts and free lists, none of the capacities and places.
_KEPT = slice(BOOK.offset("order_count") // WORD, BOOK.size // WORD)
assert BOOK.offset("order_count") == BOOK.offset("orders_at") + WORD


class BookMemory:
    """Hold the words of one book and the callers' objects by slot.

    Args:
        order_capacity: orders that can rest before the memory is doubled; even.
        level_capacity: prices likewise; a multiple of 4.
        order_capacity_max: where doubling ends.
        level_capacity_max: likewise.
    """

    def __init__(
        self,
        order_capacity: int,
        level_capacity: int,
        order_capacity_max: int,
        level_capacity_max: int,
    ) -> None:
        self._maxima = (order_capacity_max, level_capacity_max)
        self._orders: list[Any] = []
        self._allocate(order_capacity, level_capacity)

    def _allocate(self, order_capacity: int, level_capacity: int) -> None:
        memory = mmap.mmap(-1, book_size(order_capacity, level_capacity))
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        format_book(self._address, order_capacity, level_capacity)
        header = BOOK.at(self._address)
        self._words: memoryview = memoryview(memory).cast("q")
        self._capacities = (order_capacity, level_capacity)
        self._orders += [None] * (order_capacity - len(self._orders))
        self._events_at = header.events_at // WORD
        self._keys_at = {BUY: header.bid_keys_at // WORD, -BUY: header.ask_keys_at // WORD}
        self._levels_at = header.levels_at // WORD
        self._orders_at = header.orders_at // WORD

    def _grow(self, refusal: int) -> bool:
        """Move to memory with twice as many orders or levels; False where that may not be."""
        orders, levels = self._capacities
        if refusal == ORDERS_FULL and orders * 2 <= self._maxima[0]:
            wanted = (orders * 2, levels)
        elif refusal == LEVELS_FULL and levels * 2 <= self._maxima[1]:
            wanted = (orders, levels * 2)
        else:
            return False
        before = self._words
        places = (self._keys_at, self._levels_at, self._orders_at)
        self._allocate(*wanted)
        words = self._words
        words[_KEPT] = before[_KEPT]
        rows = [(places[1], self._levels_at, levels * _LEVEL_WORDS)]
        rows.append((places[2], self._orders_at, orders * _ORDER_WORDS))
        for side, start in places[0].items():
            rows.append((start, self._keys_at[side], levels))
            rows.append((start + levels, self._keys_at[side] + wanted[1], levels))
        for source, target, count in rows:
            words[target : target + count] = before[source : source + count]
        return True

    def best(self, side: int) -> int:
        """Return the best price of a side in ticks, 0 when it is empty."""
        return self._words[_BEST_BID if side == BUY else _BEST_ASK]

    def quote(self) -> list[int]:
        """Return best bid, its total, best ask, its total; 0 where a side is empty."""
        return self._words[_BEST_BID : _BEST_BID + 4].tolist()

    @property
    def order_count(self) -> int:
        """Return the number of resting orders."""
        return self._words[_ORDER_COUNT]

    def level_count(self, side: int) -> int:
        """Return the number of prices of a side."""
        return self._words[_BID_COUNT if side == BUY else _ASK_COUNT]

    def nth_price(self, side: int, rank: int) -> int:
        """Return the price of rank `rank` (0 is the best), the worst when there are fewer, or 0."""
        count = self.level_count(side)
        if not count:
            return 0
        return self._words[self._keys_at[side] + max(count - 1 - rank, 0)] * side

    def top(self, side: int, limit: int) -> list[tuple[int, int]]:
        """Return at most `limit` levels as (price, total), best first."""
        words, start = self._words, self._keys_at[side]
        end = self.level_count(side)
        first = max(0, end - limit)
        keys = words[start + first : start + end].tolist()
        start += self._capacities[1]
        slots = words[start + first : start + end].tolist()
        at = self._levels_at + _TOTAL
        totals = [words[at + slot * _LEVEL_WORDS] for slot in slots]
        rows = [(key * side, total) for key, total in zip(keys, totals, strict=True)]
        rows.reverse()
        return rows

    def _level(self, side: int, price_tick: int) -> int:
        """Return the place of a level's row, -1 when there is none."""
        start = self._keys_at[side]
        end = start + self.level_count(side)
        key = price_tick * side
        place = bisect_left(self._words, key, start, end)
        if place == end or self._words[place] != key:
            return -1
        return self._levels_at + self._words[place + self._capacities[1]] * _LEVEL_WORDS

    def total(self, side: int, price_tick: int) -> int:
        """Return the displayed quantity of a price in lots, 0 when there is none."""
        level = self._level(side, price_tick)
        return 0 if level < 0 else self._words[level + _TOTAL]

    def shown_now(self, changes: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Return the levels of some changes, each once in their order, with their totals now.

        For a match that paused: what was cancelled or shrunk in between has outdated the totals of
        the changes before it.
        """
        levels = dict.fromkeys((side, price_tick) for side, price_tick, _ in changes)
        return [(side, price_tick, self.total(side, price_tick)) for side, price_tick in levels]

    def queue(self, side: int, price_tick: int) -> list[int]:
        """Return the slots of the orders at a price, oldest first."""
        level = self._level(side, price_tick)
        slots = []
        slot = -1 if level < 0 else self._words[level + _HEAD]
        while slot >= 0:
            slots.append(slot)
            slot = self._words[self._orders_at + slot * _ORDER_WORDS + _FOLLOWING]
        return slots

    def first_order(self, side: int, rank: int, owner: int = 0) -> Any:
        """Return an owner's oldest order at the level of that rank (as `nth_price`), or None."""
        words, count = self._words, self.level_count(side)
        if not count:
            return None
        place = self._keys_at[side] + self._capacities[1] + max(count - 1 - rank, 0)
        slot = words[self._levels_at + words[place] * _LEVEL_WORDS + _HEAD]
        while slot >= 0:
            row = self._orders_at + slot * _ORDER_WORDS
            if words[row + _OWNER] == owner:
                return self._orders[slot]
            slot = words[row + _FOLLOWING]
        return None

    def _row(self, slot: int) -> int:
        """Return the place of a resting order's row, -1 when nothing rests in that slot."""
        if not 0 <= slot < self._words[_ORDER_FRESH]:
            return -1
        row = self._orders_at + slot * _ORDER_WORDS
        return row if self._words[row + _LEVEL] else -1

    def companions(self, slot: int) -> int:
        """Return the number of orders at that order's level, itself included; 0: not resting."""
        row = self._row(slot)
        if row < 0:
            return 0
        level = self._words[row + _LEVEL] - 1
        return self._words[self._levels_at + level * _LEVEL_WORDS + _COUNT]

    def order_at(self, slot: int) -> Any:
        """Return the caller's object that rests in a slot, or None."""
        return self._orders[slot] if 0 <= slot < len(self._orders) else None
