"""The codes by which the engine says why: how a symbol began. No kernels: the agent reads them."""

from __future__ import annotations

from enum import IntEnum


class StartReason(IntEnum):
    """How a symbol began when the engine was started, and why."""

    WARM = 0  # it goes on where the predecessor stopped
    FIRST = 1  # there was no predecessor
    TORN = 2  # the predecessor was killed while an event of the symbol was under way
    EMPTY = 3  # the predecessor had seen no event of it
    CLOCK = 4  # from here on: what was kept of the symbol cannot be
    TRADES = 5
    BARS = 6
    QUOTES = 7
    BOOK = 8
    BOOK_LEVELS = 9
    BOOK_FAR = 10
    BOOK_BEST = 11
