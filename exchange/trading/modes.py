"""Change how the account trades: leverage, position mode, margin type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exchange.errors import VenueError
from exchange.instruments import E8
from exchange.trading.account import Account
from exchange.trading.brackets import leverage_max, notional_max
from exchange.trading.margin import committed_e8
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents


class AccountModes:
    """Check a change against what is open, make it, and tell it.

    `waiting` lists a symbol's conditional orders: they are open orders too.
    """

    def __init__(
        self,
        account: Account,
        register: Register,
        events: UserEvents,
        waiting: Callable[[str], Sequence[object]],
    ) -> None:
        self._account = account
        self._register = register
        self._events = events
        self._waiting = waiting

    def set_leverage(self, symbol: str, leverage: int) -> int:
        """Change a symbol's leverage; return the notional in USDT that it allows.

        Raises -4028 for a leverage that the symbol does not have, -2027 when position and orders
        are too large for the bracket, -2028 when a lower one would tie up more than there is.
        """
        if not 1 <= leverage <= leverage_max(symbol):
            raise VenueError(-4028, value=leverage)
        account, orders = self._account, self._register.open_orders
        largest = notional_max(symbol, leverage)
        mark_tick = account.mark_tick(symbol)
        legs = account.symbol_positions(symbol)
        if sum(committed_e8(p, orders(symbol), mark_tick) for p in legs) > largest * E8:
            raise VenueError(-2027)
        before = account.leverage(symbol)
        account.set_leverage(symbol, leverage)
        if leverage < before and account.available_e8(orders) < 0:
            account.set_leverage(symbol, before)
            raise VenueError(-2028)
        self._events.leverage_changed(symbol, leverage)
        return largest

    def set_dual_side(self, is_dual_side: bool) -> None:
        """Change between one-way and hedge mode or raise -4059, -4067 or -4068."""
        if is_dual_side == self._account.is_dual_side:
            raise VenueError(-4059)
        if any(self._has_orders(symbol) for symbol in self._account.symbols):
            raise VenueError(-4067)
        if any(self._account.open_positions()):
            raise VenueError(-4068)
        self._account.is_dual_side = is_dual_side

    def set_margin_type(self, symbol: str, margin_type: str) -> None:
        """Raise -4046 for CROSSED, which every symbol has, and -4084 for ISOLATED.

        Isolated margin is not kept here; open orders and positions are refused first, as there.
        """
        if margin_type == "CROSSED":
            raise VenueError(-4046)
        if margin_type != "ISOLATED":
            raise VenueError(-1130, name="marginType")
        if self._has_orders(symbol):
            raise VenueError(-4047)
        if any(p.quantity_lot for p in self._account.symbol_positions(symbol)):
            raise VenueError(-4048)
        raise VenueError(-4084)

    def _has_orders(self, symbol: str) -> bool:
        return bool(self._register.open.get(symbol) or self._waiting(symbol))
