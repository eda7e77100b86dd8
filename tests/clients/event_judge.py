"""Judge the user stream: each order's life in order, and an account that follows the fills."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

END_STATUSES = {"FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"}
Event = dict[str, Any]


# What an order's events tell (`x`), fills in a row as one; an order may have one of several lives.
Lives = tuple[tuple[str, ...], ...]
CANCELED: Lives = (("NEW", "CANCELED"),)
AMENDED_AND_CANCELED: Lives = (("NEW", "AMENDMENT", "CANCELED"),)
FILLED: Lives = (("NEW", "TRADE"),)
SWEPT: Lives = (("NEW", "TRADE"), ("NEW", "TRADE", "EXPIRED"), ("NEW", "EXPIRED"))


def order_complaints(events: list[Event], wanted: dict[int, Lives]) -> list[str]:
    """Check that each order lived as its scenario made it live: all orders, whole, in order.

    `wanted` holds every order that the scenario brought about, by its id.
    """
    complaints = []
    lives: dict[int, list[Event]] = {order_id: [] for order_id in wanted}
    for event in events:
        if event["e"] == "ORDER_TRADE_UPDATE":
            lives.setdefault(event["o"]["i"], []).append(event["o"])
    for order_id, life in lives.items():
        told = [
            row["x"]
            for number, row in enumerate(life)
            if (row["x"], number and life[number - 1]["x"]) != ("TRADE", "TRADE")
        ]
        if order_id not in wanted:
            complaints.append(f"order {order_id} is nobody's: {told}")
        elif tuple(told) not in wanted[order_id]:
            complaints.append(f"order {order_id} told {told}, wanted {wanted[order_id]}")
        complaints += _life_complaints(order_id, life)
    if not wanted:
        complaints.append("the scenario placed no order")
    return complaints


def _life_complaints(order_id: int, life: list[Event]) -> list[str]:
    """Check one order's statuses and cumulative quantities from NEW to its end."""
    complaints = []
    if not life or (life[0]["x"], life[0]["X"]) != ("NEW", "NEW"):
        complaints.append(f"order {order_id} does not begin with NEW")
    if not life or life[-1]["X"] not in END_STATUSES:
        complaints.append(f"order {order_id} does not end")
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
    return complaints


def sequence_complaints(events: list[Event]) -> list[str]:
    """Check that event times do not fall, and that each fill is told thrice, in the venue's order.

    TRADE_LITE is the hint that goes out first, ACCOUNT_UPDATE and ORDER_TRADE_UPDATE follow with
    the same transaction time and nothing between them.
    """
    complaints = []
    times = [event["E"] for event in events if "E" in event]
    falls = [(a, b) for a, b in pairwise(times) if b < a]
    if falls:
        complaints.append(f"event times fall: {falls[:3]}")
    fills = 0
    for number, event in enumerate(events):
        if event["e"] != "ORDER_TRADE_UPDATE" or event["o"]["x"] != "TRADE":
            continue
        fills += 1
        trade_id = event["o"]["t"]
        kinds = [row["e"] for row in events[max(0, number - 2) : number]]
        if kinds != ["TRADE_LITE", "ACCOUNT_UPDATE"]:
            complaints.append(f"fill {trade_id} comes after {kinds}")
            continue
        hint, account = events[number - 2 : number]
        if hint["t"] != trade_id:
            complaints.append(f"fill {trade_id} has the hint of {hint['t']}")
        if {hint["T"], account["T"]} != {event["T"]}:
            complaints.append(f"fill {trade_id} has times {hint['T']} {account['T']} {event['T']}")
    if not fills:
        complaints.append("no fill at all")
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
