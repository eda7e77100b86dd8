"""Start a real exchange and talk to it with a client that shares no code with it."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

import requests
import websocket

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
KEY = "test-key"
SECRET = "test-secret"
TIMEOUT_S = 15.0


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "EXCHANGE_API_KEY": KEY, "EXCHANGE_API_SECRET": SECRET, **changes}


def run_to_end(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the exchange where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "exchange", *arguments],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


class ExchangeProcess:
    """One exchange on an ephemeral port."""

    def __init__(self, *arguments: str, stderr: int | IO[bytes] = subprocess.PIPE) -> None:
        read_fd, write_fd = os.pipe()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "exchange", "--ready-fd", str(write_fd)),
                *("--exit-with-parent", *arguments),
            ],
            cwd=ROOT,
            env=environment(),
            pass_fds=(write_fd,),
            stderr=stderr,
        )
        os.close(write_fd)
        with os.fdopen(read_fd, "rb") as stream:
            line = stream.readline()
        if not line:
            _, errors = self.process.communicate(timeout=TIMEOUT_S)
            raise AssertionError(f"the exchange did not start: {(errors or b'').decode()}")
        self.ready = json.loads(line)
        self.rest = self.ready["rest"]
        self.stream = self.ready["stream"]
        self._ids = itertools.count(1)
        self._session = requests.Session()
        self._api: websocket.WebSocket | None = None
        self._sockets: list[websocket.WebSocket] = []

    def close(self) -> int:
        for socket in self._sockets:
            socket.close()
        self._session.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the kept REST connections; the next request makes a new one."""
        self._session.close()

    def get(self, path: str, **params: str | int) -> requests.Response:
        return self._session.get(self.rest + path, params=params, timeout=TIMEOUT_S)

    def signed(self, method: str, path: str, **params: object) -> requests.Response:
        params.setdefault("timestamp", time.time_ns() // 1_000_000)
        query = urlencode(params)
        signature = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        url = f"{self.rest}{path}?{query}&signature={signature}"
        return self._session.request(method, url, headers=self.key_header(), timeout=TIMEOUT_S)

    def keyed(self, method: str, path: str) -> requests.Response:
        url = self.rest + path
        return self._session.request(method, url, headers=self.key_header(), timeout=TIMEOUT_S)

    @staticmethod
    def key_header() -> dict[str, str]:
        return {"X-MBX-APIKEY": KEY}

    def connect(self, path: str) -> websocket.WebSocket:
        socket = websocket.create_connection(self.stream + path, timeout=TIMEOUT_S)
        self._sockets.append(socket)
        return socket

    def call(self, method: str, sign: bool = True, **params: object) -> dict:
        """Make one WS-API request and return its response."""
        if self._api is None:
            self._api = self.connect("/ws-fapi/v1")
        if sign:
            params = {"apiKey": KEY, "timestamp": time.time_ns() // 1_000_000, **params}
            text = "&".join(f"{k}={params[k]}" for k in sorted(params))
            params["signature"] = hmac.new(
                SECRET.encode(), text.encode(), hashlib.sha256
            ).hexdigest()
        request_id = f"r{next(self._ids)}"
        self._api.send(json.dumps({"id": request_id, "method": method, "params": params}))
        response = json.loads(self._api.recv())
        assert response["id"] == request_id
        return response

    def user_stream(self) -> websocket.WebSocket:
        key = self.keyed("POST", "/fapi/v1/listenKey").json()["listenKey"]
        return self.connect(f"/private/ws?listenKey={key}")

    def depth(self, symbol: str, limit: int = 1000) -> dict:
        return self.get("/fapi/v1/depth", symbol=symbol, limit=limit).json()


def received_bytes(socket: websocket.WebSocket) -> bytes:
    """Return the next message as it came over the wire."""
    message = socket.recv()
    return message.encode() if isinstance(message, str) else message


class SyncedBook:
    """Keep a book from a snapshot and diffs, as the venue documents it for futures."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.update_id = 0
        self._bridged = False

    def load(self, snapshot: dict) -> None:
        self.bids = dict(snapshot["bids"])
        self.asks = dict(snapshot["asks"])
        self.update_id = snapshot["lastUpdateId"]
        self._bridged = False

    def apply(self, event: dict) -> str:
        """Return "old", "applied" or "gap"."""
        if not self._bridged:
            if event["u"] < self.update_id:
                return "old"
            if event["U"] > self.update_id:
                return "gap"
            self._bridged = True
        elif event["pu"] != self.update_id:
            return "gap"
        for side, rows in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in rows:
                if float(quantity) == 0:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self.update_id = event["u"]
        return "applied"

    def top(self, limit: int) -> tuple[list[list[str]], list[list[str]]]:
        bids = sorted(self.bids.items(), key=lambda row: -float(row[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda row: float(row[0]))[:limit]
        return [list(row) for row in bids], [list(row) for row in asks]
