"""Speak on the user data stream: order, fill and account events, and the listen key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

import orjson

from exchange.errors import VenueError
from exchange.instruments import fixed_e8
from exchange.orders import ClientOrder, Trade
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.account_events import account_update, leverage_update, margin_call
from exchange.trading.positions import Position

LISTEN_KEY_MS = 60 * 60 * 1000  # Venue: "User Data Streams", valid for 60 minutes


class UserEvents:
    """Publish the account's events under its one listen key."""

    def __init__(self, hub: Hub, clock_ms: Callable[[], int]) -> None:
        self._hub = hub
        self._clock_ms = clock_ms
        self._key = ""
        self._expires_ms = 0

    def create_key(self) -> str:
        """Return the active listen key, extended, or a new one."""
        if not self._is_active():
            self._key = secrets.token_hex(32)
        self._expires_ms = self._clock_ms() + LISTEN_KEY_MS
        return self._key

    def extend_key(self) -> str:
        """Extend the active key or raise -1125."""
        if not self._is_active():
            raise VenueError(-1125)
        self._expires_ms = self._clock_ms() + LISTEN_KEY_MS
        return self._key

    def delete_key(self) -> None:
        """Close the user data stream of every session of the account."""
        self._key = ""

    def expire_now(self) -> None:
        """Let the key run out at once."""
        self._expires_ms = 0
        self.expire_key()

    def expire_key(self) -> None:
        """Tell the subscribers of a key that ran out, once."""
        if self._key and not self._is_active():
            self._send({"e": "listenKeyExpired", "E": self._clock_ms(), "listenKey": self._key})
            self._key = ""

    def order_changed(self, order: ClientOrder, execution: str) -> None:
        """Publish ORDER_TRADE_UPDATE without a fill."""
        if self._has_reader():
            self._send(self._order_event(order, execution, None))

    def filled(self, trade: Trade, account: Account) -> None:
        """Publish a fill: the fast hint, the account, the order."""
        if not self._has_reader():
            return
        order, instrument = trade.order, trade.order.instrument
        self._send(
            {
                "e": "TRADE_LITE",
                "E": self._clock_ms(),
                "T": trade.time_ms,
                "s": instrument.symbol,
                "q": instrument.quantity_text(order.quantity_lot),
                "p": order.price_text(),
                "m": trade.is_maker,
                "c": order.client_order_id,
                "S": order.side_text,
                "L": instrument.price_text(trade.price_tick),
                "l": instrument.quantity_text(trade.quantity_lot),
                "t": trade.trade_id,
                "i": order.order_id,
            }
        )
        position = account.position(instrument.symbol, order.position_side)
        now_ms = self._clock_ms()
        self._send(account_update(account, "ORDER", [position], 0, now_ms, trade.time_ms))
        self._send(self._order_event(order, "TRADE", trade))

    def algo_changed(self, event: dict[str, object]) -> None:
        """Publish an event of the algo orders, which is built elsewhere."""
        if self._has_reader():
            self._send(event)

    def leverage_changed(self, symbol: str, leverage: int) -> None:
        """Publish ACCOUNT_CONFIG_UPDATE."""
        if self._has_reader():
            self._send(leverage_update(symbol, leverage, self._clock_ms()))

    def account_changed(
        self, account: Account, reason: str, positions: Iterable[Position], change_e8: int
    ) -> None:
        """Publish ACCOUNT_UPDATE for what is no fill: funding, insurance."""
        if self._has_reader():
            now_ms = self._clock_ms()
            self._send(account_update(account, reason, positions, change_e8, now_ms, now_ms))

    def margin_called(self, account: Account) -> None:
        """Publish MARGIN_CALL."""
        if self._has_reader():
            self._send(margin_call(account, self._clock_ms()))

    def _is_active(self) -> bool:
        return bool(self._key) and self._clock_ms() < self._expires_ms

    def _has_reader(self) -> bool:
        return bool(self._key) and self._hub.wanted(self._key)

    def _send(self, event: dict[str, object]) -> None:
        self._hub.publish(self._key, orjson.dumps(event))

    def _order_event(
        self, order: ClientOrder, execution: str, trade: Trade | None
    ) -> dict[str, object]:
        instrument = order.instrument
        zero = instrument.quantity_text(0)
        # Venue: "Event: Order Update": type LIQUIDATION, whose fills are of type CALCULATED.
        kind = "LIQUIDATION" if order.is_forced else order.kind
        if order.is_forced and trade:
            execution = "CALCULATED"
        body: dict[str, object] = {
            "s": instrument.symbol,
            "c": order.client_order_id,
            "S": order.side_text,
            "o": kind,
            "f": order.time_in_force,
            "q": instrument.quantity_text(order.quantity_lot),
            "p": order.price_text(),
            "ap": order.average_text(),
            "sp": "0",
            "x": execution,
            "X": order.status,
            "i": order.order_id,
            "l": instrument.quantity_text(trade.quantity_lot) if trade else zero,
            "z": instrument.quantity_text(order.executed_lot),
            "L": instrument.price_text(trade.price_tick) if trade else "0",
            "n": fixed_e8(trade.fee_e8) if trade else "0",
            "N": "USDT",
            "T": order.updated_ms,
            "t": trade.trade_id if trade else 0,
            "b": "0",
            "a": "0",
            "m": trade.is_maker if trade else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": kind,
            "ps": order.position_side,
            "cp": order.close_position,
            "rp": fixed_e8(trade.realised_e8) if trade else "0",
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": order.stp_mode,
            "pm": order.price_match,
            "gtd": order.good_till_ms,
        }
        now_ms = self._clock_ms()
        return {"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": order.updated_ms, "o": body}
