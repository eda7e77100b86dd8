"""Questions to a book that change nothing: depth, queues, sweeps, micro-price.

All are exact for every price, far ones included. Levels in the window cost a few instructions each;
a sum that reaches far levels scans the far table once, a walk over far levels once for each.
"""

from __future__ import annotations

from engine.book import next_index, quantity_at, tick_of
from engine.book_layout import BOOK_MEASURES, FAR_SLOTS, WINDOW
from engine.far_table import book_at, far_next, index_of, side_address, side_at
from shm.compiled import export, kernel
from shm.views import view_of

measures_at = view_of(BOOK_MEASURES)
# The smallest step of a mid price.
MID_STEP_TICK = 0.5


@kernel
def worse_tick(book: int, is_ask: int, price_tick: int) -> int:
    """Return the best price of a side that is worse than another, or 0 when there is none.

    Args:
        book: address of the book.
        is_ask: 0 bids, 1 asks.
        price_tick: ticks; 0 asks for the best price of all. It need not be a level.

    Loop bound: a few words in the window, FAR_SLOTS beyond it.
    """
    side = side_address(book, is_ask)
    view = side_at(side)
    if price_tick == 0:
        return view.best_tick
    base = book_at(book).base_tick
    index = index_of(view.direction, base, price_tick)
    if index < 0 and view.better_count != 0:
        tick = far_next(side, price_tick)
        if tick != 0 and index_of(view.direction, base, tick) < 0:
            return tick
    place = next_index(side, max(index + 1, view.first_index))
    if place < WINDOW:
        return tick_of(view.direction, base, place)
    if view.far_count > view.better_count:
        return far_next(
            side, price_tick if index >= WINDOW else tick_of(view.direction, base, WINDOW - 1)
        )
    return 0


@kernel
def depth_to(book: int, is_ask: int, price_tick: int) -> int:
    """Return the lots of a side at a price and all better ones.

    Args:
        book: address of the book.
        is_ask: 0 bids, 1 asks.
        price_tick: worst price that counts, ticks.

    Loop bound: levels in the window that count, and FAR_SLOTS when far ones may.
    """
    side = side_address(book, is_ask)
    view = side_at(side)
    end = index_of(view.direction, book_at(book).base_tick, price_tick)
    total = 0
    index = view.first_index
    while index < WINDOW and index <= end:
        total += view.lots[index]
        index = next_index(side, index + 1)
    # Without better far levels, the far table only matters when the window's end is passed.
    if view.far_count != 0 and (view.better_count != 0 or end >= WINDOW):
        for slot in range(FAR_SLOTS):
            tick = view.far_ticks[slot]
            if tick != 0 and (tick - price_tick) * view.direction <= 0:
                total += view.far_lots[slot]
    return total


@kernel
def depth_within(book: int, is_ask: int, ticks: int) -> int:
    """Return the lots of a side no further than `ticks` from its own best price; ≥ 0, 0 = best.

    Loop bound: as `depth_to`.
    """
    view = side_at(side_address(book, is_ask))
    if view.best_tick == 0:
        return 0
    return depth_to(book, is_ask, view.best_tick + ticks * view.direction)


@kernel
def queue_ahead(book: int, is_ask: int, price_tick: int) -> int:
    """Return the lots that trade or go before an order that joins a side at a price now.

    These are the lots at that price, whose end it joins, and at every better one. The queue at the
    price alone is `book.quantity_at`.
    """
    return depth_to(book, is_ask, price_tick)


@kernel
def liquidity(book: int, is_ask: int, levels: int) -> float:
    """Return the lots of the best levels of a side. Loop bound: levels."""
    total = 0.0
    tick = worse_tick(book, is_ask, 0)
    for _ in range(levels):
        if tick == 0:
            break
        total += quantity_at(book, is_ask, tick)
        tick = worse_tick(book, is_ask, tick)
    return total


@kernel
def pressure(book: int, is_ask: int, levels: int) -> float:
    """Return Σ (levels − k) × lots over the best levels of a side, k from 0. Loop bound: levels."""
    total = 0.0
    tick = worse_tick(book, is_ask, 0)
    for place in range(levels):
        if tick == 0:
            break
        total += float(levels - place) * quantity_at(book, is_ask, tick)
        tick = worse_tick(book, is_ask, tick)
    return total


@kernel
def best_share(book: int) -> float:
    """Return I = bid lots / (bid lots + ask lots) at the best prices; 0.5 unless both exist."""
    bid = side_at(side_address(book, 0)).best_tick
    ask = side_at(side_address(book, 1)).best_tick
    if bid == 0 or ask == 0:
        return 0.5
    bid_lot = float(quantity_at(book, 0, bid))
    return bid_lot / (bid_lot + float(quantity_at(book, 1, ask)))


