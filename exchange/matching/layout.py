"""State the memory of one instrument's book, and the words of its orders.

    request · header · result · changes · events · bids · asks · levels · orders

Everything is int64. Orders and levels are pools of 64-byte rows; a row's number is its slot. A
price level is a doubly linked queue of orders. A side is a sorted array of `side * price` with the
level's slot beside it: the best price of either side stands last, so the usual churn, near the
best, moves few entries.
"""

from __future__ import annotations

from shm.fields import Field, Record

BUY = 1
SELL = -1

# Time in force: bits 0 and 1 of `how`.
GTC = 0
IOC = 1
FOK = 2
GTX = 3
TIME_IN_FORCE_MASK = 3
# Self-trade prevention, decided by the taker: bits 2 and 3.
NONE = 0
EXPIRE_TAKER = 4
EXPIRE_MAKER = 8
EXPIRE_BOTH = EXPIRE_TAKER | EXPIRE_MAKER
# A taker stops after each fill of an owned maker until it is resumed: bit 4.
PAUSE = 16
HOW_MAX = 31

# What an entry answers.
RESTS = 1
FILLED = 2
EXPIRED = 3
PAUSED = 4
DONE = 5
# What it refuses; the book is as it was.
CROSSES = -1
BAD_PRICE = -2
BAD_QUANTITY = -3
BAD_SIDE = -4
BAD_HOW = -5
UNKNOWN = -6
ORDERS_FULL = -7
LEVELS_FULL = -8
BUSY = -9
NOT_PAUSED = -10
BAD_OWNER = -11

PRICE_TICK_MAX = 1 << 40
QUANTITY_LOT_MAX = 1 << 40
ORDERS_MAX = 1 << 20
LEVELS_MAX = 1 << 20
OWNER_MAX = 1 << 31
# Sums over a whole side must stay inside an int64.
assert QUANTITY_LOT_MAX * ORDERS_MAX < 1 << 62


def _words(*rows: tuple[str, str, str]) -> list[Field]:
    return [Field(name, "i64", unit, "exchange", meaning) for name, unit, meaning in rows]


