"""The engine: books, the eight signals, the strategies' entries.

Reads `market` (broadcast, with a cursor of its own) and observes `reports` (inventory). Writes
`signals` and `quotes` (gated by risk) and asks the feed for books through `book_request`; nobody
else writes any of them. Its state is a pure function of the events it has read: times are the
venue's, and the same events give the same bits live, in replay and through `UltraScalpingEngine`.
It outlives the process: an engine that was killed goes on with the next event; only the symbol
whose event was under way starts cold, and is silent until it is warm (restart.py).

What it drops, and where that is counted: events that cannot be, by reason (`refused`,
`refused_*`), after which their symbol enters nothing for a while (quarantine.py); level changes of
a book that is not valid; entries while cooling down (`cooled_down`) or not confirmed
(`unconfirmed`); signals for which the ring has no room (`ring_full`); far levels beyond a full far
table (`far_overflow`), after which the book is withdrawn before its window moves.

Of quoted symbols it decides which quotes it wants (quotes.py); a timer confirms them and lets best
prices grow stale, so that part alone depends on when it was asked.

    from engine import UltraScalpingEngine

    engine = UltraScalpingEngine(["BTCUSDT", "ETHUSDT"])
    found = engine.process_tick(
        symbol="BTCUSDT", price=64000.0, size=0.5, is_buyer_maker=False, trade_id=1
    )
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.face import UltraScalpingEngine

__all__ = ["UltraScalpingEngine"]


def __getattr__(name: str) -> Any:
    """Load `UltraScalpingEngine` on first use: the stage itself does not need it."""
    if name == "UltraScalpingEngine":
        from engine.face import UltraScalpingEngine

        return UltraScalpingEngine
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
