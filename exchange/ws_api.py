"""Answer the WS-API: one JSON request, one JSON response, over a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from exchange.desk import Desk
from exchange.entry import instrument_of
from exchange.errors import VenueError
from exchange.limits import Limits
from exchange.orders import acknowledgement_json, order_json, query_json
from exchange.signing import Credentials, check_time, ws_payload
from exchange.views import position_json

Params = Mapping[str, str]


class WsApi:
    """Hold the methods by name: (handler, weight, orders it counts as, is it signed)."""

    def __init__(
        self, desk: Desk, credentials: Credentials, limits: Limits, clock_ms: Callable[[], int]
    ) -> None:
        self._desk = desk
        self._credentials = credentials
        self._limits = limits
        self._clock_ms = clock_ms
        self._methods: dict[str, tuple[Callable[[Params], object], int, int, bool]] = {
            "ping": (lambda params: {}, 1, 0, False),
            "time": (lambda params: {"serverTime": clock_ms()}, 1, 0, False),
            "order.place": (self._place, 0, 1, True),
            "order.cancel": (self._cancel, 1, 0, True),
            "order.status": (self._status, 1, 0, True),
            "account.position": (lambda params: self._positions(params, 2), 5, 0, True),
            "v2/account.position": (lambda params: self._positions(params, 3), 5, 0, True),
        }

    def answer(self, text: str | bytes) -> bytes:
        """Return the response to one request; a refusal is a response too."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return _refusal(None, 400, {"code": -1100, "msg": "Malformed JSON request."}, [])
        if not isinstance(request, dict):
            return _refusal(None, 400, {"code": -1100, "msg": "A request is an object."}, [])
        request_id = request.get("id")
        try:
            result = self._run(request)
        except VenueError as error:
            used = self._limits.used()
            return _refusal(request_id, error.http_status, error.as_json(), used)
        body = {"id": request_id, "status": 200, "result": result}
        return orjson.dumps({**body, "rateLimits": self._limits.used()})

    def _run(self, request: dict[str, object]) -> object:
        name = str(request.get("method", ""))
        row = self._methods.get(name)
        if row is None:
            raise VenueError(-5000, path=name, method="WS-API")
        handler, weight, orders, is_signed = row
        raw = request.get("params") or {}
        if not isinstance(raw, dict):
            raise VenueError(-1130, name="params")
        params = {str(key): as_text(value) for key, value in raw.items()}
        self._limits.use(weight, orders)
        if is_signed:
            try:
                self._authorise(params)
            except VenueError as error:
                if orders:
                    self._desk.refuse_unauthorised(params, error.code)
                raise
        return handler(params)

    def _authorise(self, params: Params) -> None:
        self._credentials.check_key(params.get("apiKey"))
        if not params.get("signature"):
            raise VenueError(-1102, name="signature")
        check_time(params, self._clock_ms())
        self._credentials.check_signature(ws_payload(params), params["signature"])

    def _place(self, params: Params) -> object:
        order, wants_result = self._desk.place(params)
        return order_json(order) if wants_result else acknowledgement_json(order)

    def _cancel(self, params: Params) -> object:
        symbol = instrument_of(params, self._desk.instruments).symbol
        return order_json(self._desk.cancel(params, symbol))

    def _status(self, params: Params) -> object:
        symbol = instrument_of(params, self._desk.instruments).symbol
        return query_json(self._desk.query(params, symbol))

    def _positions(self, params: Params, version: int) -> object:
        if params.get("symbol"):
            symbols = [instrument_of(params, self._desk.instruments).symbol]
        else:
            symbols = list(self._desk.instruments)
        return [position_json(self._desk, symbol, version) for symbol in symbols]


def as_text(value: object) -> str:
    """Return a JSON value as the text that its sender signed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _refusal(
    request_id: object, status: int, error: dict[str, object], used: list[dict[str, object]]
) -> bytes:
    body = {"id": request_id, "status": status, "error": error, "rateLimits": used}
    return orjson.dumps(body)
