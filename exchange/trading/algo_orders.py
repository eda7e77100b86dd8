"""Describe a conditional order of the algo service: what it waits for and what it becomes."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.instruments import Instrument, scaled_text
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.trading.entry import OrderRequest
from exchange.trading.positions import BOTH

TRAILING = "TRAILING_STOP_MARKET"
LIMIT_KINDS = frozenset({"STOP", "TAKE_PROFIT"})  # those that become limit orders
CLOSE_KINDS = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})  # those that may close a position
GTE_GTC = "GTE_GTC"  # time in force: like GTC, but it ends with the position
ENDED = frozenset({"FINISHED", "CANCELED", "EXPIRED", "REJECTED"})
ONE_E4 = 10_000


@dataclass(slots=True, eq=False)
class AlgoOrder:
    """Be a conditional order from its acceptance on, in ticks, lots and ms.

    A trailing order has no trigger price of its own: once the price has come to `activate_tick`
    it follows the best price since, `extreme_tick`, at the distance of the callback rate.
    """

    instrument: Instrument
    kind: str
    side: int
    position_side: str
    time_in_force: str
    quantity_lot: int  # 0 with close_position
    price_tick: int  # 0 for those that become market orders
    trigger_tick: int
    working_type: str  # CONTRACT_PRICE or MARK_PRICE
    price_match: str
    close_position: bool
    price_protect: bool
    reduce_only: bool
    activate_tick: int
    callback_e4: int  # callback rate in 1e-4
    stp_mode: str
    good_till_ms: int
    client_algo_id: str
    created_ms: int
    algo_id: int = 0
    status: str = "NEW"
    updated_ms: int = 0
    trigger_ms: int = 0
    extreme_tick: int = 0  # 0 until activated
    child: ClientOrder | None = None
    failure: str = ""

    @property
    def rises(self) -> bool:
        """Tell whether the trigger price is waited for from below."""
        return self.kind.startswith("STOP") == (self.side == BUY)

    @property
    def ends_with_position(self) -> bool:
        """Tell whether it is pointless once the position that it closes is gone."""
        return self.close_position or self.time_in_force == GTE_GTC

    def closes_the_same(self, other: AlgoOrder) -> bool:
        """Tell whether two orders of one symbol close the same position in the same way.

        # Venue: "Error codes", -4130: of these there can be one; a stop beside a take profit may.
        """
        return other.close_position and (other.position_side, other.side, other.kind) == (
            self.position_side,
            self.side,
            self.kind,
        )

    def is_passed(self, price_tick: int) -> bool:
        """Tell whether the price is where it would trigger, or activate, at once."""
        if self.kind == TRAILING:
            up = -self.side
            return bool(self.activate_tick) and (price_tick - self.activate_tick) * up >= 0
        up = 1 if self.rises else -1
        return (price_tick - self.trigger_tick) * up >= 0

    def watches(self) -> list[tuple[int, bool]]:
        """Return the prices to be told of: (ticks, whether waited for from below)."""
        if self.kind != TRAILING:
            return [(self.trigger_tick, self.rises)]
        follows_up = self.side != BUY
        if not self.extreme_tick:
            return [(self.activate_tick, follows_up)]
        beyond = self.extreme_tick + (1 if follows_up else -1)
        return [(beyond, follows_up), (self._callback_tick(), not follows_up)]

    def is_triggered(self, low_tick: int, high_tick: int, last_tick: int) -> bool:
        """Take the prices that a watch was waiting for; tell whether to fire, else follow them.

        # Invariant: within one range the far end counts as coming first only for what was known
        before it; a callback from a new extreme needs the last price.
        """
        if self.kind != TRAILING:
            return True
        up = -self.side
        reach, pull = (high_tick, low_tick) if up > 0 else (low_tick, high_tick)
        if self.extreme_tick and (pull - self._callback_tick()) * up <= 0:
            return True
        if not self.extreme_tick:
            if (reach - self.activate_tick) * up < 0:
                return False
            self.extreme_tick = reach
        elif (reach - self.extreme_tick) * up > 0:
            self.extreme_tick = reach
        return (last_tick - self._callback_tick()) * up <= 0

    def child_request(self, held_lot: int) -> OrderRequest:
        """Return the order that it becomes; `held_lot` is the position that it may have to close.

        What closes a position takes its whole quantity, which no filter limits.
        """
        is_limit = self.kind in LIMIT_KINDS
        time_in_force = "GTC" if self.time_in_force == GTE_GTC else self.time_in_force
        return OrderRequest(
            instrument=self.instrument,
            side=self.side,
            kind="LIMIT" if is_limit else "MARKET",
            time_in_force=time_in_force if is_limit else "GTC",
            price_tick=self.price_tick,
            quantity_lot=abs(held_lot) if self.close_position else self.quantity_lot,
            reduce_only=self.reduce_only or (self.close_position and self.position_side == BOTH),
            client_order_id=self.client_algo_id,
            position_side=self.position_side,
            close_position=self.close_position,
            stp_mode=self.stp_mode,
            good_till_ms=self.good_till_ms if is_limit else 0,
            price_match=self.price_match,
            is_exempt=self.close_position,
        )

    def _callback_tick(self) -> int:
        if self.side == BUY:
            return -(-self.extreme_tick * (ONE_E4 + self.callback_e4) // ONE_E4)
        return self.extreme_tick * (ONE_E4 - self.callback_e4) // ONE_E4


def algo_json(order: AlgoOrder) -> dict[str, object]:
    """Return the body of a place response."""
    is_trailing = order.kind == TRAILING
    instrument = order.instrument
    return {
        **_head(order),
        "icebergQuantity": None,
        **_terms(order),
        "activatePrice": instrument.price_text(order.activate_tick) if is_trailing else "",
        "callbackRate": _rate_text(order) if is_trailing else "",
        **_times(order),
    }


def algo_query_json(order: AlgoOrder) -> dict[str, object]:
    """Return the body of a query: with what became of it, without what only some kinds have."""
    instrument, child = order.instrument, order.child
    zero = instrument.average_text(0, 0)
    body = {
        **_head(order),
        "actualOrderId": str(child.order_id) if child else "",
        "actualPrice": child.average_text() if child else zero,
        "actualQty": instrument.quantity_text(child.executed_lot if child else 0),
        "actualType": child.kind if child else "",
        "icebergQuantity": None,
    }
    for name in ("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"):
        body[name] = instrument.price_text(0)
    body.update(tpOrderType="", **_terms(order))
    if order.kind == TRAILING:
        body["activatePrice"] = instrument.price_text(order.activate_tick)
        body["callbackRate"] = _rate_text(order)
    body.update(_times(order))
    return body


def algo_open_json(order: AlgoOrder) -> dict[str, object]:
    """Return a row of the waiting orders, which have become nothing yet."""
    body = algo_query_json(order)
    del body["actualQty"], body["actualType"]
    return body


def _head(order: AlgoOrder) -> dict[str, object]:
    instrument = order.instrument
    return {
        "algoId": order.algo_id,
        "clientAlgoId": order.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": order.kind,
        "symbol": instrument.symbol,
        "side": side_text(order),
        "positionSide": order.position_side,
        "timeInForce": order.time_in_force,
        "quantity": instrument.quantity_text(order.quantity_lot),
        "algoStatus": order.status,
        "triggerPrice": instrument.price_text(order.trigger_tick),
        "price": instrument.price_text(order.price_tick),
    }


def _terms(order: AlgoOrder) -> dict[str, object]:
    return {
        "selfTradePreventionMode": order.stp_mode,
        "workingType": order.working_type,
        "priceMatch": order.price_match,
        "closePosition": order.close_position,
        "priceProtect": order.price_protect,
        "reduceOnly": order.reduce_only,
    }


def _times(order: AlgoOrder) -> dict[str, object]:
    return {
        "createTime": order.created_ms,
        "updateTime": order.updated_ms,
        "triggerTime": order.trigger_ms,
        "goodTillDate": order.good_till_ms,
    }


def side_text(order: AlgoOrder) -> str:
    """Return BUY or SELL."""
    return "BUY" if order.side == BUY else "SELL"


def _rate_text(order: AlgoOrder) -> str:
    return scaled_text(order.callback_e4 // 10, 1)  # percent with one digit
