"""Find one's way through JSON text: spaces, separators, strings, and values that are skipped.

Each function takes a position and the address behind the text and returns the next position, or a
negative `Code`. Nothing is validated that is skipped; what ends too early is MALFORMED.
"""

# ruff: noqa: SIM109  # a tuple would be built and searched at run time

from __future__ import annotations

from feed.digits import ZEROS, digit_bits
from feed.state import Code
from shm.compiled import inline_kernel, kernel
from shm.memory import count_trailing_zeros, load_i64, load_u8

UNKNOWN_SHAPE = int(Code.UNKNOWN_SHAPE)
MALFORMED = int(Code.MALFORMED)

QUOTE = 0x22
COMMA = 0x2C
COLON = 0x3A
OPEN_LIST = 0x5B
BACKSLASH = 0x5C
CLOSE_LIST = 0x5D
OPEN_OBJECT = 0x7B
CLOSE_OBJECT = 0x7D
SPACE = 0x20

QUOTES = 0x2222222222222222
BACKSLASHES = 0x5C5C5C5C5C5C5C5C
ONES = 0x0101010101010101
HIGH_BITS = -0x7F7F7F7F7F7F7F80


@kernel
def skip_space(p: int, end: int) -> int:
    """Return the position of the next byte above a space; `end` when there is none.

    Loop bound: the text.
    """
    while p < end and load_u8(p) <= SPACE:
        p += 1
    return p


@kernel
def expect(p: int, end: int, byte: int) -> int:
    """Return the position behind `byte`, which may have spaces in front."""
    p = skip_space(p, end)
    if p >= end:
        return MALFORMED
    return p + 1 if load_u8(p) == byte else UNKNOWN_SHAPE


@inline_kernel
def _zero_bytes(word: int) -> int:
    # High bit of each zero byte; above the first one there may be false ones.
    return (word - ONES) & ~word & HIGH_BITS


@inline_kernel
def string_end(p: int, end: int) -> int:
    """Return the position behind a string's closing quote; p stands behind the opening one.

    An escape is UNKNOWN_SHAPE. Loop bound: the text / 8.
    """
    while p < end:
        word = load_i64(p)
        quote = count_trailing_zeros(_zero_bytes(word ^ QUOTES)) >> 3  # 8 = none
        escape = count_trailing_zeros(_zero_bytes(word ^ BACKSLASHES)) >> 3
        if quote < 8 or escape < 8:
            if escape < quote:
                return UNKNOWN_SHAPE if p + escape < end else MALFORMED
            p += quote + 1
            return p if p <= end else MALFORMED
        p += 8
    return MALFORMED


@kernel
def skip_string(p: int, end: int) -> int:
    """Return the position behind a string that may hold escapes. Loop bound: the text."""
    after = string_end(p, end)
    if after != UNKNOWN_SHAPE:
        return after
    while p < end:
        byte = load_u8(p)
        if byte == QUOTE:
            return p + 1
        p += 2 if byte == BACKSLASH else 1
    return MALFORMED


@kernel
def skip_nested(p: int, end: int) -> int:
    """Return the position behind a list or object of any depth; p stands on its first byte.

    Brackets are counted, so depth costs nothing. Loop bound: the text.
    """
    depth = 0
    while p < end:
        byte = load_u8(p)
        p += 1
        if byte == QUOTE:
            p = skip_string(p, end)
            if p < 0:
                return p
        elif byte == OPEN_LIST or byte == OPEN_OBJECT:
            depth += 1
        elif byte == CLOSE_LIST or byte == CLOSE_OBJECT:
            depth -= 1
            if depth == 0:
                return p
    return MALFORMED


@kernel
def skip_value(p: int, end: int) -> int:
    """Return the position behind any value; p < end stands on its first byte.

    Loop bound: the text.
    """
    byte = load_u8(p)
    if byte == QUOTE:
        return skip_string(p + 1, end)
    if byte == OPEN_LIST or byte == OPEN_OBJECT:
        return skip_nested(p, end)
    first = p
    p += digit_bits(load_i64(p) ^ ZEROS) >> 3  # most values that are skipped are numbers
    while p < end:
        byte = load_u8(p)
        if byte == COMMA or byte == CLOSE_OBJECT or byte == CLOSE_LIST or byte <= SPACE:
            break
        if byte == QUOTE or byte == COLON:
            return UNKNOWN_SHAPE
        p += 1
    return p if p > first else UNKNOWN_SHAPE
