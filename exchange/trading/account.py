"""Keep the account: wallet, positions, fees and cross margin, in exact integers of 1e-8 USDT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from exchange.errors import VenueError
from exchange.instruments import E8, Instrument
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder, Trade
from exchange.trading import brackets, margin
from exchange.trading.income import COMMISSION, REALIZED_PNL, TRANSFER, IncomeLedger
from exchange.trading.positions import BOTH, POSITION_SIDES, Position

LEVERAGE_DEFAULT = 20  # Venue: what a symbol starts with
MARKET_BUY_PPM = 1_000_500  # Venue: "Cost Required to Open a Position", ask * (1 + 0.05 %)

OpenOrders = Callable[[str], Iterable[ClientOrder]]


class Account:
    """Hold the wallet and all positions; `mark` returns a symbol's mark price in ticks.

    Positions are keyed by symbol and position side; which sides are in use is the mode's affair
    (`is_dual_side`), the others stay empty.

    # Invariant: wallet = sum of all income ever booked, the starting balance first.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        balance_e8: int,
        maker_fee_e8: int,
        taker_fee_e8: int,
        mark: Callable[[str], int],
        start_ms: int = 0,
    ) -> None:
        self.income = IncomeLedger()
        self.income.add("", TRANSFER, balance_e8, start_ms)
        self.positions = {
            (i.symbol, s): Position(i, s) for i in instruments for s in POSITION_SIDES
        }
        self.symbols = [symbol for symbol, side in self.positions if side == BOTH]
        self.is_dual_side = False
        self.updated_ms = start_ms
        self.maker_fee_e8 = maker_fee_e8
        self.taker_fee_e8 = taker_fee_e8
        self._leverage = dict.fromkeys(self.symbols, LEVERAGE_DEFAULT)
        for symbol in self.symbols:
            self._leverage[symbol] = min(LEVERAGE_DEFAULT, brackets.leverage_max(symbol))
        self._mark = mark

    @property
    def wallet_e8(self) -> int:
        """Return the wallet balance."""
        return self.income.total_e8

    def position(self, symbol: str, position_side: str = BOTH) -> Position:
        """Return one position; it is there even when it is empty."""
        return self.positions[symbol, position_side]

    def held_lot(self, symbol: str, position_side: str = BOTH) -> int:
        """Return the signed quantity of one position; that of a SHORT leg is never positive."""
        return self.positions[symbol, position_side].quantity_lot

    def symbol_positions(self, symbol: str) -> list[Position]:
        """Return a symbol's positions in the present mode: [BOTH] or [LONG, SHORT]."""
        return [self.positions[symbol, side] for side in margin.sides_of(self.is_dual_side)]

    def open_positions(self) -> Iterator[Position]:
        """Yield every position that is not empty."""
        return (p for p in self.positions.values() if p.quantity_lot)

    def leverage(self, symbol: str) -> int:
        """Return a symbol's leverage."""
        return self._leverage[symbol]

    def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set a symbol's leverage; whether it may be is checked by the caller."""
        self._leverage[symbol] = leverage

    def apply(self, trade: Trade) -> None:
        """Book a fill: sets the trade's fee and realised profit, changes position and wallet."""
        order = trade.order
        symbol = order.instrument.symbol
        position = self.positions[symbol, order.position_side]
        notional = order.instrument.notional_e8(trade.price_tick, trade.quantity_lot)
        rate_e8 = self.maker_fee_e8 if trade.is_maker else self.taker_fee_e8
        trade.fee_e8 = (notional * rate_e8 + E8 // 2) // E8
        trade.realised_e8 = position.fill(
            order.side, trade.price_tick, trade.quantity_lot, trade.fee_e8
        )
        position.updated_ms = trade.time_ms
        self.book(symbol, REALIZED_PNL, trade.realised_e8, trade.time_ms, trade.trade_id)
        self.book(symbol, COMMISSION, -trade.fee_e8, trade.time_ms, trade.trade_id)

    def book(self, symbol: str, kind: str, amount_e8: int, time_ms: int, trade_id: int = 0) -> None:
        """Change the wallet; nothing else does."""
        self.income.add(symbol, kind, amount_e8, time_ms, trade_id)
        self.updated_ms = time_ms

    def mark_tick(self, symbol: str) -> int:
        """Return the symbol's mark price in ticks, 0 where there is none yet."""
        return self._mark(symbol)

    def unrealised_e8(self) -> int:
        """Return the unrealised profit of all positions."""
        return sum(p.unrealised_e8(self._mark(p.instrument.symbol)) for p in self.open_positions())

    def position_margin_e8(self, symbol: str) -> int:
        """Return the initial margin that the symbol's positions themselves need."""
        return sum(self.leg_margin_e8(p, ()) for p in self.symbol_positions(symbol))

    def leg_margin_e8(self, position: Position, orders: Sequence[ClientOrder]) -> int:
        """Return the initial margin of one position and those of the orders that are its own."""
        if not position.quantity_lot and not orders:
            return 0
        symbol = position.instrument.symbol
        grown = margin.committed_e8(position, orders, self._mark(symbol))
        return margin.share_e8(grown, self._leverage[symbol])

    def leg_maintenance_e8(self, position: Position) -> int:
        """Return the maintenance margin of one position, by its bracket."""
        if not position.quantity_lot:
            return 0
        symbol = position.instrument.symbol
        notional = abs(position.notional_e8(self._mark(symbol)))
        return brackets.maintenance_e8(symbol, notional)

    def maintenance_e8(self, symbol: str) -> int:
        """Return the maintenance margin of the symbol's positions."""
        return sum(self.leg_maintenance_e8(p) for p in self.symbol_positions(symbol))

    def maintenance_all_e8(self) -> int:
        """Return the maintenance margin of all positions."""
        return sum(self.leg_maintenance_e8(p) for p in self.open_positions())

    def initial_margin_e8(self, symbol: str, orders: Iterable[ClientOrder]) -> int:
        """Return the margin of a symbol's positions and open orders together.

        For each position the larger of "all buys fill" and "all sells fill" counts, over the
        leverage; in hedge mode the legs do not set each other off.
        """
        listed = list(orders)
        return sum(self.leg_margin_e8(p, listed) for p in self.symbol_positions(symbol))

    def margin_balance_e8(self) -> int:
        """Return wallet plus unrealised profit."""
        return self.wallet_e8 + self.unrealised_e8()

    def available_e8(self, open_orders: OpenOrders) -> int:
        """Return what is free for new orders; negative when over-committed."""
        tied = sum(self.initial_margin_e8(s, open_orders(s)) for s in self.symbols)
        return self.margin_balance_e8() - tied

    def check_margin(self, trial: ClientOrder, open_orders: OpenOrders, ask_tick: int = 0) -> None:
        """Raise -2027 or -2019 when a new order is too much; `ask_tick` prices a market buy.

        # Venue: "Cost Required to Open a Position": initial margin plus open loss, where the open
        loss is what the order would have lost at the mark price the moment it fills.
        """
        symbol = trial.instrument.symbol
        before, after = self._margin_with(trial, list(open_orders(symbol)))
        if after <= before:
            return
        leverage = self._leverage[symbol]
        if after > margin.share_e8(brackets.notional_max(symbol, leverage) * E8, leverage):
            raise VenueError(-2027)
        mark_tick = self._mark(symbol)
        price_tick = trial.price_tick or mark_tick
        if trial.price_tick == 0 and trial.side == BUY and ask_tick:
            price_tick = -(-ask_tick * MARKET_BUY_PPM // 1_000_000)
        loss_tick = max(0, (price_tick - mark_tick) * trial.side) if mark_tick else 0
        cost = after - before + trial.instrument.notional_e8(loss_tick, trial.remaining_lot)
        others = sum(self.initial_margin_e8(s, open_orders(s)) for s in self.symbols if s != symbol)
        if self.margin_balance_e8() - others - before < cost:
            raise VenueError(-2019)

    def _margin_with(self, trial: ClientOrder, orders: Sequence[ClientOrder]) -> tuple[int, int]:
        """Return the symbol's initial margin without and with one more order, in one pass."""
        symbol = trial.instrument.symbol
        mark_tick, leverage = self._mark(symbol), self._leverage[symbol]
        before = after = 0
        for position in self.symbol_positions(symbol):
            side, held = position.position_side, position.notional_e8(mark_tick)
            buy, sell = margin.order_notional_e8(side, orders, mark_tick)
            more_buy, more_sell = margin.order_notional_e8(side, (trial,), mark_tick)
            before += margin.share_e8(margin.worse_e8(held, buy, sell), leverage)
            grown = margin.worse_e8(held, buy + more_buy, sell + more_sell)
            after += margin.share_e8(grown, leverage)
        return before, after

    def liquidation_text(self, symbol: str) -> str:
        """Return the symbol's liquidation price, "0" where there is none."""
        held = [p for p in self.symbol_positions(symbol) if p.quantity_lot]
        mark_tick = self._mark(symbol)
        if not held or not mark_tick:
            return "0"
        others = sum(
            p.unrealised_e8(self._mark(p.instrument.symbol)) - self.leg_maintenance_e8(p)
            for p in self.open_positions()
            if p.instrument.symbol != symbol
        )
        return margin.liquidation_price_text(held, mark_tick, self.wallet_e8, others)
