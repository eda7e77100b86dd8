"""Answer what clients say on stream connections: SUBSCRIBE and its companions, and mistakes.

# Venue: "Live Subscribing/Unsubscribing to streams", with the table of its error messages.
"""

from __future__ import annotations

from typing import NoReturn

import orjson

from exchange.streams.hub import Client, Hub
from exchange.streams.names import is_served, is_well_formed

STREAMS_MAX = 1_024  # Venue: streams a connection
ID_TEXT_MAX = 36
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class RequestError(Exception):
    """Carry a refusal of a stream request: a code from 0 to 3 and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class StreamRequests:
    """Change a client's subscriptions; `legacy` is what the old paths carry."""

    def __init__(self, hub: Hub, legacy: str) -> None:
        self._hub = hub
        self._legacy = legacy

    def subscribe(self, client: Client, path: str, name: str) -> None:
        """Add a stream; one that its path does not serve is listed and stays silent."""
        self._hub.subscribe(client, name, is_served(name, path, self._legacy))

    def answer(self, client: Client, path: str, text: str) -> bytes:
        """Carry out a request; return the answer."""
        request_id: object = None
        try:
            try:
                request = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                where = f"line {error.lineno} column {error.colno}"
                raise RequestError(3, f"Invalid JSON: expected value at {where}") from None
            if not isinstance(request, dict):
                _refuse("Invalid request: expected an object")
            request_id = _checked_id(request)
            result = self._run(client, path, request, text)
        except RequestError as error:
            refusal = {"code": error.code, "msg": str(error)}
            return orjson.dumps({"error": refusal, "id": request_id})
        return orjson.dumps({"result": result, "id": request_id})

    def _run(self, client: Client, path: str, request: dict[str, object], text: str) -> object:
        method = request.get("method")
        if "method" not in request:
            _refuse(f"Invalid request: missing field `method` at line 1 column {len(text)}")
        if method not in METHODS:
            column = text.find(f'"{method}"') + len(str(method)) + 2
            expected = ", ".join(f"`{name}`" for name in METHODS)
            _refuse(
                f"Invalid request: unknown variant `{method}`, expected one of {expected}"
                f" at line 1 column {column}"
            )
        if method == "LIST_SUBSCRIPTIONS":
            return list(client.streams)
        params = request.get("params")
        if not isinstance(params, list):
            _refuse(f"Invalid request: missing field `params` at line 1 column {len(text)}")
        if method == "SET_PROPERTY":
            self._set_property(client, params)
            return None
        if method == "GET_PROPERTY":
            _check_property(params, 1)
            return client.combined
        self._change(client, path, params, is_new=method == "SUBSCRIBE")
        return None

    def _change(self, client: Client, path: str, names: list[object], is_new: bool) -> None:
        if not all(is_well_formed(name) for name in names):
            _refuse("Invalid request: invalid stream")
        wanted = [str(name) for name in names]
        if not is_new:
            for name in wanted:
                self._hub.unsubscribe(client, name)
            return
        if len({*client.streams, *wanted}) > STREAMS_MAX:
            _refuse("Invalid request: too many parameters")
        for name in wanted:
            self.subscribe(client, path, name)

    def _set_property(self, client: Client, params: list[object]) -> None:
        _check_property(params, 2)
        value = params[1] if len(params) > 1 else None
        if not isinstance(value, bool):
            raise RequestError(1, "Invalid value type: expected Boolean")
        self._hub.set_combined(client, value)


def _refuse(text: str) -> NoReturn:
    raise RequestError(2, text)


def _checked_id(request: dict[str, object]) -> int | str:
    """Return the request's id: a number or a short text, as clients of 2026 send it."""
    value = request.get("id")
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_text = isinstance(value, str) and len(value) <= ID_TEXT_MAX
    if not (is_number or is_text):
        _refuse("Invalid request: request ID must be an unsigned integer")
    assert isinstance(value, int | str)
    return value


def _check_property(params: list[object], count_max: int) -> None:
    if len(params) > count_max:
        _refuse("Invalid request: too many parameters")
    name = params[0] if params else None
    if not isinstance(name, str):
        _refuse("Invalid request: property name must be a string")
    if name != "combined":
        raise RequestError(0, "Unknown property")
