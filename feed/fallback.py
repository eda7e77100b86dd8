"""Decode a message with the standard JSON library: what the compiled decoder does not know.

The same records come out. This is the cold path: it is exact and tolerant, and refuses what no
venue sends (NaN, exponents of more than two digits, nesting beyond the library's limit).
"""

from __future__ import annotations

import ctypes
import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from feed.state import LEVEL_SIZE, Code, Kind
from shm.tables import SYMBOL_NAME_SIZE

_DECIMAL = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64})?(?:[eE][+-]?[0-9]{1,2})?")
_KINDS = {
    "depthUpdate": Kind.DEPTH,
    "trade": Kind.TRADE,
    "aggTrade": Kind.AGGREGATE,
    "bookTicker": Kind.BEST,
    "markPriceUpdate": Kind.MARK,
}
_BEST_FIELDS = ("s", "u", "b", "B", "a", "A")
_SNAPSHOT_FIELDS = ("lastUpdateId", "bids", "asks")
WORD_MAX = (1 << 63) - 1
EIGHT_DIGITS_BITS = 64
MS_MAX = 9_000_000_000_000  # year 2255: in nanoseconds it still fits a signed word


class _Refused(Exception):  # noqa: N818  # carries a code, is no error by itself
    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def _refuse_constant(text: str) -> NoReturn:
    raise _Refused(Code.MALFORMED)


def decode(text: bytes, row_index: int, rows: list[Any], message: Any) -> Code:
    """Decode one message.

    Args:
        text: the message.
        row_index: index of the symbol that is expected.
        rows: SYNC rows of all symbols.
        message: MESSAGE to fill; levels go to the scratch array it names.

    Returns:
        OK, or why the message is of no use; `message.kind` is set as soon as it is known.
    """
    message.kind, message.symbol = int(Kind.NONE), row_index
    message.level_count = message.bid_count = message.ask_count = message.off_lot_count = 0
    message.event_ms = message.transaction_ms = 0
    try:
        top = json.loads(text, parse_float=_number, parse_constant=_refuse_constant)
        if not isinstance(top, dict):
            return Code.IGNORED
        inner = top.get("data")
        _fill(inner if isinstance(inner, dict) else top, row_index, rows, message)
    except _Refused as refusal:
        return refusal.code
    except (ValueError, RecursionError):
        # Not JSON, not UTF-8, an integer beyond the library's limit, or nested without end.
        return Code.MALFORMED
    return Code.OK


def _number(text: str) -> str:
    # Kept as text: exact, and read like the quoted decimals.
    return text


def _fill(data: dict[str, Any], row_index: int, rows: list[Any], message: Any) -> None:
    kind = _kind(data)
    message.kind = int(kind)
    if kind is not Kind.SNAPSHOT:
        row_index = _symbol(data.get("s"), row_index, rows)
        message.symbol = row_index
    row = rows[row_index]
    timed = kind not in (Kind.BEST, Kind.SNAPSHOT)
    message.event_ms = _time(data, "E", timed)
    message.transaction_ms = _time(data, "T", False)
    if kind is Kind.DEPTH:
        message.first_id = _integer(data, "U")
        message.last_id = _integer(data, "u")
        message.previous_id = _integer(data, "pu") if "pu" in data else -1
        _both_sides(data, "b", "a", row, message)
    elif kind is Kind.SNAPSHOT:
        message.last_id, message.previous_id = _integer(data, "lastUpdateId"), -1
        _both_sides(data, "bids", "asks", row, message)
    elif kind is Kind.BEST:
        message.last_id = _integer(data, "u")
        message.bid_tick, message.bid_lot = _price(data.get("b"), row), _lots(data.get("B"), row)
        message.ask_tick, message.ask_lot = _price(data.get("a"), row), _lots(data.get("A"), row)
    elif kind is Kind.MARK:
        message.price_tick = _nearest_tick(data.get("p"), row)
    else:
        _trade(data, kind, row, message)


def _kind(data: dict[str, Any]) -> Kind:
    if "e" in data:
        kind = _KINDS.get(data["e"]) if isinstance(data["e"], str) else None
    elif all(name in data for name in _SNAPSHOT_FIELDS):
        kind = Kind.SNAPSHOT
    else:
        kind = Kind.BEST if all(name in data for name in _BEST_FIELDS) else None
    if kind is None:
        raise _Refused(Code.IGNORED)
    return kind


