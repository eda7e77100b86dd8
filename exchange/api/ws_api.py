"""Answer the WS-API: one JSON request, one JSON response, over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from exchange.api.answers import internal_error
from exchange.api.keys import Key, Keys
from exchange.api.limits import Limits
from exchange.api.signing import check_time, ws_payload
from exchange.api.trouble import Occasion, Plan, Trouble
from exchange.api.ws_request import MalformedError, Request, read_request
from exchange.errors import VenueError
from exchange.streams.hub import Client

Params = Mapping[str, str]
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Method:
    """Be one method: what it costs and whether it wants a key or a signature."""

    name: str
    handler: Callable[[Params], object]
    weight: Weight = 1
    orders: Weight = 0
    security: str = "NONE"  # NONE, KEY or SIGNED


@dataclass(slots=True)
class Session:
    """Be one connection's state: since when it stands, and who is logged on."""

    connected_ms: int
    key: Key | None = None
    authorised_ms: int | None = None
    wants_limits: bool = True

    def as_json(self, now_ms: int) -> dict[str, object]:
        """Return the result of session.logon, session.status and session.logout."""
        return {
            "apiKey": self.key.api_key if self.key is not None else None,
            "authorizedSince": self.authorised_ms,
            "connectedSince": self.connected_ms,
            "returnRateLimits": self.wants_limits,
            "serverTime": now_ms,
        }


class WsApi:
    """Turn WS-API requests into calls of handlers that know nothing of sockets."""

    def __init__(
        self,
        methods: list[Method],
        keys: Keys,
        limits: Limits,
        clock_ms: Callable[[], int],
        ack_latency_ms: float,
        on_refused: Callable[[Params, int], None],
        trouble: Trouble,
    ) -> None:
        self._keys = keys
        self._limits = limits
        self._clock_ms = clock_ms
        self._ack_latency_s = ack_latency_ms / 1000
        self._on_refused = on_refused
        self._trouble = trouble
        self._methods = {method.name: method for method in methods}
        self._session_methods = {
            "session.logon": self._log_on,
            "session.status": self._status,
            "session.logout": self._log_out,
        }

    def open_session(self, wants_limits: bool = True) -> Session:
        """Return the state of a new connection."""
        return Session(self._clock_ms(), wants_limits=wants_limits)

    def receive(self, text: str, session: Session, client: Client) -> None:
        """Answer one message of a client, sooner or later."""
        if self._trouble.is_armed:
            self._receive_in_trouble(text, session, client)
        else:
            self._send_later(client, self.answer(text, session), self._ack_latency_s)

    def answer(self, text: str, session: Session) -> bytes:
        """Return the response to one message; a refusal is a response too."""
        try:
            request = read_request(text)
        except MalformedError as malformed:
            error = self._charged(malformed.error)
            return self._response(malformed.request_id, error, session.wants_limits)
        return self._reply(request, session, self._carry_out(request, session))

    def _receive_in_trouble(self, text: str, session: Session, client: Client) -> None:
        try:
            request = read_request(text)
        except MalformedError:
            self._send_later(client, self.answer(text, session), self._ack_latency_s)
            return
        row = self._methods.get(request.method)
        is_order = row is not None and bool(row.orders)
        occasion = Occasion("ws_api", request.method, "WS", request.params, is_order)
        plan = self._trouble.plan(occasion)
        if plan.request_delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(plan.request_delay_s, self._follow, plan, request, session, client)
        else:
            self._follow(plan, request, session, client)

    def _follow(self, plan: Plan, request: Request, session: Session, client: Client) -> None:
        """Carry out a request as far as its plan says."""
        if plan.cut_before:
            self._trouble.connections.cut(client, plan.cut_before)
            return
        if plan.fills_before:
            self._trouble.fill(request.params)
        result = self._carry_out(request, session) if plan.is_carried_out else None
        if plan.fills_after:
            self._trouble.fill(request.params)
        if plan.cut_after:
            self._trouble.connections.cut(client, plan.cut_after)
            return
        reply = self._reply(request, session, plan.refusal or result)
        self._send_later(client, reply, self._ack_latency_s + plan.answer_delay_s)

    def _send_later(self, client: Client, data: bytes, delay_s: float) -> None:
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, client.send, data)
        else:
            client.send(data)

    def _carry_out(self, request: Request, session: Session) -> object:
        """Return the result of a request, or the VenueError that refuses it."""
        params = request.params
        try:
            row = self._methods.get(request.method)
            if row is None:
                return self._run_session(request, session)
            try:
                weight = row.weight if isinstance(row.weight, int) else row.weight(params)
                self._limits.charge(weight)
                self._authorise(row, params, session)
                orders = row.orders if isinstance(row.orders, int) else row.orders(params)
                self._limits.charge_orders(orders)
            except VenueError as error:
                if row.orders:
                    self._on_refused(params, error.code)
                raise
            return self._trouble.shown(request.method, params, row.handler(params))
        except VenueError as error:
            return error
        except Exception:
            return internal_error(request.method)

    def _run_session(self, request: Request, session: Session) -> object:
        method = self._session_methods.get(request.method)
        if method is None:
            return self._charged(VenueError(-5000, path=request.method, method="WS-API"))
        self._limits.charge(2)
        method(request.params, session)
        return session.as_json(self._clock_ms())

    def _log_on(self, params: Params, session: Session) -> None:
        """Log a session on: its requests need no apiKey and no signature from now on.

        # Venue: "Authentication requests": only Ed25519 keys are supported.
        """
        key = self._checked(params)
        if key.kind != "ED25519":
            raise VenueError(-4056, kind=key.kind)
        session.key, session.authorised_ms = key, self._clock_ms()

    def _status(self, params: Params, session: Session) -> None:
        """Change nothing: the answer to every session method is the session's state."""

    def _log_out(self, params: Params, session: Session) -> None:
        session.key = session.authorised_ms = None

    def _authorise(self, row: Method, params: Params, session: Session) -> None:
        if row.security == "NONE":
            return
        is_logged_on = session.key is not None and not params.get("apiKey")
        if row.security == "KEY":
            if not is_logged_on:
                self._keys.find(params.get("apiKey"))
        elif is_logged_on:
            check_time(params, self._clock_ms())
        else:
            self._checked(params)

    def _checked(self, params: Params) -> Key:
        """Return the key that signed the parameters, or raise the venue's error."""
        key = self._keys.find(params.get("apiKey"))
        if not params.get("signature"):
            raise VenueError(-1102, name="signature")
        check_time(params, self._clock_ms())
        key.check(ws_payload(params), params["signature"])
        return key

    def _charged(self, error: VenueError) -> VenueError:
        """Charge a request that is refused anyway; return why it is refused."""
        try:
            self._limits.charge(1)
        except VenueError as over:
            return over
        return error

    def _reply(self, request: Request, session: Session, result: object) -> bytes:
        wanted = request.params.get("returnRateLimits")
        wants_limits = session.wants_limits if wanted is None else wanted == "true"
        return self._response(request.request_id, result, wants_limits)

    def _response(self, request_id: object, result: object, wants_limits: bool) -> bytes:
        body: dict[str, object] = {"id": request_id}
        if isinstance(result, VenueError):
            error = result.as_json()
            if result.retry_at_ms:
                times = {"serverTime": self._clock_ms(), "retryAfter": result.retry_at_ms}
                error["data"] = times
            body.update(status=result.http_status, error=error)
        else:
            body.update(status=200, result=result)
        if wants_limits:
            body["rateLimits"] = self._limits.used()
        return orjson.dumps(body)
