"""Times in force, self-trade prevention, pausing, and refusals that change nothing: by tables."""

from __future__ import annotations

import struct

import pytest

from exchange.matching import entries, layout
from exchange.matching.book import MatchingBook
from exchange.matching.layout import (
    BAD_HOW,
    BAD_OWNER,
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_SIDE,
    BUSY,
    BUY,
    CROSSES,
    DONE,
    EXPIRE_BOTH,
    EXPIRE_MAKER,
    EXPIRE_TAKER,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    IOC,
    LEVELS_FULL,
    NONE,
    NOT_PAUSED,
    ORDERS_FULL,
    PAUSE,
    PAUSED,
    RESTS,
    SELL,
    UNKNOWN,
)

# id, owner, side, price, lots
BOOK = (
    (1, 0, SELL, 101, 5),
    (2, 1, SELL, 101, 3),
    (3, 0, SELL, 103, 10),
    (4, 0, BUY, 99, 4),
    (5, 1, BUY, 98, 6),
)


def filled_book(*rows: tuple[int, int, int, int, int], **sizes: int) -> tuple[MatchingBook, dict]:
    book = MatchingBook(entries, **sizes)
    slots = {}
    for order_id, owner, side, price, lot in rows or BOOK:
        matched = book.submit(f"o{order_id}", order_id, owner, side, price, lot, GTC)
        assert matched.status == RESTS
        slots[order_id] = matched.slot
    return book, slots


def state_of(book: MatchingBook) -> bytes:
    """Return all of a book's memory but the request."""
    return bytes(book._words[layout.REQUEST_WORDS :])


# side, limit, lots, how -> status, left, fills, levels of the other side that changed
FORCE_COLUMNS = ("side", "limit", "lot", "how", "status", "left", "fills", "levels")
FORCES = [
    (BUY, 100, 4, GTC, RESTS, 4, "", ""),
    (BUY, 100, 4, IOC, EXPIRED, 4, "", ""),
    (BUY, 100, 4, FOK, EXPIRED, 4, "", ""),
    (BUY, 100, 4, GTX, RESTS, 4, "", ""),
    (BUY, 101, 4, GTX, CROSSES, 0, "", ""),
    (SELL, 99, 1, GTX, CROSSES, 0, "", ""),
    (BUY, 101, 4, GTC, FILLED, 0, "o1:4@101", "101=4"),
    (BUY, 101, 6, GTC, FILLED, 0, "o1:5@101 o2:1@101", "101=2"),
    (BUY, 102, 10, GTC, RESTS, 2, "o1:5@101 o2:3@101", "101=0"),
    (BUY, 102, 10, IOC, EXPIRED, 2, "o1:5@101 o2:3@101", "101=0"),
    (BUY, 102, 8, FOK, FILLED, 0, "o1:5@101 o2:3@101", "101=0"),
    (BUY, 102, 9, FOK, EXPIRED, 9, "", ""),
    (BUY, 0, 10, IOC, FILLED, 0, "o1:5@101 o2:3@101 o3:2@103", "101=0 103=8"),
    (BUY, 0, 99, IOC, EXPIRED, 81, "o1:5@101 o2:3@101 o3:10@103", "101=0 103=0"),
    (BUY, 0, 99, FOK, EXPIRED, 99, "", ""),
    (SELL, 98, 7, GTC, FILLED, 0, "o4:4@99 o5:3@98", "99=0 98=3"),
    (SELL, 0, 50, IOC, EXPIRED, 40, "o4:4@99 o5:6@98", "99=0 98=0"),
]


@pytest.mark.parametrize(
    ("side", "limit", "lot", "how", "status", "left", "fills", "levels"), FORCES
)
def test_times_in_force(side, limit, lot, how, status, left, fills, levels):
    book, _ = filled_book()
    available = book.available_lot(side, limit, lot)
    matched = book.submit("t", 9, 0, side, limit, lot, how)
    assert (matched.status, matched.remaining) == (status, left)
    assert " ".join(f"{o}:{q}@{p}" for o, p, q, _ in matched.fills) == fills
    changed = [c for c in matched.changes if c[0] == -side]
    assert " ".join(f"{p}={total}" for _, p, total in changed) == levels
    own = [c for c in matched.changes if c[0] == side]
    assert own == ([(side, limit, left)] if status == RESTS else [])
    if how in (GTC, IOC):
        assert available == lot - left
    if status == RESTS:
        assert book.order_at(matched.slot) == "t"


