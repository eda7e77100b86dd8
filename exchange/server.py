"""Start and stop the process: build the exchange, listen, tell that it is ready, wait."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from aiohttp import web

from exchange.api.answers import expect_nothing, in_venue_shape, listen
from exchange.api.endpoints_account import AccountEndpoints
from exchange.api.endpoints_history import HistoryEndpoints
from exchange.api.endpoints_listen import ListenKeyEndpoints
from exchange.api.endpoints_local import LocalEndpoints
from exchange.api.endpoints_market import MarketEndpoints
from exchange.api.endpoints_marks import MarkEndpoints
from exchange.api.endpoints_trade import TradeEndpoints
from exchange.api.limits import Limits
from exchange.api.rest import Rest
from exchange.api.sockets import Sockets
from exchange.api.ws_api import WsApi
from exchange.errors import StartError
from exchange.instruments import INSTRUMENTS
from exchange.logs import log_to
from exchange.markets.capture import CaptureMarket
from exchange.markets.live import LiveMarket
from exchange.markets.market import Market
from exchange.markets.marks import Marks
from exchange.markets.synthetic import SyntheticMarket
from exchange.markets.upstream import exchange_info
from exchange.misbehaviour import Misbehaviour
from exchange.options import Options, parse_options
from exchange.streams.hub import Hub
from exchange.streams.market_streams import MarketStreams
from exchange.trading.account import Account
from exchange.trading.desk import Desk
from exchange.trading.liquidation import ForcedOrderStream, Liquidator
from exchange.trading.register import Register
from exchange.trading.rounds import Rounds
from exchange.trading.user_events import UserEvents
from runtime.kernels import KernelError, Kernels, is_built, load, load_library

ROUND_S = 1.0  # marks, funding and margin are looked at once a second
INTERRUPTED = 130  # the exit code of a Ctrl-C before there is anything to close
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Exchange:
    """Be one running exchange: everything that has to be opened and closed."""

    def __init__(self, options: Options, kernels: Kernels | None) -> None:
        self._options = options
        self._misbehaviour = misbehaviour = Misbehaviour()
        clock_ms = misbehaviour.clock.now_ms
        self._hub = Hub()
        self._events = UserEvents(self._hub, clock_ms)
        self.market = build_market(options, self._hub, clock_ms, kernels)
        account = Account(
            self.market.instruments.values(),
            options.balance_e8,
            options.maker_fee_e8,
            options.taker_fee_e8,
            self.market.mark_tick,
            clock_ms(),
        )
        desk = Desk(self.market, account, Register(), self._events, clock_ms)
        self.market.sink = desk
        self.market.marks = marks = build_marks(options, desk, clock_ms)
        liquidator = Liquidator(desk, ForcedOrderStream(self._hub, clock_ms))
        self._rounds = Rounds(marks, desk, liquidator)
        self._streams = MarketStreams(
            self._hub, self.market.publishers, clock_ms, self.market.depth, marks.view
        )
        self._hub.on_subscribe = self._on_subscribe
        limits = Limits(clock_ms, options.budget)
        trouble = misbehaviour.attach(self._hub, desk)
        endpoints = (
            MarketEndpoints(desk, clock_ms, options.budget.rows()),
            HistoryEndpoints(self._streams, self.market.instruments),
            TradeEndpoints(desk),
            AccountEndpoints(desk, self._events, options.budget.rows()),
            ListenKeyEndpoints(self._events),
            MarkEndpoints(marks, self.market.instruments),
        )
        methods = [row for part in endpoints for row in part.methods()]
        refuse = desk.refuse_unauthorised
        reach = (options.keys, limits, clock_ms, options.ack_latency_ms, refuse, trouble)
        api = WsApi(methods, *reach)
        self._sockets = Sockets(
            self._hub,
            api,
            misbehaviour.connections,
            options.legacy_paths,
            options.lifetimes,
        )
        rest = Rest(*reach)
        app = web.Application(middlewares=[in_venue_shape])
        for part in (*endpoints, LocalEndpoints(desk, misbehaviour.switches)):
            rest.add_to(app, part.routes())
        self._sockets.add_to(app)
        app.router.add_route("*", "/{path:.*}", rest.unknown_path, expect_handler=expect_nothing)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._round_timer: asyncio.TimerHandle | None = None

    async def open(self) -> int:
        """Listen and start the market; return the port. Raises StartError if it is taken."""
        await self._runner.setup()
        try:
            self._server = await listen(self._runner, self._options.host, self._options.port)
        except OSError as error:
            await self._runner.cleanup()
            where = f"host={self._options.host} port={self._options.port}"
            raise StartError(
                f"cannot listen: {where} reason={os.strerror(error.errno or 0)}"
            ) from error
        # What is there at the start stays: a full collection need not walk through it.
        gc.collect()
        gc.freeze()
        self.market.start()
        self._streams.start()
        self._round()
        self._misbehaviour.connections.rest_transports = self._transports
        try:
            self._misbehaviour.start(self._options.faults)
        except StartError:
            await self.close()
            raise
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop the market, close the connections, release the port."""
        if self._round_timer is not None:
            self._round_timer.cancel()
        self._streams.close()
        await self.market.close()
        self._server.close()
        self._misbehaviour.connections.end_half_open()
        await self._sockets.close()
        await self._runner.cleanup()

    def _transports(self) -> Iterator[asyncio.Transport]:
        """Yield the transports of all open connections, WebSockets among them."""
        server = self._runner.server
        for connection in server.connections if server is not None else ():
            if connection.transport is not None:
                yield connection.transport

    def _round(self) -> None:
        self._rounds.step()
        self._round_timer = asyncio.get_running_loop().call_later(ROUND_S, self._round)

    def _on_subscribe(self, stream: str) -> None:
        self.market.on_subscribe(stream)
        self._streams.on_subscribe(stream)


