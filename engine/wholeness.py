"""Is what a predecessor left of a symbol whole? The first thing that is wrong is the answer.

A process that is killed leaves its memory as its instructions had made it. The mark that it sets
around every event (`ENGINE.applying`) names the one symbol that may be torn; this is the second
look, at what must hold of every whole symbol, for memory that was spoiled in another way.
"""

from __future__ import annotations

import math

from engine.book import find_best, next_index
from engine.book_layout import (
    BOOK_VALID,
    FAR_SLOTS,
    PRICE_TICK_MAX,
    QUANTITY_LOT_MAX,
    WINDOW,
    WORD_COUNT,
)
from engine.far_table import book_at, find_slot, index_of, side_address, side_at
from engine.observations import TRADE_MASK, state_at
from engine.quarantine import is_price
from engine.reasons import Refusal, StartReason
from engine.state import BAR_RING, FLOW_LEVELS_MAX, GRID_SIZE
from engine.venue_clock import GRID_MASK
from shm.compiled import kernel
from shm.memory import population_count, shift_left

WHOLE = int(StartReason.WARM)
EMPTY = int(StartReason.EMPTY)
CLOCK = int(StartReason.CLOCK)
TRADES = int(StartReason.TRADES)
BARS = int(StartReason.BARS)
QUOTES = int(StartReason.QUOTES)
BOOK = int(StartReason.BOOK)
BOOK_LEVELS = int(StartReason.BOOK_LEVELS)
BOOK_FAR = int(StartReason.BOOK_FAR)
BOOK_BEST = int(StartReason.BOOK_BEST)
QUARANTINE_END = 1 << len(Refusal)


@kernel
def _is_sum(value: float) -> bool:
    # Not a number fails every comparison.
    return value >= 0.0 and not math.isinf(value)


@kernel
def _is_finite(value: float) -> bool:
    return abs(value) < math.inf


@kernel
def _is_share(value: float) -> bool:
    return 0.0 <= value <= 1.0


@kernel
def _are_bounds_sound(state: int) -> bool:
    view = state_at(state)
    if view.reference_tick == 0:
        return view.low_tick == 0 and view.high_tick == 0
    inside = view.low_tick <= view.reference_tick <= view.high_tick
    return inside and is_price(view.reference_tick) and view.low_tick >= 0


@kernel
def _are_trades_sound(state: int) -> bool:
    # Loop bounds: TRADE_RING, GRID_SIZE. All that the scores divide by, or take a root of.
    view = state_at(state)
    seen = view.trade_count - view.break_trade
    if view.break_trade < 0 or seen < 0 or not 0 <= view.grid_count <= GRID_SIZE:
        return False
    sums = _is_sum(view.variance_sum) and _is_sum(view.buy_lot) and _is_sum(view.sell_lot)
    sums = sums and _is_sum(view.fast_lot) and _is_sum(view.slow_lot)
    if not sums or not _is_share(view.weight_60):
        return False
    if view.trade_count == 0:
        return True
    means = view.ema_fast > 0.0 and view.ema_slow > 0.0
    if not (means and _is_sum(view.ema_fast) and _is_sum(view.ema_slow)):
        return False
    if not is_price(view.last_tick):
        return False
    for back in range(1, min(seen, 3) + 1):
        if not is_price(view.trade_tick[(view.trade_count - back) & TRADE_MASK]):
            return False
    for back in range(view.grid_count):
        if not is_price(view.grid_tick[(view.grid_bucket - back) & GRID_MASK]):
            return False
    return True


@kernel
def _are_bars_sound(state: int) -> bool:
    # Loop bound: BAR_RING.
    view = state_at(state)
    if view.bar_count < 0 or not -1 <= view.divergence <= 1 or not 0.0 <= view.rsi <= 100.0:
        return False
    if not (_is_sum(view.gain_mean) and _is_sum(view.loss_mean)):
        return False
    if view.bar_tick != 0 and not is_price(view.bar_tick):
        return False
    for back in range(1, min(view.bar_count, BAR_RING) + 1):
        place = (view.bar_count - back) & (BAR_RING - 1)
        if not is_price(view.bar_closes[place]) or not 0.0 <= view.bar_rsis[place] <= 100.0:
            return False
    return True


