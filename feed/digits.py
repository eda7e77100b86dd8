"""Read numbers from text: eight digits at a time, exact, on integers only.

Each function takes the address of the first character and the address behind the text, and returns
(value, position behind it); a negative value is a `Code`. Words are read whole: up to 16 bytes
behind the end must be readable, and what stands there never becomes part of a value.
"""

from __future__ import annotations

from feed.state import Code
from shm.compiled import inline_kernel, kernel
from shm.memory import count_trailing_zeros, load_i64, load_u8, shift_left, shift_right

UNKNOWN_SHAPE = int(Code.UNKNOWN_SHAPE)
MALFORMED = int(Code.MALFORMED)
OFF_GRID = int(Code.OFF_GRID)

ZEROS = 0x3030303030303030  # eight times "0"
# Added to a digit's value it leaves the high bit clear, to anything else below 128 it sets it.
ABOVE_NINE = 0x7676767676767676
HIGH_BITS = -0x7F7F7F7F7F7F7F80  # 0x8080808080808080 as a signed word
FIVE_BYTES = (1 << 40) - 1
E8 = 100_000_000
QUOTE = 0x22
COMMA = 0x2C
POINT = 0x2E
ZERO = 0x30
NINE = 0x39
EIGHT_DIGITS_BITS = 64
SIGNIFICANT_DIGIT_MAX = 18  # 10^18 − 1 fits a signed word
TEXT_SIZE_MAX = 40


@inline_kernel
def eight_digits(word: int) -> int:
    """Return the number of eight digit values (not characters), most significant byte first.

    Source: D. Lemire, "Quickly parsing eight digits", 2018.
    """
    pairs = word * 10 + shift_right(word, 8)
    high = (pairs & 0x000000FF000000FF) * 0x000F424000000064
    low = (shift_right(pairs, 16) & 0x000000FF000000FF) * 0x0000271000000001
    return ((high + low) >> 32) & 0xFFFFFFFF


@inline_kernel
def digit_bits(word: int) -> int:
    """Return 8 × the number of leading bytes that are digit values (0..9); 64 when all are."""
    # A carry out of a byte only reaches bytes behind the first that is no digit.
    return count_trailing_zeros(((word + ABOVE_NINE) | word) & HIGH_BITS) & 0x78


@inline_kernel
def integer(p: int, end: int) -> tuple[int, int]:
    """Read an unsigned integer of up to 16 digits; p < end.

    Returns UNKNOWN_SHAPE for none or more digits, MALFORMED when the text ends with it.
    """
    word = load_i64(p) ^ ZEROS
    bits = digit_bits(word)
    if bits == 0:
        return UNKNOWN_SHAPE, p
    if bits < 64:
        value = eight_digits(shift_left(word, 64 - bits))
        p += bits >> 3
        return (value if p < end else MALFORMED), p
    if p + 8 >= end:
        return MALFORMED, end
    second = load_i64(p + 8) ^ ZEROS
    stops = ((second + ABOVE_NINE) | second) & HIGH_BITS
    if stops & FIVE_BYTES == 0 and load_u8(p + 13) == COMMA and p + 13 < end:
        # Venue: times have 13 digits until 2286, and most ids do. A position that is a constant
        # further is there before the digits are read.
        value = eight_digits(shift_left(word, 24)) * E8
        return value + eight_digits(load_i64(p + 5) ^ ZEROS), p + 13
    bits = count_trailing_zeros(stops) & 0x78
    if bits == 64:
        return UNKNOWN_SHAPE, p
    size = bits >> 3
    high = 0
    if size > 0:
        high = eight_digits(shift_left(word, 64 - bits))
    value = high * E8 + eight_digits(load_i64(p + size) ^ ZEROS)
    p += 8 + size
    return (value if p < end else MALFORMED), p


