"""Decode one market-data message: a single pass over its text, no library, nothing allocated.

Understood are combined-stream messages `{"stream":…,"data":{…}}` and raw ones of the kinds
depthUpdate (futures and spot), trade, aggTrade, bookTicker (with or without "e"), markPriceUpdate,
and the REST depth snapshot; fields in any order, unknown fields of any shape, compact or spaced.
Legal JSON that is not of these shapes (escapes, exponents, numbers for texts, …) is UNKNOWN_SHAPE
and goes to the JSON library (fallback.py). Only a text that ends too early is MALFORMED here.

Venue: "Diff. Book Depth Streams", "Trade Streams", "Aggregate Trade Streams", "Individual Symbol
Book Ticker Streams", "Mark Price Stream", "Order Book" of the USDⓈ-M and spot documents.
"""

# ruff: noqa: SIM109  # a tuple would be built and searched at run time

from __future__ import annotations

from feed.digits import decimal, integer, nearest_step
from feed.levels import read_levels
from feed.names import (
    EVENT_KIND_NONE,
    MASK_4,
    MASK_5,
    MASK_7,
    NAME_DATA,
    NAME_SNAPSHOT_ASKS,
    NAME_SNAPSHOT_BIDS,
    WORD_FALSE,
    WORD_MARKET,
    WORD_TRUE,
    event_kind,
    inside_data,
    long_name,
    symbol_index,
)
from feed.places import (
    A_UPPER,
    BIT_A_LIST,
    BIT_A_TEXT,
    BIT_ASKS,
    BIT_B_LIST,
    BIT_BIDS,
    BIT_PU,
    BIT_SNAPSHOT_ID,
    X_UPPER,
    A,
    B,
    E,
    M,
    P,
    S,
    bits_of,
    decimal_place,
    is_ours,
    number_place,
)
from feed.scan import (
    CLOSE_OBJECT,
    COLON,
    COMMA,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    SPACE,
    expect,
    skip_space,
    skip_string,
    skip_value,
    string_end,
)
from feed.state import MESSAGE, SYNC, Code, Kind
from shm.compiled import export, inline_kernel, kernel
from shm.memory import load_i64, load_u8, store_i64
from shm.views import view_of

message_at = view_of(MESSAGE)
sync_at = view_of(SYNC)
SYNC_SIZE = SYNC.size

OK = int(Code.OK)
UNKNOWN_SHAPE = int(Code.UNKNOWN_SHAPE)
MALFORMED = int(Code.MALFORMED)
IGNORED = int(Code.IGNORED)
OFF_GRID = int(Code.OFF_GRID)
OTHER_SYMBOL = int(Code.OTHER_SYMBOL)

NONE = int(Kind.NONE)
DEPTH = int(Kind.DEPTH)
TRADE = int(Kind.TRADE)
AGGREGATE = int(Kind.AGGREGATE)
BEST = int(Kind.BEST)
SNAPSHOT = int(Kind.SNAPSHOT)
MARK = int(Kind.MARK)

NEEDED_DEPTH = bits_of("EsUu") | 1 << BIT_A_LIST | 1 << BIT_B_LIST
NEEDED_TRADE = bits_of("Estpqm")
NEEDED_AGGREGATE = bits_of("Esapqm")
NEEDED_MARK = bits_of("Esp")
NEEDED_BEST = bits_of("subBA") | 1 << BIT_A_TEXT
NEEDED_SNAPSHOT = 1 << BIT_SNAPSHOT_ID | 1 << BIT_BIDS | 1 << BIT_ASKS
QUOTE_THEN_COLON = QUOTE | COLON << 8
HAS_PU = 1 << BIT_PU
HAS_U = bits_of("u")
# "a" and "b" mean different things by kind: in one message each may have one form only.
FORMS_A = bits_of("a") | 1 << BIT_A_TEXT | 1 << BIT_A_LIST
FORMS_B = bits_of("b") | 1 << BIT_B_LIST
MS_MAX = 9_000_000_000_000  # year 2255: in nanoseconds it still fits a signed word


@inline_kernel
def _mark(message: int, bit: int) -> bool:
    """Note a field; return False when it was there before."""
    m = message_at(message)
    mask = 1 << bit
    if m.seen & mask:
        return False
    m.seen |= mask
    return True