# A sell 101: another's 5, own 3; 103: another's 10. An own buy comes.
# lots, how -> status, left, taker prevented, events in order (x: expired with that many left)
PREVENTIONS = [
    (9, GTC | NONE, FILLED, 0, False, "o1:5 o2:3 o3:1"),
    (9, GTC | EXPIRE_MAKER, FILLED, 0, False, "o1:5 o2x3 o3:4"),
    (9, GTC | EXPIRE_TAKER, EXPIRED, 4, True, "o1:5"),
    (9, GTC | EXPIRE_BOTH, EXPIRED, 4, True, "o1:5 o2x3"),
    (5, GTC | EXPIRE_TAKER, FILLED, 0, False, "o1:5"),
    (5, GTC | EXPIRE_BOTH, FILLED, 0, False, "o1:5"),
    (9, IOC | EXPIRE_MAKER, FILLED, 0, False, "o1:5 o2x3 o3:4"),
    (30, IOC | EXPIRE_MAKER, EXPIRED, 15, False, "o1:5 o2x3 o3:10"),
    (30, GTC | EXPIRE_MAKER, RESTS, 15, False, "o1:5 o2x3 o3:10"),
    # Venue: "Self Trade Prevention FAQ": no effect with FOK.
    (9, FOK | EXPIRE_MAKER, FILLED, 0, False, "o1:5 o2:3 o3:1"),
    (9, FOK | EXPIRE_TAKER, FILLED, 0, False, "o1:5 o2:3 o3:1"),
]


@pytest.mark.parametrize(("lot", "how", "status", "left", "prevented", "events"), PREVENTIONS)
def test_self_trade_prevention(lot, how, status, left, prevented, events):
    book, slots = filled_book()
    matched = book.submit("t", 9, 1, BUY, 105, lot, how)
    assert (matched.status, matched.remaining, matched.taker_stp) == (status, left, prevented)
    shown = [f"{o}:{q}" if q else f"{o}x{left_lot}" for o, _, q, left_lot in matched.events]
    assert " ".join(shown) == events
    assert (book.order_at(slots[2]) is None) == ("o2" in events) or matched.slot == slots[2]


@pytest.mark.parametrize("mode", [EXPIRE_MAKER, EXPIRE_TAKER, EXPIRE_BOTH])
@pytest.mark.parametrize("owner", [0, 2])
def test_others_trade_whatever_the_mode(mode, owner):
    book, _ = filled_book()
    matched = book.submit("t", 9, owner, BUY, 101, 8, GTC | mode)
    assert (matched.status, len(matched.fills), matched.expired) == (FILLED, 2, [])


def test_the_takers_mode_decides_not_the_makers():
    book = MatchingBook(entries)
    book.submit("m", 1, 1, SELL, 10, 5, GTC | EXPIRE_TAKER)
    matched = book.submit("t", 2, 1, BUY, 10, 5, GTC | EXPIRE_MAKER)
    assert (matched.status, matched.expired, matched.taker_stp) == (RESTS, [("m", 5)], False)
    assert matched.changes == [(SELL, 10, 0), (BUY, 10, 5)]


def test_priority_after_cancel_reduce_and_amend():
    rows = [(k, 1, SELL, 10, 5) for k in (1, 2, 3, 4)]
    book, slots = filled_book(*rows)
    assert book.cancel(slots[1], 1).changes == [(SELL, 10, 15)]
    assert book.reduce(slots[2], 2, 2).changes == [(SELL, 10, 12)]
    assert book.reduce(slots[2], 2, 2).changes == []
    amended = book.amend(slots[3], 3, 10, 4, GTC)
    assert (amended.status, amended.remaining) == (RESTS, 4)
    matched = book.submit("t", 9, 0, BUY, 10, 99, IOC)
    assert [(o, q) for o, _, q, _ in matched.fills] == [("o2", 2), ("o4", 5), ("o3", 4)]


def test_amend_moves_matches_and_refuses():
    book, slots = filled_book()
    assert book.amend(slots[5], 5, 101, 6, GTX).status == CROSSES
    assert book.queue(BUY, 98) == [slots[5]]
    assert book.amend(slots[5], 5, 100, 6, IOC).status == BAD_HOW
    moved = book.amend(slots[5], 5, 100, 9, GTX)
    assert (moved.status, moved.changes) == (RESTS, [(BUY, 98, 0), (BUY, 100, 9)])
    crossing = book.amend(moved.slot, 5, 101, 9, GTC)
    assert (crossing.status, crossing.remaining) == (RESTS, 1)
    assert [(o, q) for o, _, q, _ in crossing.fills] == [("o1", 5), ("o2", 3)]
    assert crossing.changes == [(BUY, 100, 0), (SELL, 101, 0), (BUY, 101, 1)]
    assert book.order_at(crossing.slot) == "o5"


