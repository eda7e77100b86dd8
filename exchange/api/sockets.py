"""Serve WebSocket connections: the stream paths, the WS-API path, and the limits of both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog
from aiohttp import WSMessage, WSMsgType, web

from exchange.api.answers import IS_UPGRADED, internal_error, route_of
from exchange.api.connection_limits import (
    API_CONTROLS_MAX,
    POLICY,
    STREAM_MESSAGES_MAX,
    Lifetimes,
    Pulse,
    Rate,
)
from exchange.api.stream_requests import STREAMS_MAX, StreamRequests
from exchange.api.ws_api import WsApi
from exchange.streams.hub import PING, PONG, Client, Hub, frame
from exchange.streams.names import LEGACY, MARKET, PRIVATE, PUBLIC

MESSAGE_BYTES_MAX = 1 << 20  # of a client's message; a longer one is answered with close code 1009
API_PATH = "/ws-fapi/v1"
CONTROLS = (WSMsgType.PING, WSMsgType.PONG)
TOO_MANY = (POLICY, b"Too many requests")


class Watcher(Protocol):
    """Hear of connections; the kinds are "market", "private" and "ws_api"."""

    def opened(self, peer: Client, kind: str) -> None:
        """Hear that one is open."""

    def closed(self, peer: Client) -> None:
        """Hear that one is gone."""


class Sockets:
    """Accept connections and read what clients say; what they hear goes through the hub.

    `legacy` tells what `/ws` and `/stream` carry: "on" everything, "public" what the venue sends
    there since the split, "off": they do not exist.
    """

    def __init__(
        self,
        hub: Hub,
        api: WsApi,
        watcher: Watcher | None = None,
        legacy: str = "on",
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._hub = hub
        self._api = api
        self._legacy = legacy
        self._lifetimes = lifetimes or Lifetimes()
        self._watcher = watcher
        self._requests = StreamRequests(hub, legacy)
        self._open: dict[web.WebSocketResponse, tuple[Client, Pulse]] = {}
        self._looks: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[bool]] = set()

    def add_to(self, app: web.Application) -> None:
        """Register the stream paths, old and split, and the WS-API path."""
        old = [] if self._legacy == "off" else [LEGACY]
        for path in (PUBLIC, MARKET, PRIVATE, *old):
            root = f"/{path}" if path else ""
            app.router.add_get(f"{root}/ws", partial(self._raw, path))
            app.router.add_get(f"{root}/ws/{{streams:.+}}", partial(self._raw, path))
            app.router.add_get(f"{root}/stream", partial(self._combined, path))
        app.router.add_get(API_PATH, self._api_connection)

    async def close(self) -> None:
        """Close every connection with 1001, going away."""
        if self._looks is not None:
            self._looks.cancel()
            self._looks = None
        closing = [ws.close(code=1001, message=b"exchange is closing") for ws in list(self._open)]
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                structlog.get_logger().warning("close_failed", reason=repr(outcome))

    async def _raw(self, path: str, request: web.Request) -> web.WebSocketResponse:
        names = request.match_info.get("streams", "").split("/")
        return await self._serve_streams(request, path, names, combined=False)

    async def _combined(self, path: str, request: web.Request) -> web.WebSocketResponse:
        names = request.query.get("streams", "").split("/")
        return await self._serve_streams(request, path, names, combined=True)

    async def _serve_streams(
        self, request: web.Request, path: str, names: list[str], combined: bool
    ) -> web.WebSocketResponse:
        keys = request.query.getall("listenKey", []) if path in (PRIVATE, LEGACY) else []
        wanted = [name for name in (*names, *keys) if name]
        ws = await self._upgrade(request)
        kind = PRIVATE if path == PRIVATE or keys else MARKET
        client, pulse = self._enter(request, ws, combined, kind)
        # Venue: `events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE` after a listen key picks the kinds.
        client.events = frozenset(filter(None, request.query.get("events", "").split("/")))
        rate = Rate(STREAM_MESSAGES_MAX)
        try:
            if len(wanted) > STREAMS_MAX:
                await ws.close(code=POLICY, message=b"Too many streams")
            for name in wanted[:STREAMS_MAX]:
                self._requests.subscribe(client, path, name)
            await self._read(
                ws,
                client,
                pulse,
                lambda message: rate,
                lambda text: client.send(self._requests.answer(client, path, text)),
            )
        finally:
            self._leave(ws, client)
        return ws

    async def _api_connection(self, request: web.Request) -> web.WebSocketResponse:
        ws = await self._upgrade(request)
        client, pulse = self._enter(request, ws, False, "ws_api")
        controls = Rate(API_CONTROLS_MAX)
        # Venue: "Websocket API General Info": the URL may leave the limits out of all answers.
        session = self._api.open_session(request.query.get("returnRateLimits") != "false")
        try:
            await self._read(
                ws,
                client,
                pulse,
                lambda message: controls if message.type in CONTROLS else None,
                lambda text: self._api.receive(text, session, client),
            )
        finally:
            self._leave(ws, client)
        return ws

    async def _read(
        self,
        ws: web.WebSocketResponse,
        client: Client,
        pulse: Pulse,
        rate_of: Callable[[WSMessage], Rate | None],
        on_text: Callable[[str], None],
    ) -> None:
        """Read a connection to its end; close it when it speaks too often."""
        loop = asyncio.get_running_loop()
        async for message in ws:
            rate = rate_of(message)
            if rate is not None and rate.is_over(loop.time()):
                structlog.get_logger().warning("client_too_fast", streams=len(client.streams))
                client.write()
                await ws.close(code=TOO_MANY[0], message=TOO_MANY[1])
                return
            if message.type is WSMsgType.TEXT:
                try:
                    on_text(message.data)
                except Exception:
                    internal_error("a message on a WebSocket")
                    await ws.close(code=1011, message=b"Internal error")
                    return
            elif message.type is WSMsgType.PING:
                client.queue(frame(bytes(message.data), PONG))
            elif message.type is WSMsgType.PONG:
                pulse.pong()

    async def _upgrade(self, request: web.Request) -> web.WebSocketResponse:
        # Control frames are answered here, because they count against the limits.
        ws = web.WebSocketResponse(
            compress=False, max_msg_size=MESSAGE_BYTES_MAX, timeout=2.0, autoping=False
        )
        await ws.prepare(request)
        request[IS_UPGRADED] = True
        return ws

    def _enter(
        self, request: web.Request, ws: web.WebSocketResponse, combined: bool, kind: str
    ) -> tuple[Client, Pulse]:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left during the upgrade")
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        client = Client(self._hub, transport, combined)
        self._hub.connect(client)
        self._open[ws] = client, Pulse(self._lifetimes, loop.time())
        if self._watcher is not None:
            self._watcher.opened(client, kind)
        if self._looks is None:
            self._looks = loop.call_later(self._lifetimes.look_s, self._look)
        structlog.get_logger().info("client_connected", route=route_of(request))
        return self._open[ws]

    def _leave(self, ws: web.WebSocketResponse, client: Client) -> None:
        self._hub.disconnect(client)
        self._open.pop(ws, None)
        if self._watcher is not None:
            self._watcher.closed(client)

    def _look(self) -> None:
        """Ping whom it is time to ping; end those that are too old or do not answer."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for ws, (client, pulse) in list(self._open.items()):
            ending = pulse.ending(now_s)
            if ending is not None:
                self._open.pop(ws)
                client.write()
                task = loop.create_task(ws.close(code=ending[0], message=ending[1]))
                self._endings.add(task)
                task.add_done_callback(self._endings.discard)
            elif pulse.is_ping_due(now_s):
                client.queue(frame(str(round(now_s * 1000)).encode(), PING))
        delay_s = self._lifetimes.look_s
        self._looks = loop.call_later(delay_s, self._look) if self._open else None
