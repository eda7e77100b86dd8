"""Answer the WS-API: one JSON request, one JSON response, over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import orjson

from exchange.api.answers import internal_error
from exchange.api.keys import Key, Keys
from exchange.api.limits import Limits
from exchange.api.signing import check_time, ws_payload
from exchange.api.trouble import Occasion, Plan, Trouble
from exchange.api.ws_request import MalformedError, Request, read_request
from exchange.errors import VenueError
from exchange.faults.connections import is_cut
from exchange.streams.hub import Client

Params = Mapping[str, str]
Weight = int | Callable[[Params], int]
Work = Callable[[Request, "Session", Client], None]


@dataclass(frozen=True, slots=True)
class Method:
    """Be one method: what it costs and whether it wants a key or a signature."""

    name: str
    handler: Callable[[Params], object]
    weight: Weight = 1
    orders_10s: int = 0  # what it adds to the orders of ten seconds, and to those of a minute
    orders_1m: int = 0
    security: str = "NONE"  # NONE, KEY or SIGNED
    is_action: bool = False  # it changes something of the account: such answers take longer
    places_orders: bool = False  # it makes new orders

    @property
    def is_order(self) -> bool:
        """Tell whether it makes or changes orders, and so counts as such."""
        return bool(self.orders_10s)


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
        self._methods: dict[str, Method] = {}
        self._session_methods = {
            "session.logon": self._log_on,
            "session.status": self._status,
            "session.logout": self._log_out,
        }
        for method in methods:
            is_new = method.name not in (*self._methods, *self._session_methods)
            assert is_new, f"served twice: {method.name}"
            self._methods[method.name] = method

    def open_session(self, wants_limits: bool = True) -> Session:
        """Return the state of a new connection."""
        return Session(self._clock_ms(), wants_limits=wants_limits)

    def receive(self, text: str, session: Session, client: Client) -> None:
        """Answer one message of a client, sooner or later; whatever happens, by a message."""
        try:
            request = _read(text)
            if isinstance(request, MalformedError):
                client.send(self._refused(request, session))
                return
        except Exception:
            client.send(_failure(None, "ws_api"))
            return
        self._guarded(self._receive, request, session, client)

    def answer(self, text: str, session: Session) -> bytes:
        """Return the response to one message; a refusal is a response too."""
        request = _read(text)
        if isinstance(request, MalformedError):
            return self._refused(request, session)
        return self._reply(request, session, self._carry_out(request, session))

    def _refused(self, malformed: MalformedError, session: Session) -> bytes:
        error = self._charged(malformed.error)
        return self._response(malformed.request_id, error, session.wants_limits)

    def _guarded(self, work: Work, request: Request, session: Session, client: Client) -> None:
        """Do a part of the work on a request; what goes wrong is answered and logged."""
        try:
            work(request, session, client)
        except Exception:
            client.send(_failure(request.request_id, request.method))

    def _receive(self, request: Request, session: Session, client: Client) -> None:
        if not self._trouble.is_armed:
            self._follow(Plan(), request, session, client)
            return
        plan = self._trouble.plan(self._occasion(request))
        follow = partial(self._follow, plan)
        if plan.request_delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(plan.request_delay_s, self._guarded, follow, request, session, client)
        else:
            follow(request, session, client)

    def _follow(self, plan: Plan, request: Request, session: Session, client: Client) -> None:
        """Carry out a request as far as its plan says, and none of a peer that was cut off."""
        if is_cut(client.transport):
            return
        if plan.cut_before:
            self._trouble.connections.cut(client, plan.cut_before)
            return
        result = self._carry_out(request, session) if plan.is_carried_out else None
        if plan.cut_after:
            self._trouble.connections.cut(client, plan.cut_after)
            return
        reply = self._reply(request, session, self._trouble.told(plan, result))
        row = self._methods.get(request.method)
        is_action = row is not None and row.is_action
        latency_s = self._ack_latency_s if is_action else 0.0
        self._send_later(client, reply, latency_s + plan.answer_delay_s)

    def _occasion(self, request: Request) -> Occasion:
        row = self._methods.get(request.method)
        places_orders = row is not None and row.places_orders
        return Occasion("ws_api", request.method, "WS", request.params, places_orders)

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
                self._limits.charge_orders(row.orders_10s, row.orders_1m)
            except VenueError as error:
                if row.is_order:
                    self._on_refused(params, error.code)
                raise
            if self._trouble.is_armed:
                self._trouble.reached(self._occasion(request))
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


def _read(text: str) -> Request | MalformedError:
    try:
        return read_request(text)
    except MalformedError as malformed:
        return malformed


def _failure(request_id: int | str | None, where: str) -> bytes:
    """Log the exception that is being handled; return the response that tells of no more."""
    error = internal_error(where)
    body = {"id": request_id, "status": error.http_status, "error": error.as_json()}
    return orjson.dumps(body)
