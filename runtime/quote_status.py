"""What market making has done, for the status line, the summary and the log of risk."""

from __future__ import annotations

from typing import Any

from shm.topology import SharedMemory

STOPPED = ("halted", "stale", "lease", "closing")
REFUSED = ("cross", "inventory", "limit", "rate")


def quote_counts(memory: SharedMemory) -> dict[str, Any] | None:
    """Return the counts of market making, None when it is off.

    `maker_share` is that of the quotes' fills, None before the first.
    """
    get = memory.counters.get
    if not get("engine.quoted_symbols"):
        return None
    bought, sold = get("risk.quote_fills_buy"), get("risk.quote_fills_sell")
    fills = bought + sold
    return {
        "wanted": get("engine.quotes"),
        "changed": get("engine.quote_changes"),
        "placed": get("risk.quote_orders"),
        "canceled": get("risk.quote_cancels"),
        "failed": get("risk.quotes_failed"),
        "would_take": get("executor.would_take"),
        "fills_buy": bought,
        "fills_sell": sold,
        "maker_share": round(get("risk.quote_fills_maker") / fills, 4) if fills else None,
        "stopped": {reason: get(f"risk.quotes_stopped_{reason}") for reason in STOPPED},
        "refused": {reason: get(f"risk.quotes_refused_{reason}") for reason in REFUSED},
    }


def quote_text(memory: SharedMemory) -> str:
    """Return the part of the status line about quotes, "" when market making is off."""
    counts = quote_counts(memory)
    if counts is None:
        return ""
    if not counts["wanted"]:
        return "quotes none wanted yet (why: engine.log)"
    fills = counts["fills_buy"] + counts["fills_sell"]
    return f"quotes {counts['placed']} placed {counts['canceled']} canceled {fills} fills"
