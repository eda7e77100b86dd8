"""Give the compiled book to the rest of the exchange: orders in, what happened out.

    book = MatchingBook(kernels)
    matched = book.submit(order, order_id, owner, BUY, price_tick, quantity_lot, GTC | EXPIRE_MAKER)
    for maker, price_tick, quantity_lot, left_lot in matched.fills: ...

Orders stay the caller's objects: the book remembers which one rests in which slot and hands it
back. Bad values are refused by a status below 0 and change nothing. Looking needs no kernel call.
"""

from __future__ import annotations

import struct
from itertools import starmap
from typing import Any

from exchange.matching.book_memory import BookMemory
from exchange.matching.layout import (
    CHANGE_WORDS,
    CHANGES_OFFSET,
    EVENT_WORDS,
    LEVELS_MAX,
    ORDERS_MAX,
    PAUSED,
    PRICE_TICK_MAX,
    QUANTITY_LOT_MAX,
    REQUEST_WORDS,
    RESULT_OFFSET,
    UNKNOWN,
    WORD,
)

Event = tuple[Any, int, int, int]  # the maker, price, quantity (0: expired), what is left of it
Change = tuple[int, int, int]  # side, price, total

_ask = struct.Struct(f"{REQUEST_WORDS}q").pack_into
_BAD = -2  # a price and a quantity that every entry refuses
_RESULT = RESULT_OFFSET // WORD
_RESULT_END = _RESULT + 5 + CHANGE_WORDS
_CHANGES = CHANGES_OFFSET // WORD


class Matched:
    """Be the outcome of one entry.

    `events` are fills and expiries of makers in the order in which they happened; `changes` are
    the levels it changed with their new totals, in order. Both belong to whoever holds this.
    """

    __slots__ = ("changes", "events", "remaining", "slot", "status", "taker_stp")

    def __init__(
        self,
        status: int,
        slot: int = -1,
        remaining: int = 0,
        events: list[Event] | tuple[()] = (),
        changes: list[Change] | tuple[()] = (),
        taker_stp: bool = False,
    ) -> None:
        self.status = status
        self.slot = slot
        self.remaining = remaining
        self.events = events
        self.changes = changes
        self.taker_stp = taker_stp

    @property
    def fills(self) -> list[Event]:
        """Return (maker, price, quantity, what is left of the maker), in order."""
        return [event for event in self.events if event[2]]

    @property
    def expired(self) -> list[tuple[Any, int]]:
        """Return (maker, what was left of it) of those that self-trade prevention removed."""
        return [(event[0], event[3]) for event in self.events if not event[2]]

    def __repr__(self) -> str:
        return (
            f"Matched(status={self.status}, slot={self.slot}, remaining={self.remaining}, "
            f"events={self.events}, changes={self.changes}, taker_stp={self.taker_stp})"
        )


