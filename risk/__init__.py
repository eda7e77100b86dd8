"""Risk: positions, exits, sizing and limits. Nothing reaches the executor but through it.

Reads the broadcast ring `market` (cursor 1, which holds nobody back) and the gated rings
`signals`, `quotes` and `reports` (cursor 0); writes the gated ring `orders`, the position rows, and
`open_position_count`, `risk_latch`, `throttle_latches`, `realized_e8`, `fee_e8` and `unrealized_e8`
of the control record. It alone decides what a position is: the sum of its fills.

Of quoted symbols it keeps one order a side, as the engine wants it and the limits allow
(quotes.py); their position is the inventory of those orders (inventory.py).

What it drops: signals that a limit refuses (each has a reason and a counter, see limit_table.py),
fills that were applied already, reports of orders that are not ours, and every price it knew when
the market ring overtook it. An exit is never dropped: it is issued until the position is closed.

Where to look: levels.py and exits.py (what a position does at a price), forced.py (what closes it
whatever the price), prices.py (market events into steps), watching.py (steps into orders), guard.py
and protection.py (the stop that rests at the venue), coverage.py (the time without it), fills.py
(reports), undo.py and recovery.py (what a crash leaves); entries.py (signals into orders),
limit_table.py and limits.py (what they must pass), exposure.py (what is at stake), correlation.py,
throttle.py, trades.py, sizing.py; keeping.py and kept_equity.py (what outlives the run).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from risk.face import DynamicExitManager

__all__ = ["DynamicExitManager"]


def __getattr__(name: str) -> Any:
    """Load `DynamicExitManager` on first use, so that importing risk stays cheap."""
    if name == "DynamicExitManager":
        from risk.face import DynamicExitManager

        return DynamicExitManager
    raise AttributeError(f"module 'risk' has no attribute {name!r}")
