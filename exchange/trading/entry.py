"""Read the parameters of a new order, in the venue's order of precedence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.matching.layout import BUY, SELL
from exchange.orders import is_closing
from exchange.trading.parameters import (
    Params,
    client_id,
    decimal,
    flag,
    instrument_of,
    required,
    whole_number,
)
from exchange.trading.positions import BOTH, POSITION_SIDES

CONDITIONAL = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD"})
SIDES = {"BUY": BUY, "SELL": SELL}
STP_MODES = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
STP_DEFAULT = "EXPIRE_MAKER"  # Venue: "New Order", selfTradePreventionMode
NO_MATCH = "NONE"
# Venue: "New Order", priceMatch: whose side the price is taken from, and which level of it.
PRICE_MATCHES = {
    f"{whose}{suffix}": (whose, level)
    for whose in ("OPPONENT", "QUEUE")
    for suffix, level in (("", 1), ("_5", 5), ("_10", 10), ("_20", 20))
}
# Venue: "New Order", goodTillDate: whole seconds, 600 s ahead, and before the year 10,000.
GOOD_TILL_AHEAD_MS = 600_000
GOOD_TILL_MS_MAX = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Hold a well-formed new order in ticks and lots.

    The price is 0 for a market order, and until the book has given it where `price_match` asks
    for that. `is_exempt` marks what the venue itself sends: no filter and no margin stops it.
    """

    instrument: Instrument
    side: int
    kind: str
    time_in_force: str
    price_tick: int
    quantity_lot: int
    reduce_only: bool
    client_order_id: str | None = None
    wants_result: bool = False
    position_side: str = BOTH
    close_position: bool = False
    stp_mode: str = STP_DEFAULT
    good_till_ms: int = 0
    price_match: str = NO_MATCH
    is_exempt: bool = False

    @property
    def is_closing(self) -> bool:
        """Tell whether it may only shrink a position."""
        return is_closing(self.reduce_only, self.position_side, self.side)


def parse_order(
    params: Params, instruments: Mapping[str, Instrument], is_dual_side: bool, now_ms: int
) -> OrderRequest:
    """Return the order that the parameters ask for, or raise the venue's error."""
    instrument = instrument_of(params, instruments)
    side = read_side(params)
    kind = required(params, "type")
    if kind in CONDITIONAL:
        raise VenueError(-4120)
    if kind not in ("LIMIT", "MARKET"):
        raise VenueError(-1116)
    if flag(params, "closePosition"):
        raise VenueError(-4136, kind=kind, flag="true")
    position_side = read_position_side(params, is_dual_side)
    time_in_force = _market_terms(params) if kind == "MARKET" else _limit_terms(params)
    price_match = read_price_match(params, kind == "LIMIT")
    return OrderRequest(
        instrument=instrument,
        side=side,
        kind=kind,
        time_in_force=time_in_force,
        price_tick=read_limit_price(params, instrument, price_match) if kind == "LIMIT" else 0,
        quantity_lot=read_quantity(params, instrument),
        reduce_only=read_reduce_only(params, is_dual_side),
        client_order_id=client_id(params, "newClientOrderId"),
        wants_result=_response_type(params) == "RESULT",
        position_side=position_side,
        stp_mode=read_stp_mode(params),
        good_till_ms=read_good_till(params, time_in_force, now_ms),
        price_match=price_match,
    )


def read_side(params: Params) -> int:
    """Return BUY or SELL as a sign or raise -1117."""
    side = SIDES.get(required(params, "side"))
    if side is None:
        raise VenueError(-1117)
    return side


def read_position_side(params: Params, is_dual_side: bool) -> str:
    """Return the position side; raise -4060, or -4061 when it is not one of the mode."""
    position_side = params.get("positionSide") or BOTH
    if position_side not in POSITION_SIDES:
        raise VenueError(-4060)
    if (position_side == BOTH) == is_dual_side:
        raise VenueError(-4061)
    return position_side


def read_reduce_only(params: Params, is_dual_side: bool) -> bool:
    """Return `reduceOnly`; raise -1106 for one in hedge mode.

    # Venue: "New Order": cannot be sent in hedge mode. `false` says nothing and passes.
    """
    value = flag(params, "reduceOnly")
    if value and is_dual_side:
        raise VenueError(-1106, name="reduceonly")
    return value


def read_price_match(params: Params, is_limit: bool) -> str:
    """Return `priceMatch`; raise -5037, -5038 or, together with a price, -1106."""
    value = params.get("priceMatch") or NO_MATCH
    if value == NO_MATCH:
        return value
    if value not in PRICE_MATCHES:
        raise VenueError(-5037)
    if not is_limit:
        raise VenueError(-5038)
    if params.get("price"):
        raise VenueError(-1106, name="price")
    return value


def read_limit_price(params: Params, instrument: Instrument, price_match: str) -> int:
    """Return the price in ticks, 0 where the book is to give it; raise -4001 or -4014."""
    if price_match != NO_MATCH:
        return 0
    return price_on_grid(decimal(params, "price", instrument.price_decimals), instrument)


def price_on_grid(scaled: int, instrument: Instrument) -> int:
    """Return a price in ticks; raise -4001 or -4014."""
    if scaled <= 0:
        raise VenueError(-4001)
    if scaled % instrument.tick_unit:
        raise VenueError(-4014)
    return scaled // instrument.tick_unit


def read_quantity(params: Params, instrument: Instrument) -> int:
    """Return the quantity in lots; raise -4003 or -4023."""
    scaled = decimal(params, "quantity", instrument.quantity_decimals)
    if scaled <= 0:
        raise VenueError(-4003)
    if scaled % instrument.lot_unit:
        raise VenueError(-4023)
    return scaled // instrument.lot_unit


def read_stp_mode(params: Params) -> str:
    """Return how the order behaves against the account's own ones; raise -5039."""
    value = params.get("selfTradePreventionMode") or STP_DEFAULT
    if value not in STP_MODES:
        raise VenueError(-5039)
    return value


def read_good_till(params: Params, time_in_force: str, now_ms: int) -> int:
    """Return when a GTD order ends, in whole seconds as ms, else 0; raise -1102 or -5040."""
    good_till_ms = whole_number(params, "goodTillDate")
    if time_in_force != "GTD":
        # A client that always sends the field sends 0 where there is none.
        if good_till_ms:
            raise VenueError(-1106, name="goodTillDate")
        return 0
    if good_till_ms is None:
        raise VenueError(-1102, name="goodTillDate")
    if not now_ms + GOOD_TILL_AHEAD_MS < good_till_ms < GOOD_TILL_MS_MAX:
        raise VenueError(-5040)
    return good_till_ms // 1000 * 1000


def _market_terms(params: Params) -> str:
    for name in ("price", "timeInForce"):
        if params.get(name):
            raise VenueError(-1106, name=name)
    return "GTC"


def _limit_terms(params: Params) -> str:
    time_in_force = required(params, "timeInForce")
    if time_in_force not in TIMES_IN_FORCE:
        raise VenueError(-1115)
    return time_in_force


def _response_type(params: Params) -> str:
    value = params.get("newOrderRespType") or "ACK"
    if value not in ("ACK", "RESULT"):
        raise VenueError(-1136)
    return value
