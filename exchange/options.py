"""Read the command line and the credentials; every mistake becomes one clear line."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from exchange.api.connection_limits import Lifetimes
from exchange.api.keys import Keys, hmac_key, public_key
from exchange.api.limits import (
    ORDERS_PER_10_S,
    ORDERS_PER_MINUTE,
    WEIGHT_PER_MINUTE,
    Budget,
)
from exchange.errors import StartError
from exchange.faults.arming import FaultError, parse_fault
from exchange.faults.rows import Row, Value
from exchange.instruments import E8, INSTRUMENTS, parse_scaled
from exchange.markets.regimes import CHAINS, RATE_DEFAULT, REGIME_DEFAULT

# What another market would leave unread in silence.
OPTIONS_OF_ONE_MARKET = {"rate": "synthetic", "regime": "synthetic", "upstream_depth": "live"}


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what the exchange is started with; `speed` None means as fast as clients read."""

    host: str
    port: int
    market: str
    symbols: list[str]
    seed: int
    regime: str
    kernels: str
    kernel_library: str
    upstream_rest: str
    upstream_stream: str
    upstream_depth: str
    capture: list[Path]
    speed: float | None
    balance_e8: int
    maker_fee_e8: int
    taker_fee_e8: int
    ack_latency_ms: float
    funding_interval_ms: int
    rate: float
    legacy_paths: str
    lifetimes: Lifetimes
    ready_fd: int | None
    log_file: Path | None
    exit_with_parent: int | None  # the parent's pid, 0 for whichever it is at the start
    keys: Keys
    budget: Budget
    faults: list[tuple[Row, dict[str, Value]]]


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Show the default of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "", []):
            return action.help
        return super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Report mistakes as one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise StartError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m exchange",
        formatter_class=_Help,
        description="An embedded Binance-compatible USDⓈ-M futures exchange on loopback. "
        "Credentials come from EXCHANGE_API_KEY and EXCHANGE_API_SECRET.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="a loopback address")
    add("--port", default="0", help="0 takes a free port")
    _add_market(parser)
    add("--balance", default="10000", help="USDT")
    add("--maker-fee", default="0.0002", help="share of the notional")
    add("--taker-fee", default="0.0005", help="share of the notional")
    add("--ack-latency-ms", default="0", help="delay of answers to orders and other actions, ms")
    add("--funding-interval-s", default="28800", help="seconds from one funding to the next")
    for name, default, what in (
        ("--weight-limit", WEIGHT_PER_MINUTE, "request weight a minute"),
        ("--orders-10s", ORDERS_PER_10_S, "new orders in 10 s"),
        ("--orders-1m", ORDERS_PER_MINUTE, "new orders a minute"),
    ):
        add(name, default=str(default), metavar="N", help=what)
    add(
        "--public-key",
        action="append",
        default=[],
        metavar="NAME=PEMFILE",
        help="a further API key that signs with RSA or Ed25519; repeatable",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME:KEY=VALUE,…",
        help="arm a fault switch at the start, see docs/EXCHANGE.md; repeatable",
    )
    add(
        "--legacy-paths",
        default="on",
        choices=("on", "public", "off"),
        help="what /ws and /stream carry: all streams, those of /public, or they do not exist",
    )
    for name, default_s, what in (
        ("--ping-s", Lifetimes.ping_s, "from ping to ping of a WebSocket connection"),
        ("--pong-timeout-s", Lifetimes.pong_timeout_s, "until a missing pong closes it"),
        ("--life-s", Lifetimes.life_s, "until a connection is closed for its age"),
    ):
        add(name, default=str(default_s), help=f"seconds {what}")
    add("--ready-fd", type=int, default=None, metavar="N", help="gets one JSON line when ready")
    add("--log-file", type=Path, default=None, help="default: standard error")
    add(
        "--exit-with-parent",
        nargs="?",
        type=int,
        const=0,
        metavar="PID",
        help="end when the parent process ends; with PID, refuse to start under another parent",
    )
    return parser


def _add_market(parser: argparse.ArgumentParser) -> None:
    """Add what says where the prices come from."""
    add = parser.add_argument
    add("--market", default="synthetic", choices=("synthetic", "capture", "live"))
    add(
        "--symbols",
        default=None,
        help="comma-separated; default: BTCUSDT,ETHUSDT,BNBUSDT, or all that are recorded",
    )
    add("--seed", type=int, default=7, help="of the synthetic order flow")
    add("--rate", default=str(RATE_DEFAULT), help="mean flow events per second and symbol")
    add("--regime", default=REGIME_DEFAULT, choices=tuple(CHAINS), help="of the synthetic market")
    add("--kernels", default="ahead", choices=("ahead", "jit"), help="how the book is compiled")
    add("--kernel-library", default="", help="a built library to load, with --kernels ahead")
    add("--capture", nargs="+", type=Path, default=[], metavar="FILE", help="recordings, gzip")
    add("--speed", default="1", help="a positive number, or max: as fast as clients read")
    add("--upstream-rest", default="", metavar="URL", help="REST of the venue that live mirrors")
    add("--upstream-stream", default="", metavar="URL", help="its market streams, without a path")
    add("--upstream-depth", default="0ms", choices=("0ms", "100ms"), help="cadence of its diffs")