class MatchingBook(BookMemory):
    """Hold one instrument's resting orders and match what comes in.

    Args:
        kernels: the loaded kernel library.
        order_capacity: orders that can rest before the memory is doubled; even.
        level_capacity: prices likewise; a multiple of 4.
        order_capacity_max: where doubling ends and ORDERS_FULL begins.
        level_capacity_max: where doubling ends and LEVELS_FULL begins.
    """

    def __init__(
        self,
        kernels: Any,
        order_capacity: int = 4096,
        level_capacity: int = 2048,
        order_capacity_max: int = ORDERS_MAX,
        level_capacity_max: int = LEVELS_MAX,
    ) -> None:
        super().__init__(order_capacity, level_capacity, order_capacity_max, level_capacity_max)
        self._submit = kernels.matching_submit_asked
        self._resume = kernels.matching_resume
        self._cancel = kernels.matching_cancel
        self._reduce = kernels.matching_reduce
        self._amend = kernels.matching_amend
        self._available = kernels.matching_available
        self._taker: Any = None

    def submit(
        self,
        order: Any,
        order_id: int,
        owner: int,
        side: int,
        price_tick: int,
        quantity_lot: int,
        how: int,
    ) -> Matched:
        """Match an order; what is left rests or is gone, by its time in force.

        Args:
            order: the caller's object, handed back when it fills or expires later.
            order_id: any int64.
            owner: 0 is the market's own flow; orders of one other number do not trade together.
            side: BUY or SELL.
            price_tick: limit, 0 for none (IOC and FOK only).
            quantity_lot: lots.
            how: time in force | self-trade prevention | PAUSE.

        Raises:
            struct.error: a number other than price and quantity is no int64.
        """
        if not 0 <= price_tick <= PRICE_TICK_MAX:
            price_tick = _BAD
        if not 0 < quantity_lot <= QUANTITY_LOT_MAX:
            quantity_lot = _BAD
        # Writing the request is cheaper than arguments, and refuses what is no int64 by itself.
        _ask(self._words, 0, order_id, owner, side, price_tick, quantity_lot, how)
        status = self._submit(self._address)
        if status < 0:
            if self._grow(status):
                return self.submit(order, order_id, owner, side, price_tick, quantity_lot, how)
            return Matched(status)
        return self._outcome(status, order)

    def resume(self, quantity_lot: int = -1) -> Matched:
        """Go on with the paused taker, with that many lots at most (-1: all; 0: drop the rest)."""
        # The library takes 64 bits of whatever it is given: larger numbers must not get there.
        if not -1 <= quantity_lot <= QUANTITY_LOT_MAX:
            quantity_lot = _BAD
        status = self._resume(self._address, quantity_lot)
        return Matched(status) if status < 0 else self._outcome(status, self._taker)

    def _outcome(self, status: int, order: Any) -> Matched:
        words, orders = self._words, self._orders
        # One read: the result and the first change, which is the only one most of the time.
        slot, remaining, n_event, n_change, prevented, side, price_tick, total = words[
            _RESULT:_RESULT_END
        ].tolist()
        changes: list[Change] | tuple[()] = ()
        if n_change == 1:
            changes = [(side, price_tick, total)]
        elif n_change:
            flat = iter(words[_CHANGES : _CHANGES + CHANGE_WORDS * n_change].tolist())
            changes = list(zip(flat, flat, flat, strict=True))
        events: list[Event] | tuple[()] = ()
        if n_event:
            start = self._events_at
            flat = iter(words[start : start + EVENT_WORDS * n_event].tolist())
            events = list(starmap(self._event, zip(flat, flat, flat, flat, strict=True)))
        if slot >= 0:
            orders[slot] = order
        self._taker = order if status == PAUSED else None
        return Matched(status, slot, remaining, events, changes, prevented != 0)

    def _event(self, slot: int, price_tick: int, quantity_lot: int, left_lot: int) -> Event:
        maker = self._orders[slot]
        if not quantity_lot or not left_lot:
            self._orders[slot] = None
        return maker, price_tick, quantity_lot, left_lot

    def cancel(self, slot: int, order_id: int) -> Matched:
        """Take a resting order out of the book."""
        if not 0 <= slot < len(self._orders):
            return Matched(UNKNOWN)
        status = self._cancel(self._address, slot, order_id)
        if status < 0:
            return Matched(status)
        self._orders[slot] = None
        return self._done(status, slot)

    def reduce(self, slot: int, order_id: int, remaining_lot: int) -> Matched:
        """Shrink a resting order to `remaining_lot`; it keeps its place in the queue."""
        if not 0 <= slot < len(self._orders):
            return Matched(UNKNOWN)
        if not 0 < remaining_lot <= QUANTITY_LOT_MAX:
            remaining_lot = _BAD
        status = self._reduce(self._address, slot, order_id, remaining_lot)
        return Matched(status) if status < 0 else self._done(status, slot)

    def _done(self, status: int, slot: int) -> Matched:
        _, remaining, _, n_change, _, *change = self._words[_RESULT:_RESULT_END].tolist()
        changes = [(change[0], change[1], change[2])] if n_change else []
        return Matched(status, slot, remaining, (), changes)

    def amend(
        self, slot: int, order_id: int, price_tick: int, remaining_lot: int, how: int
    ) -> Matched:
        """Give a resting order another limit and size: it leaves its place and is matched anew.

        `remaining_lot` is what shall remain of it. A GTX that would take is refused with CROSSES
        and stays as it was.
        """
        if not 0 <= slot < len(self._orders):
            return Matched(UNKNOWN)
        if not 0 <= price_tick <= PRICE_TICK_MAX:
            price_tick = _BAD
        if not 0 < remaining_lot <= QUANTITY_LOT_MAX:
            remaining_lot = _BAD
        status = self._amend(self._address, slot, order_id, price_tick, remaining_lot, how)
        if status < 0:
            if self._grow(status):
                return self.amend(slot, order_id, price_tick, remaining_lot, how)
            return Matched(status)
        order, self._orders[slot] = self._orders[slot], None
        return self._outcome(status, order)

    def available_lot(self, side: int, limit_tick: int, wanted_lot: int, not_owner: int = 0) -> int:
        """Return what an order could take up to its limit (0: none), at most `wanted_lot`.

        Orders of `not_owner` do not count (0: all count).
        """
        return self._available(self._address, side, limit_tick, wanted_lot, not_owner)