def _symbol(name: Any, row_index: int, rows: list[Any]) -> int:
    if not isinstance(name, str):
        raise _Refused(Code.MALFORMED)
    padded = name.encode("utf-8", "replace").ljust(SYMBOL_NAME_SIZE, b"\0")
    for index in (row_index, *range(len(rows))):
        if bytes(rows[index].name) == padded:
            return index
    raise _Refused(Code.IGNORED)


def _trade(data: dict[str, Any], kind: Kind, row: Any, message: Any) -> None:
    message.trade_id = _integer(data, "t" if kind is Kind.TRADE else "a")
    sold = data.get("m")
    if not isinstance(sold, bool):
        raise _Refused(Code.MALFORMED)
    message.is_sell = int(sold)
    price, quantity = data.get("p"), data.get("q")
    ticks = _steps(price, row.price_bits, row.tick_unit)
    lots = _steps(quantity, row.quantity_bits, row.lot_unit)
    if data.get("X", "MARKET") != "MARKET":
        # Venue: INSURANCE_FUND, ADL and NA are no trades of the book.
        raise _Refused(Code.IGNORED)
    if ticks <= 0 or lots <= 0:
        raise _Refused(Code.MALFORMED)
    message.price_tick, message.quantity_lot = ticks, lots


def _integer(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= WORD_MAX:
        raise _Refused(Code.MALFORMED)
    return value


def _time(data: dict[str, Any], name: str, needed: bool) -> int:
    if name not in data and not needed:
        return 0
    value = _integer(data, name)
    if value > MS_MAX:
        raise _Refused(Code.MALFORMED)
    return value


def _steps(value: Any, bits: int, unit: int) -> int:
    """Return a decimal as a number of steps ≥ 0."""
    steps, rest = _whole_steps(value, bits, unit)
    if rest:
        raise _Refused(Code.OFF_GRID)
    return steps


def _whole_steps(value: Any, bits: int, unit: int) -> tuple[int, int]:
    """Return a decimal (text, or a number kept as text or integer) as (steps ≥ 0, remainder)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise _Refused(Code.MALFORMED)
    numerator, divisor = _ratio(value, bits, unit)
    steps, rest = divmod(numerator, divisor)
    if steps > WORD_MAX:
        raise _Refused(Code.MALFORMED)
    return steps, rest


def _ratio(text: str, bits: int, unit: int) -> tuple[int, int]:
    digits, exponent = _parts(Decimal(text))
    shift = exponent + bits // 8
    return digits * 10 ** max(shift, 0), unit * 10 ** max(-shift, 0)


def _nearest_tick(value: Any, row: Any) -> int:
    """Return a price as the nearest tick, halves up: it is computed, and on no grid."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise _Refused(Code.MALFORMED)
    # Venue: mark prices have eight digits behind the point; more do not count.
    numerator, divisor = _ratio(value, EIGHT_DIGITS_BITS, 1)
    step = row.tick_unit * 10 ** (8 - row.price_bits // 8)
    ticks = (numerator // divisor + step // 2) // step
    if not 0 < ticks <= WORD_MAX:
        raise _Refused(Code.MALFORMED)
    return ticks


def _parts(value: Decimal) -> tuple[int, int]:
    # Integers from here on: the decimal context would round beyond 28 digits.
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return int("".join(map(str, digits))), exponent


def _price(value: Any, row: Any) -> int:
    ticks = _steps(value, row.price_bits, row.tick_unit)
    if ticks <= 0:
        raise _Refused(Code.MALFORMED)
    return ticks


def _lots(value: Any, row: Any) -> int:
    return _steps(value, row.quantity_bits, row.lot_unit)


def _both_sides(data: dict[str, Any], bids: str, asks: str, row: Any, message: Any) -> None:
    message.bid_first = 0
    message.bid_count = _side(data.get(bids), row, message)
    message.ask_first = message.bid_count
    message.ask_count = _side(data.get(asks), row, message)


def _side(levels: Any, row: Any, message: Any) -> int:
    if not isinstance(levels, list):
        raise _Refused(Code.MALFORMED)
    if message.level_count + len(levels) > message.level_capacity:
        raise _Refused(Code.OVERFLOW)
    for level in levels:
        if not isinstance(level, list) or len(level) < 2:
            raise _Refused(Code.MALFORMED)
        place = message.levels + message.level_count * LEVEL_SIZE
        pair = (ctypes.c_int64 * 2).from_address(place)
        pair[0] = _price(level[0], row)
        # Venue: orders from before a change of the lot size rest on with their odd remainder.
        pair[1], rest = _whole_steps(level[1], row.quantity_bits, row.lot_unit)
        message.off_lot_count += rest != 0
        message.level_count += 1
    return len(levels)
