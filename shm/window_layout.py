"""The layout of per-symbol tick windows: the last ticks of a symbol, in an object of a pool."""

from __future__ import annotations

from shm.fields import CACHE_LINE, Field, Record

WINDOW_TICKS = 64
assert WINDOW_TICKS & (WINDOW_TICKS - 1) == 0, "the place of a tick is `count & (ticks - 1)`"

TICK_WINDOW = Record(
    "tick_window",
    "The newest ticks of one symbol; the oldest is overwritten.",
    [
        Field("count", "i64", "ticks", "owner", "ticks seen; tick k lies at k & 63"),
        Field("symbol", "i64", "index", "owner", "whose window it is"),
        Field("price", "f64", "quote", "owner", "prices", WINDOW_TICKS, align=CACHE_LINE),
        Field("size", "f64", "base", "owner", "quantities", WINDOW_TICKS, align=CACHE_LINE),
    ],
)
# Objects of a pool are powers of two.
TICK_WINDOW_SIZE = 1 << (TICK_WINDOW.size - 1).bit_length()
assert TICK_WINDOW_SIZE == 2048

TICK_DESK = Record(
    "tick_desk",
    "Where ticks are handed in: the arguments of one call, and what happened so far.",
    [
        Field("price", "f64", "quote", "caller", "of the tick handed in"),
        Field("size", "f64", "base", "caller", "of the tick handed in"),
        Field("pool", "i64", "address", "creator", "pool of TICK_WINDOW objects"),
        Field("windows", "i64", "address", "creator", "i64 per symbol: its window, 0 = none yet"),
        Field("symbol_count", "i64", "count", "creator", "symbol indices are below this"),
        Field("ticks", "i64", "count", "desk", "ticks stored"),
        Field("rejected", "i64", "count", "desk", "ticks refused: bad price, size or symbol"),
        Field("full", "i64", "count", "desk", "ticks refused: no window was free"),
    ],
    size=64,
)

STORED = 1
NO_WINDOW = 0
BAD_SYMBOL = -1
BAD_PRICE = -2
BAD_SIZE = -3
