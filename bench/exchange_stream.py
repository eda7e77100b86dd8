"""The embedded exchange's streams: 20 symbols to 3 readers, at 20,000 events a second and more.

The exchange runs as a process of its own with its whole synthetic market: the figures hold what
the matching costs too. Each reader is a process with one raw socket that reads all streams of all
symbols. Between two marks in the stream the three must have read the same bytes.

Added delay: the exchange sends the stream `!probe@local` besides, a message every 2 ms that holds
the moment it was due (CLOCK_MONOTONIC, one clock for all processes of the machine). A probe waits
for the event loop, stands in the queue behind the market's events and is written with them, as an
event due at that moment would; a late one does not put off the next. The delay is from due to read.
The market's events themselves carry `E` in whole ms: the share of them read within 20 ms of it is
in the note, and says the same to that grain.

Readers that did not read the same, or nothing, are a wrong answer: it raises. A missed goal says as
much of the machine and its other work as of the exchange: it is printed as MISSED in the note, and
the exit code stays 0. The hash is of the bytes that were read; they hold times, so it differs from
run to run.

    python -m bench exchange_stream [--quick]
    python -m bench.exchange_stream --seconds 600     # memory over ten minutes
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import Row

ROOT = Path(__file__).resolve().parents[1]
SYMBOLS_MAX = 20
READERS = 3
EVENTS_WANTED = 20_000  # a second, delivered to each reader
DELAY_NS_MAX = 20_000_000  # of the 99th percentile
RATE = 1_350.0  # flow events per second and symbol
WARM_S = 4.0
SETTLE_S = 120.0  # of a long run: rings fill, caches grow
STREAMS = ("depth@0ms", "depth@100ms", "bookTicker", "trade", "aggTrade")
SLOW_STREAMS = (
    *("depth", "depth@500ms", "depth5@100ms", "depth10@100ms", "depth20@100ms"),
    *("kline_1m", "kline_5m", "markPrice@1s", "ticker", "miniTicker"),
)


@dataclass
class Server:
    """Be the exchange's process."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    symbols: list[str]

    def resident_bytes(self) -> int:
        """Return the resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """Return the processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self) -> dict[str, Any]:
        """Return `/local/status`."""
        url = f"http://{self.host}:{self.port}/local/status"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(timeout=15)


