"""Answer the WS-API: one JSON request, one JSON response, over a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from exchange.api.limits import Limits
from exchange.api.signing import Credentials, check_time, ws_payload
from exchange.errors import VenueError

Params = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Method:
    """Be one method: what it costs and whether it wants a signature."""

    name: str
    handler: Callable[[Params], object]
    weight: int = 1
    orders: int = 0
    security: str = "NONE"  # NONE or SIGNED


class WsApi:
    """Turn WS-API requests into calls of handlers that know nothing of sockets."""

    def __init__(
        self,
        methods: list[Method],
        credentials: Credentials,
        limits: Limits,
        clock_ms: Callable[[], int],
        on_refused: Callable[[Params, int], None],
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._clock_ms = clock_ms
        self._on_refused = on_refused
        self._methods = {method.name: method for method in methods}

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
        raw = request.get("params") or {}
        if not isinstance(raw, dict):
            raise VenueError(-1130, name="params")
        params = {str(key): as_text(value) for key, value in raw.items()}
        self._limits.use(row.weight, row.orders)
        if row.security == "SIGNED":
            try:
                self._authorise(params)
            except VenueError as error:
                if row.orders:
                    self._on_refused(params, error.code)
                raise
        return row.handler(params)

    def _authorise(self, params: Params) -> None:
        self._credentials.check_key(params.get("apiKey"))
        if not params.get("signature"):
            raise VenueError(-1102, name="signature")
        check_time(params, self._clock_ms())
        self._credentials.check_signature(ws_payload(params), params["signature"])


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
