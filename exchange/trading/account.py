"""Keep the account: wallet, positions, fees and cross margin, in exact integers of 1e-8 USDT."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from exchange.instruments import E8, Instrument
from exchange.matching.ladder import BUY
from exchange.orders import ClientOrder, Trade

MAINTENANCE_PPM = 4_000  # Venue: "Leverage & Margin", first bracket of the large pairs, 0.4 %


class Position:
    """Hold one symbol's one-way position.

    # Invariant: `cost` (ticks times lots, signed like the quantity) is what the open quantity was
    bought or sold for; it is 0 when the quantity is 0, so realised profits sum up exactly.
    """

    __slots__ = ("cost", "instrument", "leverage", "quantity_lot", "realised_e8", "updated_ms")

    def __init__(self, instrument: Instrument, leverage: int) -> None:
        self.instrument = instrument
        self.leverage = leverage
        self.quantity_lot = 0
        self.cost = 0
        self.realised_e8 = 0
        self.updated_ms = 0

    def fill(self, side: int, price_tick: int, quantity_lot: int) -> int:
        """Apply a fill; return the realised profit in 1e-8 USDT, before fees."""
        held = self.quantity_lot
        closing = min(quantity_lot, abs(held)) if held * side < 0 else 0
        realised = 0
        if closing:
            cost_closed = self.cost * closing // abs(held)
            realised = -side * closing * price_tick - cost_closed
            self.cost -= cost_closed
        self.cost += side * (quantity_lot - closing) * price_tick
        self.quantity_lot = held + side * quantity_lot
        realised_e8 = realised * self.instrument.lot_value_e8
        self.realised_e8 += realised_e8
        return realised_e8

    def notional_e8(self, mark_tick: int) -> int:
        """Return the signed worth at the mark price."""
        return self.quantity_lot * mark_tick * self.instrument.lot_value_e8

    def unrealised_e8(self, mark_tick: int) -> int:
        """Return the profit that closing at the mark price would realise."""
        if self.quantity_lot == 0:
            return 0
        return (self.quantity_lot * mark_tick - self.cost) * self.instrument.lot_value_e8

    def entry_text(self) -> str:
        """Return the average entry price."""
        return self.instrument.average_text(self.cost, self.quantity_lot)


class Account:
    """Hold the wallet and all positions; `mark` returns a symbol's mark price in ticks."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balance_e8: int,
        maker_fee_e8: int,
        taker_fee_e8: int,
        mark: Callable[[str], int],
    ) -> None:
        self.wallet_e8 = balance_e8
        self.balance_start_e8 = balance_e8
        self.fees_e8 = 0
        self.positions = {i.symbol: Position(i, 20) for i in instruments}
        self.updated_ms = 0
        self._maker_fee_e8 = maker_fee_e8
        self._taker_fee_e8 = taker_fee_e8
        self._mark = mark

    def apply(self, trade: Trade) -> None:
        """Book a fill: sets the trade's fee and realised profit, changes position and wallet.

        # Invariant: wallet = starting balance + sum of realised profits − sum of fees.
        """
        order = trade.order
        position = self.positions[order.instrument.symbol]
        notional = order.instrument.notional_e8(trade.price_tick, trade.quantity_lot)
        rate_e8 = self._maker_fee_e8 if trade.is_maker else self._taker_fee_e8
        trade.fee_e8 = (notional * rate_e8 + E8 // 2) // E8
        trade.realised_e8 = position.fill(order.side, trade.price_tick, trade.quantity_lot)
        position.updated_ms = self.updated_ms = trade.time_ms
        self.wallet_e8 += trade.realised_e8 - trade.fee_e8
        self.fees_e8 += trade.fee_e8

    def mark_tick(self, symbol: str) -> int:
        """Return the symbol's mark price in ticks."""
        return self._mark(symbol)

    def unrealised_e8(self) -> int:
        """Return the unrealised profit of all positions."""
        return sum(
            p.unrealised_e8(self._mark(s)) for s, p in self.positions.items() if p.quantity_lot
        )

    def position_margin_e8(self, symbol: str) -> int:
        """Return the initial margin that the position itself needs."""
        position = self.positions[symbol]
        return _share(abs(position.notional_e8(self._mark(symbol))), position.leverage)

    def maintenance_e8(self, symbol: str) -> int:
        """Return the maintenance margin of the position."""
        notional = abs(self.positions[symbol].notional_e8(self._mark(symbol)))
        return notional * MAINTENANCE_PPM // 1_000_000

    def initial_margin_e8(self, symbol: str, orders: Iterable[ClientOrder]) -> int:
        """Return the margin of a symbol's position and open orders together.

        The larger of "all buys fill" and "all sells fill" counts, over the leverage. An order's
        price is its limit, for a market order the mark price.
        """
        position = self.positions[symbol]
        mark = self._mark(symbol)
        buy = sell = 0
        for order in orders:
            if order.reduce_only:
                continue
            notional = order.instrument.notional_e8(order.price_tick or mark, order.remaining_lot)
            if order.side == BUY:
                buy += notional
            else:
                sell += notional
        held = position.notional_e8(mark)
        return _share(max(abs(held + buy), abs(held - sell)), position.leverage)

    def margin_balance_e8(self) -> int:
        """Return wallet plus unrealised profit."""
        return self.wallet_e8 + self.unrealised_e8()


def _share(amount_e8: int, leverage: int) -> int:
    return -(-amount_e8 // leverage)