def test_a_taker_pauses_at_owned_makers_and_goes_on():
    rows = [(k, owner, SELL, 10 + k, 5) for k, owner in ((1, 0), (2, 1), (3, 1), (4, 1), (5, 0))]
    book, slots = filled_book(*rows)
    first = book.submit("t", 9, 0, BUY, 0, 22, IOC | PAUSE)
    assert (first.status, first.remaining) == (PAUSED, 12)
    assert [o for o, *_ in first.fills] == ["o1", "o2"]
    assert book.submit("u", 10, 0, BUY, 0, 1, IOC).status == BUSY
    assert book.amend(slots[4], 4, 30, 1, GTC).status == BUSY
    assert book.cancel(slots[3], 3).status == DONE
    assert book.reduce(slots[4], 4, 2).status == DONE
    assert book.resume(13).status == BAD_QUANTITY
    second = book.resume()
    assert (second.status, second.remaining) == (PAUSED, 10)
    assert second.fills == [("o4", 14, 2, 0)]
    third = book.resume(4)
    assert (third.status, third.fills) == (FILLED, [("o5", 15, 4, 1)])
    assert book.resume().status == NOT_PAUSED


def test_totals_of_a_paused_match_are_those_at_its_end():
    book, slots = filled_book((1, 1, SELL, 10, 5), (2, 1, SELL, 10, 3), (3, 0, SELL, 11, 4))
    first = book.submit("t", 9, 0, BUY, 11, 6, GTC | PAUSE)
    assert first.changes == [(SELL, 10, 3)]
    between = book.cancel(slots[2], 2)
    assert between.changes == [(SELL, 10, 0)]
    second = book.resume()
    assert (second.status, second.changes) == (FILLED, [(SELL, 11, 3)])
    changes = [*first.changes, *between.changes, *second.changes]
    assert book.shown_now(changes) == [(SELL, 10, 0), (SELL, 11, 3)]


def test_a_paused_order_rests_or_is_dropped():
    for quantity, status, best in ((-1, RESTS, 13), (3, RESTS, 13), (0, FILLED, 0)):
        book, _ = filled_book((1, 1, SELL, 10, 5))
        assert book.submit("t", 9, 0, BUY, 13, 9, GTC | PAUSE).status == PAUSED
        matched = book.resume(quantity)
        assert (matched.status, book.best(BUY)) == (status, best)
        assert matched.status != RESTS or book.order_at(matched.slot) == "t"


HUGE = 1 << 64
TOO_MUCH = (1 << 40) + 1
# entry, arguments with "s2" for the slot of order 2 -> refusal
REFUSALS = [
    *[("submit", ("x", 9, 0, side, 100, 1, GTC), BAD_SIDE) for side in (0, 2, -2)],
    *[("submit", ("x", 9, owner, BUY, 100, 1, GTC), BAD_OWNER) for owner in (-1, (1 << 31) + 1)],
    *[("submit", ("x", 9, 0, BUY, 100, 1, how), BAD_HOW) for how in (-1, 32, 1 << 40)],
    *[("submit", ("x", 9, 0, BUY, 0, 1, how), BAD_PRICE) for how in (GTC, GTX)],
    *[("submit", ("x", 9, 0, BUY, p, 1, IOC), BAD_PRICE) for p in (-1, TOO_MUCH, HUGE, HUGE + 100)],
    *[
        ("submit", ("x", 9, 0, BUY, 100, lot, GTC), BAD_QUANTITY)
        for lot in (0, -1, TOO_MUCH, HUGE, HUGE + 5, -HUGE)
    ],
    ("submit", ("x", 9, 0, BUY, 101, 1, GTX), CROSSES),
    *[("cancel", (slot, 2), UNKNOWN) for slot in (-1, 0, 2, 5, 4096, 1 << 40, HUGE + 1, -HUGE)],
    *[("cancel", ("s2", number), UNKNOWN) for number in (0, 1, 3, -2)],
    *[("reduce", ("s2", 2, lot), BAD_QUANTITY) for lot in (0, -1, 4, TOO_MUCH, HUGE + 1)],
    *[("reduce", (slot, 2, 1), UNKNOWN) for slot in (-1, 3, 99, HUGE + 1)],
    *[("amend", (slot, 2, 100, 1, GTC), UNKNOWN) for slot in (-1, 3, 99, HUGE + 1)],
    *[("amend", ("s2", 2, price, 1, GTC), BAD_PRICE) for price in (0, -1, TOO_MUCH, HUGE + 7)],
    *[("amend", ("s2", 2, 100, lot, GTC), BAD_QUANTITY) for lot in (0, -1, TOO_MUCH, HUGE + 1)],
    *[("amend", ("s2", 2, 100, 1, how), BAD_HOW) for how in (IOC, FOK, 32, -1)],
    ("amend", ("s2", 2, 99, 1, GTX), CROSSES),
    ("resume", (), NOT_PAUSED),
    ("resume", (HUGE,), NOT_PAUSED),
]


