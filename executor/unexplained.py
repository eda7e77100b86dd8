"""Positions that were taken over from the venue, until the events that explain them are told.

    taken over: +7, seen first at 12:00:00
    told later: bought 4 at 11:59:58   →   3 are unexplained; nothing is booked, the 4 are there
    told later: bought 9 at 11:59:59   →   0 are unexplained; 6 are booked
    told later: bought 2 at 12:00:03   →   booked: what was taken over does not hold them

Kept in the symbol's SYMBOL_TRUST row, for the executor may be started again in between. Bought and
sold lots stand apart: of two corrections in opposite directions each has its own events. An event
that explains comes within a minute; what is left then was something else.
"""

from __future__ import annotations

from typing import Any

from shm.records import SYMBOL_COUNT_MAX

# From the first sight of a difference to the event that explains it, by the venue's clock.
EXPLAINED_NS_MAX = 60_000_000_000


def correction_id(last_id: int, symbol: int) -> int:
    """Return the report's trade id of what is taken over: beyond the last one of the symbol.

    No two symbols use the same one, as the venue's ids of a symbol say nothing about another's.
    """
    return last_id + 1 + (symbol - last_id - 1) % SYMBOL_COUNT_MAX


def note_unexplained(trust: Any, side: int, lots: int, before_ns: int) -> None:
    """Note a difference that has been taken over; what is left of one a minute ago is dropped.

    Args:
        trust: SYMBOL_TRUST of the symbol; changed.
        side: 1 = the venue had more than we, −1 = less.
        lots: of the difference, positive.
        before_ns: venue's time at which the difference was there.
    """
    if before_ns - trust.unexplained_ns > EXPLAINED_NS_MAX:
        trust.unexplained_buy_lot = trust.unexplained_sell_lot = 0
    if side > 0:
        trust.unexplained_buy_lot += lots
    else:
        trust.unexplained_sell_lot += lots
    # Invariant: last, for it says that the difference is noted.
    trust.unexplained_ns = before_ns


def explained_lot(trust: Any, side: int, lots: int, venue_ns: int, now_ns: int) -> int:
    """Return how many lots of a fill are in what was taken over.

    Args:
        trust: SYMBOL_TRUST of the symbol.
        side: of the fill, ±1.
        lots: of the fill.
        venue_ns: when the venue made it; 0 = nobody knows, and nothing is explained.
        now_ns: venue's time.
    """
    if now_ns - trust.unexplained_ns > EXPLAINED_NS_MAX:
        return 0
    left = trust.unexplained_buy_lot if side > 0 else trust.unexplained_sell_lot
    return min(lots, left) if 0 < venue_ns <= trust.unexplained_ns else 0


def use_up(trust: Any, side: int, lots: int) -> None:
    """Take explained lots from what is unexplained."""
    if side > 0:
        trust.unexplained_buy_lot -= lots
    else:
        trust.unexplained_sell_lot -= lots