@kernel
def mid_price(book: int) -> float:
    """Return the middle of the best prices in ticks, 0 unless both exist."""
    bid = side_at(side_address(book, 0)).best_tick
    ask = side_at(side_address(book, 1)).best_tick
    return 0.5 * (bid + ask) if bid != 0 and ask != 0 else 0.0


@kernel
def weighted_mid(book: int) -> float:
    """Return M + (I − ½) × spread in ticks: the best ask weighted by the bid's share I.

    0 unless both sides have a level.
    """
    bid = side_at(side_address(book, 0)).best_tick
    ask = side_at(side_address(book, 1)).best_tick
    if bid == 0 or ask == 0:
        return 0.0
    return mid_price(book) + (best_share(book) - 0.5) * (ask - bid)


@kernel
def micro_price(book: int) -> float:
    """Return the micro-price to first order, in ticks; 0 unless both sides have a level.

    The micro-price is the limit of P¹, P² …, the expected mid price after its first, second …
    change, given imbalance I and spread S. This is P¹ = M + E[M(τ₁) − M | I, S] with the chance of
    an upward change equal to I and a first change of the smallest size a mid can move by, half a
    tick: P¹ = M + (2I − 1) × ½ tick. I is that of the best prices. Where the spread is one tick it
    equals `weighted_mid`; where it is wider, it does not grow with it. The source estimates
    E[M(τ₁) − M | I, S] and the higher orders from recordings as a table; none is used here.

    Source: S. Stoikov, The micro-price: a high-frequency estimator of future prices (2018),
    Quantitative Finance 18(12), sections 2 and 3.
    """
    mid = mid_price(book)
    if mid == 0.0:
        return 0.0
    return mid + (2.0 * best_share(book) - 1.0) * MID_STEP_TICK


@kernel
def sweep(book: int, is_ask: int, quantity_lot: int, out: int) -> int:
    """Take a quantity from the best levels of a side, on paper; return the lots not to be had.

    Args:
        book: address of the book.
        is_ask: the side taken from: 0 bids (selling), 1 asks (buying).
        quantity_lot: lots wanted, ≥ 0.
        out: address of BOOK_MEASURES; the side's `unfilled_lot`, `worst_tick` and `average_tick`
            are changed.

    Loop bound: levels taken; levels beyond the window cost a scan of the far table each.
    """
    result = measures_at(out)
    best = side_at(side_address(book, is_ask)).best_tick
    left = quantity_lot
    worst = 0
    # Σ (distance from the best price × lots): price × lots could exceed 64 bits, and a mean close
    # to the best price keeps its digits this way.
    moment = 0.0
    tick = best
    while tick != 0 and left > 0:
        taken = min(quantity_at(book, is_ask, tick), left)
        moment += float(tick - best) * float(taken)
        left -= taken
        worst = tick
        tick = worse_tick(book, is_ask, tick)
    average = 0.0
    if left < quantity_lot:
        average = best + moment / float(quantity_lot - left)
    result.unfilled_lot[is_ask] = left
    result.worst_tick[is_ask] = worst
    result.average_tick[is_ask] = average
    return left


@export(2)
def engine_book_measures(book_address: int, measures_address: int) -> int:
    """Answer all questions to a book at once; return whether it has a mid price.

    For research and tests, which ask books from outside of kernels; strategies call the questions.

    Args:
        book_address: address of a BOOK; not changed.
        measures_address: address of BOOK_MEASURES; what the caller set is read, the rest changed.

    Loop bound: as the questions'.
    """
    asked = measures_at(measures_address)
    for is_ask in range(2):
        asked.best_tick[is_ask] = side_at(side_address(book_address, is_ask)).best_tick
        asked.depth_lot[is_ask] = depth_within(book_address, is_ask, asked.ticks)
        price_tick = asked.price_tick[is_ask]
        asked.queue_lot[is_ask] = queue_ahead(book_address, is_ask, price_tick)
        asked.liquidity_lot[is_ask] = liquidity(book_address, is_ask, asked.levels)
        asked.pressure_lot[is_ask] = pressure(book_address, is_ask, asked.levels)
        sweep(book_address, is_ask, asked.quantity_lot, measures_address)
    asked.mid_tick = mid_price(book_address)
    asked.weighted_tick = weighted_mid(book_address)
    asked.micro_tick = micro_price(book_address)
    asked.has_mid = 1 if asked.mid_tick > 0.0 else 0
    return asked.has_mid
