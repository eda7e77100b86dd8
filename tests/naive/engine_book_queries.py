"""The questions of engine/book_queries.py, answered over the two dictionaries of `NaiveBook`."""

from __future__ import annotations

from fractions import Fraction

from tests.naive.engine_book import NaiveBook


def depth_within(book: NaiveBook, is_ask: int, ticks: int) -> int:
    side, best = book.sides[is_ask], book.best(is_ask)
    return sum(lot for tick, lot in side.items() if abs(tick - best) <= ticks)


def queue_ahead(book: NaiveBook, is_ask: int, price: int) -> int:
    side = book.sides[is_ask]
    return sum(lot for tick, lot in side.items() if (tick <= price if is_ask else tick >= price))


def liquidity(book: NaiveBook, is_ask: int, levels: int) -> int:
    return sum(lot for _, lot in book.levels(is_ask, levels))


def pressure(book: NaiveBook, is_ask: int, levels: int) -> int:
    return sum((levels - k) * lot for k, (_, lot) in enumerate(book.levels(is_ask, levels)))


def sweep(book: NaiveBook, is_ask: int, quantity: int) -> tuple[int, int, Fraction]:
    """Return what is left, the worst price and the mean price; 0 where nothing was taken."""
    left, worst, value = quantity, 0, 0
    for tick, lot in book.levels(is_ask, len(book.sides[is_ask])):
        if left:
            taken = min(lot, left)
            left, worst, value = left - taken, tick, value + taken * tick
    done = quantity - left
    return left, worst, Fraction(value, done) if done else Fraction(0)


def prices(book: NaiveBook) -> tuple[Fraction, Fraction, Fraction]:
    """Return mid, weighted mid and micro-price; zeros unless both sides have a level."""
    bids, asks = book.levels(0, 1), book.levels(1, 1)
    if not bids or not asks:
        return Fraction(0), Fraction(0), Fraction(0)
    (bid, bid_lot), (ask, ask_lot) = bids[0], asks[0]
    up = Fraction(bid_lot, bid_lot + ask_lot)
    mid = Fraction(bid + ask, 2)
    half = Fraction(1, 2)
    return mid, up * ask + (1 - up) * bid, up * (mid + half) + (1 - up) * (mid - half)
