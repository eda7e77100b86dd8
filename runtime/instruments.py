"""The venue's exchangeInfo as rows of the symbol table: filters turned into integers once.

Venue: /fapi/v1/exchangeInfo; filters PRICE_FILTER, LOT_SIZE, MARKET_LOT_SIZE, MIN_NOTIONAL,
PERCENT_PRICE. All arithmetic is decimal; nothing is rounded silently.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from shm.tables import write_symbol_name

E8 = 100_000_000
_EXPONENT_MAX = 40  # of a number's first digit; int64 ends at 18


class InstrumentError(ValueError):
    """A symbol that is not traded, or whose filters cannot be represented."""


def find_symbol(info: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a symbol's entry of exchangeInfo.

    Raises:
        InstrumentError: the venue does not trade it; the message names the nearest there is.
    """
    entries = {entry["symbol"]: entry for entry in info["symbols"]}
    if name not in entries:
        import difflib

        near = difflib.get_close_matches(name, entries, n=1)
        hint = f"; nearest: {near[0]}" if near else ""
        raise InstrumentError(f"unknown symbol: {name}{hint}")
    entry = entries[name]
    if entry.get("status", "TRADING") != "TRADING":
        raise InstrumentError(f"symbol is not trading: {name} status={entry['status']}")
    return entry


def weight_limit(info: dict[str, Any]) -> int:
    """Return the request weight of a minute that exchangeInfo's rateLimits state, 0 = none."""
    for row in info.get("rateLimits", ()):
        every = (row.get("rateLimitType"), row.get("interval"), row.get("intervalNum"))
        if every == ("REQUEST_WEIGHT", "MINUTE", 1) and isinstance(row.get("limit"), int):
            return int(row["limit"])
    return 0


def fill_symbol_row(row: Any, entry: dict[str, Any], taker_fee: float, maker_fee: float) -> None:
    """Write one symbol's row.

    Args:
        row: SYMBOL structure to fill.
        entry: the symbol's entry of exchangeInfo.
        taker_fee: fraction of the traded value.
        maker_fee: likewise.

    Raises:
        InstrumentError: a filter is missing, or tick times lot is finer than 1e-8 of the quote.
    """
    name = entry["symbol"]
    filters = {f["filterType"]: f for f in entry["filters"]}
    try:
        price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
        tick, step = Decimal(price["tickSize"]), Decimal(lot["stepSize"])
        market_max = Decimal(filters.get("MARKET_LOT_SIZE", lot)["maxQty"])
        notional = filters.get("MIN_NOTIONAL", {})
        percent = filters.get("PERCENT_PRICE", {})
    except KeyError as error:
        raise InstrumentError(f"filter is missing: symbol={name} filter={error}") from error
    if tick <= 0 or step <= 0:
        raise InstrumentError(f"tick and step must be positive: {name} tick={tick} step={step}")
    value = tick * step * E8
    if value != int(value):
        raise InstrumentError(f"tick × lot is finer than 1e-8: {name} tick={tick} step={step}")
    write_symbol_name(row, name)
    row.price_decimals, row.tick_unit = _scaled(tick)
    row.quantity_decimals, row.lot_unit = _scaled(step)
    row.value_e8 = int(value)
    row.tick_size, row.lot_size = float(tick), float(step)
    row.lot_min = _ceiling(Decimal(lot["minQty"]) / step)
    row.lot_max = int(Decimal(lot["maxQty"]) // step)
    row.market_lot_max = int(market_max // step)
    row.price_tick_min = _ceiling(Decimal(price["minPrice"]) / tick)
    row.price_tick_max = int(Decimal(price["maxPrice"]) // tick)
    row.notional_min = float(notional.get("notional", notional.get("minNotional", "0")))
    row.multiplier_up = float(percent.get("multiplierUp", "0"))
    row.multiplier_down = float(percent.get("multiplierDown", "0"))
    row.taker_fee, row.maker_fee = taker_fee, maker_fee


def _ceiling(value: Decimal) -> int:
    # Not -(-a // b): the decimal module's // cuts towards zero.
    return int(value.to_integral_value(ROUND_CEILING))


def _scaled(step: Decimal) -> tuple[int, int]:
    """Return (decimals, step in units of 10^-decimals) with trailing zeros dropped."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    decimals = max(0, -exponent)
    return decimals, int(step.scaleb(decimals))


def price_text(row: Any, price_tick: int) -> str:
    """Return a price as the venue writes it, exactly."""
    return _decimal_text(price_tick * row.tick_unit, row.price_decimals)


def quantity_text(row: Any, quantity_lot: int) -> str:
    """Return a quantity as the venue writes it, exactly."""
    return _decimal_text(quantity_lot * row.lot_unit, row.quantity_decimals)


def _decimal_text(scaled: int, decimals: int) -> str:
    if decimals == 0:
        return str(scaled)
    sign = "-" if scaled < 0 else ""
    digits = str(abs(scaled)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def to_ticks(row: Any, text: str) -> int:
    """Return a price text in ticks.

    Raises:
        InstrumentError: it is no number, or no whole number of ticks.
    """
    return _whole(text, row.tick_unit, row.price_decimals, "price", "tick")


def to_lots(row: Any, text: str) -> int:
    """Return a quantity text in lots.

    Raises:
        InstrumentError: it is no number, or no whole number of lots.
    """
    return _whole(text, row.lot_unit, row.quantity_decimals, "quantity", "lot")


def _whole(text: str, unit: int, decimals: int, what: str, step: str) -> int:
    # Fractions of integers, because decimal arithmetic would round what is longer than 28 digits.
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise InstrumentError(f"{what} is no number: {what}={text!r}") from error
    if not number.is_finite() or abs(number.adjusted()) > _EXPONENT_MAX:
        raise InstrumentError(f"{what} is out of range: {what}={text!r}")
    numerator, denominator = number.as_integer_ratio()
    units, rest = divmod(numerator * 10**decimals, denominator * unit)
    if rest:
        raise InstrumentError(f"{what} is no whole {step}: {what}={text}")
    return units
