"""The embedded exchange as a child process: started, found out where it listens, stopped."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from config.environment import EMBEDDED_API_KEY, EMBEDDED_API_SECRET
from config.settings import Settings
from config.venues import Endpoints, market_endpoints

STATUS_TIMEOUT_S = 1.0
ROOT = Path(__file__).resolve().parent.parent


class ExchangeError(RuntimeError):
    """The exchange did not start; `exit_code` is 2 when its input was bad."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass
class EmbeddedExchange:
    """A running exchange process and where it listens."""

    process: subprocess.Popen[bytes]
    endpoints: Endpoints
    symbols: tuple[str, ...]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def has_finished(self) -> bool:
        """Return whether the recording has been played to its end.

        Raises:
            ExchangeError: it does not say.
        """
        url = f"{self.endpoints.rest_url}/local/status"
        try:
            return bool(requests.get(url, timeout=STATUS_TIMEOUT_S).json()["finished"])
        except (requests.RequestException, KeyError) as error:
            raise ExchangeError(f"exchange status unknown: {error}", 1) from error

    def stop(self, timeout_s: float) -> None:
        """End it: SIGTERM, and SIGKILL when it does not follow in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def command_line(
    settings: Settings,
    log_file: Path,
    ready_fd: int,
    kernel_mode: str = "ahead",
    library: str = "",
) -> list[str]:
    """Return the command that starts the exchange; it holds no secret."""
    exchange = settings.exchange
    command = [sys.executable, "-m", "exchange", "--exit-with-parent"]
    command += ["--port", str(exchange.port), "--ready-fd", str(ready_fd)]
    command += ["--log-file", str(log_file), "--balance", str(exchange.balance_usd)]
    command += ["--maker-fee", str(exchange.maker_fee), "--taker-fee", str(exchange.taker_fee)]
    for fault in exchange.faults:
        command += ["--fault", fault]
    if settings.venue.mode == "paper":
        # Live prices, filled here: the mirror reads the venue that the feed reads.
        source = market_endpoints(settings.venue)
        command += ["--market", "live", "--symbols", ",".join(settings.trading.symbols)]
        command += ["--upstream-rest", source.rest_url, "--upstream-stream", source.stream_url]
    elif exchange.market == "capture":
        files = [str(Path(name).resolve()) for name in exchange.capture]
        command += ["--market", "capture", "--speed", exchange.speed, "--capture", *files]
    else:
        command += ["--market", "synthetic", "--symbols", ",".join(settings.trading.symbols)]
        command += ["--seed", str(exchange.seed), "--rate", str(exchange.rate)]
        command += ["--regime", exchange.regime, "--kernels", kernel_mode]
        if library:
            command += ["--kernel-library", library]
    return command


def start(
    settings: Settings,
    log_file: Path,
    timeout_s: float,
    kernel_mode: str = "ahead",
    library: str = "",
) -> EmbeddedExchange:
    """Start the exchange and wait until it listens; the kernels are those of the run.

    Raises:
        ExchangeError: it ended or said nothing in time; the message is its own last line.
    """
    read_fd, write_fd = os.pipe()
    environment = dict(os.environ)
    environment["EXCHANGE_API_KEY"] = EMBEDDED_API_KEY
    environment["EXCHANGE_API_SECRET"] = EMBEDDED_API_SECRET
    try:
        process = subprocess.Popen(
            command_line(settings, log_file, write_fd, kernel_mode, library),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(write_fd,),
            # A process group of its own: Ctrl-C reaches the supervisor, which stops it last.
            process_group=0,
        )
    finally:
        os.close(write_fd)
    try:
        line = _ready_line(read_fd, timeout_s)
    finally:
        os.close(read_fd)
    if not line:
        raise _failure(process, timeout_s)
    try:
        told: dict[str, Any] = json.loads(line)
        endpoints = Endpoints(
            rest_url=told["rest"],
            stream_url=told["stream"],
            private_stream_url=told["stream"] + "/private",
            ws_api_url=told["ws_api"],
        )
        symbols = tuple(told["symbols"])
    except (ValueError, KeyError) as error:
        process.kill()
        process.communicate()
        raise ExchangeError(f"exchange said what is not understood: {line!r}", 1) from error
    assert process.stderr is not None
    process.stderr.close()
    return EmbeddedExchange(process, endpoints, symbols)


def yield_to_the_stages(exchange: EmbeddedExchange) -> str:
    """Put the exchange under SCHED_BATCH; return a warning or "".

    A venue is another machine. Here it shares our cores, and without this the kernel runs it in the
    middle of the send() that wakes it: an order would wait for the venue's own work.
    """
    try:
        os.sched_setscheduler(exchange.pid, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        return f"cannot put the exchange under SCHED_BATCH: {error.strerror}"
    return ""


def _ready_line(fd: int, timeout_s: float) -> bytes:
    deadline = time.monotonic() + timeout_s
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return b""
        part = os.read(fd, 65536)
        if not part:
            return b""
        text += part
    return text


def _failure(process: subprocess.Popen[bytes], timeout_s: float) -> ExchangeError:
    try:
        _, errors = process.communicate(timeout=1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ExchangeError(f"exchange was not ready in time: timeout_s={timeout_s}", 1)
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    said = lines[-1].removeprefix("exchange: ") if lines else "no message"
    code = 2 if process.returncode == 2 else 1
    return ExchangeError(f"exchange did not start: {said}", code)
