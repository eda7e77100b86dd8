"""Start and stop the process: build the exchange, listen, tell that it is ready, wait."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from typing import Any

import orjson
import structlog
from aiohttp import web

from exchange.api.endpoints_account import AccountEndpoints
from exchange.api.endpoints_local import LocalEndpoints
from exchange.api.endpoints_market import MarketEndpoints
from exchange.api.endpoints_trade import TradeEndpoints
from exchange.api.limits import Limits
from exchange.api.rest import Rest, unknown_path
from exchange.api.sockets import Sockets
from exchange.api.ws_api import WsApi
from exchange.errors import StartError
from exchange.instruments import INSTRUMENTS
from exchange.logs import log_to
from exchange.markets.capture import CaptureMarket
from exchange.markets.market import Market
from exchange.markets.synthetic import SyntheticMarket
from exchange.options import Options, parse_options
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.register import Register
from exchange.trading.user_events import UserEvents

PING_S = 180.0  # Venue: the server pings every 3 minutes
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def clock_ms() -> int:
    """Return the venue's wall clock in ms."""
    return time.time_ns() // 1_000_000


class Exchange:
    """Be one running exchange: everything that has to be opened and closed."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._hub = Hub()
        self._events = UserEvents(self._hub, clock_ms)
        self.market = build_market(options, self._hub)
        account = Account(
            self.market.instruments.values(),
            options.balance_e8,
            options.maker_fee_e8,
            options.taker_fee_e8,
            self.market.mark_tick,
        )
        desk = Desk(self.market, account, Register(), self._events, clock_ms)
        self.market.sink = desk
        self._hub.on_subscribe = self.market.on_subscribe
        limits = Limits(clock_ms)
        endpoints = (
            MarketEndpoints(desk, clock_ms),
            TradeEndpoints(desk),
            AccountEndpoints(desk, self._events),
        )
        methods = [row for part in endpoints for row in part.methods()]
        refuse = desk.refuse_unauthorised
        api = WsApi(methods, options.credentials, limits, clock_ms, refuse)
        self._sockets = Sockets(self._hub, api, options.ack_latency_ms)
        rest = Rest(
            options.credentials,
            limits,
            clock_ms,
            options.ack_latency_ms,
            refuse,
        )
        app = web.Application()
        for part in (*endpoints, LocalEndpoints(desk)):
            rest.add_to(app, part.routes())
        self._sockets.add_to(app)
        app.router.add_route("*", "/{path:.*}", unknown_path)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._pings: asyncio.TimerHandle | None = None

    async def open(self) -> int:
        """Listen and start the market; return the port. Raises StartError if it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.host, self._options.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            where = f"host={self._options.host} port={self._options.port}"
            raise StartError(
                f"cannot listen: {where} reason={os.strerror(error.errno or 0)}"
            ) from error
        self.market.start()
        self._ping()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop the market, close the connections, release the port."""
        if self._pings is not None:
            self._pings.cancel()
        await self.market.close()
        await self._sockets.close()
        await self._runner.cleanup()

    def _ping(self) -> None:
        self._hub.ping_all()
        self._events.expire_key()
        self._pings = asyncio.get_running_loop().call_later(PING_S, self._ping)


def build_market(options: Options, hub: Hub) -> Market:
    """Return the market that the options name. Raises StartError for a wrong recording."""
    if options.market == "capture":
        return CaptureMarket(hub, options.capture, options.symbols, options.speed, clock_ms)
    instruments = [INSTRUMENTS[symbol] for symbol in options.symbols]
    return SyntheticMarket(hub, instruments, options.seed, options.rate, options.speed, clock_ms)


def tell_ready(options: Options, port: int, symbols: list[str]) -> None:
    """Write the addresses as one JSON line to the ready descriptor and close it."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    line = {
        "pid": os.getpid(),
        "rest": f"http://{host}:{port}",
        "stream": f"ws://{host}:{port}",
        "ws_api": f"ws://{host}:{port}/ws-fapi/v1",
        "symbols": symbols,
    }
    structlog.get_logger().info("listening", port=port, symbols=",".join(symbols))
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "wb") as stream:
            stream.write(orjson.dumps(line) + b"\n")


async def serve(options: Options) -> int:
    """Run the exchange until SIGTERM or SIGINT; return 0, or 1 if a market's timer failed."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    failures: list[str] = []

    def on_failure(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        structlog.get_logger().error("loop_failure", text=context["message"], reason=repr(error))
        # A timer that failed does not come back: a market that stands still would mislead.
        if "handle" in context:
            failures.append(repr(error))
            stop.set()

    loop.set_exception_handler(on_failure)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    exchange = Exchange(options)
    port = await exchange.open()
    try:
        tell_ready(options, port, list(exchange.market.instruments))
        await stop.wait()
    finally:
        await exchange.close()
        structlog.get_logger().info("closed")
    return 1 if failures else 0


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM at the parent's death; raise StartError if it is dead already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise StartError(f"prctl failed: errno={ctypes.get_errno()}")
    # A parent that died before the call above sends nothing, so it is looked for afterwards.
    if os.getppid() != parent_pid:
        raise StartError(f"the parent process has ended already: parent={parent_pid}")


def main(argv: list[str]) -> int:
    """Run the exchange; return the exit code: 0, 1 after a failure, 2 when it cannot start."""
    parent_pid = os.getppid()
    try:
        options = parse_options(argv)
        if options.exit_with_parent is not None:
            die_with_parent(options.exit_with_parent or parent_pid)
        with log_to(options.log_file):
            return asyncio.run(serve(options))
    except StartError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return 2
