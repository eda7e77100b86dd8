"""Serve WebSocket connections: stream paths, SUBSCRIBE messages, and the WS-API path."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import orjson
import structlog
from aiohttp import WSMsgType, web

from exchange.api.ws_api import WsApi
from exchange.streams.hub import Client, Hub

STREAMS_MAX = 1024  # Venue: streams a connection
MESSAGE_BYTES_MAX = 1 << 20


class Sockets:
    """Accept connections and read what clients say; what they hear goes through the hub."""

    def __init__(self, hub: Hub, api: WsApi, ack_latency_ms: float) -> None:
        self._hub = hub
        self._api = api
        self._ack_latency_s = ack_latency_ms / 1000
        self._open: set[web.WebSocketResponse] = set()

    def add_to(self, app: web.Application) -> None:
        """Register the stream paths, old and split, and the WS-API path."""
        for root in ("", "/public", "/market", "/private"):
            app.router.add_get(f"{root}/ws", self._raw)
            app.router.add_get(f"{root}/ws/{{streams:.+}}", self._raw)
            app.router.add_get(f"{root}/stream", self._combined)
        app.router.add_get("/ws-fapi/v1", self._api_connection)

    async def close(self) -> None:
        """Close every connection with 1001, going away."""
        closing = [ws.close(code=1001, message=b"exchange is closing") for ws in self._open]
        for outcome in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                structlog.get_logger().warning("close_failed", reason=repr(outcome))

    async def _raw(self, request: web.Request) -> web.WebSocketResponse:
        names = request.match_info.get("streams", "").split("/")
        return await self._serve_streams(request, names, combined=False)

    async def _combined(self, request: web.Request) -> web.WebSocketResponse:
        names = request.query.get("streams", "").split("/")
        return await self._serve_streams(request, names, combined=True)

    async def _serve_streams(
        self, request: web.Request, names: list[str], combined: bool
    ) -> web.WebSocketResponse:
        ws = await self._upgrade(request)
        client = self._client(request, combined)
        names.append(request.query.get("listenKey", ""))
        try:
            for name in names:
                if name:
                    self._hub.subscribe(client, name)
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    client.send(self._command(client, message.data))
        finally:
            self._leave(ws, client)
        return ws

    async def _api_connection(self, request: web.Request) -> web.WebSocketResponse:
        ws = await self._upgrade(request)
        client = self._client(request, combined=False)
        loop = asyncio.get_running_loop()
        try:
            async for message in ws:
                if message.type is not WSMsgType.TEXT:
                    continue
                answer = self._api.answer(message.data)
                if self._ack_latency_s:
                    loop.call_later(self._ack_latency_s, client.send, answer)
                else:
                    client.send(answer)
        finally:
            self._leave(ws, client)
        return ws

    async def _upgrade(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=MESSAGE_BYTES_MAX, timeout=2.0)
        await ws.prepare(request)
        self._open.add(ws)
        return ws

    def _client(self, request: web.Request, combined: bool) -> Client:
        transport = request.transport
        assert transport is not None, "an upgraded request has a transport"
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(self._hub, transport, combined)
        self._hub.connect(client)
        # The route's template is logged, not the path: that one can hold a listen key.
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else ""
        structlog.get_logger().info("client_connected", route=route)
        return client

    def _leave(self, ws: web.WebSocketResponse, client: Client) -> None:
        self._hub.disconnect(client)
        self._open.discard(ws)

    def _command(self, client: Client, text: str) -> bytes:
        """Carry out SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS; return the answer."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return _error(None, 3, "Invalid JSON: expected value")
        if not isinstance(request, dict):
            return _error(None, 2, "Invalid request: not an object")
        request_id = request.get("id")
        method = request.get("method")
        if method == "LIST_SUBSCRIPTIONS":
            return orjson.dumps({"result": list(client.streams), "id": request_id})
        names = list(_names(request.get("params")))
        if method == "SUBSCRIBE":
            if len(client.streams) + len(names) > STREAMS_MAX:
                return _error(request_id, 1, "Too many streams on this connection")
            for name in names:
                self._hub.subscribe(client, name)
        elif method == "UNSUBSCRIBE":
            for name in names:
                self._hub.unsubscribe(client, name)
        else:
            return _error(request_id, 2, f"Invalid request: unknown method {method!r}")
        return orjson.dumps({"result": None, "id": request_id})


def _names(params: object) -> Iterator[str]:
    if isinstance(params, list):
        yield from (name for name in params if isinstance(name, str) and name)


def _error(request_id: object, code: int, text: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "msg": text}, "id": request_id})
