"""Change resting orders: price and quantity, and the history of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exchange.errors import VenueError
from exchange.orders import ClientOrder
from exchange.trading.admission import build, matched_price
from exchange.trading.entry import (
    NO_MATCH,
    OrderRequest,
    read_limit_price,
    read_price_match,
    read_quantity,
    read_side,
)
from exchange.trading.parameters import Params, flag, instrument_of, whole_number
from exchange.trading.retention import AMENDMENT_ROWS_MAX, Recent

if TYPE_CHECKING:
    from exchange.trading.desk import Desk

AMENDMENTS_MAX = 10_000  # Venue: "Modify Order": an order can be modified fewer times than that
AMENDMENT_ID_FIRST = 5_001


@dataclass(frozen=True, slots=True)
class Amendment:
    """Be one change of an order."""

    amendment_id: int
    order: ClientOrder
    time_ms: int
    price_before: int  # ticks
    price_after: int
    quantity_before: int  # lots
    quantity_after: int
    count: int  # the how manieth of its order
    price_match: str
    modify_id: int | None

    def as_json(self) -> dict[str, object]:
        """Return a row of the modify history."""
        instrument = self.order.instrument
        amendment: dict[str, object] = {
            "price": {
                "before": instrument.price_text(self.price_before),
                "after": instrument.price_text(self.price_after),
            },
            "origQty": {
                "before": instrument.quantity_text(self.quantity_before),
                "after": instrument.quantity_text(self.quantity_after),
            },
            "count": self.count,
        }
        if self.modify_id is not None:
            amendment["modifyId"] = self.modify_id
        return {
            "amendmentId": self.amendment_id,
            "symbol": instrument.symbol,
            "pair": instrument.symbol,
            "orderId": self.order.order_id,
            "clientOrderId": self.order.client_order_id,
            "time": self.time_ms,
            "amendment": amendment,
            "priceMatch": self.price_match,
        }


class Amendments:
    """Change orders and remember how, the most recent changes at least.

    # Venue: "Modify Order": a modified order is put at the end of its queue, whatever changed.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_order: dict[int, deque[Amendment]] = {}
        self._recent = Recent(AMENDMENT_ROWS_MAX, self._forget)
        self._next_id = AMENDMENT_ID_FIRST

    def amend(self, params: Params) -> ClientOrder:
        """Change an open order's price and quantity and match it anew; return it.

        Raises VenueError when the change is refused: the order then stays as it is. An amendment
        that leaves nothing to fill, or that would make a GTX order take, cancels it instead.
        """
        self._desk.register.requests["amend"] += 1
        modify_id = whole_number(params, "modifyId")
        order = self._find(params)
        request = self._read(params, order)
        if request.quantity_lot <= order.executed_lot > 0 or self._would_take(request):
            self._desk.end(order, "CANCELED")
            return order
        self._check(request, order)
        self._apply(order, request, modify_id)
        return order

    def history(self, order: ClientOrder) -> list[Amendment]:
        """Return an order's changes, the newest first."""
        return list(reversed(self._by_order.get(order.order_id, ())))

    def _find(self, params: Params) -> ClientOrder:
        instrument = instrument_of(params, self._desk.instruments)
        self._desk.market.check_open(instrument.symbol)
        order = self._desk.find(params, instrument.symbol)
        if order is None or not order.is_open:
            raise VenueError(-2013)
        if read_side(params) != order.side:
            raise VenueError(-1117)
        if order.kind != "LIMIT":
            raise VenueError(-5025)
        if flag(params, "reduceOnly") and not order.reduce_only:
            raise VenueError(-5047)
        if order.amend_count >= AMENDMENTS_MAX:
            raise VenueError(-5026)
        return order

    def _read(self, params: Params, order: ClientOrder) -> OrderRequest:
        """Return the order as it is to be; raise for a wrong price or quantity, or no change."""
        instrument = order.instrument
        price_match = read_price_match(params, is_limit=True)
        request = OrderRequest(
            instrument=instrument,
            side=order.side,
            kind=order.kind,
            time_in_force=order.time_in_force,
            price_tick=read_limit_price(params, instrument, price_match),
            quantity_lot=read_quantity(params, instrument),
            reduce_only=order.reduce_only,
            position_side=order.position_side,
            price_match=price_match,
        )
        if price_match != NO_MATCH:
            tick = matched_price(self._desk.market, instrument.symbol, request)
            request = replace(request, price_tick=tick)
        if (request.price_tick, request.quantity_lot) == (order.price_tick, order.quantity_lot):
            raise VenueError(-5027)
        self._check_filters(request, flag(params, "reduceOnly"))
        return request

    def _check_filters(self, request: OrderRequest, says_reduce_only: bool) -> None:
        symbol = request.instrument.symbol
        filters, mark_tick = self._desk.filters[symbol], self._desk.market.mark_tick(symbol)
        filters.check_price(request.price_tick)
        filters.check_quantity(request.quantity_lot, is_market=False)
        filters.check_percent_price(request.side, request.price_tick, mark_tick)
        # Venue: "Modify Order": only `reduceOnly=true` sent along frees it from MIN_NOTIONAL; an
        # order that closes a leg of the hedge mode is free as it was when it was placed.
        if not (says_reduce_only or (request.is_closing and not request.reduce_only)):
            filters.check_notional(request.price_tick, request.quantity_lot, code=-5029)

    def _would_take(self, request: OrderRequest) -> bool:
        symbol = request.instrument.symbol
        return request.time_in_force == "GTX" and self._desk.market.crosses(
            symbol, request.side, request.price_tick
        )

    def _check(self, request: OrderRequest, order: ClientOrder) -> None:
        """Raise -2022 or -2019 when the position or the margin does not allow the new terms."""
        desk, symbol = self._desk, request.instrument.symbol
        remaining_lot = request.quantity_lot - order.executed_lot
        if order.is_closing:
            if remaining_lot > abs(desk.account.held_lot(symbol, order.position_side)):
                raise VenueError(-2022)
            return
        notional = request.price_tick * remaining_lot
        if notional <= order.price_tick * order.remaining_lot:
            return
        trial = build(request, 0, "", desk.clock_ms())
        trial.remaining_lot = remaining_lot

        def others(symbol: str) -> list[ClientOrder]:
            return [o for o in desk.register.open_orders(symbol) if o is not order]

        desk.account.check_margin(trial, others)

    def _apply(self, order: ClientOrder, request: OrderRequest, modify_id: int | None) -> None:
        desk = self._desk
        with desk.settling():
            before = (order.price_tick, order.quantity_lot)
            order.price_tick, order.quantity_lot = request.price_tick, request.quantity_lot
            order.remaining_lot = request.quantity_lot - order.executed_lot
            order.price_match = request.price_match
            # Venue: "Self Trade Prevention FAQ": a modified order no longer prevents anything.
            order.stp_mode = "NONE"
            order.amend_count += 1
            order.updated_ms = desk.clock_ms()
            self._note(order, before, modify_id)
            desk.events.order_changed(order, "AMENDMENT")
            desk.market.amend(order)

    def _note(self, order: ClientOrder, before: tuple[int, int], modify_id: int | None) -> None:
        row = Amendment(
            self._next_id,
            order,
            order.updated_ms,
            before[0],
            order.price_tick,
            before[1],
            order.quantity_lot,
            order.amend_count,
            order.price_match,
            modify_id,
        )
        self._next_id += 1
        self._by_order.setdefault(order.order_id, deque()).append(row)
        self._recent.add(row)

    def _forget(self, row: Amendment) -> None:
        # The rows of an order are in the order of all: the oldest of all is its order's first.
        rows = self._by_order[row.order.order_id]
        rows.popleft()
        if not rows:
            del self._by_order[row.order.order_id]
