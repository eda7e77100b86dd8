"""Hold every symbol's filters: one place that checks them, prints them and may change them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from exchange.errors import VenueError
from exchange.instruments import E8, Instrument, scaled_text
from exchange.matching.layout import BUY

PERCENT_ONE = 10_000  # the percent-price bounds are in 1e-4 of the mark price


@dataclass(frozen=True, slots=True)
class SymbolFilters:
    """Be the filters of one symbol, in ticks and lots of its instrument's grid.

    The grid stays what it is: `tick_step` and `lot_step` say how many ticks and lots of it make
    one tick and one step of the filter.
    """

    instrument: Instrument
    tick_step: int
    price_min_tick: int
    price_max_tick: int
    lot_step: int
    lot_min: int
    lot_max: int
    market_lot_max: int
    min_notional: int  # USDT
    percent_up_e4: int
    percent_down_e4: int
    orders_max: int
    algo_orders_max: int

    def check_price(self, price_tick: int) -> None:
        """Raise -4001, -4013, -4002 or -4014 for PRICE_FILTER."""
        if price_tick <= 0:
            raise VenueError(-4001)
        if price_tick < self.price_min_tick:
            raise VenueError(-4013)
        if price_tick > self.price_max_tick:
            raise VenueError(-4002)
        if price_tick % self.tick_step:
            raise VenueError(-4014)

    def check_trigger_price(self, trigger_tick: int) -> None:
        """Raise -4006, -4007 or -4014 for the price that a conditional order waits for."""
        if trigger_tick <= 0:
            raise VenueError(-4006)
        if trigger_tick > self.price_max_tick:
            raise VenueError(-4007)
        if trigger_tick % self.tick_step:
            raise VenueError(-4014)

    def check_quantity(self, quantity_lot: int, is_market: bool) -> None:
        """Raise -4003, -4004, -4005 or -4023 for LOT_SIZE or MARKET_LOT_SIZE."""
        if quantity_lot <= 0:
            raise VenueError(-4003)
        if quantity_lot < self.lot_min:
            raise VenueError(-4004)
        if quantity_lot > (self.market_lot_max if is_market else self.lot_max):
            raise VenueError(-4005)
        if (quantity_lot - self.lot_min) % self.lot_step:
            raise VenueError(-4023)

    def price_bound(self, side: int, mark_tick: int) -> int:
        """Return the highest price of a buy or the lowest of a sell, in ticks."""
        if side == BUY:
            return mark_tick * self.percent_up_e4 // PERCENT_ONE
        return -(-mark_tick * self.percent_down_e4 // PERCENT_ONE)

    def check_percent_price(self, side: int, price_tick: int, mark_tick: int) -> None:
        """Raise -4016 or -4024 when a limit price is too far through the mark price."""
        if not mark_tick:
            return
        bound = self.price_bound(side, mark_tick)
        if (price_tick - bound) * side > 0:
            code = -4016 if side == BUY else -4024
            raise VenueError(code, price=self.instrument.price_text(bound))

    def check_counterparty(self, side: int, best_tick: int, mark_tick: int) -> None:
        """Raise -4131 when what a market order would meet first is too far from the mark price."""
        if best_tick and mark_tick:
            bound = self.price_bound(side, mark_tick)
            if (best_tick - bound) * side > 0:
                raise VenueError(-4131)

    def check_notional(self, price_tick: int, quantity_lot: int, code: int = -4164) -> None:
        """Raise the code when an order is worth less than MIN_NOTIONAL."""
        notional_e8 = self.instrument.notional_e8(price_tick, quantity_lot)
        if price_tick and notional_e8 < self.min_notional * E8:
            raise VenueError(code, notional=self.min_notional)

    def as_json(self) -> list[dict[str, object]]:
        """Return the rows of exchangeInfo."""
        i = self.instrument
        lots = {"minQty": i.quantity_text(self.lot_min), "stepSize": i.quantity_text(self.lot_step)}
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": i.price_text(self.price_min_tick),
                "maxPrice": i.price_text(self.price_max_tick),
                "tickSize": i.price_text(self.tick_step),
            },
            {"filterType": "LOT_SIZE", "maxQty": i.quantity_text(self.lot_max), **lots},
            {
                "filterType": "MARKET_LOT_SIZE",
                "maxQty": i.quantity_text(self.market_lot_max),
                **lots,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": self.orders_max},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": self.algo_orders_max},
            {"filterType": "MIN_NOTIONAL", "notional": str(self.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": scaled_text(self.percent_up_e4, 4),
                "multiplierDown": scaled_text(self.percent_down_e4, 4),
                "multiplierDecimal": "4",
            },
        ]


class Filters:
    """Keep the filters of all symbols."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._rows = {i.symbol: _initial(i) for i in instruments}

    def __getitem__(self, symbol: str) -> SymbolFilters:
        """Return the symbol's filters as they are now."""
        return self._rows[symbol]

    def restore(self, symbol: str) -> None:
        """Give a symbol the filters that it began with."""
        self._rows[symbol] = _initial(self._rows[symbol].instrument)

    def change(
        self,
        symbol: str,
        tick_step: int | None = None,
        lot_step: int | None = None,
        min_notional: int | None = None,
    ) -> SymbolFilters:
        """Change filters while orders rest; resting orders stay as they are.

        `tick_step` and `lot_step` count ticks and lots of the instrument, so tick and step become
        coarser by whole factors. Raises ValueError for anything below 1.
        """
        row = self._rows[symbol]
        tick_step = row.tick_step if tick_step is None else tick_step
        lot_step = row.lot_step if lot_step is None else lot_step
        min_notional = row.min_notional if min_notional is None else min_notional
        if min(tick_step, lot_step, min_notional) < 1:
            raise ValueError(
                f"a filter must be positive: symbol={symbol} tick_step={tick_step} "
                f"lot_step={lot_step} min_notional={min_notional}"
            )
        start = _initial(row.instrument)
        # Minimum and maximum have to lie on the new grid, or no order could sit at them.
        self._rows[symbol] = replace(
            start,
            tick_step=tick_step,
            price_min_tick=-(-start.price_min_tick // tick_step) * tick_step,
            price_max_tick=start.price_max_tick // tick_step * tick_step,
            lot_step=lot_step,
            lot_min=-(-start.lot_min // lot_step) * lot_step,
            lot_max=start.lot_max // lot_step * lot_step,
            market_lot_max=start.market_lot_max // lot_step * lot_step,
            min_notional=min_notional,
        )
        return self._rows[symbol]


def _initial(i: Instrument) -> SymbolFilters:
    return SymbolFilters(
        instrument=i,
        tick_step=1,
        price_min_tick=i.price_min_tick,
        price_max_tick=i.price_max_tick,
        lot_step=1,
        lot_min=i.lot_min,
        lot_max=i.lot_max,
        market_lot_max=i.market_lot_max,
        min_notional=i.min_notional,
        percent_up_e4=i.percent_up_e4,
        percent_down_e4=i.percent_down_e4,
        orders_max=i.orders_max,
        algo_orders_max=i.algo_orders_max,
    )
