"""An exchange of the test's own, which outlives the pipeline, and a client that shares no code.

The pipeline trades on it as on the testnet: other URLs, keys from the environment.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import select
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import requests

from runtime import kernels
from tests.system.pipeline import ROOT

KEY, SECRET = "canaryKillKey", "canaryKillSecret"


class OwnVenue:
    """`python -m exchange` on a port of its own; ended by `close`."""

    def __init__(self, *options: str, symbols: str = "BTCUSDT,ETHUSDT") -> None:
        read_fd, write_fd = os.pipe()
        command = [sys.executable, "-m", "exchange", "--port", "0", "--ready-fd", str(write_fd)]
        command += ["--exit-with-parent", "--symbols", symbols, *options]
        if kernels.compiler():
            # The library that the pipeline has: a build in the middle of a test takes a minute.
            command += ["--kernel-library", str(kernels.ensure_built())]
        environment = os.environ | {"EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=(write_fd,), stderr=subprocess.DEVNULL
        )
        os.close(write_fd)
        if not select.select([read_fd], [], [], 180.0)[0]:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the exchange is not ready")
        with os.fdopen(read_fd) as ready:
            told = json.loads(ready.readline())
        self.rest, self.ws_api, self.stream = told["rest"], told["ws_api"], told["stream"]
        self._session = requests.Session()

    @property
    def settings(self) -> tuple[str, ...]:
        """Return what makes the pipeline trade here."""
        return (
            "venue.mode=testnet",
            "trading.symbols=BTCUSDT,ETHUSDT",
            f"venue.rest_url={self.rest}",
            f"venue.stream_url={self.stream}",
            f"venue.private_stream_url={self.stream}/private",
            f"venue.ws_api_url={self.ws_api}",
        )

    def call(self, method: str, path: str, **parameters: Any) -> Any:
        """Send a signed request; return the body of a success."""
        query = urlencode(parameters | {"timestamp": int(time.time() * 1000)})
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.rest}{path}?{query}&signature={signature}"
        reply = self._session.request(method, url, headers={"X-MBX-APIKEY": KEY}, timeout=60)
        assert reply.status_code == 200, (path, reply.text)
        return reply.json()

    def fault(self, **fault: Any) -> None:
        reply = self._session.post(f"{self.rest}/local/faults", json=fault, timeout=5)
        assert reply.ok, reply.text

    def pay_in(self, amount: float) -> None:
        """Pay in, or out where negative."""
        body = {"amount": f"{amount:.8f}"}
        reply = self._session.post(f"{self.rest}/local/transfer", json=body, timeout=5)
        assert reply.ok, reply.text

    def price(self, symbol: str) -> Decimal:
        body = self._session.get(
            f"{self.rest}/fapi/v1/ticker/bookTicker", params={"symbol": symbol}, timeout=5
        )
        return Decimal(body.json()["bidPrice"])

    def rest_order(self, symbol: str, quantity: str) -> None:
        """Place a bid that rests: 2 % below the market, on a grid that every symbol has."""
        price = int(self.price(symbol) * Decimal("0.98"))
        self.call(
            "POST", "/fapi/v1/order", symbol=symbol, side="BUY", type="LIMIT",
            timeInForce="GTC", quantity=quantity, price=price,
        )  # fmt: skip

    def open_position(self, symbol: str, quantity: str) -> None:
        self.call(
            "POST", "/fapi/v1/order", symbol=symbol, side="BUY", type="MARKET", quantity=quantity
        )

    def rest_stop(self, symbol: str, quantity: str) -> None:
        """Place the stop that protects a long position."""
        self.call(
            "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol=symbol, side="SELL",
            type="STOP_MARKET", triggerPrice=int(self.price(symbol) * Decimal("0.95")),
            quantity=quantity, reduceOnly="true",
        )  # fmt: skip

    def placed(self) -> int:
        """Return how many requests to place an order or a stop have arrived."""
        reply = self._session.get(f"{self.rest}/local/orders", timeout=5)
        return sum(count for kind, count in reply.json()["requests"].items() if "place" in kind)

    def orders(self) -> list[dict[str, Any]]:
        return self.call("GET", "/fapi/v1/openOrders")

    def stops(self) -> list[dict[str, Any]]:
        return self.call("GET", "/fapi/v1/openAlgoOrders")

    def positions(self) -> dict[str, Decimal]:
        rows = self.call("GET", "/fapi/v3/positionRisk")
        held = {row["symbol"]: Decimal(row["positionAmt"]) for row in rows}
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self._session.close()
