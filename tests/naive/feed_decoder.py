"""The slow, obvious twin of the feed's decoders: the json library and Decimal, dictionaries out."""

from __future__ import annotations

import json
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

KINDS = ("depthUpdate", "trade", "aggTrade", "bookTicker", "snapshot", "markPriceUpdate")


class Filters:
    """A symbol's name, tick and lot, as the venue states them."""

    def __init__(self, name, tick, lot):
        self.name, self.tick, self.lot = name, Decimal(tick), Decimal(lot)


def whole(text, step):
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        raise ValueError(text)
    count = number / step
    if count != count.to_integral_value():
        raise ArithmeticError(text)
    return int(count)


def floored(text, step):
    number = Decimal(text)
    return whole(number - number % step, step)


def nearest(text, step):
    number = Decimal(text)
    if not number.is_finite() or number < 0:
        raise ValueError(text)
    known = number.quantize(Decimal("1e-8"), ROUND_FLOOR)
    return int((known / step).to_integral_value(ROUND_HALF_UP))


def levels(rows, filters):
    found = [(whole(row[0], filters.tick), floored(row[1], filters.lot)) for row in rows]
    if any(price == 0 for price, _ in found):
        raise ValueError("price 0")
    return found


def decode(text, filters, expected):
    """Return (code, fields): code is OK, IGNORED, OFF_GRID or MALFORMED.

    `filters` lists all traded symbols, `expected` is the index of the connection's own.
    """
    try:
        top = json.loads(text, parse_float=Decimal)
        if not isinstance(top, dict):
            return "IGNORED", {}
        data = top["data"] if isinstance(top.get("data"), dict) else top
        return _fields(data, filters, expected)
    except ArithmeticError:
        return "OFF_GRID", {}
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return "MALFORMED", {}


def _fields(data, filters, expected):
    kind = data.get("e", "bookTicker" if "B" in data else None)
    if "e" not in data and {"lastUpdateId", "bids", "asks"} <= set(data):
        kind = "snapshot"
    if kind not in KINDS:
        return "IGNORED", {}
    out = {"kind": kind, "E": data.get("E", 0), "T": data.get("T", 0)}
    symbol = expected
    if kind != "snapshot":
        names = [f.name for f in filters]
        if data["s"] not in names:
            return "IGNORED", {}
        symbol = names.index(data["s"])
    out["symbol"] = symbol
    own = filters[symbol]
    if kind == "snapshot":
        out |= {"u": data["lastUpdateId"]}
        out |= {"bids": levels(data["bids"], own), "asks": levels(data["asks"], own)}
    elif kind == "depthUpdate":
        out |= {"U": data["U"], "u": data["u"], "pu": data.get("pu", -1)}
        out |= {"bids": levels(data["b"], own), "asks": levels(data["a"], own)}
    elif kind == "markPriceUpdate":
        out["price"] = nearest(data["p"], own.tick)
        if out["price"] == 0:
            return "MALFORMED", {}
    elif kind == "bookTicker":
        out |= {
            "u": data["u"],
            "bid": whole(data["b"], own.tick),
            "bid_lot": whole(data["B"], own.lot),
        }
        out |= {"ask": whole(data["a"], own.tick), "ask_lot": whole(data["A"], own.lot)}
        if min(out["bid"], out["ask"]) == 0:
            return "MALFORMED", {}
    else:
        out |= {"id": data["t" if kind == "trade" else "a"], "sell": data["m"]}
        out |= {"price": whole(data["p"], own.tick), "lot": whole(data["q"], own.lot)}
        if data.get("X", "MARKET") != "MARKET":
            return "IGNORED", {}
        if min(out["price"], out["lot"]) == 0:
            return "MALFORMED", {}
    return "OK", out
