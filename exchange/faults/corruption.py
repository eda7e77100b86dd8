"""Spoil market data: crossed books, prices that make no sense, messages that are no JSON."""

from __future__ import annotations

from typing import Any

import orjson

HUGE = "9" * 18
COARSE = 1_000  # made-up prices are multiples of so many units, so that they fit any tick size


def crossed(data: bytes, share: float) -> bytes:
    """Return a depthUpdate with a bid above its asks, or a bookTicker with its sides swapped.

    Other messages are returned as they are.
    """
    event = orjson.loads(data)
    if event.get("e") == "bookTicker":
        event["b"], event["a"] = event["a"], event["b"]
    elif event.get("e") == "depthUpdate":
        rows = event["a"] or event["b"]
        if not rows:
            return data
        price = max((row[0] for row in rows), key=float)
        event["b"].append([raised(price, share), rows[0][1] if float(rows[0][1]) else "1"])
    else:
        return data
    return orjson.dumps(event)


def raised(price: str, share: float) -> str:
    """Return a price raised by a share, with as many digits as it had."""
    whole, _, fraction = price.partition(".")
    units = int(whole + fraction)
    higher = units + int(units * share) + 1
    if higher > 100 * COARSE:
        higher += -higher % COARSE
    text = str(higher).rjust(len(fraction) + 1, "0")
    return f"{text[: -len(fraction)]}.{text[-len(fraction) :]}" if fraction else text


def absurd(data: bytes, value: str) -> bytes:
    """Return the message with its first price replaced: zero, negative, nan or huge."""
    event = orjson.loads(data)
    holder, key = _first_price(event)
    if holder is None:
        return data
    price = str(holder[key])
    holder[key] = {
        "zero": "0.00",
        "negative": f"-{price}",
        "nan": "NaN",
        "huge": HUGE,
    }[value]
    return orjson.dumps(event)


def _first_price(event: Any) -> tuple[Any, Any]:
    """Return the object and key that hold a message's first price; None when it has none."""
    if isinstance(event, list):  # of a stream of all symbols
        return _first_price(event[0]) if event else (None, 0)
    kind = event.get("e")
    if kind == "depthUpdate":
        rows = event["b"] or event["a"]
        return (rows[0], 0) if rows else (None, 0)
    if kind == "bookTicker":
        return event, "b"
    if kind == "kline":
        return event["k"], "c"
    if kind in ("24hrTicker", "24hrMiniTicker"):
        return event, "c"
    return (event, "p") if "p" in event else (None, 0)


def malformed(data: bytes, shape: str, size: int) -> bytes:
    """Return what is no message of the venue: truncated, nested, binary or padded."""
    if shape == "truncated":
        return data[: len(data) // 2]
    if shape == "nested":
        return b"[" * (size // 2) + b"]" * (size // 2)
    if shape == "binary":
        return data[:-1] + b"\xff\xfe\x80}"
    return b'{"e":"padding","x":"' + b"x" * size + b'"}'
