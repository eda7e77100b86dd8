"""Read the levels of a depth message: `[["63943.90","46.372"],…]` into (tick, lot) pairs."""

from __future__ import annotations

from feed.digits import decimal, decimal_slow
from feed.scan import CLOSE_LIST, COMMA, OPEN_LIST, QUOTE, expect, skip_space
from feed.state import LEVEL_SIZE, MESSAGE, SYNC, Code
from shm.compiled import kernel
from shm.memory import load_u8, load_u16, store_i64
from shm.views import view_of

message_at = view_of(MESSAGE)
sync_at = view_of(SYNC)

UNKNOWN_SHAPE = int(Code.UNKNOWN_SHAPE)
MALFORMED = int(Code.MALFORMED)
OFF_GRID = int(Code.OFF_GRID)
OVERFLOW = int(Code.OVERFLOW)

# Two bytes at once, little-endian: the compact form has no space between them.
OPEN_THEN_QUOTE = OPEN_LIST | QUOTE << 8
COMMA_THEN_QUOTE = COMMA | QUOTE << 8
CLOSE_THEN_COMMA = CLOSE_LIST | COMMA << 8
CLOSE_THEN_CLOSE = CLOSE_LIST | CLOSE_LIST << 8


@kernel
def _expect_text(p: int, end: int, byte: int) -> int:
    """Return the position behind `byte` and a quote, with spaces where JSON allows them."""
    p = expect(p, end, byte)
    return expect(p, end, QUOTE) if p > 0 else p


@kernel
def _after_level(p: int, end: int) -> int:
    """Return the position behind a level's bracket and comma; negated behind the list's end.

    A `Code` is a small negative number, an address a large one.
    """
    p = expect(p, end, CLOSE_LIST)
    if p < 0:
        return p
    p = skip_space(p, end)
    if p >= end:
        return MALFORMED
    byte = load_u8(p)
    if byte == COMMA:
        return p + 1
    return -(p + 1) if byte == CLOSE_LIST else UNKNOWN_SHAPE


@kernel
def read_levels(p: int, end: int, grid: int, message: int) -> int:
    """Append the levels of one side to the scratch array; p stands behind the list's bracket.

    Returns the position behind the list, or a negative `Code`; `level_count` counts what was
    stored. A price off the tick is OFF_GRID; a quantity off the lot counts in whole lots. Loop
    bound: one turn per level, each at least 7 bytes.
    """
    m, g = message_at(message), sync_at(grid)
    price_bits, tick_unit = g.price_bits, g.tick_unit
    quantity_bits, lot_unit = g.quantity_bits, g.lot_unit
    place = m.levels + m.level_count * LEVEL_SIZE
    limit = m.levels + m.level_capacity * LEVEL_SIZE
    p = skip_space(p, end)
    if p >= end:
        return MALFORMED
    if load_u8(p) == CLOSE_LIST:
        return p + 1
    while True:
        p = p + 2 if load_u16(p) == OPEN_THEN_QUOTE else _expect_text(p, end, OPEN_LIST)
        if p < 0 or p > end:
            return p if p < 0 else MALFORMED
        price, p = decimal(p, end, price_bits, tick_unit)
        if price <= 0:
            return price if price < 0 else UNKNOWN_SHAPE
        p = p + 2 if load_u16(p) == COMMA_THEN_QUOTE else _expect_text(p, end, COMMA)
        if p < 0 or p > end:
            return p if p < 0 else MALFORMED
        text = p
        quantity, p = decimal(p, end, quantity_bits, lot_unit)
        if quantity == OFF_GRID:
            # Venue: orders from before a change of the lot size rest on with their odd remainder.
            quantity, p = decimal_slow(text, end, quantity_bits, lot_unit, True)
            m.off_lot_count += 1
        if quantity < 0:
            return quantity
        if place >= limit:
            return OVERFLOW
        store_i64(place, price)
        store_i64(place + 8, quantity)
        place += LEVEL_SIZE
        two = load_u16(p)
        if two == CLOSE_THEN_COMMA:
            p += 2
        elif two == CLOSE_THEN_CLOSE:
            p += 2
            break
        else:
            p = _after_level(p, end)
            if p < -255:
                p = -p
                break
            if p < 0:
                return p
        if p >= end:
            return MALFORMED
    m.level_count = (place - m.levels) // LEVEL_SIZE
    return p if p <= end else MALFORMED
