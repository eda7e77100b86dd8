"""Watch the margin and liquidate: warn, cancel, take positions over, let the insurance fund pay."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import structlog

from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder
from exchange.streams.hub import Hub
from exchange.trading.brackets import PPM
from exchange.trading.desk import Desk
from exchange.trading.income import INSURANCE_CLEAR
from exchange.trading.positions import Position
from exchange.trading.register import LIQUIDATION

# Venue: MARGIN_CALL is sent "when the user's position risk ratio is too high"; which is not told.
WARN_PPM = 800_000  # maintenance margin over margin balance
CLEARANCE_PPM = 12_500  # Venue: exchangeInfo `liquidationFee`, 1.25 % of the liquidated notional
TAKEOVER_TRADE_ID_FIRST = 8_000_000_000_001  # far below and above what markets number


class ForcedOrder(ClientOrder):
    """Be the order that closes a position for its holder."""

    __slots__ = ()
    is_forced = True


class ForcedOrderStream:
    """Tell the market of liquidation orders.

    # Venue: "Liquidation Order Streams", of one symbol and of all.
    """

    def __init__(self, hub: Hub, clock_ms: Callable[[], int]) -> None:
        self._hub = hub
        self._clock_ms = clock_ms

    def __call__(self, order: ClientOrder) -> None:
        """Publish `forceOrder`."""
        i = order.instrument
        body = {
            "s": i.symbol,
            "S": order.side_text,
            "o": "LIMIT",
            "f": "IOC",
            "q": i.quantity_text(order.quantity_lot),
            "p": order.price_text(),
            "ap": order.average_text(),
            "X": order.status,
            "l": i.quantity_text(order.executed_lot),
            "z": i.quantity_text(order.executed_lot),
            "T": order.updated_ms,
        }
        event = {"e": "forceOrder", "E": self._clock_ms(), "o": body, "ps": i.symbol, "st": 1}
        data = orjson.dumps(event)
        self._hub.publish(f"{i.symbol.lower()}@forceOrder", data)
        self._hub.publish("!forceOrder@arr", data)


class Liquidator:
    """Check the account once a second; act through the desk.

    While the book of a held symbol is invalid neither its mark nor a closing order is worth
    anything: the check waits for it.

    # Invariant: after a liquidation that left no position the wallet is not negative; what was
    missing is an INSURANCE_CLEAR row.
    """

    def __init__(self, desk: Desk, tell: Callable[[ClientOrder], None]) -> None:
        self.insurance_e8 = 0  # what the fund got less what it paid
        self._desk = desk
        self._tell = tell
        self._is_warned = False
        self._trade_id = TAKEOVER_TRADE_ID_FIRST - 1

    def check(self) -> bool:
        """Warn or liquidate where the margin asks for it; tell whether anything was liquidated."""
        account = self._desk.account
        held = {position.instrument.symbol for position in account.open_positions()}
        if not all(account.mark_tick(s) and self._desk.is_open(s) for s in held):
            return False
        maintenance_e8 = account.maintenance_all_e8()
        balance_e8 = account.margin_balance_e8()
        if maintenance_e8 == 0:
            self._is_warned = False
            return False
        if balance_e8 < maintenance_e8:
            self._liquidate()
            return True
        is_close = maintenance_e8 * PPM >= balance_e8 * WARN_PPM
        if is_close and not self._is_warned:
            structlog.get_logger().warning("margin_call", balance_e8=balance_e8)
            self._desk.events.margin_called(account)
        self._is_warned = is_close
        return False

    def _liquidate(self) -> None:
        """Cancel all orders, then take positions over, largest first, until the margin is back.

        The loop is bounded by the number of positions: each turn closes one.
        """
        account = self._desk.account
        log = structlog.get_logger()
        log.warning("liquidation", balance_e8=account.margin_balance_e8())
        self._cancel_all()
        while account.margin_balance_e8() < account.maintenance_all_e8():
            positions = list(account.open_positions())
            if not positions:
                break
            self._take_over(max(positions, key=account.leg_maintenance_e8))
        if not any(account.open_positions()) and account.wallet_e8 < 0:
            self._clear("", -account.wallet_e8, [])
        log.warning("liquidated", wallet_e8=account.wallet_e8, insurance_e8=self.insurance_e8)

    def _cancel_all(self) -> None:
        desk = self._desk
        for symbol in desk.account.symbols:
            for order in desk.register.open_orders(symbol):
                if order.is_open:
                    # Venue: "Event: Order Update", expiry reason 5: the account was liquidated.
                    desk.end(order, "EXPIRED")
            desk.algo.cancel_open(symbol)

    def _take_over(self, position: Position) -> None:
        """Close one position at its bankruptcy price or better, and charge the clearance fee.

        # Venue: "Liquidation Protocols": an order immediate-or-cancel at the bankruptcy price; what
        the book does not take, the insurance fund takes at that price.
        """
        desk = self._desk
        symbol = position.instrument.symbol
        with desk.settling():
            order = self._order(position)
            desk.market.submit(order, False)
            left_lot = order.quantity_lot - order.executed_lot
            if left_lot:
                self._trade_id += 1
                order.remaining_lot = 0
                desk.on_fill(order, order.price_tick, left_lot, False, self._trade_id)
        self._tell(order)
        notional_e8 = order.cost * position.instrument.lot_value_e8
        fee_e8 = min(
            notional_e8 * CLEARANCE_PPM // PPM,
            max(0, min(desk.account.wallet_e8, desk.account.margin_balance_e8())),
        )
        if fee_e8:
            self._clear(symbol, -fee_e8, [position])

    def _order(self, position: Position) -> ClientOrder:
        desk = self._desk
        order_id = desk.register.take_id()
        now_ms = desk.clock_ms()
        order = ForcedOrder(
            position.instrument,
            order_id,
            f"autoclose-{now_ms}{order_id % 1_000_000:06d}",
            SELL if position.quantity_lot > 0 else BUY,
            "LIMIT",
            "IOC",
            self._bankruptcy_tick(position),
            abs(position.quantity_lot),
            False,
            now_ms,
            position.position_side,
        )
        desk.register.entries[LIQUIDATION] += 1
        desk.register.add(order)
        desk.events.order_changed(order, "NEW")
        return order

    def _bankruptcy_tick(self, position: Position) -> int:
        """Return the price at which closing leaves the account with nothing, in its favour.

        # Venue: the bankruptcy price is where the margin balance is used up, other positions
        staying at their mark prices.
        """
        account = self._desk.account
        held = position.quantity_lot
        mark_tick = account.mark_tick(position.instrument.symbol)
        balance_e8 = account.margin_balance_e8()
        value_e8 = abs(held) * position.instrument.lot_value_e8
        if held > 0:
            return max(1, mark_tick - balance_e8 // value_e8)
        return max(1, mark_tick + balance_e8 // value_e8)

    def _clear(self, symbol: str, amount_e8: int, positions: list[Position]) -> None:
        """Book what goes to the insurance fund (negative) or comes from it."""
        account, desk = self._desk.account, self._desk
        account.book(symbol, INSURANCE_CLEAR, amount_e8, desk.clock_ms())
        self.insurance_e8 -= amount_e8
        desk.events.account_changed(account, INSURANCE_CLEAR, positions, amount_e8)
