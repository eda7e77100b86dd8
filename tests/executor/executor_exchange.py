"""The embedded exchange as a process of its own, and what a test asks of it beside the executor."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
from executor_rig import SYMBOLS, Rig

from runtime.instruments import fill_symbol_row, find_symbol
from runtime.kernels import ROOT

COMMAND = ("-m", "exchange", "--market", "synthetic", "--port", "0", "--exit-with-parent")
KEY = SECRET = "embedded"


class Exchange:
    """One process; `port` is what the rig connects to."""

    def __init__(self, folder: Path, *options: str) -> None:
        reading, writing = os.pipe()
        log = folder / "exchange.log"
        command = [sys.executable, *COMMAND, "--symbols", ",".join(SYMBOLS), *options]
        command += ["--ready-fd", str(writing), "--log-file", str(log)]
        environment = os.environ | {"EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[writing])
        os.close(writing)
        with os.fdopen(reading) as pipe:
            line = pipe.readline()
        assert line, log.read_text()
        self.url = json.loads(line)["rest"]
        self.port = int(self.url.rpartition(":")[2])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def get(self, path: str, **params: object) -> Any:
        return requests.get(self.url + path, params=params, timeout=5).json()

    def orders(self) -> Any:
        return self.get("/local/orders")

    def arm(self, name: str, **values: object) -> int:
        answer = requests.post(
            f"{self.url}/local/faults", json={"name": name, **values}, timeout=5
        ).json()
        assert "id" in answer, answer
        return int(answer["id"])

    def disarm(self) -> None:
        requests.delete(f"{self.url}/local/faults", timeout=5)

    def signed(self, method: str, path: str, **params: object) -> Any:
        """Ask as another client of the account does."""
        params["timestamp"] = time.time_ns() // 1_000_000
        query = urlencode(params)
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.url}{path}?{query}&signature={signature}"
        return requests.request(method, url, headers={"X-MBX-APIKEY": KEY}, timeout=5).json()

    def held(self, symbol: str) -> float:
        rows = self.signed("GET", "/fapi/v3/positionRisk", symbol=symbol)
        return float(rows[0]["positionAmt"]) if rows else 0.0

    def stops(self, symbol: str = "BTCUSDT") -> Any:
        return self.signed("GET", "/fapi/v1/allAlgoOrders", symbol=symbol)


def fill_symbols(rig: Rig, exchange: Exchange) -> None:
    """Give the rig the exchange's own filters."""
    info = exchange.get("/fapi/v1/exchangeInfo")
    for index, name in enumerate(SYMBOLS):
        fill_symbol_row(rig.memory.symbol(index), find_symbol(info, name), 0.0005, 0.0002)