def build_marks(options: Options, desk: Desk, clock_ms: Callable[[], int]) -> Marks:
    """Return the marks of a desk's market; in a replay their averages run on recorded time."""
    market = desk.market

    def replay_ms() -> int:
        return cast(int, market.status()["market_time_ms"])

    return Marks(
        market.instruments.values(),
        market.best,
        lambda symbol: desk.last_ticks.get(symbol, 0),
        clock_ms,
        replay_ms if options.market == "capture" else None,
        options.funding_interval_ms,
    )


def prepare_kernels(options: Options) -> Kernels | None:
    """Load what the market's books are compiled to, None where there is no such book.

    Built before the event loop runs and its signal handlers stand: Ctrl-C ends a build.

    Raises:
        StartError: they could not be built or loaded.
    """
    if options.market != "synthetic":
        return None
    is_given = options.kernels == "ahead" and options.kernel_library
    if options.kernels == "ahead" and not is_given and not is_built():
        structlog.get_logger().info("building_kernels", text="once, this takes about a minute")
    try:
        if is_given:
            return load_library(Path(options.kernel_library))
        return load(options.kernels)
    except KernelError as error:
        raise StartError(f"cannot load the kernels: {error}") from error


def build_market(
    options: Options, hub: Hub, clock_ms: Callable[[], int], kernels: Kernels | None
) -> Market:
    """Return the market that the options name. Raises StartError for a wrong recording."""
    if options.market == "capture":
        return CaptureMarket(hub, options.capture, options.symbols, options.speed, clock_ms)
    if options.market == "live":
        described = exchange_info(options.upstream_rest)
        urls = (options.upstream_rest, options.upstream_stream, f"depth@{options.upstream_depth}")
        return LiveMarket(hub, described, options.symbols, *urls, clock_ms, options.seed)
    instruments = [INSTRUMENTS[symbol] for symbol in options.symbols]
    pace = (options.seed, options.rate, options.speed)
    return SyntheticMarket(hub, instruments, *pace, clock_ms, kernels, options.regime)


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
    structlog.get_logger().info(
        "listening",
        url=line["rest"],
        market=options.market,
        symbols=",".join(symbols),
        **(
            {"regime": options.regime, "seed": options.seed}
            if options.market == "synthetic"
            else {}
        ),
    )
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "wb") as stream:
            stream.write(orjson.dumps(line) + b"\n")


async def serve(options: Options, kernels: Kernels | None) -> int:
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
    exchange = Exchange(options, kernels)
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
            return asyncio.run(serve(options, prepare_kernels(options)))
    except StartError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
