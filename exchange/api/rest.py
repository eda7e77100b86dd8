"""Answer REST requests under /fapi: routes, limits, security, headers, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from exchange.api.answers import MALFORMED_TEXT, expect_nothing, internal_error
from exchange.api.keys import Keys
from exchange.api.limits import Limits
from exchange.api.local_guard import check_is_local
from exchange.api.request_text import read_params
from exchange.api.signing import check_time, rest_payload
from exchange.api.trouble import Occasion, Plan, Trouble
from exchange.errors import VenueError
from exchange.faults.connections import is_cut

Params = Mapping[str, str]
Handler = Callable[[Params], object]
Weight = int | Callable[[Params], int]
LOCAL = "/local/"


@dataclass(frozen=True, slots=True)
class Route:
    """Be one endpoint: what it costs and whether it wants a key or a signature."""

    method: str
    path: str
    handler: Handler
    weight: Weight = 1
    orders_10s: int = 0  # what it adds to the orders of ten seconds, and to those of a minute
    orders_1m: int = 0
    security: str = "NONE"  # NONE, KEY or SIGNED
    places_orders: bool = False  # it makes new orders

    @property
    def is_order(self) -> bool:
        """Tell whether it makes or changes orders, and so counts as such."""
        return bool(self.orders_10s)

    @property
    def is_action(self) -> bool:
        """Tell whether it changes something of the account: such answers take longer."""
        return self.security == "SIGNED" and self.method != "GET"


UNKNOWN = Route("*", "", lambda params: None)


@dataclass(frozen=True, slots=True)
class Call:
    """Be one request: its texts as received, and the parameters that they hold."""

    api_key: str | None
    query: str
    body: str
    params: Params


class Rest:
    """Turn HTTP requests into calls of handlers that know nothing of HTTP."""

    def __init__(
        self,
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
        self._on_refused = on_refused
        self._ack_latency_s = ack_latency_ms / 1000
        self._trouble = trouble
        self._served: set[tuple[str, str]] = set()

    def add_to(self, app: web.Application, routes: list[Route]) -> None:
        """Register the routes; each pair of method and path is served once."""
        for route in routes:
            name = (route.method, route.path)
            assert name not in self._served, f"served twice: {route.method} {route.path}"
            self._served.add(name)
            app.router.add_route(
                route.method, route.path, self._bound(route), expect_handler=expect_nothing
            )

    def _bound(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        if route.path.startswith(LOCAL):

            async def handle_local(request: web.Request) -> web.Response:
                return await self._answer_local(route, request)

            return handle_local

        async def handle(request: web.Request) -> web.Response:
            return await self._answer(route, request)

        return handle

    async def _answer(self, route: Route, request: web.Request) -> web.Response:
        try:
            call = await _read(request)
        except VenueError as error:
            return self._response(route, self._charged(error))
        plan, line = Plan(), request.transport
        if self._trouble.is_armed:
            plan = self._trouble.plan(_occasion(route, call))
            await asyncio.sleep(plan.request_delay_s)
            if plan.cut_before or is_cut(line):
                return self._cut(line, plan.cut_before)
        result = self._carry_out(route, call) if plan.is_carried_out else None
        delay_s = plan.answer_delay_s
        if route.is_action:
            delay_s += self._ack_latency_s
        response = self._response(route, self._trouble.told(plan, result))
        if delay_s:
            await asyncio.sleep(delay_s)
        if plan.cut_after:
            return self._cut(line, plan.cut_after)
        return response

    async def unknown_path(self, request: web.Request) -> web.Response:
        """Answer a path that does not exist, or not with this method."""
        error = VenueError(-5000, path=request.path, method=request.method)
        return self._response(UNKNOWN, self._charged(error))

    def _charged(self, error: VenueError) -> VenueError:
        """Charge a request that is refused anyway; return why it is refused."""
        try:
            self._limits.charge(1)
        except VenueError as over:
            return over
        return error

    def _carry_out(self, route: Route, call: Call) -> object:
        """Return the result of a request, or the VenueError that refuses it."""
        params = call.params
        try:
            try:
                weight = route.weight if isinstance(route.weight, int) else route.weight(params)
                self._limits.charge(weight)
                self._authorise(route, call)
                self._limits.charge_orders(route.orders_10s, route.orders_1m)
            except VenueError as error:
                if route.is_order:
                    self._on_refused(params, error.code)
                raise
            if self._trouble.is_armed:
                self._trouble.reached(_occasion(route, call))
            return self._trouble.shown(route.path, params, route.handler(params))
        except VenueError as error:
            return error
        except Exception:
            return internal_error(route.path)

    def _authorise(self, route: Route, call: Call) -> None:
        if route.security == "NONE":
            return
        key = self._keys.find(call.api_key)
        if route.security == "KEY":
            return
        params = call.params
        if not params.get("signature"):
            raise VenueError(-1102, name="signature")
        check_time(params, self._clock_ms())
        key.check(rest_payload(call.query, call.body), params["signature"])

    def _response(self, route: Route, result: object) -> web.Response:
        headers = self._limits.headers(route.is_order)
        status = 200
        if isinstance(result, VenueError):
            if result.retry_at_ms:
                headers["Retry-After"] = str(self._limits.retry_after_s(result))
            status, result = result.http_status, result.as_json()
        return web.Response(
            body=orjson.dumps(result),
            status=status,
            headers=headers,
            content_type="application/json",
        )

    async def _answer_local(self, route: Route, request: web.Request) -> web.Response:
        """Answer what the venue does not have: no limits, no signatures, no faults."""
        check_is_local(request.headers)
        params = read_params(request.raw_path.partition("?")[2], "", "")
        body = await _read_body(request)
        if body:
            params["body"] = body.decode("utf-8", "replace")
        result = route.handler(params)
        return web.Response(body=orjson.dumps(result), content_type="application/json")

    def _cut(self, line: asyncio.BaseTransport | None, way: str | None) -> web.Response:
        """Break the connection, unless it is broken; what is returned reaches nobody."""
        if way is not None and line is not None:
            self._trouble.connections.cut_transport(line, way)
        return web.Response(status=503)


def _occasion(route: Route, call: Call) -> Occasion:
    return Occasion("rest", route.path, route.method, call.params, route.places_orders)


async def _read(request: web.Request) -> Call:
    """Return a request's texts and parameters; raise VenueError for what is malformed."""
    # Venue: the signature covers query and body as received, so they are kept undecoded.
    query = request.raw_path.partition("?")[2]
    body = (await _read_body(request)).decode("utf-8", "surrogateescape")
    if body and request.method == "GET":
        raise VenueError.saying(-1130, "A GET request takes no body.")
    params = read_params(query, body, request.headers.get("Content-Type", ""))
    return Call(request.headers.get("X-MBX-APIKEY"), query, body, params)


async def _read_body(request: web.Request) -> bytes:
    """Return a request's body; raise -1100 for one that is too large or cannot be unpacked."""
    if not request.can_read_body:
        return b""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise VenueError.saying(-1100, "The request body is too large.", 413) from None
    except web.RequestPayloadError:
        raise VenueError.saying(-1100, MALFORMED_TEXT) from None
