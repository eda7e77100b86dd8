"""Read and check the parameters of a new order, in the venue's order of precedence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from exchange.errors import VenueError
from exchange.instruments import Instrument, parse_scaled
from exchange.matching.ladder import BUY, SELL

CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")  # Venue: "New Order", newClientOrderId
CONDITIONAL = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX"})
PERCENT_UP = 105  # PERCENT_PRICE multipliers, in percent of the mark price
PERCENT_DOWN = 95


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Hold a well-formed new order in ticks and lots; price 0 for a market order."""

    instrument: Instrument
    side: int
    kind: str
    time_in_force: str
    price_tick: int
    quantity_lot: int
    reduce_only: bool
    client_order_id: str | None
    wants_result: bool


def required(params: Mapping[str, str], name: str) -> str:
    """Return a parameter or raise -1102."""
    value = params.get(name, "")
    if not value:
        raise VenueError(-1102, name=name)
    return value


def whole_number(params: Mapping[str, str], name: str) -> int | None:
    """Return an integer parameter, None when absent; raise -1102 when malformed."""
    value = params.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit()):
        raise VenueError(-1102, name=name)
    return int(value)


def instrument_of(params: Mapping[str, str], instruments: Mapping[str, Instrument]) -> Instrument:
    """Return the instrument of the `symbol` parameter or raise -1102 or -1121."""
    instrument = instruments.get(required(params, "symbol"))
    if instrument is None:
        raise VenueError(-1121)
    return instrument


def parse_order(params: Mapping[str, str], instruments: Mapping[str, Instrument]) -> OrderRequest:
    """Return the order that the parameters ask for, or raise the venue's error."""
    instrument = instrument_of(params, instruments)
    side = {"BUY": BUY, "SELL": SELL}.get(required(params, "side"))
    if side is None:
        raise VenueError(-1117)
    kind = required(params, "type")
    if kind in CONDITIONAL:
        raise VenueError(-4120)
    if kind not in ("LIMIT", "MARKET"):
        raise VenueError(-1116)
    if params.get("positionSide", "BOTH") != "BOTH":
        raise VenueError(-4061)
    time_in_force, price_tick = _price_terms(params, instrument, kind)
    return OrderRequest(
        instrument=instrument,
        side=side,
        kind=kind,
        time_in_force=time_in_force,
        price_tick=price_tick,
        quantity_lot=_quantity_lot(params, instrument),
        reduce_only=_flag(params, "reduceOnly"),
        client_order_id=_client_order_id(params),
        wants_result=_response_type(params) == "RESULT",
    )


def _price_terms(params: Mapping[str, str], instrument: Instrument, kind: str) -> tuple[str, int]:
    if kind == "MARKET":
        for name in ("price", "timeInForce"):
            if params.get(name):
                raise VenueError(-1106, name=name)
        return "GTC", 0
    time_in_force = required(params, "timeInForce")
    if time_in_force not in TIMES_IN_FORCE:
        raise VenueError(-1115)
    scaled = _decimal(params, "price", instrument.price_decimals)
    if scaled % instrument.tick_unit or scaled == 0:
        raise VenueError(-4014)
    return time_in_force, scaled // instrument.tick_unit


def _quantity_lot(params: Mapping[str, str], instrument: Instrument) -> int:
    scaled = _decimal(params, "quantity", instrument.quantity_decimals)
    if scaled <= 0:
        raise VenueError(-4003)
    if scaled % instrument.lot_unit:
        raise VenueError(-4023)
    quantity = scaled // instrument.lot_unit
    if quantity > instrument.lot_max:
        raise VenueError(-4005)
    return quantity


def _decimal(params: Mapping[str, str], name: str, decimals: int) -> int:
    text = required(params, name)
    try:
        scaled = parse_scaled(text, decimals)
    except ValueError:
        raise VenueError(-1102, name=name) from None
    if scaled is None:
        raise VenueError(-1111)
    return scaled


def _flag(params: Mapping[str, str], name: str) -> bool:
    value = params.get(name, "false").lower()
    if value not in ("true", "false"):
        raise VenueError(-1130, name=name)
    return value == "true"


def _client_order_id(params: Mapping[str, str]) -> str | None:
    value = params.get("newClientOrderId")
    if value is None:
        return None
    if not 1 <= len(value) <= 36:
        raise VenueError(-4015)
    if not CLIENT_ID.match(value):
        raise VenueError(-1100, name="newClientOrderId")
    return value


def _response_type(params: Mapping[str, str]) -> str:
    value = params.get("newOrderRespType", "ACK")
    if value not in ("ACK", "RESULT"):
        raise VenueError(-1130, name="newOrderRespType")
    return value


def check_filters(request: OrderRequest, mark_tick: int) -> None:
    """Raise -4016, -4024 or -4164 when the order breaks PERCENT_PRICE or MIN_NOTIONAL.

    A market order's worth is taken at the mark price. Without a book nothing can be measured, so
    both filters pass.
    """
    instrument = request.instrument
    if mark_tick and request.price_tick:
        highest = mark_tick * PERCENT_UP // 100
        lowest = -(-mark_tick * PERCENT_DOWN // 100)
        if request.side == BUY and request.price_tick > highest:
            raise VenueError(-4016, price=instrument.price_text(highest))
        if request.side == SELL and request.price_tick < lowest:
            raise VenueError(-4024, price=instrument.price_text(lowest))
    price_tick = request.price_tick or mark_tick
    if request.reduce_only or not price_tick:
        return
    notional_e8 = instrument.notional_e8(price_tick, request.quantity_lot)
    if notional_e8 < instrument.min_notional * 100_000_000:
        raise VenueError(-4164, notional=instrument.min_notional)
