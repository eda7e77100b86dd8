"""Remember the texts of prices and quantities: a market prints the same few over and over."""

from __future__ import annotations

from collections.abc import Callable

from exchange.instruments import Instrument

TEXTS_MAX = 4_096  # per symbol and kind; a full memory is emptied


class Texts(dict[int, str]):
    """Give the text of a number, made once while it is remembered."""

    def __init__(self, make: Callable[[int], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: int) -> str:
        if len(self) >= TEXTS_MAX:
            self.clear()
        text = self[value] = self._make(value)
        return text


class InstrumentTexts:
    """Hold the texts of one instrument: `price[tick]` and `quantity[lot]`, none below zero."""

    __slots__ = ("price", "quantity")

    def __init__(self, instrument: Instrument) -> None:
        i = instrument
        self.price = Texts(_maker(i.price_decimals, i.tick_unit))
        self.quantity = Texts(_maker(i.quantity_decimals, i.lot_unit))


def _maker(decimals: int, unit: int) -> Callable[[int], str]:
    """Return what `scaled_text` prints for numbers from 0 on, in a third of its time."""
    if decimals == 0:
        return lambda value: str(value * unit)
    scale, form = 10**decimals, f"%d.%0{decimals}d"
    return lambda value: form % divmod(value * unit, scale)