def parse_options(argv: list[str]) -> Options:
    """Return the checked options. Raises StartError with the offending value."""
    parser = _parser()
    given = parser.parse_args(argv)
    for name, market in OPTIONS_OF_ONE_MARKET.items():
        value = getattr(given, name)
        if given.market != market and value != parser.get_default(name):
            option = "--" + name.replace("_", "-")
            raise StartError(f"{option} needs --market {market}: value={value}")
    return Options(
        host=_host(given.host),
        port=_port(given.port),
        market=given.market,
        symbols=_symbols(given.symbols, given.market),
        seed=given.seed,
        regime=given.regime,
        kernels=given.kernels,
        kernel_library=given.kernel_library,
        upstream_rest=_upstream(given, "upstream_rest", "http"),
        upstream_stream=_upstream(given, "upstream_stream", "ws"),
        upstream_depth=given.upstream_depth,
        capture=_capture(given.capture, given.market),
        speed=None if given.speed == "max" else _number("--speed", given.speed, above=0.0),
        balance_e8=_amount_e8("--balance", given.balance),
        maker_fee_e8=_amount_e8("--maker-fee", given.maker_fee),
        taker_fee_e8=_amount_e8("--taker-fee", given.taker_fee),
        ack_latency_ms=_number("--ack-latency-ms", given.ack_latency_ms, least=0.0),
        funding_interval_ms=_interval_ms("--funding-interval-s", given.funding_interval_s),
        rate=_number("--rate", given.rate, above=0.0),
        legacy_paths=given.legacy_paths,
        lifetimes=Lifetimes(
            _number("--ping-s", given.ping_s, above=0.0),
            _number("--pong-timeout-s", given.pong_timeout_s, above=0.0),
            _number("--life-s", given.life_s, above=0.0),
        ),
        ready_fd=_ready_fd(given.ready_fd),
        log_file=given.log_file,
        exit_with_parent=given.exit_with_parent,
        keys=_keys(given.public_key),
        budget=Budget(
            _count("--weight-limit", given.weight_limit),
            _count("--orders-10s", given.orders_10s),
            _count("--orders-1m", given.orders_1m),
        ),
        faults=_faults(given.fault),
    )


def _host(text: str) -> str:
    try:
        is_loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise StartError(f"--host must be a loopback address: host={text}")
    return text


def _ready_fd(number: int | None) -> int | None:
    if number is not None:
        try:
            os.fstat(number)
        except OSError as error:
            raise StartError(f"--ready-fd is not open: ready_fd={number}") from error
    return number


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise StartError(f"--port must be 0 to 65535: port={text}")
    return int(text)


def _symbols(text: str | None, market: str) -> list[str]:
    if text is None:
        return [] if market == "capture" else ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
    symbols = [symbol.strip().upper() for symbol in text.split(",") if symbol.strip()]
    if not symbols:
        raise StartError(f"--symbols names no symbol: symbols={text!r}")
    if market == "synthetic":
        for symbol in symbols:
            if symbol not in INSTRUMENTS:
                known = ",".join(INSTRUMENTS)
                raise StartError(f"unknown symbol: symbol={symbol} known={known}")
    return list(dict.fromkeys(symbols))


def _capture(paths: list[Path], market: str) -> list[Path]:
    if market == "capture" and not paths:
        raise StartError("--market capture needs --capture FILE")
    if market != "capture" and paths:
        raise StartError(f"--capture needs --market capture: file={paths[0]}")
    return paths


def _upstream(given: argparse.Namespace, name: str, scheme: str) -> str:
    url: str = getattr(given, name).rstrip("/")
    option = "--" + name.replace("_", "-")
    if given.market != "live":
        if url:
            raise StartError(f"{option} needs --market live: url={url}")
    elif not url.startswith((f"{scheme}://", f"{scheme}s://")):
        raise StartError(
            f"--market live needs {option}, a {scheme}:// or {scheme}s:// URL: url={url}"
        )
    return url


def _number(name: str, text: str, above: float | None = None, least: float | None = None) -> float:
    try:
        value = float(text)
    except ValueError:
        raise StartError(f"{name} must be a number: value={text}") from None
    if not math.isfinite(value):
        raise StartError(f"{name} must be finite: value={text}")
    if above is not None and value <= above:
        raise StartError(f"{name} must be positive: value={text}")
    if least is not None and value < least:
        raise StartError(f"{name} must not be negative: value={text}")
    return value


def _interval_ms(name: str, text: str) -> int:
    return max(1, round(_number(name, text, above=0.0) * 1000))


def _amount_e8(name: str, text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    try:
        value = parse_scaled(text.removeprefix("-"), 8)
    except ValueError:
        value = None
    if value is None:
        raise StartError(f"{name} must be a decimal number of at most 8 digits: value={text}")
    if sign < 0 and name != "--maker-fee":
        raise StartError(f"{name} must not be negative: value={text}")
    if name != "--balance" and value > E8 // 10:
        raise StartError(f"{name} is larger than 0.1: value={text}")
    return sign * value


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise StartError(f"{name} must be a whole number from 1 to 999999999: value={text}")
    return int(text)


def _faults(texts: list[str]) -> list[tuple[Row, dict[str, Value]]]:
    try:
        return [parse_fault(text) for text in texts]
    except FaultError as error:
        raise StartError(f"--fault: {error}") from None


def _keys(public_keys: list[str]) -> Keys:
    values = []
    for name in ("EXCHANGE_API_KEY", "EXCHANGE_API_SECRET"):
        value = os.environ.get(name, "")
        if not value:
            raise StartError(f"environment variable {name} is not set")
        values.append(value)
    keys = [hmac_key(*values)]
    for text in public_keys:
        name, _, file = text.partition("=")
        if not name or not file:
            raise StartError(f"--public-key is NAME=PEMFILE: value={text}")
        if any(key.api_key == name for key in keys):
            raise StartError(f"--public-key names a key that is there already: name={name}")
        keys.append(public_key(name, Path(file)))
    return Keys(keys)
