"""Answer requests that hold several: place, modify and cancel up to five or ten orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial

import orjson

from exchange.api.limits import BATCH_COST
from exchange.api.rest import Route
from exchange.errors import VenueError
from exchange.orders import acknowledgement_json, order_json
from exchange.trading.desk import Desk
from exchange.trading.parameters import instrument_of, whole_number

Params = Mapping[str, str]
BATCH_MAX = 5  # Venue: "Place Multiple Orders", "Modify Multiple Orders"
CANCEL_MAX = 10  # Venue: "Cancel Multiple Orders"


class BatchEndpoints:
    """Take a list apart and answer row by row, in its order.

    # Venue: a row that is refused stands in the answer as `code` and `msg`; the others go through.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Return the table of REST endpoints."""
        path = "/fapi/v1/batchOrders"
        signed = partial(Route, security="SIGNED")
        return [
            signed("POST", path, self._place, *BATCH_COST, places_orders=True),
            signed("PUT", path, self._amend, *BATCH_COST),
            signed("DELETE", path, self._cancel),
        ]

    def _place(self, params: Params) -> object:
        return _answers(self._place_one, _rows(params))

    def _amend(self, params: Params) -> object:
        return _answers(self._amend_one, _rows(params))

    def _cancel(self, params: Params) -> object:
        symbol = instrument_of(params, self._desk.instruments).symbol
        for name, key in (
            ("orderIdList", "orderId"),
            ("origClientOrderIdList", "origClientOrderId"),
        ):
            if params.get(name):
                ids = _json_list(params, name)
                if len(ids) > CANCEL_MAX:
                    raise VenueError(-4032)
                rows = [{key: _as_text(value), "symbol": symbol} for value in ids]
                return _answers(self._cancel_one, rows)
        raise VenueError(-1102, name="orderIdList")

    def _place_one(self, params: Params) -> object:
        order, wants_result = self._desk.place(params)
        return order_json(order) if wants_result else acknowledgement_json(order)

    def _amend_one(self, params: Params) -> object:
        body = modified_json(self._desk, params)
        return {**body, "pair": body["symbol"]}

    def _cancel_one(self, params: Params) -> object:
        return order_json(self._desk.cancel(params, params["symbol"]))


def modified_json(desk: Desk, params: Params) -> dict[str, object]:
    """Modify an order and return the body that REST and WS-API have in common."""
    body = order_json(desk.amendments.amend(params))
    modify_id = whole_number(params, "modifyId")
    if modify_id is not None:
        body["modifyId"] = modify_id
    return body


def _answers(handle: Callable[[Params], object], rows: list[dict[str, str]]) -> list[object]:
    answers: list[object] = []
    for row in rows:
        try:
            answers.append(handle(row))
        except VenueError as error:
            answers.append(error.as_json())
    return answers


def _rows(params: Params) -> list[dict[str, str]]:
    """Return the requests of `batchOrders`; raise -1102, -1130 or -4082."""
    rows = _json_list(params, "batchOrders")
    if not 1 <= len(rows) <= BATCH_MAX:
        raise VenueError(-4082, count=len(rows))
    if not all(isinstance(row, dict) for row in rows):
        raise VenueError(-1130, name="batchOrders")
    return [
        {str(name): _as_text(value) for name, value in row.items() if value is not None}
        for row in rows
        if isinstance(row, dict)
    ]


def _json_list(params: Params, name: str) -> list[object]:
    text = params.get(name, "")
    if not text:
        raise VenueError(-1102, name=name)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise VenueError(-1130, name=name) from None
    if not isinstance(value, list):
        raise VenueError(-1130, name=name)
    return value


def _as_text(value: object) -> str:
    """Return a JSON value as a parameter's text; numbers without an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)
