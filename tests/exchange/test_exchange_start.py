"""Starting and stopping: one clear line and exit code 2 for every mistake, 0 after SIGTERM."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from exchange_process import ROOT, SECRET, ExchangeProcess, environment, run_to_end

pytestmark = pytest.mark.system

MISTAKES = [
    (("--speed", "0"), "speed", "value=0"),
    (("--speed", "fast"), "speed", "value=fast"),
    (("--symbols", "BTCUSDT,FOOUSDT"), "unknown symbol", "symbol=FOOUSDT"),
    (("--host", "0.0.0.0"), "loopback", "host=0.0.0.0"),
    (("--rate", "-3"), "rate", "value=-3"),
    (("--market", "capture"), "capture", "--capture"),
    (("--market", "capture", "--capture", "nowhere.gz"), "missing", "file=nowhere.gz"),
    (("--upstream-depth", "100ms"), "--market live", "value=100ms"),
    (
        ("--market", "capture", "--capture", "x.gz", "--regime", "quiet"),
        "--market synthetic",
        "value=quiet",
    ),
    (("--kernel-library", "nowhere.so"), "cannot load the kernel library", "nowhere.json"),
    (("--ready-fd", "99"), "not open", "ready_fd=99"),
    (("--no-such-option",), "unrecognized", "--no-such-option"),
]


@pytest.mark.parametrize(("arguments", "word", "value"), MISTAKES)
def test_mistake_is_one_line_and_exit_2(arguments, word, value):
    ended = run_to_end(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert word in ended.stderr
    assert value in ended.stderr


def test_credentials_are_required():
    ended = run_to_end(EXCHANGE_API_SECRET="")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "EXCHANGE_API_SECRET" in ended.stderr


def test_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_to_end("--port", str(port), "--log-file", str(tmp_path / "log"))
    assert ended.returncode == 2
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    assert f"port={port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_foreign_files(tmp_path):
    plain = tmp_path / "plain.gz"
    plain.write_text("not gzip")
    ended = run_to_end("--market", "capture", "--capture", str(plain))
    assert ended.returncode == 2
    assert f"file={plain}" in ended.stderr
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b"a,b,c\n1,2,3\n"))
    ended = run_to_end("--market", "capture", "--capture", str(other))
    assert ended.returncode == 2
    assert "not a recording" in ended.stderr
    assert "line=1" in ended.stderr


@pytest.mark.recordings
def test_spot_recording_is_refused(recordings):
    spot = recordings / "spot_ethusdt_20240808.gz"
    ended = run_to_end("--market", "capture", "--capture", str(spot))
    assert ended.returncode == 2
    assert "USDⓈ-M" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_clean_close_and_quiet_log(tmp_path):
    log = tmp_path / "exchange.log"
    exchange = ExchangeProcess("--log-file", str(log), "--symbols", "SOLUSDT,XRPUSDT")
    assert exchange.ready["symbols"] == ["SOLUSDT", "XRPUSDT"]
    assert exchange.ready["pid"] == exchange.process.pid
    stream = exchange.user_stream()
    key = exchange.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"]
    assert stream.connected
    assert exchange.close() == 0
    text = log.read_text()
    assert "event=listening" in text
    assert "event=closed" in text
    assert SECRET not in text
    assert key not in text


def test_interrupt_is_a_clean_close_too():
    exchange = ExchangeProcess()
    exchange.process.send_signal(signal.SIGINT)
    _, errors = exchange.process.communicate(timeout=10)
    assert exchange.process.returncode == 0
    assert b"Traceback" not in errors


def test_exits_with_its_parent():
    """A parent is killed; the exchange's end closes the pipe that only it still holds."""
    code = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen([sys.executable, '-m', 'exchange', '--exit-with-parent',"
        " '--ready-fd', '1'], pass_fds=(1,))\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stderr is not None
    assert b'"pid":' in parent.stdout.readline()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(timeout=10)
    # The end of this pipe comes when the last process that holds it is gone.
    assert b"event=closed" in parent.stderr.read()
    parent.stdout.close()
    parent.stderr.close()


def test_acknowledgement_is_late_and_the_event_is_not():
    exchange = ExchangeProcess("--ack-latency-ms", "300")
    stream = exchange.user_stream()
    started_s = time.monotonic()
    answer = exchange.call(
        "order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.002"
    )
    waited_s = time.monotonic() - started_s
    assert waited_s >= 0.3
    event = json.loads(stream.recv())
    assert event["o"]["i"] == answer["result"]["orderId"]
    assert event["E"] <= answer["result"]["updateTime"] + 5
    assert exchange.close() == 0