@inline_kernel
def _read_text(name: int, p: int, end: int, grid: int, message: int) -> int:
    """Read a text value; p stands behind its opening quote. Return the position behind it."""
    m, g = message_at(message), sync_at(grid)
    place = decimal_place(name)
    if place != 0:
        is_price = name == P or name == A or name == B
        bits = g.price_bits if is_price else g.quantity_bits
        unit = g.tick_unit if is_price else g.lot_unit
        value, after = decimal(p, end, bits, unit)
        if value == OFF_GRID and name == P and (m.kind == NONE or m.kind == MARK):
            # A mark price is on no grid, and this may be one that says so later.
            m.is_off_grid = 1
            value, after = nearest_step(p, end, bits, unit)
        if value < 0:
            return value
        if not _mark(message, place & 63):
            return UNKNOWN_SHAPE
        store_i64(message + (place >> 6), value)
        return after
    if name == S:
        index, after = symbol_index(p, end, grid, message)
        if index < 0:
            return index
        m.symbol = index
        if not _mark(message, S - A_UPPER):
            return UNKNOWN_SHAPE
        return after if index == g.symbol else OTHER_SYMBOL
    if name == E:
        kind, after = event_kind(p)
        if kind == EVENT_KIND_NONE:
            return IGNORED
        m.kind = kind
        return after if _mark(message, E - A_UPPER) else UNKNOWN_SHAPE
    if name == X_UPPER:
        # Venue: X is MARKET for trades of the book; INSURANCE_FUND, ADL and NA are none.
        if load_i64(p) & MASK_7 == WORD_MARKET:
            return p + 7
        m.is_foreign = 1
        return string_end(p, end)
    return UNKNOWN_SHAPE if is_ours(name) else skip_string(p, end)


@kernel
def _read_list(name: int, p: int, end: int, grid: int, message: int) -> int:
    """Read a list value; p stands on its bracket. Return the position behind it."""
    m = message_at(message)
    is_bids = name == B or name == NAME_SNAPSHOT_BIDS
    is_asks = name == A or name == NAME_SNAPSHOT_ASKS
    if not is_bids and not is_asks:
        return UNKNOWN_SHAPE if is_ours(name) else skip_value(p, end)
    bit = BIT_B_LIST if is_bids else BIT_A_LIST
    if name == NAME_SNAPSHOT_BIDS:
        bit = BIT_BIDS
    elif name == NAME_SNAPSHOT_ASKS:
        bit = BIT_ASKS
    if not _mark(message, bit):
        return UNKNOWN_SHAPE
    first = m.level_count
    p = read_levels(p + 1, end, grid, message)
    if is_bids:
        m.bid_first, m.bid_count = first, m.level_count - first
    else:
        m.ask_first, m.ask_count = first, m.level_count - first
    return p


@inline_kernel
def _read_value(name: int, p: int, end: int, grid: int, message: int) -> int:
    """Read the value of a field; p < end stands on its first byte. Return the position behind."""
    byte = load_u8(p)
    if byte == QUOTE:
        return _read_text(name, p + 1, end, grid, message)
    if byte == OPEN_LIST:
        return _read_list(name, p, end, grid, message)
    place = number_place(name)
    if place != 0:
        value, after = integer(p, end)
        if value < 0:
            return value
        if not _mark(message, place & 63):
            return UNKNOWN_SHAPE
        store_i64(message + (place >> 6), value)
        return after
    if name == M:
        word = load_i64(p)
        is_sell = word & MASK_4 == WORD_TRUE
        if not is_sell and word & MASK_5 != WORD_FALSE:
            return UNKNOWN_SHAPE if p + 5 <= end else MALFORMED
        message_at(message).is_sell = 1 if is_sell else 0
        if not _mark(message, M - A_UPPER):
            return UNKNOWN_SHAPE
        return p + 4 if is_sell else p + 5
    return UNKNOWN_SHAPE if is_ours(name) else skip_value(p, end)


@inline_kernel
def _read_name(p: int, end: int) -> tuple[int, int]:
    """Read a field's name and its colon; p stands on the opening quote.

    Returns:
        (code of the name or a negative `Code`, position of the value's first byte < end).
    """
    word = load_i64(p + 1)
    if (word >> 8) & 0xFFFF == QUOTE_THEN_COLON and (word >> 24) & 0xFF > SPACE:
        # One letter and nothing spaced: nearly every field.
        return (word & 0xFF if p + 4 < end else MALFORMED), p + 4
    if (word >> 8) & 0xFF == QUOTE:
        name = word & 0xFF
        p += 3
    elif (word >> 16) & 0xFF == QUOTE:
        name = word & 0xFFFF
        p += 4
    else:
        p = string_end(p + 1, end)
        if p < 0:
            return p, end
        name = long_name(word, p)
    if p >= end:
        return MALFORMED, end
    if load_u8(p) == COLON:
        p += 1
    else:
        p = expect(p, end, COLON)
        if p < 0:
            return p, end
    if load_u8(p) <= SPACE:
        p = skip_space(p, end)
    return (name if p < end else MALFORMED), p


