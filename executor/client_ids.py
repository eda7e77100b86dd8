r"""Client order ids: `sc-<epoch, base 36>-<order id, base 36>`.

The same order has the same id in every attempt to send it, and no other order has it, over all
restarts and runs. Venue: "New Order", newClientOrderId `^[\.A-Z\:/a-z0-9_-]{1,36}$`.
"""

from __future__ import annotations

import re

PREFIX = "sc"
ID_SIZE_MAX = 36
NUMBER_MAX = (1 << 63) - 1

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PATTERN = re.compile(rf"{PREFIX}-([0-9a-z]{{1,13}})-([0-9a-z]{{1,13}})")

# Two numbers of 63 bits take at most 13 digits of base 36 each.
assert NUMBER_MAX < 36**13
assert len(PREFIX) + 2 + 2 * 13 <= ID_SIZE_MAX


def base36(value: int) -> str:
    """Return a non-negative number in base 36, small letters, without leading zeros."""
    assert value >= 0, f"no base 36 of a negative number: {value}"
    digits = ""
    while True:
        value, digit = divmod(value, 36)
        digits = _DIGITS[digit] + digits
        if value == 0:
            return digits


def client_id(epoch: int, order_id: int) -> str:
    """Return the client order id of an order."""
    return f"{PREFIX}-{base36(epoch)}-{base36(order_id)}"


def parse_client_id(text: object) -> tuple[int, int] | None:
    """Return (epoch, order id), or None when the id was not made by `client_id`."""
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    epoch, order_id = int(match[1], 36), int(match[2], 36)
    # Leading zeros and numbers beyond 63 bits are somebody else's.
    if max(epoch, order_id) > NUMBER_MAX or client_id(epoch, order_id) != text:
        return None
    return epoch, order_id
