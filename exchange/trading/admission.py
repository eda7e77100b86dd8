"""Decide whether a well-formed order may enter: modes, filters, position, book, margin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exchange.errors import VenueError
from exchange.markets.market import Market
from exchange.matching.layout import BUY
from exchange.orders import ClientOrder
from exchange.trading.entry import NO_MATCH, PRICE_MATCHES, OrderRequest
from exchange.trading.positions import BOTH

if TYPE_CHECKING:
    from exchange.trading.desk import Desk


def admit(desk: Desk, request: OrderRequest) -> OrderRequest:
    """Return the order as it enters, price and quantity settled, or raise the venue's error."""
    symbol = request.instrument.symbol
    desk.market.check_open(symbol)
    # A conditional order may have waited while the mode was changed under it.
    if (request.position_side == BOTH) == desk.account.is_dual_side:
        raise VenueError(-4061)
    if request.price_match != NO_MATCH:
        tick = matched_price(desk.market, symbol, request)
        request = replace(request, price_tick=tick)
    if not request.is_exempt:
        _check_filters(desk, request)
        _check_room(desk, request)
    if request.is_closing:
        request = replace(request, quantity_lot=_closing_lot(desk, request))
    if request.time_in_force == "GTX" and desk.market.crosses(
        symbol, request.side, request.price_tick
    ):
        raise VenueError(-5022)
    trial = build(request, 0, "", desk.clock_ms())
    # Venue: "Error codes", -5021: such an order is refused and leaves no trace in the history.
    if request.time_in_force == "FOK" and desk.market.available_lot(trial) < trial.remaining_lot:
        raise VenueError(-5021)
    if not (request.is_closing or request.is_exempt):
        _, ask_tick = desk.market.best(symbol)
        desk.account.check_margin(trial, desk.register.open_orders, ask_tick)
    return request


def matched_price(market: Market, symbol: str, request: OrderRequest) -> int:
    """Return the price that `priceMatch` takes from the book; raise -5041 without such a level.

    # Venue: "New Order", priceMatch: OPPONENT is the other side's best price, OPPONENT_5 its fifth;
    QUEUE the same on the order's own side.
    """
    whose, level = PRICE_MATCHES[request.price_match]
    view = market.depth(symbol, level)
    takes_asks = (whose == "OPPONENT") == (request.side == BUY)
    rows = view.asks if takes_asks else view.bids
    if len(rows) < level:
        raise VenueError(-5041)
    return rows[level - 1][0]


def build(request: OrderRequest, order_id: int, client_order_id: str, now_ms: int) -> ClientOrder:
    """Return the order that a request describes."""
    return ClientOrder(
        request.instrument,
        order_id,
        client_order_id,
        request.side,
        request.kind,
        request.time_in_force,
        request.price_tick,
        request.quantity_lot,
        request.reduce_only,
        now_ms,
        request.position_side,
        request.close_position,
        request.stp_mode,
        request.good_till_ms,
        request.price_match,
    )


def _check_filters(desk: Desk, request: OrderRequest) -> None:
    symbol = request.instrument.symbol
    filters = desk.filters[symbol]
    mark_tick = desk.market.mark_tick(symbol)
    is_market = request.kind == "MARKET"
    if not is_market:
        filters.check_price(request.price_tick)
    filters.check_quantity(request.quantity_lot, is_market)
    if is_market:
        bid_tick, ask_tick = desk.market.best(symbol)
        best_tick = ask_tick if request.side == BUY else bid_tick
        filters.check_counterparty(request.side, best_tick, mark_tick)
    else:
        filters.check_percent_price(request.side, request.price_tick, mark_tick)
    if not request.is_closing:
        # Without a book a market order's worth cannot be measured: price 0 passes.
        filters.check_notional(request.price_tick or mark_tick, request.quantity_lot)


def _check_room(desk: Desk, request: OrderRequest) -> None:
    symbol, client_id = request.instrument.symbol, request.client_order_id
    if client_id is not None and desk.register.is_open_client_id(symbol, client_id):
        raise VenueError(-4116)
    if len(desk.register.open.get(symbol, ())) >= desk.filters[symbol].orders_max:
        raise VenueError(-2025)


def _closing_lot(desk: Desk, request: OrderRequest) -> int:
    """Return the quantity of an order that may only shrink a position; raise -2022.

    # Venue: a reduce-only order larger than the position is shrunk to it; in hedge mode one that
    closes more than its leg is refused.
    """
    held = desk.account.held_lot(request.instrument.symbol, request.position_side)
    if held * request.side >= 0:
        raise VenueError(-2022)
    if not request.reduce_only and request.quantity_lot > abs(held):
        raise VenueError(-2022)
    return min(request.quantity_lot, abs(held))
