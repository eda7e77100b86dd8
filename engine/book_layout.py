"""The memory layout of a book: two sides of a window of ticks, and a table for far prices.

A side holds quantities by index, best first: index 0 of the asks is the lowest price of the window,
index 0 of the bids the highest. One walk serves both sides. A bit per index says where a quantity
is, a bit per 64 of those where one of them is set. The algorithm is in book.py and far_table.py.
"""

from __future__ import annotations

from shm.fields import Field, Record

WINDOW = 16384  # ticks
WORD_BITS = 64
WORD_COUNT = WINDOW // WORD_BITS
SUMMARY_COUNT = WORD_COUNT // WORD_BITS
FAR_SLOTS = 8192
# Linear probing ends at an empty slot: one in eight is always kept empty.
FAR_COUNT_MAX = FAR_SLOTS - FAR_SLOTS // 8

assert WORD_COUNT * WORD_BITS == WINDOW
assert SUMMARY_COUNT * WORD_BITS == WORD_COUNT
assert FAR_SLOTS & (FAR_SLOTS - 1) == 0

# A level is refused beyond these: what is computed from it stays exact in int64 and in float64.
PRICE_TICK_MAX = 1 << 40
QUANTITY_LOT_MAX = 1 << 48

BOOK_INVALID = 0  # not to be trusted; level changes are ignored
BOOK_BUILDING = 1  # a snapshot is arriving
BOOK_VALID = 2

BOOK_SIDE = Record(
    "book_side",
    "One side of a book.",
    [
        Field("direction", "i64", "+1 asks, -1 bids", "engine", "which way prices get worse"),
        Field("first_index", "i64", "index", "engine", "best in the window; WINDOW = none"),
        Field("best_tick", "i64", "ticks", "engine", "best price; 0 = the side is empty"),
        Field("level_count", "i64", "count", "engine", "levels in the window"),
        Field("far_count", "i64", "count", "engine", "levels in the far table"),
        Field("better_count", "i64", "count", "engine", "of these, better than the window"),
        Field("summary", "i64", "bits", "engine", "words that are not 0", SUMMARY_COUNT, align=64),
        Field("words", "i64", "bits", "engine", "indices that hold a level", WORD_COUNT, align=64),
        Field("lots", "i64", "lots", "engine", "quantity by index", WINDOW, align=64),
        Field("far_ticks", "i64", "ticks", "engine", "0 = the slot is free", FAR_SLOTS, align=64),
        Field("far_lots", "i64", "lots", "engine", "quantity of the slot", FAR_SLOTS, align=64),
    ],
)

BOOK = Record(
    "book",
    "The price levels of one symbol.",
    [
        Field("state", "i64", "BOOK_*", "engine", "invalid, building or valid"),
        Field("base_tick", "i64", "ticks", "engine", "lowest price of the window; 0 = not placed"),
        Field("crossed_run", "i64", "count", "engine", "updates in a row that left it crossed"),
        Field("is_lossy", "i64", "0 or 1", "engine", "far levels were lost since the last clear"),
        Field("far_lost", "i64", "count", "engine", "levels lost because the far table was full"),
        Field("recentres", "i64", "count", "engine", "times the window moved"),
        Field("sides", "u8", "BOOK_SIDE", "engine", "bids, asks", 2 * BOOK_SIDE.size, align=64),
    ],
)

SIDES_OFFSET = BOOK.offset("sides")
SIDE_SIZE = BOOK_SIDE.size

# What `dump` writes for each level.
DUMPED_LEVEL = Record(
    "dumped_level",
    "A level of a book as written by `engine_book_dump`.",
    [
        Field("price_tick", "i64", "ticks", "engine", "price"),
        Field("quantity_lot", "i64", "lots", "engine", "quantity"),
        Field("is_ask", "i64", "0 or 1", "engine", "side"),
    ],
    align=8,
)
assert DUMPED_LEVEL.size == 24

# What `engine_book_measures` is asked and what it writes.
BOOK_MEASURES = Record(
    "book_measures",
    "What can be asked of a book at one moment; sides are indexed 0 bids, 1 asks.",
    [
        Field("ticks", "i64", "ticks", "caller", "how far `depth_lot` reaches from the best price"),
        Field("levels", "i64", "count", "caller", "how many levels liquidity and pressure read"),
        Field("quantity_lot", "i64", "lots", "caller", "what the sweeps want"),
        Field("price_tick", "i64", "ticks", "caller", "where the queues are looked at, by side", 2),
        Field("has_mid", "i64", "0 or 1", "engine", "both sides have a level"),
        Field("best_tick", "i64", "ticks", "engine", "0 = the side is empty", 2),
        Field("depth_lot", "i64", "lots", "engine", "within `ticks` of the best price", 2),
        Field("queue_lot", "i64", "lots", "engine", "ahead of a new order at `price_tick`", 2),
        Field("liquidity_lot", "f64", "lots", "engine", "sum over the levels", 2),
        Field("pressure_lot", "f64", "lots", "engine", "weighted sum over the levels", 2),
        Field("mid_tick", "f64", "ticks", "engine", "0 without one"),
        Field("weighted_tick", "f64", "ticks", "engine", "mid weighted by imbalance; 0 without"),
        Field("micro_tick", "f64", "ticks", "engine", "micro-price, first order; 0 without"),
        Field("unfilled_lot", "i64", "lots", "engine", "of a sweep, by the side swept", 2),
        Field("worst_tick", "i64", "ticks", "engine", "last price of the sweep; 0 = none", 2),
        Field("average_tick", "f64", "ticks", "engine", "mean price of the sweep; 0 = none", 2),
    ],
)
