"""Drive a compiled book and its naive twin with one sequence of steps and compare everything."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from exchange.matching import layout
from exchange.matching.book import Matched, MatchingBook
from tests.naive.exchange_matching import Answer, NaiveBook

SIDES = {"buy": layout.BUY, "sell": layout.SELL}
FORCES = ("GTC", "GTC", "GTC", "IOC", "FOK", "GTX")
PREVENTIONS = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")


def how_of(force: str, prevention: str, pause: bool) -> int:
    return getattr(layout, force) | getattr(layout, prevention) | (layout.PAUSE if pause else 0)


def remaining(book: MatchingBook, slot: int) -> int:
    """Return what is left of the order in a slot, read from its row."""
    return layout.ORDER.at(book._address + book._row(slot) * layout.WORD).remaining_lot


class Driver:
    """Hold both books; every step is done on both and compared at once."""

    def __init__(self, kernels: Any, orders: int = 256, levels: int = 64) -> None:
        self.book = MatchingBook(kernels, orders, levels)
        self.naive = NaiveBook()
        self.slots: dict[int, int] = {}  # of what rests, and of what once did
        self.entered = self.traded = self.withdrawn = 0
        self.submitted = 0
        self.answers: Counter[int] = Counter()

    def compare(self, matched: Matched, answer: Answer) -> None:
        self.answers[matched.status] += 1
        assert matched.status == getattr(layout, answer.word), (matched, answer)
        if matched.status < 0:
            assert (matched.events, matched.changes) == ((), ())
            self.compare_books()
            return
        events = [
            ("fill" if lot else "gone", number, price, lot, left)
            for number, price, lot, left in matched.events
        ]
        assert events == answer.happened
        changes = [("buy" if s == 1 else "sell", price, lot) for s, price, lot in matched.changes]
        assert changes == answer.changed
        assert (matched.remaining, matched.taker_stp) == (answer.left, answer.prevented)
        assert [row[:2] for row in matched.fills] == [e[1:3] for e in events if e[0] == "fill"]
        assert matched.expired == [(e[1], e[4]) for e in events if e[0] == "gone"]
        self.traded += sum(e[3] for e in events)
        self.withdrawn += sum(e[4] for e in events if e[0] == "gone")
        self.compare_books()

    def compare_books(self) -> None:
        book, naive = self.book, self.naive
        for name, side in SIDES.items():
            levels = naive.levels(name)
            assert book.top(side, 1 << 20) == levels
            assert book.level_count(side) == len(levels)
            best = levels[0] if levels else (0, 0)
            assert tuple(book.quote()[0 if side == 1 else 2 :][:2]) == best
            assert book.best(side) == best[0]
            for rank, (price, total) in enumerate(levels):
                assert book.nth_price(side, rank) == price
                assert book.total(side, price) == total
                slots = book.queue(side, price)
                found = [(book.order_at(slot), remaining(book, slot)) for slot in slots]
                assert found == naive.queue(name, price)
                assert {book.companions(slot) for slot in slots} == {len(slots)}
        bid, _, ask, _ = book.quote()
        assert not (bid and ask) or bid < ask, "crossed"
        assert book.order_count == len(naive.orders)

    def submit(
        self, owner: int, side: str, price: int, lot: int, force: str, stp: str, pause: bool
    ) -> None:
        number = 1000 + self.submitted
        self.submitted += 1
        how = how_of(force, stp, pause)
        matched = self.book.submit(number, number, owner, SIDES[side], price, lot, how)
        answer = self.naive.submit(number, owner, side, price, lot, force, stp, pause)
        self.entered += lot if matched.status > 0 else 0
        self.finish(number, matched, answer)

    def finish(self, number: int, matched: Matched, answer: Answer) -> None:
        self.compare(matched, answer)
        if matched.status == layout.RESTS:
            assert self.book.order_at(matched.slot) == number
            self.slots[number] = matched.slot
        if matched.status == layout.EXPIRED:
            self.withdrawn += matched.remaining

    def cancel(self, number: int) -> None:
        matched = self.book.cancel(self.slots.get(number, 7), number)
        self.withdrawn += matched.remaining
        self.compare(matched, self.naive.cancel(number))

    def reduce(self, number: int, left: int) -> None:
        order = self.naive.find(number)
        before = order.left if order else 0
        matched = self.book.reduce(self.slots.get(number, 0), number, left)
        self.withdrawn += before - left if matched.status > 0 else 0
        self.compare(matched, self.naive.reduce(number, left))

    def amend(self, number: int, price: int, left: int, force: str, stp: str, pause: bool) -> None:
        order = self.naive.find(number)
        before = order.left if order else 0
        slot = self.slots.get(number, 3)
        matched = self.book.amend(slot, number, price, left, how_of(force, stp, pause))
        answer = self.naive.amend(number, price, left, force, stp, pause)
        self.entered += left - before if matched.status > 0 else 0
        self.finish(number, matched, answer)

    def resume(self, quantity: int) -> None:
        waiting = self.naive.waiting
        before = waiting[0].left if waiting else 0
        number = waiting[0].number if waiting else 0
        matched = self.book.resume(quantity)
        cut = before - quantity if matched.status > 0 and quantity >= 0 else 0
        self.withdrawn += cut
        self.finish(number, matched, self.naive.resume(quantity))

    def available(self, side: str, price: int, lot: int, owner: int) -> None:
        tradable = self.naive.tradable(side, price)
        wanted = sum(o.left for o in tradable if not owner or o.owner != owner)
        found = self.book.available_lot(SIDES[side], price, lot, owner)
        assert found == min(lot, wanted)
        best = self.book.best(-SIDES[side])
        would_take = best != 0 and (best - price) * SIDES[side] <= 0
        assert not price or would_take == bool(tradable)
        levels = self.naive.levels(side)
        for rank in range(min(3, len(levels))):
            queue = self.naive.queue(side, levels[rank][0])
            owned = [n for n, _ in queue if self.owner_of(n) == owner]
            first = self.book.first_order(SIDES[side], rank, owner)
            assert first == (owned[0] if owned else None)

    def owner_of(self, number: int) -> int:
        order = self.naive.find(number)
        assert order is not None
        return order.owner

    def step(self, seed: int) -> None:
        """Do the step that a number stands for."""
        draw = random.Random(seed)
        kind = draw.random()
        side = draw.choice(("buy", "sell"))
        price = 100 + draw.randint(-6, 6) + (2 if side == "sell" else -2)
        lot = draw.randint(1, 12)
        force, stp = draw.choice(FORCES), draw.choice(PREVENTIONS)
        if 0.82 <= kind < 0.93:
            force = draw.choice(("GTC", "GTC", "GTX", force))
        owner, pause = draw.choice((0, 0, 1, 1, 2)), draw.random() < 0.3
        number = 1000 + draw.randint(max(0, self.submitted - 30), self.submitted + 1)
        if self.naive.orders and draw.random() < 0.85:
            number = draw.choice(self.naive.orders).number
        if draw.random() < 0.03:
            lot = draw.choice((0, -1, (1 << 40) + 1, 1 << 64, -(1 << 70)))
        if draw.random() < 0.03:
            price = draw.choice((-1, (1 << 40) + 1, (1 << 64) + 100, -(1 << 64)))
        if draw.random() < 0.1:
            price = 0
        if self.naive.waiting is not None and draw.random() < 0.5:
            self.resume(draw.choice((-1, -1, -1, 0, 1, lot)))
        elif kind < 0.62:
            self.submit(owner, side, price, lot, force, stp, pause)
        elif kind < 0.74:
            self.cancel(number)
        elif kind < 0.82:
            self.reduce(number, lot)
        elif kind < 0.93:
            self.amend(number, price, lot, force, stp, pause)
        elif kind < 0.95:
            self.resume(lot)
        elif abs(price) < 1000:
            self.available(side, max(price, 0), draw.randint(1, 60), owner)

    def conserved(self) -> None:
        """Check that every lot that came in was traded, withdrawn or still rests."""
        resting = sum(o.left for o in self.naive.orders)
        waiting = self.naive.waiting[0].left if self.naive.waiting else 0
        assert self.entered == 2 * self.traded + self.withdrawn + resting + waiting
        shown = sum(lot for side in (1, -1) for _, lot in self.book.top(side, 1 << 20))
        assert shown == resting
