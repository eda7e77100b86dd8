"""Read a source's messages into ticks and lots; what is none of the venue's is refused here.

Nothing of ours runs in here, so whatever fails does so because of the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from exchange.instruments import Instrument
from exchange.markets.market import PriceLot

MessageT = TypeVar("MessageT")


class MessageError(ValueError):
    """Say why a message of the source cannot be what its stream promises."""


@dataclass(frozen=True, slots=True)
class Diff:
    """Be one depthUpdate: absolute quantities, 0 for a level that is gone."""

    first_id: int
    last_id: int
    before_id: int  # `last_id` of the one before; 0 where the source does not say
    time_ms: int
    bids: list[PriceLot]
    asks: list[PriceLot]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Be a whole book at one update id; `time_ms` is 0 where the source does not say."""

    last_id: int
    time_ms: int
    bids: list[PriceLot]
    asks: list[PriceLot]


@dataclass(frozen=True, slots=True)
class SourceTrade:
    """Be one trade; `is_match` is False for what did not meet in the book."""

    trade_id: int
    price_tick: int
    quantity_lot: int
    buyer_is_maker: bool
    trade_ms: int
    event_ms: int
    is_match: bool


def read_json(data: bytes) -> Any:
    """Return a message's JSON. Raises MessageError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise MessageError(f"no JSON: {error}") from error


def read_diff(instrument: Instrument, data: Any) -> Diff:
    """Return a depthUpdate. Raises MessageError."""
    return _read(_diff, instrument, data)


def read_snapshot(instrument: Instrument, data: Any) -> Snapshot:
    """Return a depth snapshot. Raises MessageError."""
    return _read(_snapshot, instrument, data)


def read_trade(instrument: Instrument, data: Any) -> SourceTrade:
    """Return a trade. Raises MessageError."""
    return _read(_trade, instrument, data)


def _read(
    shape: Callable[[Instrument, Mapping[str, Any]], MessageT], instrument: Instrument, data: Any
) -> MessageT:
    try:
        if not isinstance(data, dict):
            raise MessageError(f"no object: {type(data).__name__}")
        return shape(instrument, data)
    except MessageError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MessageError(f"{type(error).__name__}: {error}") from error


def _diff(instrument: Instrument, data: Mapping[str, Any]) -> Diff:
    first_id, last_id = _whole(data["U"]), _whole(data["u"])
    if first_id > last_id:
        raise MessageError(f"first id above the last: U={first_id} u={last_id}")
    bids, asks = _rows(instrument, data["b"]), _rows(instrument, data["a"])
    return Diff(first_id, last_id, _whole(data.get("pu", 0)), _whole(data["T"]), bids, asks)


def _snapshot(instrument: Instrument, data: Mapping[str, Any]) -> Snapshot:
    bids, asks = _rows(instrument, data["bids"]), _rows(instrument, data["asks"])
    return Snapshot(_whole(data["lastUpdateId"]), _whole(data.get("T", 0)), bids, asks)


def _trade(instrument: Instrument, data: Mapping[str, Any]) -> SourceTrade:
    # Venue: `X` is MARKET for a trade of the book; fund and liquidation marks do not match, and
    # their prices need not be on the tick.
    trade_ms, event_ms, trade_id = _whole(data["T"]), _whole(data["E"]), _whole(data["t"])
    if data.get("X", "MARKET") != "MARKET":
        return SourceTrade(trade_id, 0, 0, bool(data["m"]), trade_ms, event_ms, is_match=False)
    price_tick = instrument.price_tick(data["p"])
    quantity_lot = instrument.quantity_lot(data["q"])
    if price_tick < 1 or quantity_lot < 1 or not isinstance(data["m"], bool):
        raise MessageError(f"no trade: p={data['p']} q={data['q']} m={data['m']}")
    return SourceTrade(
        trade_id, price_tick, quantity_lot, data["m"], trade_ms, event_ms, is_match=True
    )


def _rows(instrument: Instrument, rows: list[list[str]]) -> list[PriceLot]:
    price, quantity = instrument.price_tick, instrument.quantity_lot
    levels = [(price(p), quantity(q)) for p, q in rows]
    if any(price_tick < 1 for price_tick, _ in levels):
        raise MessageError("a level at price 0")
    return levels


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise MessageError(f"no id or time: {value!r}")
    return value
