"""Read the parameters of a new conditional order."""

from __future__ import annotations

from collections.abc import Mapping

from exchange.errors import VenueError
from exchange.instruments import Instrument
from exchange.orders import is_closing
from exchange.trading.algo_orders import (
    CLOSE_KINDS,
    GTE_GTC,
    LIMIT_KINDS,
    TRAILING,
    AlgoOrder,
)
from exchange.trading.entry import (
    CONDITIONAL,
    NO_MATCH,
    TIMES_IN_FORCE,
    price_on_grid,
    read_good_till,
    read_limit_price,
    read_position_side,
    read_price_match,
    read_quantity,
    read_reduce_only,
    read_side,
    read_stp_mode,
)
from exchange.trading.parameters import Params, client_id, decimal, flag, instrument_of, required
from exchange.trading.positions import BOTH

WORKING_TYPES = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
CALLBACK_E4_MIN = 10  # Venue: "New Algo Order", callbackRate: 0.1 % to 10 %, in steps of 0.1 %
CALLBACK_E4_MAX = 1_000


def parse_algo_order(
    params: Params, instruments: Mapping[str, Instrument], is_dual_side: bool, now_ms: int
) -> AlgoOrder:
    """Return the conditional order that the parameters ask for, or raise the venue's error."""
    if required(params, "algoType") != "CONDITIONAL":
        raise VenueError(-1130, name="algoType")
    instrument = instrument_of(params, instruments)
    side = read_side(params)
    kind = required(params, "type")
    if kind not in CONDITIONAL:
        raise VenueError(-1116)
    position_side = read_position_side(params, is_dual_side)
    close_position = _close_position(params, kind, side, position_side)
    time_in_force = _time_in_force(params, close_position)
    price_match = read_price_match(params, kind in LIMIT_KINDS)
    is_trailing = kind == TRAILING
    return AlgoOrder(
        instrument=instrument,
        kind=kind,
        side=side,
        position_side=position_side,
        time_in_force=time_in_force,
        quantity_lot=0 if close_position else read_quantity(params, instrument),
        price_tick=_price(params, instrument, kind, price_match),
        trigger_tick=0 if is_trailing else _trigger(params, instrument, "triggerPrice"),
        working_type=_working_type(params),
        price_match=price_match,
        close_position=close_position,
        price_protect=flag(params, "priceProtect"),
        reduce_only=read_reduce_only(params, is_dual_side) or (close_position and not is_dual_side),
        activate_tick=_activate(params, instrument) if is_trailing else 0,
        callback_e4=_callback_rate(params) if is_trailing else 0,
        stp_mode=read_stp_mode(params),
        good_till_ms=read_good_till(params, time_in_force, now_ms),
        client_algo_id=client_id(params, "clientAlgoId") or "",
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def _close_position(params: Params, kind: str, side: int, position_side: str) -> bool:
    """Return `closePosition`; raise -4136, -4137, -1106 or -1128 for what goes with it."""
    if not flag(params, "closePosition"):
        return False
    if kind not in CLOSE_KINDS:
        raise VenueError(-4136, kind=kind, flag="true")
    if params.get("quantity"):
        raise VenueError(-4137)
    if flag(params, "reduceOnly"):
        raise VenueError(-1106, name="reduceonly")
    if position_side != BOTH and not is_closing(False, position_side, side):
        raise VenueError(-1128)
    return True


def _time_in_force(params: Params, close_position: bool) -> str:
    """Return the time in force or raise -1115.

    # Venue: ALGO_UPDATE of a close-position order in one-way mode has "f":"GTE_GTC","R":true,
    "cp":true though neither was sent; without a position it is refused with -4509.
    """
    value = params.get("timeInForce") or "GTC"
    if value not in TIMES_IN_FORCE and value != GTE_GTC:
        raise VenueError(-1115)
    return GTE_GTC if close_position and value == "GTC" else value


def _price(params: Params, instrument: Instrument, kind: str, price_match: str) -> int:
    if kind in LIMIT_KINDS:
        return read_limit_price(params, instrument, price_match)
    if params.get("price") and price_match == NO_MATCH:
        raise VenueError(-1106, name="price")
    return 0


def _trigger(params: Params, instrument: Instrument, name: str) -> int:
    scaled = decimal(params, name, instrument.price_decimals)
    if scaled <= 0:
        raise VenueError(-4006)
    return price_on_grid(scaled, instrument)


def _activate(params: Params, instrument: Instrument) -> int:
    return _trigger(params, instrument, "activatePrice") if params.get("activatePrice") else 0


def _callback_rate(params: Params) -> int:
    """Return the callback rate in 1e-4 or raise -2007."""
    try:
        percent_e1 = decimal(params, "callbackRate", 1)
    except VenueError as error:
        raise VenueError(-2007) if error.code == -1111 else error from None
    rate_e4 = percent_e1 * 10
    if not CALLBACK_E4_MIN <= rate_e4 <= CALLBACK_E4_MAX:
        raise VenueError(-2007)
    return rate_e4


def _working_type(params: Params) -> str:
    value = params.get("workingType") or "CONTRACT_PRICE"
    if value not in WORKING_TYPES:
        raise VenueError(-4031)
    return value
