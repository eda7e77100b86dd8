"""A realistic stream of orders for the matching bench, and what the book must answer to it.

A price walks; around it makers add (exponential distance) and cancel what still rests, takers
sweep. Cancels keep the book at some 1500 orders.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from typing import Any

from bench.harness import check
from bench.matching_kernels import FOLD_MASK
from exchange.matching.book import Matched, MatchingBook
from exchange.matching.layout import BUY, GTC, IOC, RESTS, SELL

START_TICK = 600_000
OPENING_LEVELS = 300
TAKERS = 0.09
CANCELS = 0.48  # of a book that is full enough; the rest adds
ORDERS_KEPT = 1_500
ORDER_CAPACITY = 8192
LEVEL_CAPACITY = 4096


class Stream:
    """Hold the steps, six words each, and the numbers that follow from them."""

    def __init__(self, kernels: Any, count: int, seed: int) -> None:
        self.words = array("q")
        self.numbers = 0
        self.count = 0
        self._random = random.Random(seed)
        self._book = self.new_book(kernels)
        self._live: list[tuple[int, int]] = []  # number and slot
        self._middle = float(START_TICK)
        for rank in range(OPENING_LEVELS):
            for side in (BUY, SELL):
                self._submit(side, START_TICK - side * (1 + rank), self._lot(), GTC)
        while self.count < count:
            self._step()
        self.resting = self._book.order_count

    @staticmethod
    def new_book(kernels: Any) -> MatchingBook:
        """Return an empty book of the size that the stream needs."""
        return MatchingBook(kernels, ORDER_CAPACITY, LEVEL_CAPACITY)

    def _lot(self) -> int:
        return 1 + int(self._random.lognormvariate(2.0, 0.9))

    def _step(self) -> None:
        draw = self._random
        self._middle += draw.gauss(0.0, 0.15)
        kind = draw.random()
        side = BUY if draw.random() < 0.5 else SELL
        if kind < TAKERS:
            best = self._book.best(-side)
            self._submit(side, best + side * draw.randrange(3), 3 * self._lot(), IOC)
        elif kind < TAKERS + CANCELS and self._book.order_count > ORDERS_KEPT:
            self._cancel()
        else:
            scale = 3.0 if draw.random() < 0.6 else 90.0
            distance = 0.5 + draw.expovariate(1.0 / scale)
            self._submit(side, round(self._middle - side * distance), self._lot(), GTC)

    def _submit(self, side: int, price_tick: int, lot: int, how: int) -> None:
        number, self.numbers = self.numbers, self.numbers + 1
        matched = self._book.submit(number, number, 0, side, price_tick, lot, how)
        assert matched.status > 0, matched
        if matched.status == RESTS:
            self._live.append((number, matched.slot))
        self._add(0, number, side, price_tick, lot, how)

    def _cancel(self) -> None:
        live = self._live
        while live:
            index = self._random.randrange(len(live))
            number, slot = live[index]
            live[index] = live[-1]
            live.pop()
            if self._book.order_at(slot) == number:
                self._book.cancel(slot, number)
                self._add(1, number, 0, 0, 0, 0)
                return

    def _add(self, *words: int) -> None:
        self.words.extend(words)
        self.count += 1

    def steps(self) -> list[tuple[int, ...]]:
        """Return the steps as tuples."""
        flat = iter(self.words)
        return list(zip(flat, flat, flat, flat, flat, flat, strict=True))


def fold_matched(answer: int, matched: Matched) -> int:
    """Return the fold of `matching_kernels` with one more outcome."""
    for value in (matched.status, matched.remaining):
        answer = (answer * 31 + value) & FOLD_MASK
    for _, price_tick, lot, left in matched.events:
        for value in (price_tick, lot, left):
            answer = (answer * 31 + value) & FOLD_MASK
    return answer


def replay(book: MatchingBook, stream: Stream) -> int:
    """Do the stream's steps through the face; return the fold over all answers and the rest.

    Raises:
        WrongAnswerError: a lot got lost or was made on the way, or the book is crossed.
    """
    slots: dict[int, int] = {}
    answer = entered = traded = gone = 0
    for kind, number, side, price_tick, lot, how in stream.steps():
        if kind:
            matched = book.cancel(slots.pop(number), number)
            gone += matched.remaining
        else:
            matched = book.submit(number, number, 0, side, price_tick, lot, how)
            entered += lot
            traded += sum(event[2] for event in matched.events)
            if matched.status == RESTS:
                slots[number] = matched.slot
            else:
                gone += matched.remaining
        answer = fold_matched(answer, matched)
    resting = 0
    for side in (BUY, SELL):
        for price_tick, total in reversed(book.top(side, LEVEL_CAPACITY)):
            resting += total
            for value in (price_tick, total, len(book.queue(side, price_tick))):
                answer = (answer * 31 + value) & FOLD_MASK
    check("lots are conserved", entered, 2 * traded + gone + resting)
    bid, _, ask, _ = book.quote()
    check("the book is not crossed", bid < ask, True)
    return answer


def fold_changes(answers: Sequence[Matched]) -> int:
    """Return the fold over outcomes and, other than `fold_matched`, the levels they changed."""
    answer = 0
    for matched in answers:
        answer = fold_matched(answer, matched)
        for change in matched.changes:
            for value in change:
                answer = (answer * 31 + value) & FOLD_MASK
    return answer


def replay_changes(book: MatchingBook, stream: Stream, count: int) -> int:
    """Do the first steps of the stream; return the fold over the answers with their changes.

    Raises:
        WrongAnswerError: the changes do not add up to the book that they come from.
    """
    slots: dict[int, int] = {}
    levels: dict[tuple[int, int], int] = {}
    answers = []
    for kind, number, side, price_tick, lot, how in stream.steps()[:count]:
        if kind:
            matched = book.cancel(slots[number], number)
        else:
            matched = book.submit(number, number, 0, side, price_tick, lot, how)
            slots[number] = matched.slot
        for changed_side, changed_tick, total in matched.changes:
            levels[changed_side, changed_tick] = total
        answers.append(matched)
    told = {level: total for level, total in levels.items() if total}
    held = {
        (side, price_tick): total
        for side in (BUY, SELL)
        for price_tick, total in book.top(side, LEVEL_CAPACITY)
    }
    check("changes make the book", told, held)
    return fold_changes(answers)