@inline_kernel
def decimal(p: int, end: int, bits_kept: int, unit: int) -> tuple[int, int]:
    """Read a decimal of quoted text as a whole number of steps; p stands behind the quote.

    Args:
        p: address of the first digit, ≤ end.
        end: address behind the text.
        bits_kept: 8 × the fraction digits the filter allows.
        unit: step, in 10^-digits.

    Returns:
        (steps, position behind the closing quote); OFF_GRID when it is no whole number of steps,
        UNKNOWN_SHAPE when it is no plain decimal of at most 18 digits.
    """
    # Both words are loaded at once and the end is found without converting anything: the next
    # number's position does not wait for this one's value.
    word = load_i64(p) ^ ZEROS
    stops = ((word + ABOVE_NINE) | word) & HIGH_BITS
    point = count_trailing_zeros(stops) & 0x78
    close = count_trailing_zeros(stops & (stops - 1)) & 0x78
    if close == 64:
        close += digit_bits(load_i64(p + 8) ^ ZEROS)
    if point == 0 or point + bits_kept > 64 or point == 64:
        return decimal_slow(p, end, bits_kept, unit, False)
    # Digits in front of the point, followed by as many zeros as digits are kept behind it.
    digits = shift_right(shift_left(word, 64 - point), bits_kept)
    stop = (word >> point) & 0xFF
    if stop == POINT ^ ZERO:
        q = p + (point >> 3)
        bits = close - point - 8
        p += close >> 3
        if p >= end:
            return MALFORMED, end
        if bits <= 0 or bits > 64 or load_u8(p) != QUOTE:
            return decimal_slow(q - (point >> 3), end, bits_kept, unit, False)
        behind = load_i64(q + 1) ^ ZEROS
        if bits < 64:
            behind &= shift_left(1, bits) - 1
        if bits_kept == 0:
            if behind != 0:
                return OFF_GRID, p
        else:
            digits |= shift_left(behind, 64 - bits_kept)
            if shift_right(behind, bits_kept) != 0:
                return OFF_GRID, p
    else:
        p += point >> 3
        if p >= end:
            return MALFORMED, end
        if stop != QUOTE ^ ZERO:
            return UNKNOWN_SHAPE, p
    value = eight_digits(digits)
    if unit != 1:
        steps = value // unit
        if steps * unit != value:
            return OFF_GRID, p
        return steps, p + 1
    return value, p + 1


@kernel
def decimal_slow(p: int, end: int, bits_kept: int, unit: int, is_floored: bool) -> tuple[int, int]:
    """Read what `decimal` leaves over: more than seven digits in front, more than eight behind.

    `is_floored` takes the whole steps below instead of OFF_GRID. Loop bounds: TEXT_SIZE_MAX
    characters, 18 digits.
    """
    limit = min(end, p + TEXT_SIZE_MAX)
    kept = bits_kept >> 3
    value = 0
    significant = 0
    fraction = -1  # digits behind the point; -1 = no point yet
    off_grid = False
    digits = 0
    while p < limit:
        byte = load_u8(p)
        if byte == POINT and fraction < 0 and digits > 0:
            fraction = 0
        elif byte < ZERO or byte > NINE:
            break
        else:
            digits += 1
            if fraction >= 0:
                fraction += 1
            if fraction > kept:
                off_grid = off_grid or byte != ZERO
            else:
                value = value * 10 + (byte - ZERO)
                significant += 1 if value > 0 else 0
            if significant > SIGNIFICANT_DIGIT_MAX:
                return UNKNOWN_SHAPE, p
        p += 1
    if p >= end:
        return MALFORMED, end
    if load_u8(p) != QUOTE or digits == 0 or fraction == 0:
        return UNKNOWN_SHAPE, p
    missing = kept - max(fraction, 0)
    while missing > 0:
        value *= 10
        significant += 1 if value > 0 else 0
        missing -= 1
        if significant > SIGNIFICANT_DIGIT_MAX:
            return UNKNOWN_SHAPE, p
    steps = value // unit
    if (off_grid or steps * unit != value) and not is_floored:
        return OFF_GRID, p
    return steps, p + 1


@kernel
def nearest_step(p: int, end: int, bits_kept: int, unit: int) -> tuple[int, int]:
    """Read a decimal of quoted text as the nearest whole number of steps, halves up; as `decimal`.

    For prices that are computed, not traded: eight digits behind the point count. Loop bound: 8.
    """
    value, after = decimal_slow(p, end, EIGHT_DIGITS_BITS, 1, True)
    if value < 0:
        return value, after
    step = unit
    for _ in range((EIGHT_DIGITS_BITS - bits_kept) >> 3):
        step *= 10
    return (value + (step >> 1)) // step, after