@kernel
def _read_fields(p: int, end: int, depth: int, grid: int, message: int) -> int:
    """Read the fields of a message; p stands behind its first brace, or behind that of "data".

    `depth` is 1, or 2 inside "data". Returns OK or a negative `Code`. Loop bound: one turn per
    field, each at least 4 bytes.
    """
    is_done = False  # "data" has been read: what follows is skipped
    while True:
        if load_u8(p) != QUOTE:
            p = skip_space(p, end)
        if p >= end:
            return MALFORMED
        if load_u8(p) != QUOTE:
            return UNKNOWN_SHAPE
        name, p = _read_name(p, end)
        if name < 0:
            return name
        if name == NAME_DATA and depth == 1 and load_u8(p) == OPEN_OBJECT:
            # Fields of a message beside "data" are no shape the venue uses.
            if is_done or message_at(message).seen != 0:
                return UNKNOWN_SHAPE
            depth = 2
            p += 1
            continue
        p = skip_value(p, end) if is_done else _read_value(name, p, end, grid, message)
        while True:  # bound: depth ≤ 2
            if p < 0:
                return p
            byte = load_u8(p)
            if byte <= SPACE:
                p = skip_space(p, end)
                byte = load_u8(p)
            if p >= end:
                return MALFORMED
            p += 1
            if byte == COMMA:
                break
            if byte != CLOSE_OBJECT:
                return UNKNOWN_SHAPE
            depth -= 1
            is_done = True
            if depth == 0:
                return OK if skip_space(p, end) == end else UNKNOWN_SHAPE


@kernel
def _judge(message: int) -> int:
    """Decide what the fields found make; return OK or a negative `Code`."""
    m = message_at(message)
    seen = m.seen
    needed = NEEDED_BEST
    if m.kind == DEPTH:
        needed = NEEDED_DEPTH
    elif m.kind == TRADE:
        needed = NEEDED_TRADE
    elif m.kind == AGGREGATE:
        needed = NEEDED_AGGREGATE
    elif m.kind == MARK:
        needed = NEEDED_MARK
    elif m.kind == NONE:
        # Venue: the spot bookTicker and the REST snapshot do not say what they are.
        if seen & NEEDED_SNAPSHOT == NEEDED_SNAPSHOT and seen & HAS_U == 0:
            needed = NEEDED_SNAPSHOT
            m.kind = SNAPSHOT
        elif seen & NEEDED_BEST == NEEDED_BEST:
            m.kind = BEST
        else:
            return IGNORED
    if m.is_off_grid and m.kind != MARK:
        return OFF_GRID
    forms_a, forms_b = seen & FORMS_A, seen & FORMS_B
    if seen & needed != needed or forms_a & (forms_a - 1) != 0 or forms_b & (forms_b - 1) != 0:
        return UNKNOWN_SHAPE
    if max(m.event_ms, m.transaction_ms) > MS_MAX:
        return UNKNOWN_SHAPE
    if m.kind == TRADE or m.kind == AGGREGATE:
        if m.kind == AGGREGATE:
            m.trade_id = m.aggregate_id
        if m.is_foreign:
            return IGNORED
        return OK if min(m.price_tick, m.quantity_lot) > 0 else MALFORMED
    if m.kind == MARK:
        return OK if m.price_tick > 0 else MALFORMED
    if m.kind == BEST:
        return OK if min(m.bid_tick, m.ask_tick) > 0 else MALFORMED
    if seen & HAS_PU == 0:
        m.previous_id = -1
    return OK


@kernel
def _decode_as(p: int, end: int, grid: int, message: int) -> int:
    m = message_at(message)
    m.kind, m.seen, m.level_count, m.is_foreign, m.is_off_grid = NONE, 0, 0, 0, 0
    m.event_ms, m.transaction_ms = 0, 0
    m.bid_count, m.ask_count, m.off_lot_count = 0, 0, 0
    m.symbol = sync_at(grid).symbol
    p = skip_space(p, end)
    if p >= end:
        return MALFORMED
    if load_u8(p) != OPEN_OBJECT:
        return UNKNOWN_SHAPE
    depth = 1
    inner = inside_data(p, end)
    if inner > 0:
        p, depth = inner - 1, 2
    code = _read_fields(p + 1, end, depth, grid, message)
    return _judge(message) if code == OK else code


@kernel
def decode(address: int, size: int, grid: int, message: int) -> int:
    """Decode one message.

    Args:
        address: of its text; 16 bytes behind it must be readable.
        size: bytes of the text.
        grid: SYNC row of the symbol that is expected.
        message: MESSAGE to fill; its levels go to the scratch array it names.

    Returns:
        OK or a negative `Code`. Loop bound: the text is passed at most twice.
    """
    code = _decode_as(address, address + size, grid, message)
    if code == OTHER_SYMBOL:
        m = message_at(message)
        other = m.rows + m.symbol * SYNC_SIZE
        code = _decode_as(address, address + size, other, message)
        if code == OTHER_SYMBOL:
            return UNKNOWN_SHAPE
    return code


@export(4)
def feed_decode(address: int, size: int, grid: int, message: int) -> int:
    """Exported `decode`, for tests, replays and benches."""
    return decode(address, size, grid, message)
