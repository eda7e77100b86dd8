"""The limits an entry must pass, in order of precedence: one table for kernels and people.

The checks themselves are in limits.py; the first one that refuses gives the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from risk.state import REFUSAL_COUNT_MAX


class Refusal(IntEnum):
    """Why a signal was refused; the value is the precedence, lowest first."""

    NONE = 0
    INVALID = 1
    HALTED = 2
    DRAWDOWN = 3
    DISABLED = 4
    STALE = 5
    DUPLICATE = 6
    POSITIONS = 7
    SIZE = 8
    ORDER_NOTIONAL = 9
    GROSS_NOTIONAL = 10
    COLLAR = 11
    RATE = 12
    RING = 13


@dataclass(frozen=True)
class Limit:
    """One row: the reason code (its value is the precedence), the counter, and what is refused."""

    refusal: Refusal
    counter: str
    meaning: str


LIMITS = (
    Limit(
        Refusal.INVALID, "rejected_invalid", "the signal's symbol, side or numbers make no sense"
    ),
    Limit(
        Refusal.HALTED,
        "rejected_halted",
        "trading is halted, latched, stopping or flattening, the venue is not reconciled, its "
        "clock not measured, equity unknown, a position broke its invariant, or the executor does "
        "not trust what is believed about the symbol",
    ),
    Limit(Refusal.DRAWDOWN, "rejected_drawdown", "equity fell below (1 − max_drawdown) × peak"),
    Limit(Refusal.DISABLED, "rejected_disabled", "the strategy is switched off"),
    Limit(Refusal.STALE, "rejected_stale", "price or signal is older than max_stale_ms"),
    Limit(Refusal.DUPLICATE, "rejected_duplicate", "the symbol has a position or an entry"),
    Limit(Refusal.POSITIONS, "rejected_positions", "max_concurrent_positions are open"),
    Limit(Refusal.SIZE, "rejected_size", "the size allowed is below the venue's minimum"),
    Limit(Refusal.ORDER_NOTIONAL, "rejected_notional", "the order exceeds max_order_notional_usd"),
    Limit(Refusal.GROSS_NOTIONAL, "rejected_notional", "the sum exceeds max_gross_notional_usd"),
    Limit(Refusal.COLLAR, "rejected_collar", "no limit price lies inside the price collar"),
    Limit(Refusal.RATE, "rejected_rate", "the entries' share of max_orders_per_s is used up"),
    Limit(Refusal.RING, "rejected_ring", "the entries' share of the order ring is used up"),
)

assert [limit.refusal for limit in LIMITS] == list(Refusal)[1:], "one row per refusal, in order"
assert len(Refusal) <= REFUSAL_COUNT_MAX
REJECTED_COUNTERS = tuple(dict.fromkeys(limit.counter for limit in LIMITS))


def describe() -> str:
    """Return the table as text, one line per limit."""
    return "\n".join(
        f"{int(row.refusal):2d}  {row.refusal.name.lower():15} {row.counter:19} {row.meaning}"
        for row in LIMITS
    )
