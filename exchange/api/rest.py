"""Answer REST requests under /fapi: routes, weights, authentication, headers, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from exchange.api.limits import Limits
from exchange.api.signing import Credentials, check_time, rest_payload
from exchange.errors import VenueError

Params = Mapping[str, str]
Handler = Callable[[Params], object]
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Route:
    """Be one endpoint: what it costs and whether it wants a key or a signature."""

    method: str
    path: str
    handler: Handler
    weight: Weight = 1
    orders: int = 0
    security: str = "NONE"  # NONE, KEY or SIGNED


class Rest:
    """Turn HTTP requests into calls of handlers that know nothing of HTTP."""

    def __init__(
        self,
        credentials: Credentials,
        limits: Limits,
        clock_ms: Callable[[], int],
        ack_latency_ms: float,
        on_refused: Callable[[Params, int], None],
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._clock_ms = clock_ms
        self._on_refused = on_refused
        self._ack_latency_s = ack_latency_ms / 1000

    def add_to(self, app: web.Application, routes: list[Route]) -> None:
        """Register the routes."""
        for route in routes:
            app.router.add_route(route.method, route.path, self._bound(route))

    def _bound(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.Response:
            return await self._answer(route, request)

        return handle

    async def _answer(self, route: Route, request: web.Request) -> web.Response:
        # Venue: the signature covers the query as received, so the raw target is used.
        query = request.raw_path.partition("?")[2]
        body = await request.text() if request.can_read_body else ""
        params = dict(parse_qsl(query, keep_blank_values=True))
        params.update(parse_qsl(body, keep_blank_values=True))
        weight = route.weight if isinstance(route.weight, int) else route.weight(params)
        headers = self._limits.use(weight, route.orders)
        try:
            try:
                self._authorise(route, request, params, query, body)
            except VenueError as error:
                if route.orders:
                    self._on_refused(params, error.code)
                raise
            result, status = route.handler(params), 200
        except VenueError as error:
            result, status = error.as_json(), error.http_status
        if self._ack_latency_s and route.security == "SIGNED" and route.method != "GET":
            await asyncio.sleep(self._ack_latency_s)
        return web.Response(
            body=orjson.dumps(result),
            status=status,
            headers=headers,
            content_type="application/json",
        )

    def _authorise(
        self, route: Route, request: web.Request, params: Params, query: str, body: str
    ) -> None:
        if route.security == "NONE":
            return
        self._credentials.check_key(request.headers.get("X-MBX-APIKEY"))
        if route.security == "KEY":
            return
        if not params.get("signature"):
            raise VenueError(-1102, name="signature")
        check_time(params, self._clock_ms())
        self._credentials.check_signature(rest_payload(query, body), params["signature"])


async def unknown_path(request: web.Request) -> web.Response:
    """Answer a path that does not exist."""
    error = VenueError(-5000, path=request.path, method=request.method)
    return web.json_response(error.as_json(), status=error.http_status)