@kernel
def _are_quotes_sound(state: int) -> bool:
    # Loop bound: FLOW_LEVELS_MAX.
    view = state_at(state)
    if not (_is_share(view.spread_weight) and _is_sum(view.spread_variance)):
        return False
    if not (_is_sum(view.ofi_gross_lot) and abs(view.ofi_lot) <= view.ofi_gross_lot + 1.0):
        return False
    if not -1.0 <= view.imbalance <= 1.0 or not -1.0 <= view.score <= 1.0:
        return False
    if not _is_finite(view.spread_mean) or view.signal_ms < 0:
        return False
    if view.clock_ms > 0 and view.signal_ms > view.clock_ms:
        return False
    for level in range(FLOW_LEVELS_MAX):
        if not (_is_finite(view.flow_lot[level]) and _is_sum(view.flow_gross_lot[level])):
            return False
    if view.bid_tick == 0:
        return view.ask_tick == 0
    lots = min(view.bid_lot, view.ask_lot) > 0 and max(view.bid_lot, view.ask_lot) <= (
        QUANTITY_LOT_MAX
    )
    return lots and 0 < view.bid_tick < view.ask_tick <= PRICE_TICK_MAX


@kernel
def _are_levels_sound(side: int) -> bool:
    # Loop bound: WINDOW. A quantity without its bit would never be found again.
    view = side_at(side)
    levels = 0
    for word in range(WORD_COUNT):
        bits = view.words[word]
        levels += population_count(bits)
        summarised = view.summary[word >> 6] & shift_left(1, word & 63) != 0
        if summarised != (bits != 0):
            return False
    if levels != view.level_count or view.first_index != next_index(side, 0):
        return False
    for index in range(WINDOW):
        lots = view.lots[index]
        has_bit = view.words[index >> 6] & shift_left(1, index & 63) != 0
        if has_bit != (lots != 0) or not 0 <= lots <= QUANTITY_LOT_MAX:
            return False
    return True


@kernel
def _is_far_table_sound(book: int, side: int) -> bool:
    # Loop bound: FAR_SLOTS and the probes of its entries.
    view = side_at(side)
    base = book_at(book).base_tick
    entries = 0
    better = 0
    for slot in range(FAR_SLOTS):
        tick = view.far_ticks[slot]
        if tick == 0:
            continue
        index = index_of(view.direction, base, tick)
        if not is_price(tick) or 0 <= index < WINDOW or entries == FAR_SLOTS - 1:
            return False
        if not 0 < view.far_lots[slot] <= QUANTITY_LOT_MAX:
            return False
        entries += 1
        better += 1 if index < 0 else 0
    if entries != view.far_count or better != view.better_count:
        return False
    # Only now is it certain that a probe ends.
    for slot in range(FAR_SLOTS if entries != 0 else 0):
        if view.far_ticks[slot] != 0 and find_slot(side, view.far_ticks[slot]) != slot:
            return False
    return True


@kernel
def book_fault(book: int) -> int:
    """Return WHOLE, or the StartReason of the first thing that is wrong with a book.

    Args:
        book: address of a BOOK; not changed, whatever it holds.

    Loop bound: WINDOW and FAR_SLOTS of both sides.
    """
    control = book_at(book)
    if not 0 <= control.state <= BOOK_VALID or not 0 <= control.base_tick <= PRICE_TICK_MAX:
        return BOOK
    if control.crossed_run < 0 or not 0 <= control.is_lossy <= 1:
        return BOOK
    for is_ask in range(2):
        side = side_address(book, is_ask)
        view = side_at(side)
        if view.direction != 2 * is_ask - 1 or not 0 <= view.first_index <= WINDOW:
            return BOOK
        if not _are_levels_sound(side):
            return BOOK_LEVELS
        if not _is_far_table_sound(book, side):
            return BOOK_FAR
        noted = view.best_tick
        find_best(book, side)
        found = view.best_tick
        view.best_tick = noted
        if noted != found:
            return BOOK_BEST
    return WHOLE


@kernel
def state_fault(state: int) -> int:
    """Return WHOLE, or the StartReason of the first thing that is wrong with a SYMBOL_STATE.

    Args:
        state: address of a SYMBOL_STATE; not changed, whatever it holds.

    EMPTY says that nothing is wrong with it and that no event has come yet.
    """
    view = state_at(state)
    if min(view.clock_ms, view.event_count, view.refused_run, view.trade_count) < 0:
        return CLOCK
    if not 0 <= view.quarantine < QUARANTINE_END or not _are_bounds_sound(state):
        return CLOCK
    if not _are_trades_sound(state):
        return TRADES
    if not _are_bars_sound(state):
        return BARS
    if not _are_quotes_sound(state):
        return QUOTES
    return WHOLE if view.clock_ms > 0 else EMPTY