@pytest.mark.parametrize(("entry", "arguments", "refusal"), REFUSALS)
def test_refused_and_nothing_changed(entry, arguments, refusal):
    book, slots = filled_book()
    before = state_of(book)
    given = [slots[2] if a == "s2" else a for a in arguments]
    matched = getattr(book, entry)(*given)
    assert matched.status == refusal
    assert (matched.slot, matched.events, matched.changes) == (-1, (), ())
    assert state_of(book) == before
    assert book._orders[: len(BOOK)] == [f"o{row[0]}" for row in BOOK]


@pytest.mark.parametrize("place", range(1, 4))
def test_numbers_that_are_no_int64_are_a_programming_error(place):
    book, _ = filled_book()
    before = state_of(book)
    arguments = ["x", 9, 0, BUY, 100, 1, GTC]
    arguments[place] = HUGE
    with pytest.raises(struct.error):
        book.submit(*arguments)
    assert state_of(book) == before


def test_full_of_orders_refuses_until_one_leaves():
    rows = [(k, 0, SELL, 10, 1) for k in range(1, 5)]
    book, slots = filled_book(*rows, order_capacity=2, order_capacity_max=4)
    before = state_of(book)
    for how in (GTC, GTX):
        assert book.submit("x", 9, 0, SELL, 10, 1, how).status == ORDERS_FULL
    assert state_of(book) == before
    assert book.submit("t", 9, 0, BUY, 10, 1, IOC).status == FILLED
    assert book.submit("x", 10, 0, SELL, 10, 1, GTC).status == RESTS
    assert book.amend(slots[3], 3, 10, 7, GTC).status == RESTS
    assert book.top(SELL, 9) == [(10, 1 + 1 + 1 + 7)]


def test_full_of_levels_refuses_new_prices_only():
    rows = [(k, 0, SELL, 10 + k, 2) for k in range(1, 5)]
    book, slots = filled_book(*rows, level_capacity=4, level_capacity_max=4)
    before = state_of(book)
    assert book.submit("x", 9, 0, SELL, 20, 1, GTC).status == LEVELS_FULL
    assert book.submit("x", 9, 0, BUY, 5, 1, GTX).status == LEVELS_FULL
    assert state_of(book) == before
    joined = book.submit("x", 9, 0, SELL, 11, 1, GTC)
    assert joined.status == RESTS
    before = state_of(book)
    assert book.amend(joined.slot, 9, 30, 1, GTC).status == LEVELS_FULL
    assert state_of(book) == before
    assert book.amend(slots[2], 2, 30, 1, GTC).status == RESTS
    assert [price for price, _ in book.top(SELL, 9)] == [11, 13, 14, 30]


def test_a_stale_slot_is_not_its_next_tenant():
    book, slots = filled_book((1, 0, SELL, 10, 5))
    assert book.cancel(slots[1], 1).status == DONE
    again = book.submit("n", 2, 0, SELL, 11, 5, GTC)
    assert again.slot == slots[1]
    assert book.cancel(slots[1], 1).status == UNKNOWN
    assert book.reduce(slots[1], 1, 1).status == UNKNOWN
    assert book.total(SELL, 11) == 5


@pytest.mark.parametrize(("orders", "levels"), [(0, 4), (3, 4), (2, 0), (2, 6), (1 << 21, 4)])
def test_a_layout_out_of_bounds_is_a_programming_error(orders, levels):
    with pytest.raises(AssertionError):
        layout.format_book(0, orders, levels)
