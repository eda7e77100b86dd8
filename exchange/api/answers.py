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

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUIET: dict[str, Any] = {"access_log": None}  # requests are not logged one by one
MALFORMED_TEXT = "Malformed request."


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
        text = f"{page.reason}."
        return error_response(VenueError.saying(-1100, text, page.status))
    except VenueError as error:
        return error_response(error)
    except Exception:
        return error_response(internal_error(request.path))


async def expect_nothing(request: web.Request) -> None:
    """Tell a client that waits with its body to send it; other expectations are ignored."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class Protocol(web.RequestHandler):
    """Answer what is no HTTP request at all in the venue's shape, too."""

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


async def listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    """Serve the runner's application with our protocol. Raises OSError when that fails."""
    manager = runner.server
    assert manager is not None, "the runner is set up"
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        partial(Protocol, manager, loop=loop, tcp_keepalive=True, **QUIET),
        host,
        port,
        reuse_address=True,
    )
