"""Judge the user stream: each order's life in order, and an account that follows the fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

END_STATUSES = {"FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"}
Event = dict[str, Any]


def order_complaints(events: list[Event]) -> list[str]:
    """Check NEW before TRADE before FILLED, and cumulative quantities that add up."""
    complaints = []
    lives: dict[int, list[Event]] = {}
    for event in events:
        if event["e"] == "ORDER_TRADE_UPDATE":
            lives.setdefault(event["o"]["i"], []).append(event["o"])
    for order_id, life in lives.items():
        first = life[0]
        if (first["x"], first["X"]) != ("NEW", "NEW"):
            complaints.append(f"order {order_id} begins with {first['x']}/{first['X']}")
        filled = Decimal(0)
        for number, row in enumerate(life):
            if row["x"] == "TRADE":
                filled += Decimal(row["l"])
                wanted = "FILLED" if filled == Decimal(row["q"]) else "PARTIALLY_FILLED"
                if row["X"] != wanted:
                    complaints.append(f"order {order_id} is {row['X']}, wanted {wanted}")
            if Decimal(row["z"]) != filled:
                complaints.append(f"order {order_id} says z={row['z']}, fills make {filled}")
            if row["X"] in END_STATUSES and number != len(life) - 1:
                complaints.append(f"order {order_id} goes on after {row['X']}")
    if not lives:
        complaints.append("no ORDER_TRADE_UPDATE at all")
    return complaints


def account_complaints(events: list[Event], wallet: Decimal, symbol: str) -> list[str]:
    """Check that wallet and position of every ACCOUNT_UPDATE are those after some fill.

    `wallet` is what the account held before the first event.
    """
    position = Decimal(0)
    states = [(wallet, position)]
    for event in events:
        if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "TRADE":
            row = event["o"]
            wallet += Decimal(row["rp"]) - Decimal(row.get("n", "0"))
            position += Decimal(row["l"]) * (1 if row["S"] == "BUY" else -1)
            states.append((wallet, position))
    complaints = []
    reached = 0
    told = 0
    for event in events:
        if event["e"] != "ACCOUNT_UPDATE" or event["a"]["m"] != "ORDER":
            continue
        told += 1
        balances = [Decimal(b["wb"]) for b in event["a"]["B"] if b["a"] == "USDT"]
        amounts = [Decimal(p["pa"]) for p in event["a"]["P"] if p["s"] == symbol]
        state = (balances[0], amounts[0]) if balances and amounts else None
        if state not in states[reached:]:
            complaints.append(f"ACCOUNT_UPDATE {state} is no state after fill {reached} or later")
        else:
            reached = states.index(state, reached)
    if len(states) > 1 and reached != len(states) - 1:
        complaints.append(f"ACCOUNT_UPDATE ends at fill {reached} of {len(states) - 1}")
    if not told:
        complaints.append("no ACCOUNT_UPDATE at all")
    return complaints


def lite_complaints(events: list[Event]) -> list[str]:
    """Check that TRADE_LITE tells the same fills as ORDER_TRADE_UPDATE, each once."""
    full = [
        (e["o"]["i"], e["o"]["t"], e["o"]["l"], e["o"]["L"])
        for e in events
        if e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["x"] == "TRADE"
    ]
    lite = [(e["i"], e["t"], e["l"], e["L"]) for e in events if e["e"] == "TRADE_LITE"]
    return [] if sorted(full) == sorted(lite) else [f"fills={len(full)} TRADE_LITE={len(lite)}"]


def algo_complaints(events: list[Event], algo_id: int, wanted: list[str]) -> list[str]:
    """Check the statuses that ALGO_UPDATE tells of one conditional order, in order."""
    found = [
        str(e["o"]["X"]) for e in events if e["e"] == "ALGO_UPDATE" and e["o"]["aid"] == algo_id
    ]
    told = [status for status in found if status in wanted]
    return [] if told == wanted else [f"algo {algo_id} told {found}, wanted {wanted}"]
