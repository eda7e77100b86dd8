"""Storing ticks into per-symbol windows taken from a pool. The layout is in window_layout.py."""

from __future__ import annotations

import math

from shm.compiled import export, kernel
from shm.memory import load_i64, store_i64
from shm.pools import take
from shm.views import view_of
from shm.window_layout import (
    BAD_PRICE,
    BAD_SIZE,
    BAD_SYMBOL,
    NO_WINDOW,
    STORED,
    TICK_DESK,
    TICK_WINDOW,
    WINDOW_TICKS,
)

desk_at = view_of(TICK_DESK)
window_at = view_of(TICK_WINDOW)
PLACE_MASK = WINDOW_TICKS - 1


@kernel
def is_quantity(value: float) -> bool:
    """Return whether a float is a finite number above zero."""
    return value > 0.0 and value < math.inf


@kernel
def store_tick(desk: int, symbol: int) -> int:
    """Put the desk's tick into the window of a symbol.

    A symbol without a window takes one from the pool and keeps it.

    Args:
        desk: address of a TICK_DESK whose `price` and `size` hold the tick.
        symbol: row index.

    Returns:
        STORED, NO_WINDOW (none was free), BAD_SYMBOL, BAD_PRICE or BAD_SIZE, checked in the order
        symbol, price, size; each is counted.
    """
    view = desk_at(desk)
    problem = STORED
    if not 0 <= symbol < view.symbol_count:
        problem = BAD_SYMBOL
    elif not is_quantity(view.price):
        problem = BAD_PRICE
    elif not is_quantity(view.size):
        problem = BAD_SIZE
    if problem != STORED:
        view.rejected += 1
        return problem
    row = view.windows + 8 * symbol
    address = load_i64(row)
    if address == 0:
        address = take(view.pool)
        if address == 0:
            view.full += 1
            return NO_WINDOW
        window_at(address).count = 0
        window_at(address).symbol = symbol
        store_i64(row, address)
    window = window_at(address)
    place = window.count & PLACE_MASK
    window.price[place] = view.price
    window.size[place] = view.size
    window.count += 1
    view.ticks += 1
    return STORED


@export(2)
def window_store_tick(desk: int, symbol: int) -> int:
    """Exported `store_tick`."""
    return store_tick(desk, symbol)
