"""Hold one position: quantity, cost, realised profit and what its fees have cost so far."""

from __future__ import annotations

from exchange.instruments import Instrument, scaled_text

BOTH, LONG, SHORT = "BOTH", "LONG", "SHORT"
POSITION_SIDES = (BOTH, LONG, SHORT)
NO_SIGN = {BOTH: 0, LONG: 1, SHORT: -1}  # the sign that a leg is bound to, 0 for none


class Position:
    """Hold one position of one symbol: the one-way one (BOTH) or a leg of the hedge mode.

    # Invariant: `cost` (ticks times lots, signed like the quantity) is what the open quantity was
    bought or sold for; it is 0 when the quantity is 0, so realised profits sum up exactly.
    # Invariant: a LONG leg is never negative and a SHORT leg never positive.
    """

    __slots__ = (
        "cost",
        "fees_e8",
        "instrument",
        "position_side",
        "quantity_lot",
        "realised_e8",
        "updated_ms",
    )

    def __init__(self, instrument: Instrument, position_side: str = BOTH) -> None:
        self.instrument = instrument
        self.position_side = position_side
        self.quantity_lot = 0
        self.cost = 0
        self.realised_e8 = 0  # all profits since the start, before fees
        self.fees_e8 = 0  # fees paid for the quantity that is open now
        self.updated_ms = 0

    def fill(self, side: int, price_tick: int, quantity_lot: int, fee_e8: int = 0) -> int:
        """Apply a fill; return the realised profit in 1e-8 USDT, before fees."""
        held = self.quantity_lot
        closing = min(quantity_lot, abs(held)) if held * side < 0 else 0
        realised = 0
        if closing:
            cost_closed = self.cost * closing // abs(held)
            realised = -side * closing * price_tick - cost_closed
            self.cost -= cost_closed
            self.fees_e8 -= self.fees_e8 * closing // abs(held)
        opening = quantity_lot - closing
        self.cost += side * opening * price_tick
        # What closes is paid and done; only the share of the fee that opened something stays.
        self.fees_e8 += fee_e8 * opening // quantity_lot
        self.quantity_lot = held + side * quantity_lot
        bound = NO_SIGN[self.position_side]
        assert bound * self.quantity_lot >= 0, (
            f"a leg changed its sign: side={self.position_side} quantity_lot={self.quantity_lot}"
        )
        realised_e8 = realised * self.instrument.lot_value_e8
        self.realised_e8 += realised_e8
        return realised_e8

    def notional_e8(self, mark_tick: int) -> int:
        """Return the signed worth at the mark price."""
        return self.quantity_lot * mark_tick * self.instrument.lot_value_e8

    def unrealised_e8(self, mark_tick: int) -> int:
        """Return the profit that closing at the mark price would realise, 0 without a price."""
        if self.quantity_lot == 0 or mark_tick == 0:
            return 0
        return (self.quantity_lot * mark_tick - self.cost) * self.instrument.lot_value_e8

    def entry_text(self) -> str:
        """Return the average entry price."""
        return self.instrument.average_text(self.cost, self.quantity_lot)

    def break_even_text(self) -> str:
        """Return the entry price with the fees paid for the open quantity on top.

        # Venue: "Position Information V3", whose example holds 30 at 0.385 and breaks even at
        0.385077: the fee of closing is not in it.
        """
        if self.quantity_lot == 0:
            return "0.0"
        digits = self.instrument.price_decimals + 3
        spent_e8 = self.cost * self.instrument.lot_value_e8 + self.fees_e8
        scale = self.instrument.tick_unit * 1_000
        price = spent_e8 * scale // (self.quantity_lot * self.instrument.lot_value_e8)
        return scaled_text(max(0, price), digits)