ORDER = Record(
    "matching_order",
    "One order of a book, or a free row.",
    _words(
        ("order_id", "-", "the caller's number"),
        ("owner", "-", "0 the market's own flow, else the self-trade group"),
        ("side", "-", "1 buy, -1 sell"),
        ("price_tick", "ticks", "where it rests"),
        ("remaining_lot", "lots", "what can still fill"),
        ("previous", "slot", "older order of the level, -1 none"),
        ("following", "slot", "younger order of the level, -1 none; of a free row: the next free"),
        ("level", "slot", "its level plus 1; 0: the row is free"),
    ),
    size=64,
)
LEVEL = Record(
    "matching_level",
    "One price of a side, or a free row.",
    _words(
        ("price_tick", "ticks", "its price"),
        ("head", "slot", "oldest order; of a free row: the next free"),
        ("tail", "slot", "youngest order"),
        ("total_lot", "lots", "sum of what remains of its orders"),
        ("count", "-", "orders"),
    ),
    size=64,
)
BOOK = Record(
    "matching_book",
    "Header of a book; places are bytes from its start.",
    [
        *_words(
            ("asked_id", "-", "request: the order's number"),
            ("asked_owner", "-", "request: its owner"),
            ("asked_side", "-", "request: its side"),
            ("asked_price_tick", "ticks", "request: its limit"),
            ("asked_lot", "lots", "request: its quantity"),
            ("asked_how", "-", "request: time in force, self-trade prevention, PAUSE"),
            ("order_capacity", "-", "rows of the order pool, rows of the events"),
            ("level_capacity", "-", "rows of the level pool, entries of each side"),
            ("events_at", "bytes", "events of the last entry: slot, price, quantity, left"),
            ("bid_keys_at", "bytes", "sorted `price`, best last"),
            ("ask_keys_at", "bytes", "sorted `-price`, best last"),
            ("levels_at", "bytes", "pool of levels"),
            ("orders_at", "bytes", "pool of orders"),
            ("order_count", "-", "orders that rest"),
            ("order_free", "slot", "first free row, -1 none below `order_fresh`"),
            ("order_fresh", "slot", "rows from here on were never used"),
            ("level_free", "slot", "first free row, -1 none below `level_fresh`"),
            ("level_fresh", "slot", "rows from here on were never used"),
            ("bid_count", "-", "levels"),
            ("ask_count", "-", "levels"),
            ("best_bid", "ticks", "0 none"),
            ("best_bid_lot", "lots", "total of that level"),
            ("best_ask", "ticks", "0 none"),
            ("best_ask_lot", "lots", "total of that level"),
            ("taker_id", "-", "the paused taker"),
            ("taker_owner", "-", "its owner"),
            ("taker_side", "-", "its side; 0: none is paused"),
            ("taker_price_tick", "ticks", "its limit, 0 none"),
            ("taker_lot", "lots", "what is left of it"),
            ("taker_how", "-", "its time in force, self-trade prevention and PAUSE"),
        ),
        # The result closes the header so that the first change follows it: one read gets both.
        Field("unused", "i64", "-", "exchange", "keeps the result at the end", count=5),
        *_words(
            ("slot", "slot", "result: where the order rests, -1 nowhere"),
            ("remaining_lot", "lots", "result: what is left of it"),
            ("event_count", "-", "result: events"),
            ("change_count", "-", "result: changes"),
            ("taker_prevented", "-", "result: 1 when self-trade prevention ended the taker"),
        ),
    ],
    size=320,
)
WORD = 8
REQUEST_WORDS = 6
assert BOOK.offset("order_capacity") == REQUEST_WORDS * WORD, "the request opens the header"
RESULT_OFFSET = BOOK.offset("slot")
CHANGES_OFFSET = BOOK.size
CHANGE_WORDS = 3  # side, price, total
EVENT_WORDS = 4  # slot, price, quantity (0: expired), what is left of the maker
assert RESULT_OFFSET + 5 * WORD == CHANGES_OFFSET, "the result and the first change are one read"


def book_size(order_capacity: int, level_capacity: int) -> int:
    """Return the bytes of a book's memory."""
    return sum(_areas(order_capacity, level_capacity).values()) + BOOK.size


def _areas(order_capacity: int, level_capacity: int) -> dict[str, int]:
    # Bounds of one entry: it changes each level once at most and adds the two of an amended order;
    # every event but the last removes an order.
    changes = CHANGE_WORDS * WORD * (level_capacity + 2)
    return {
        "changes_at": -(-changes // 64) * 64,
        "events_at": EVENT_WORDS * WORD * order_capacity,
        "bid_keys_at": 2 * WORD * level_capacity,
        "ask_keys_at": 2 * WORD * level_capacity,
        "levels_at": LEVEL.size * level_capacity,
        "orders_at": ORDER.size * order_capacity,
    }


def format_book(address: int, order_capacity: int, level_capacity: int) -> None:
    """Make zeroed memory of `book_size` bytes an empty book.

    Args:
        address: where it starts; a multiple of 64 keeps each row in one cache line.
        order_capacity: orders that can rest, 2 … ORDERS_MAX, even.
        level_capacity: prices of both sides together, 4 … LEVELS_MAX, a multiple of 4.
    """
    assert 2 <= order_capacity <= ORDERS_MAX, f"orders out of range: {order_capacity}"
    assert order_capacity % 2 == 0, f"orders must be even: {order_capacity}"
    assert 4 <= level_capacity <= LEVELS_MAX, f"levels out of range: {level_capacity}"
    assert level_capacity % 4 == 0, f"levels must be a multiple of 4: {level_capacity}"
    book = BOOK.at(address)
    book.order_capacity = order_capacity
    book.level_capacity = level_capacity
    at = BOOK.size
    for name, size in _areas(order_capacity, level_capacity).items():
        if name != "changes_at":
            setattr(book, name, at)
        at += size
    book.order_free = book.level_free = -1
