"""Describe a client's order and how the venue prints it."""

from __future__ import annotations

from typing import ClassVar

from exchange.instruments import Instrument, fixed_e8, scaled_text
from exchange.matching.layout import BUY, SELL
from exchange.matching.resting import RestingOrder

OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
ACCOUNT = 1  # the owner number of the one account
UNPREVENTED = ("FOK", "GTX")
CLOSING_SIDE = {"LONG": SELL, "SHORT": BUY}  # the side that closes a leg of the hedge mode


def is_closing(reduce_only: bool, position_side: str, side: int) -> bool:
    """Tell whether an order may only shrink a position: by its flag, or by the leg it closes."""
    return reduce_only or CLOSING_SIDE.get(position_side) == side


class ClientOrder(RestingOrder):
    """Be an order of the account, from its acceptance on, in ticks, lots and ms."""

    is_forced: ClassVar[bool] = False  # of a liquidation

    __slots__ = (
        "ahead_lot",
        "amend_count",
        "client_order_id",
        "close_position",
        "cost",
        "created_ms",
        "executed_lot",
        "good_till_ms",
        "instrument",
        "kind",
        "position_side",
        "price_match",
        "quantity_lot",
        "reduce_only",
        "status",
        "stp_mode",
        "time_in_force",
        "updated_ms",
    )

    def __init__(
        self,
        instrument: Instrument,
        order_id: int,
        client_order_id: str,
        side: int,
        kind: str,
        time_in_force: str,
        price_tick: int,
        quantity_lot: int,
        reduce_only: bool,
        created_ms: int,
        position_side: str = "BOTH",
        close_position: bool = False,
        stp_mode: str = "EXPIRE_MAKER",
        good_till_ms: int = 0,
        price_match: str = "NONE",
    ) -> None:
        super().__init__(order_id, side, price_tick, quantity_lot, ACCOUNT)
        self.instrument = instrument
        self.client_order_id = client_order_id
        self.kind = kind
        self.time_in_force = time_in_force
        self.position_side = position_side
        self.close_position = close_position
        self.stp_mode = stp_mode  # "NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"
        self.good_till_ms = good_till_ms  # of GTD, 0 for none
        self.price_match = price_match  # "NONE", "OPPONENT", "QUEUE_5", …
        self.quantity_lot = quantity_lot
        self.reduce_only = reduce_only
        self.created_ms = created_ms
        self.updated_ms = created_ms
        self.status = "NEW"
        self.executed_lot = 0
        self.cost = 0  # sum of price in ticks times quantity in lots of its fills
        self.ahead_lot = 0  # recorded markets: displayed quantity with priority over it
        self.amend_count = 0

    @property
    def is_open(self) -> bool:
        """Tell whether it can still fill."""
        return self.status in OPEN

    @property
    def is_closing(self) -> bool:
        """Tell whether it may only shrink a position."""
        return is_closing(self.reduce_only, self.position_side, self.side)

    @property
    def prevention(self) -> str:
        """Return the self-trade prevention that takes effect.

        # Venue: "Self Trade Prevention FAQ": it has no effect for FOK and GTX orders.
        """
        return "NONE" if self.time_in_force in UNPREVENTED else self.stp_mode

    @property
    def side_text(self) -> str:
        """Return BUY or SELL."""
        return "BUY" if self.side == BUY else "SELL"

    def price_text(self) -> str:
        """Return the limit price, 0.00 for a market order."""
        return self.instrument.price_text(self.price_tick)

    def average_text(self) -> str:
        """Return the average fill price with digits beyond the tick."""
        return self.instrument.average_text(self.cost, self.executed_lot)


def order_json(order: ClientOrder) -> dict[str, object]:
    """Return the body of a place or cancel response.

    # Venue: since July 2026 without cumQuote, avgPrice and cumBase.
    """
    executed = order.instrument.quantity_text(order.executed_lot)
    return {
        "orderId": order.order_id,
        "symbol": order.instrument.symbol,
        "status": order.status,
        "clientOrderId": order.client_order_id,
        "price": order.price_text(),
        "origQty": order.instrument.quantity_text(order.quantity_lot),
        "executedQty": executed,
        "cumQty": executed,
        "timeInForce": order.time_in_force,
        "type": order.kind,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side_text,
        "positionSide": order.position_side,
        "stopPrice": order.instrument.price_text(0),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.kind,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.stp_mode,
        "goodTillDate": order.good_till_ms,
        "updateTime": order.updated_ms,
    }


def acknowledgement_json(order: ClientOrder) -> dict[str, object]:
    """Return the ACK body: the order as it was accepted, before any matching."""
    body = order_json(order)
    zero = order.instrument.quantity_text(0)
    body.update(status="NEW", executedQty=zero, cumQty=zero, updateTime=order.created_ms)
    return body


def query_json(order: ClientOrder) -> dict[str, object]:
    """Return the body of an order query, which still has the average price."""
    body = order_json(order)
    del body["cumQty"]
    body["avgPrice"] = order.average_text()
    quote_e8 = order.cost * order.instrument.lot_value_e8
    body["cumQuote"] = fixed_e8(quote_e8)
    body["time"] = order.created_ms
    return body


class Trade:
    """Be one fill of a client's order."""

    __slots__ = (
        "fee_e8",
        "is_maker",
        "order",
        "price_tick",
        "quantity_lot",
        "realised_e8",
        "time_ms",
        "trade_id",
    )

    def __init__(
        self,
        order: ClientOrder,
        trade_id: int,
        price_tick: int,
        quantity_lot: int,
        is_maker: bool,
        time_ms: int,
    ) -> None:
        self.order = order
        self.trade_id = trade_id
        self.price_tick = price_tick
        self.quantity_lot = quantity_lot
        self.is_maker = is_maker
        self.time_ms = time_ms
        self.fee_e8 = 0
        self.realised_e8 = 0

    def as_json(self) -> dict[str, object]:
        """Return a row of userTrades."""
        order, instrument = self.order, self.order.instrument
        quote_e8 = instrument.notional_e8(self.price_tick, self.quantity_lot)
        return {
            "symbol": instrument.symbol,
            "id": self.trade_id,
            "orderId": order.order_id,
            "side": order.side_text,
            "price": instrument.price_text(self.price_tick),
            "qty": instrument.quantity_text(self.quantity_lot),
            "realizedPnl": fixed_e8(self.realised_e8),
            "quoteQty": scaled_text(quote_e8, 8),
            "commission": fixed_e8(self.fee_e8),
            "commissionAsset": "USDT",
            "baseQty": "0",
            "marginAsset": "USDT",
            "pair": instrument.symbol,
            "time": self.time_ms,
            "positionSide": order.position_side,
            "buyer": order.side == BUY,
            "maker": self.is_maker,
        }
