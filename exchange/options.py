"""Read the command line and the credentials; every mistake becomes one clear line."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from exchange.api.signing import Credentials
from exchange.errors import StartError
from exchange.instruments import E8, INSTRUMENTS, parse_scaled

RATE_DEFAULT = 120.0  # flow events per second and symbol


@dataclass(frozen=True, slots=True)
class Options:
    """Hold what the exchange is started with; `speed` None means as fast as clients read."""

    host: str
    port: int
    market: str
    symbols: list[str]
    seed: int
    capture: list[Path]
    speed: float | None
    balance_e8: int
    maker_fee_e8: int
    taker_fee_e8: int
    ack_latency_ms: float
    rate: float
    ready_fd: int | None
    log_file: Path | None
    exit_with_parent: int | None  # the parent's pid, 0 for whichever it is at the start
    credentials: Credentials


class _Parser(argparse.ArgumentParser):
    """Report mistakes as one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        raise StartError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m exchange",
        description="An embedded Binance-compatible USDⓈ-M futures exchange on loopback. "
        "Credentials come from EXCHANGE_API_KEY and EXCHANGE_API_SECRET.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="a loopback address")
    add("--port", default="0", help="0 takes a free port")
    add("--market", default="synthetic", choices=("synthetic", "capture"))
    add(
        "--symbols",
        default=None,
        help="comma-separated; default: BTCUSDT,ETHUSDT,BNBUSDT, or all that are recorded",
    )
    add("--seed", type=int, default=7, help="of the synthetic order flow")
    add("--capture", nargs="+", type=Path, default=[], metavar="FILE", help="recordings, gzip")
    add("--speed", default="1", help="a positive number, or max: as fast as clients read")
    add("--balance", default="10000", help="USDT")
    add("--maker-fee", default="0.0002", help="share of the notional")
    add("--taker-fee", default="0.0005", help="share of the notional")
    add("--ack-latency-ms", default="0", help="delay of order responses, ms")
    add("--rate", default=str(RATE_DEFAULT), help="mean flow events per second and symbol")
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


def parse_options(argv: list[str]) -> Options:
    """Return the checked options. Raises StartError with the offending value."""
    given = _parser().parse_args(argv)
    return Options(
        host=_host(given.host),
        port=_port(given.port),
        market=given.market,
        symbols=_symbols(given.symbols, given.market),
        seed=given.seed,
        capture=_capture(given.capture, given.market),
        speed=None if given.speed == "max" else _number("--speed", given.speed, above=0.0),
        balance_e8=_amount_e8("--balance", given.balance),
        maker_fee_e8=_amount_e8("--maker-fee", given.maker_fee),
        taker_fee_e8=_amount_e8("--taker-fee", given.taker_fee),
        ack_latency_ms=_number("--ack-latency-ms", given.ack_latency_ms, least=0.0),
        rate=_number("--rate", given.rate, above=0.0),
        ready_fd=_ready_fd(given.ready_fd),
        log_file=given.log_file,
        exit_with_parent=given.exit_with_parent,
        credentials=_credentials(),
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
        return ["BTCUSDT", "ETHUSDT", "BNBUSDT"] if market == "synthetic" else []
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
    if market == "synthetic" and paths:
        raise StartError(f"--capture needs --market capture: file={paths[0]}")
    return paths


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


def _credentials() -> Credentials:
    values = []
    for name in ("EXCHANGE_API_KEY", "EXCHANGE_API_SECRET"):
        value = os.environ.get(name, "")
        if not value:
            raise StartError(f"environment variable {name} is not set")
        values.append(value)
    return Credentials(*values)
