"""The layout of what risk keeps of market making: the quotes of each symbol, and its inventory.

Sides are 0 (bid) and 1 (ask), as in the ring `quotes`.
"""

from __future__ import annotations

from enum import IntEnum

from shm.fields import Field, Record

# As many as `quoting.symbols` may hold.
QUOTED_COUNT_MAX = 32
# One that stands on each side, and one beside it that was taken for absent and turned up.
QUOTE_ORDERS_MAX = 4


class QuoteStop(IntEnum):
    """Why quotes do not stand, beyond the reasons of limit_table.py; no value is one of those."""

    LEASE = 101  # the engine has not confirmed them
    CLOSING = 102  # the position is being closed
    CROSS = 103  # the price would take liquidity


QUOTES = Record(
    "risk_quotes",
    "One per symbol: the quotes wanted, the orders that stand for them, what the inventory cost.",
    [
        Field("quote_id", "i64", "id", "risk", "of the newest QUOTE"),
        Field("quote_ns", "i64", "ns, monotonic", "risk", "when the engine wrote it"),
        Field("origin_ns", "i64", "ns, monotonic", "risk", "stamp of the event behind it"),
        Field("stop_reason", "i64", "Refusal, QuoteStop", "risk", "why none stands; 0 = they may"),
        Field("cost_value", "i64", "ticks × lots", "risk", "of the inventory, at moving average"),
        Field("wanted_tick", "i64", "ticks", "risk", "by side", 2),
        Field("wanted_lot", "i64", "lots", "risk", "by side; 0 = none", 2),
        Field("order_id", "i64", "id", "risk", "that stands or may, by side; 0 = none", 2),
        Field("tick", "i64", "ticks", "risk", "its price", 2),
        Field("cancel_ns", "i64", "ns, monotonic", "risk", "its cancel was written; 0 = none", 2),
        Field("known_position", "i64", "position", "risk", "of reports, to know its fills", 2),
        Field("retry_ns", "i64", "ns, monotonic", "risk", "none is placed before", 2),
        Field("failure_count", "i64", "count", "risk", "refused or expired in a row", 2),
        Field("stray_order_id", "i64", "id", "risk", "taken for absent and turned up", 2),
        Field("stray_ns", "i64", "ns, monotonic", "risk", "its cancel was written", 2),
    ],
    align=128,
)