def start(symbols: list[str], rate: float, core: int | None) -> Server:
    """Start an exchange with a synthetic market and wait until it listens."""
    read_fd, write_fd = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "exchange", "--exit-with-parent"),
            *("--ready-fd", str(write_fd), "--symbols", ",".join(symbols)),
            *("--rate", str(rate), "--seed", "7"),
        ],
        cwd=ROOT,
        env={**os.environ, "EXCHANGE_API_KEY": "bench", "EXCHANGE_API_SECRET": "bench"},
        pass_fds=(write_fd,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stream:
        line = stream.readline()
    if not line:
        raise RuntimeError("the exchange did not start")
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    ready = json.loads(line)
    host, _, port = ready["rest"].removeprefix("http://").rpartition(":")
    return Server(process, host, int(port), ready["symbols"])


def symbols_known() -> list[str]:
    """Return the symbols that the exchange can make a market of."""
    from exchange.instruments import INSTRUMENTS

    return list(INSTRUMENTS)[:SYMBOLS_MAX]


def read_all(server: Server, seconds: float, core: int | None) -> tuple[list[dict], list[float]]:
    """Run the readers; return what each found and the server's memory in MiB once a second."""
    names = [f"{s.lower()}@{kind}" for s in server.symbols for kind in (*STREAMS, *SLOW_STREAMS)]
    start_ns = time.monotonic_ns() + int(WARM_S * 1e9)
    wanted = {
        "host": server.host,
        "port": server.port,
        "path": f"/stream?streams={'/'.join(['!probe@local', *names])}",
        "start_ns": start_ns,
        "end_ns": start_ns + int(seconds * 1e9),
        "core": core,
    }
    command = [sys.executable, "-m", "bench.stream_reader", json.dumps(wanted)]
    # Into files: a full pipe would hold a reader back for as long as it is waited for.
    with ExitStack() as files:
        outputs = [files.enter_context(tempfile.TemporaryFile()) for _ in range(READERS)]
        readers = [subprocess.Popen(command, cwd=ROOT, stdout=output) for output in outputs]
        memory = []
        while any(reader.poll() is None for reader in readers):
            memory.append(server.resident_bytes() / (1 << 20))
            with suppress(subprocess.TimeoutExpired):
                readers[0].wait(timeout=1.0)
                readers[-1].wait(timeout=1.0)
        found = []
        for reader, output in zip(readers, outputs, strict=True):
            if reader.returncode:
                raise RuntimeError(f"a reader failed: code={reader.returncode}")
            output.seek(0)
            found.append(json.load(output))
    return found, memory


def growth_per_minute(memory: list[float]) -> float:
    """Return the least-squares slope of one sample a second, in MiB a minute."""
    count = len(memory)
    if count < 2:
        return 0.0
    middle, mean = (count - 1) / 2, sum(memory) / count
    covariance = sum((i - middle) * (value - mean) for i, value in enumerate(memory))
    return 60 * covariance / sum((i - middle) ** 2 for i in range(count))


def measure(seconds: float, rate: float, symbols: list[str]) -> Row:
    """Return one run's row; raise when the readers differ."""
    cores = harness.cores()
    server_core, reader_core = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
    server = start(symbols, rate, server_core)
    try:
        cpu_s, begun = server.cpu_s(), time.monotonic()
        found, memory = read_all(server, seconds, reader_core)
        busy = (server.cpu_s() - cpu_s) / (time.monotonic() - begun)
        slipped_ms = server.status()["slipped_ms"]
    finally:
        server.stop()
    case = f"{len(symbols)} symbols, {READERS} readers"
    harness.check(f"{case}: something was read", found[0]["events"] > 0, True)
    for reader in found[1:]:
        harness.check(f"{case}: count", reader["events"], found[0]["events"])
        harness.check(f"{case}: bytes read", reader["hash"], found[0]["hash"])
    delays = [delay for reader in found for delay in reader["probe_ns"]]
    per_s = found[0]["events"] / seconds
    late = sum(
        count
        for r in found
        for ms, count in r["event_delays"].items()
        if int(ms) * 10**6 > DELAY_NS_MAX
    )
    within = 1 - late / sum(reader["events"] for reader in found)
    settled = memory[int(min(SETTLE_S, len(memory) / 2)) :]
    p99 = harness.percentile(delays, 0.99)
    goal = "met" if per_s >= EVENTS_WANTED and p99 < DELAY_NS_MAX else "MISSED"
    if rate < RATE:
        goal = "not asked for at this rate"
    note = (
        f"{per_s:.0f} events/s to each of {READERS}, "
        f"{found[0]['bytes'] / seconds / 1e6:.1f} MB/s; probes in ns; "
        f"goal {EVENTS_WANTED} events/s at p99 < 20 ms {goal}; "
        f"{within:.2%} of events read within 20 ms of E; readers equal; server {busy:.0%} of a "
        f"core; market slipped {slipped_ms} ms; memory {settled[0]:.1f} to {settled[-1]:.1f} MiB"
    )
    # A short run sees rings and caches fill: a rate of growth drawn from that says nothing.
    if len(memory) > 2 * SETTLE_S:
        note += f", {growth_per_minute(settled):+.2f} MiB/min over {len(settled)} s"
    answer = harness.answer_hash(found[0]["events"], found[0]["hash"])
    return harness.timed("exchange", case, delays, len(delays), hash=answer, note=note)


def cases(quick: bool) -> Iterator[Row]:
    """Yield the rows of `python -m bench exchange_stream`."""
    symbols = symbols_known()
    yield measure(2.0 if quick else 30.0, 60.0 if quick else RATE, symbols)


def main() -> None:
    """Run one measurement of the length and rate that the command line gives."""
    parser = argparse.ArgumentParser(prog="python -m bench.exchange_stream", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=RATE, help="flow events per s and symbol")
    given = parser.parse_args()
    print(harness.header())
    print(harness.line(measure(given.seconds, given.rate, symbols_known())))


if __name__ == "__main__":
    main()
