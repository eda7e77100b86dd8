"""Keep every HTTP answer in the venue's shape: errors that never reached a handler as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
import structlog
from aiohttp import web

from exchange.errors import VenueError
from exchange.faults.line import Line

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUIET: dict[str, Any] = {"access_log": None}  # requests are not logged one by one
MALFORMED_TEXT = "Malformed request."
IS_UPGRADED = web.RequestKey("is_upgraded", bool)  # the connection speaks WebSocket from now on
LINE_BYTES_MAX = 1 << 16  # of a request line: a URL may name 1,024 streams, up to 63 bytes each


def error_response(error: VenueError, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error in the venue's shape."""
    return web.Response(
        body=orjson.dumps(error.as_json()),
        status=error.http_status,
        headers=headers,
        content_type="application/json",
    )


def internal_error(where: str) -> VenueError:
    """Log the exception that is being handled with its traceback; return what clients hear."""
    structlog.get_logger().exception("request_failed", where=where)
    return VenueError(-1000)


@web.middleware
async def in_venue_shape(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Turn the server's own error pages and escaped exceptions into the venue's errors."""
    try:
        return await handler(request)
    except web.HTTPException as page:
        error = VenueError.saying(-1100, f"{page.reason}.", page.status)
    except VenueError as refusal:
        error = refusal
    except ConnectionResetError:
        structlog.get_logger().info("client_gone", where=route_of(request))
        return _to_nobody(request)
    except Exception:
        error = internal_error(route_of(request))
    # Nothing but frames may follow the switch to a WebSocket.
    return _to_nobody(request) if IS_UPGRADED in request else error_response(error)


def route_of(request: web.Request) -> str:
    """Return the route's template for the log, not the path: that one can hold a listen key."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(unknown)"


def _to_nobody(request: web.Request) -> web.Response:
    """End the connection; what is returned is not written any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=400)


async def expect_nothing(request: web.Request) -> None:
    """Tell a client that waits with its body to send it; other expectations are ignored."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class Protocol(web.RequestHandler):
    """Answer what is no HTTP request at all in the venue's shape, too; let lines be cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let everything that is written pass through a line that a fault may cut."""
        assert isinstance(transport, asyncio.Transport), "the server listens on TCP"
        super().connection_made(Line(transport))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that could not be read, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer that failed half-way cannot be replaced")
        structlog.get_logger().info("request_unreadable", status=status, reason=type(exc).__name__)
        code = -1000 if status >= 500 else -1100
        text = MALFORMED_TEXT if status < 500 else VenueError(-1000).message
        response = error_response(VenueError.saying(code, text, status))
        response.force_close()
        return response

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log what the server could not handle; a body that cannot be unpacked is no such thing.

        It is refused already when the server meets it once more while it skips what is left.
        """
        if isinstance(more.get("exc_info"), web.RequestPayloadError):
            structlog.get_logger().info("request_unreadable", status=400, reason="body")
        else:
            super().log_exception(*args, **more)


async def listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    """Serve the runner's application with our protocol. Raises OSError when that fails."""
    manager = runner.server
    assert manager is not None, "the runner is set up"
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        partial(
            Protocol,
            manager,
            loop=loop,
            tcp_keepalive=True,
            max_line_size=LINE_BYTES_MAX,
            **QUIET,
        ),
        host,
        port,
        reuse_address=True,
    )
