"""Print the periodic events: candlesticks, day statistics, marks, liquidations."""

from __future__ import annotations

from typing import Protocol

from exchange.instruments import Instrument, fixed_e8, scaled_text
from exchange.streams.bars import Bar, closing_ms
from exchange.streams.names import DAY_MS, MINUTE_MS


class MarkNumbers(Protocol):
    """Show one symbol's marks, prices in 1e-8 USDT."""

    @property
    def mark_e8(self) -> int:
        """Return the mark price."""

    @property
    def index_e8(self) -> int:
        """Return the index price."""

    @property
    def settle_e8(self) -> int:
        """Return the estimated settlement price."""

    @property
    def funding_rate_e8(self) -> int:
        """Return the funding rate in 1e-8."""

    @property
    def next_funding_ms(self) -> int:
        """Return when it is due."""

    @property
    def time_ms(self) -> int:
        """Return the time of these numbers."""


def cost_text(instrument: Instrument, cost: int) -> str:
    """Return a cost in ticks times lots as USDT, exactly."""
    decimals = instrument.price_decimals + instrument.quantity_decimals
    return scaled_text(cost * instrument.tick_unit * instrument.lot_unit, decimals)


def bar_row(instrument: Instrument, interval: str, bar: Bar) -> list[object]:
    """Return a bar as a row of the klines endpoint."""
    price, quantity = instrument.price_text, instrument.quantity_text
    return [
        bar.open_ms,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        quantity(bar.volume_lot),
        closing_ms(interval, bar.open_ms),
        cost_text(instrument, bar.cost),
        bar.count,
        quantity(bar.buy_lot),
        cost_text(instrument, bar.buy_cost),
        "0",
    ]


def value_row(interval: str, bar: Bar) -> list[object]:
    """Return a bar of samples in 1e-8, as of a mark price, as a row of its klines endpoint."""
    return [
        bar.open_ms,
        fixed_e8(bar.open),
        fixed_e8(bar.high),
        fixed_e8(bar.low),
        fixed_e8(bar.close),
        "0",
        closing_ms(interval, bar.open_ms),
        "0",
        bar.count,
        "0",
        "0",
        "0",
    ]


def bar_text(
    instrument: Instrument, interval: str, bar: Bar, is_closed: bool, is_continuous: bool
) -> str:
    """Return the `k` object of a kline or continuous_kline event."""
    price, quantity = instrument.price_text, instrument.quantity_text
    symbol = "" if is_continuous else f'"s":"{instrument.symbol}",'
    return (
        f'{{"t":{bar.open_ms},"T":{closing_ms(interval, bar.open_ms)},{symbol}"i":"{interval}",'
        f'"f":{bar.first_id},"L":{bar.last_id},"o":"{price(bar.open)}","c":"{price(bar.close)}",'
        f'"h":"{price(bar.high)}","l":"{price(bar.low)}","v":"{quantity(bar.volume_lot)}",'
        f'"n":{bar.count},"x":{"true" if is_closed else "false"},'
        f'"q":"{cost_text(instrument, bar.cost)}","V":"{quantity(bar.buy_lot)}",'
        f'"Q":"{cost_text(instrument, bar.buy_cost)}","B":"0"}}'
    )


def kline_event(instrument: Instrument, interval: str, bar: Bar, closed: bool, now_ms: int) -> str:
    """Return a kline event."""
    body = bar_text(instrument, interval, bar, closed, is_continuous=False)
    return f'{{"e":"kline","E":{now_ms},"s":"{instrument.symbol}","k":{body}}}'


def continuous_event(
    instrument: Instrument, interval: str, bar: Bar, closed: bool, now_ms: int
) -> str:
    """Return a continuous_kline event of the perpetual contract."""
    body = bar_text(instrument, interval, bar, closed, is_continuous=True)
    return (
        f'{{"e":"continuous_kline","E":{now_ms},"ps":"{instrument.symbol}","ct":"PERPETUAL",'
        f'"k":{body}}}'
    )


def percent_text(change: int, base: int) -> str:
    """Return `change / base` in percent with three digits, rounded half away from zero."""
    if base == 0:
        return "0.000"
    thousandths = (abs(change) * 200_000 + base) // (2 * base)
    return scaled_text(thousandths if change >= 0 else -thousandths, 3)


def average_text(instrument: Instrument, bar: Bar) -> str:
    """Return the volume-weighted price with as many digits as prices have."""
    lots = bar.volume_lot
    scaled = (2 * bar.cost * instrument.tick_unit + lots) // (2 * lots) if lots else 0
    return scaled_text(scaled, instrument.price_decimals)


def day_open_ms(now_ms: int) -> int:
    """Return where the 24-hour window of a moment begins: at a whole minute, as at the venue."""
    return now_ms - now_ms % MINUTE_MS - DAY_MS


def ticker_event(instrument: Instrument, day: Bar, last_lot: int, now_ms: int) -> str:
    """Return a 24hrTicker event."""
    i, change = instrument, day.close - day.open
    return (
        f'{{"e":"24hrTicker","E":{now_ms},"s":"{i.symbol}","ps":"{i.symbol}",'
        f'"p":"{i.price_text(change)}","P":"{percent_text(change, day.open)}",'
        f'"w":"{average_text(i, day)}","c":"{i.price_text(day.close)}",'
        f'"Q":"{i.quantity_text(last_lot)}","o":"{i.price_text(day.open)}",'
        f'"h":"{i.price_text(day.high)}","l":"{i.price_text(day.low)}",'
        f'"v":"{i.quantity_text(day.volume_lot)}","q":"{cost_text(i, day.cost)}",'
        f'"O":{day_open_ms(now_ms)},"C":{now_ms},"F":{day.first_id},"L":{day.last_id},'
        f'"n":{day.count},"st":1}}'
    )


def mini_ticker_event(instrument: Instrument, day: Bar, now_ms: int) -> str:
    """Return a 24hrMiniTicker event."""
    i = instrument
    return (
        f'{{"e":"24hrMiniTicker","E":{now_ms},"s":"{i.symbol}","ps":"{i.symbol}",'
        f'"c":"{i.price_text(day.close)}","o":"{i.price_text(day.open)}",'
        f'"h":"{i.price_text(day.high)}","l":"{i.price_text(day.low)}",'
        f'"v":"{i.quantity_text(day.volume_lot)}","q":"{cost_text(i, day.cost)}","st":1}}'
    )


def mark_event(symbol: str, mark: MarkNumbers) -> str:
    """Return a markPriceUpdate event."""
    return (
        f'{{"e":"markPriceUpdate","E":{mark.time_ms},"s":"{symbol}",'
        f'"p":"{fixed_e8(mark.mark_e8)}","ap":"{fixed_e8(mark.mark_e8)}",'
        f'"P":"{fixed_e8(mark.settle_e8)}","i":"{fixed_e8(mark.index_e8)}",'
        f'"r":"{fixed_e8(mark.funding_rate_e8)}","T":{mark.next_funding_ms},"st":1}}'
    )
