"""Exponential and logarithm from additions, products and quotients alone.

The C library's are not the same on every machine, and the kernel library must not need them.
Every operation here is one that IEEE 754 rounds correctly, so the bits are the same everywhere.
Relative errors stay below 4e-16 × the number of operations that are not exact: under 1e-14.
"""

from __future__ import annotations

from shm.compiled import kernel

LN_2 = 0.6931471805599453
# ln 2 in two parts: the first has 32 bits, so its product with an exponent is exact.
LN_2_HIGH = 0.693147180369123816490
LN_2_LOW = 1.90821492927058770002e-10
SQRT_2 = 1.4142135623730951
SQRT_HALF = 0.7071067811865476
EXP_MAX = 700.0
ATANH_TERMS = 12  # (√2 − 1)² / (√2 + 1)² = 0.0295: the next term is below 1e-19
EXP_TERMS = 14  # (½ ln 2)^15 / 15! is below 1e-19
HIGHEST_STEP = 512
LARGE = 1e300


@kernel
def floor_of(value: float) -> int:
    """Return the largest integer not above a value; |value| < 2^62."""
    whole = int(value)
    return whole - 1 if float(whole) > value else whole


@kernel
def ceiling_of(value: float) -> int:
    """Return the smallest integer not below a value; |value| < 2^62."""
    whole = int(value)
    return whole + 1 if float(whole) < value else whole


@kernel
def _power_of_two(exponent: int) -> float:
    # Loop bound: 11 bits of the exponent. Every product is exact.
    result = 1.0
    factor = 2.0 if exponent > 0 else 0.5
    left = abs(exponent)
    while left > 0:
        if left & 1:
            result *= factor
        factor *= factor
        left >>= 1
    return result


@kernel
def _twice_atanh(ratio: float) -> float:
    # 2 (r + r³/3 + r⁵/5 + …), smallest terms first. Loop bound: ATANH_TERMS.
    square = ratio * ratio
    total = 0.0
    for term in range(ATANH_TERMS):
        total = total * square + 1.0 / float(2 * (ATANH_TERMS - 1 - term) + 1)
    return 2.0 * ratio * total


@kernel
def log_of(value: float) -> float:
    """Return the natural logarithm; −LARGE for what is not positive or no number.

    Defined from 1e-300 to 1e300.

    value = m × 2^e with √½ ≤ m < √2; ln m = 2 atanh((m − 1) / (m + 1)). Loop bound: 2 × 10 + 12.
    """
    if not value > 0.0:
        return -LARGE
    mantissa = value
    exponent = 0
    step = HIGHEST_STEP
    while step > 0:
        if mantissa >= _power_of_two(step):
            mantissa *= _power_of_two(-step)
            exponent += step
        if mantissa < _power_of_two(-step):
            mantissa *= _power_of_two(step)
            exponent -= step
        step >>= 1
    if mantissa >= SQRT_2:
        mantissa *= 0.5
        exponent += 1
    elif mantissa < SQRT_HALF:
        mantissa *= 2.0
        exponent -= 1
    near = _twice_atanh((mantissa - 1.0) / (mantissa + 1.0))
    return exponent * LN_2_HIGH + (near + exponent * LN_2_LOW)


@kernel
def log_of_one_plus(value: float) -> float:
    """Return ln(1 + value), exact to the last digits for small values; value > −1."""
    if -0.25 < value < 0.4:
        return _twice_atanh(value / (2.0 + value))
    return log_of(1.0 + value)


@kernel
def exp_of(value: float) -> float:
    """Return e^value; 0 below −700, LARGE above 700 and for what is no number.

    value = n ln 2 + r with |r| ≤ ½ ln 2; e^r by its series. Loop bound: 11 + 14.
    """
    if value < -EXP_MAX:
        return 0.0
    if not value <= EXP_MAX:
        return LARGE
    whole = floor_of(value / LN_2 + 0.5)
    rest = (value - whole * LN_2_HIGH) - whole * LN_2_LOW
    total = 1.0
    for term in range(EXP_TERMS):
        total = 1.0 + total * rest / float(EXP_TERMS - term)
    return total * _power_of_two(whole)
