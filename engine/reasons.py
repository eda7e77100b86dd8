"""The codes by which the engine says why: how a symbol began, why an event was refused.

No kernels here: the agent and the report read them.
"""

from __future__ import annotations

from enum import IntEnum


class StartReason(IntEnum):
    """How a symbol began when the engine was started, and why."""

    WARM = 0  # it goes on where the predecessor stopped
    FIRST = 1  # there was no predecessor
    TORN = 2  # the predecessor was killed while an event of the symbol was under way
    EMPTY = 3  # the predecessor had seen no event of it
    CLOCK = 4  # from here on: what was kept of the symbol cannot be. Clock, counts or bounds
    TRADES = 5
    BARS = 6
    QUOTES = 7
    BOOK = 8
    BOOK_LEVELS = 9
    BOOK_FAR = 10
    BOOK_BEST = 11


class Refusal(IntEnum):
    """Why an event was refused, and bit by bit why a symbol is in quarantine."""

    SYMBOL = 0  # no such symbol: nothing to put into quarantine
    KIND = 1  # no such event
    PRICE = 2  # not within 1..PRICE_TICK_MAX
    QUANTITY = 3  # not within 1..QUANTITY_LOT_MAX; a level may be 0
    CROSSED_BEST = 4  # the best bid is at or above the best ask
    CROSSED_BOOK = 5  # the book stayed crossed, and was withdrawn
    TIME = 6  # none, or far before the symbol's clock
    JUMP = 7  # a price too far from the last sound ones
    DROPPED = 8  # the feed could not read a message of the symbol


def refusal_names(bits: int) -> list[str]:
    """Return the reasons of a quarantine as words."""
    return [reason.name.lower() for reason in Refusal if bits >> int(reason) & 1]
