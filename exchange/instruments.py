"""Describe the instruments: tick, lot, filters, and the text of a price or a quantity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

E8 = 100_000_000  # one USDT, and the unit of every scaled amount here: 1e-8


def scaled_text(value: int, decimals: int) -> str:
    """Return `value / 10**decimals` as a plain decimal string with exactly `decimals` digits."""
    if decimals == 0:
        return str(value)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def parse_scaled(text: str, decimals: int) -> int | None:
    """Return `text` times `10**decimals` as an integer, or None if it is finer than that.

    Raises ValueError when the text is not a plain decimal number.
    """
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit():
        raise ValueError(f"not a decimal number: {text!r}")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        return None
    return int(whole or "0") * 10**decimals + int(fraction.ljust(decimals, "0") or "0")


def fixed_e8(value_e8: int) -> str:
    """Return an amount in 1e-8 USDT as text with eight digits."""
    return scaled_text(value_e8, 8)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One perpetual contract.

    A price is `price_tick * tick_unit / 10**price_decimals` USDT, a quantity is
    `quantity_lot * lot_unit / 10**quantity_decimals` of the base asset.
    """

    symbol: str
    price_decimals: int
    tick_unit: int
    quantity_decimals: int
    lot_unit: int
    base_tick: int  # the price a synthetic market starts from
    min_notional: int  # USDT
    lot_max: int
    typical_lot: int  # median size of a resting synthetic order
    lot_min: int = 1
    market_lot_max: int = 0  # 0 stands for lot_max
    price_min_tick: int = 1
    price_max_tick: int = 2_000_000_000
    percent_up_e4: int = 10_500  # PERCENT_PRICE: bounds of a limit price over the mark price, 1e-4
    percent_down_e4: int = 9_500
    take_bound_e4: int = 500  # marketTakeBound: how far from the mark a market order may go, 1e-4
    orders_max: int = 200  # MAX_NUM_ORDERS: open orders of the symbol
    algo_orders_max: int = 200  # Venue: since December 2025 no filter; of all symbols together
    beta: float = 1.0  # synthetic: how much of the common factor it carries
    volatility: float = 1.0  # synthetic: its own noise, relative to the regime's
    lot_value_e8: int = field(init=False)  # worth of one tick times one lot, in 1e-8 USDT

    def __post_init__(self) -> None:
        scale = 8 - self.price_decimals - self.quantity_decimals
        units = self.tick_unit * self.lot_unit
        value = units * 10**scale if scale >= 0 else units // 10**-scale
        if scale < 0 and units % 10**-scale:
            raise ValueError(f"tick times step is finer than 1e-8 USDT: symbol={self.symbol}")
        object.__setattr__(self, "lot_value_e8", value)
        if self.market_lot_max == 0:
            object.__setattr__(self, "market_lot_max", self.lot_max)

    @property
    def base_asset(self) -> str:
        """Return the asset that quantities are counted in; all contracts here quote in USDT."""
        return self.symbol.removesuffix("USDT")

    def price_text(self, price_tick: int) -> str:
        """Return the price as the venue prints it."""
        return scaled_text(price_tick * self.tick_unit, self.price_decimals)

    def quantity_text(self, quantity_lot: int) -> str:
        """Return the quantity as the venue prints it."""
        return scaled_text(quantity_lot * self.lot_unit, self.quantity_decimals)

    def price_tick(self, text: str) -> int:
        """Return a recorded price in ticks. Raises ValueError when it is not on the tick."""
        return _exact(text, self.price_decimals, self.tick_unit)

    def quantity_lot(self, text: str) -> int:
        """Return a recorded quantity in lots. Raises ValueError when it is not on the step."""
        return _exact(text, self.quantity_decimals, self.lot_unit)

    def notional_e8(self, price_tick: int, quantity_lot: int) -> int:
        """Return price times quantity in 1e-8 USDT, exactly."""
        return price_tick * quantity_lot * self.lot_value_e8

    def average_text(self, cost: int, quantity_lot: int) -> str:
        """Return `cost` (ticks times lots) over `quantity_lot` as a price with extra digits."""
        digits = self.price_decimals + 3
        if quantity_lot == 0:
            return scaled_text(0, digits)
        numerator = abs(cost) * self.tick_unit * 1000
        count = abs(quantity_lot)
        return scaled_text((numerator + count // 2) // count, digits)


def _exact(text: str, decimals: int, unit: int) -> int:
    scaled = parse_scaled(text, decimals)
    if scaled is None or scaled % unit:
        raise ValueError(f"off the grid: value={text} decimals={decimals} unit={unit}")
    return scaled // unit


def _grid(text: str) -> tuple[int, int]:
    """Return decimals and unit of a tick or step as printed: 0.10 has two digits, unit 10."""
    decimals = len(text.partition(".")[2])
    return decimals, _exact(text, decimals, 1)


def _instrument(row: Mapping[str, str]) -> Instrument:
    price, quantity = _grid(row["tick"]), _grid(row["step"])
    bound_e4 = int(row["bound"]) * 100
    return Instrument(
        row["symbol"],
        *price,
        *quantity,
        base_tick=_exact(row["price"], *price),
        min_notional=int(row["notional"]),
        lot_max=_exact(row["cap"], *quantity),
        typical_lot=_exact(row["usual"], *quantity),
        market_lot_max=_exact(row["market"], *quantity),
        price_min_tick=_exact(row["min"], *price),
        price_max_tick=_exact(row["max"], *price),
        percent_up_e4=10_000 + bound_e4,
        percent_down_e4=10_000 - bound_e4,
        take_bound_e4=bound_e4,
        beta=float(row["beta"]),
        volatility=float(row["noise"]),
    )


def _read_table(text: str) -> dict[str, Instrument]:
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    names, *rows = (line for line in lines if line)
    columns = (dict(zip(names, row, strict=True)) for row in rows)
    return {row["symbol"]: _instrument(row) for row in columns}


INSTRUMENTS = _read_table(Path(__file__).with_name("instruments.txt").read_text())


def inferred_instrument(symbol: str, price_decimals: int, quantity_decimals: int) -> Instrument:
    """Return the known instrument, or one whose tick and step are the last recorded digit."""
    known = INSTRUMENTS.get(symbol)
    if known is not None:
        return known
    return Instrument(symbol, price_decimals, 1, quantity_decimals, 1, 1, 5, 10**9, 1)


def described_instrument(row: Mapping[str, Any]) -> Instrument:
    """Return the instrument of one symbol's object in a venue's exchangeInfo.

    Raises KeyError or ValueError when a filter is missing or is off its own grid.

    # Venue: trailing zeros of a tick are not promised, so the precision fields count the digits.
    """
    filters = {f["filterType"]: f for f in row["filters"]}
    price, lots = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    market, percent = filters["MARKET_LOT_SIZE"], filters["PERCENT_PRICE"]
    decimals = max(int(row["pricePrecision"]), _grid(price["tickSize"].rstrip("0"))[0])
    unit = _exact(price["tickSize"], decimals, 1)
    step_decimals = max(int(row["quantityPrecision"]), _grid(lots["stepSize"].rstrip("0"))[0])
    step = _exact(lots["stepSize"], step_decimals, 1)
    return Instrument(
        row["symbol"],
        decimals,
        unit,
        step_decimals,
        step,
        base_tick=1,
        min_notional=int(float(filters["MIN_NOTIONAL"]["notional"])),
        lot_max=_floor(lots["maxQty"], step_decimals, step),
        typical_lot=1,
        lot_min=_floor(lots["minQty"], step_decimals, step),
        market_lot_max=_floor(market["maxQty"], step_decimals, step),
        price_min_tick=_floor(price["minPrice"], decimals, unit),
        price_max_tick=_floor(price["maxPrice"], decimals, unit),
        percent_up_e4=_exact(str(percent["multiplierUp"]), 4, 1),
        percent_down_e4=_exact(str(percent["multiplierDown"]), 4, 1),
        take_bound_e4=_exact(str(row.get("marketTakeBound", "0.05")), 4, 1),
        orders_max=int(filters["MAX_NUM_ORDERS"]["limit"]),
    )


def _floor(text: str, decimals: int, unit: int) -> int:
    """Return a bound in whole ticks or lots, rounded down: bounds need not be on the grid."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(decimals, "0")[:decimals]) // unit
