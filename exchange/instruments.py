"""Describe the instruments: tick, lot, filters, and the text of a price or a quantity."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    max_leverage: int = 125
    lot_value_e8: int = field(init=False)  # worth of one tick times one lot, in 1e-8 USDT

    def __post_init__(self) -> None:
        scale = 8 - self.price_decimals - self.quantity_decimals
        units = self.tick_unit * self.lot_unit
        value = units * 10**scale if scale >= 0 else units // 10**-scale
        if scale < 0 and units % 10**-scale:
            raise ValueError(f"tick times step is finer than 1e-8 USDT: symbol={self.symbol}")
        object.__setattr__(self, "lot_value_e8", value)

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


def _row(
    symbol: str,
    price: tuple[int, int],
    quantity: tuple[int, int],
    base_tick: int,
    min_notional: int,
    sizes: tuple[int, int],
) -> Instrument:
    return Instrument(symbol, *price, *quantity, base_tick, min_notional, sizes[1], sizes[0])


# (decimals, unit) of price and of quantity, base price in ticks, min notional, (typical, max) lots.
INSTRUMENTS = {
    row.symbol: row
    for row in (
        _row("BTCUSDT", (2, 10), (3, 1), 640_000, 50, (60, 1_000_000)),
        _row("ETHUSDT", (2, 1), (3, 1), 340_000, 20, (900, 10_000_000)),
        _row("BNBUSDT", (3, 10), (2, 1), 60_000, 5, (150, 10_000_000)),
        _row("SOLUSDT", (4, 100), (2, 1), 16_000, 5, (1_500, 100_000_000)),
        _row("XRPUSDT", (4, 1), (1, 1), 22_000, 5, (9_000, 200_000_000)),
        _row("DOGEUSDT", (6, 10), (0, 1), 16_000, 5, (9_000, 50_000_000)),
        _row("ADAUSDT", (5, 10), (0, 1), 5_500, 5, (6_000, 50_000_000)),
        _row("LTCUSDT", (2, 1), (3, 1), 9_500, 20, (9_000, 50_000_000)),
        _row("LINKUSDT", (3, 1), (2, 1), 15_500, 20, (4_000, 50_000_000)),
        _row("AVAXUSDT", (4, 10), (0, 1), 24_000, 5, (120, 10_000_000)),
    )
}


def inferred_instrument(symbol: str, price_decimals: int, quantity_decimals: int) -> Instrument:
    """Return the known instrument, or one whose tick and step are the last recorded digit."""
    known = INSTRUMENTS.get(symbol)
    if known is not None:
        return known
    return Instrument(
        symbol, price_decimals, 1, quantity_decimals, 1, 1, 5, 10**9, 1, max_leverage=50
    )
