"""Set an exchange up so that every answer has something to show, and judge its answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import websocket
from exchange_process import ExchangeProcess, received_bytes
from protocol_references import PROTOCOL, reference
from protocol_shapes import Difference, Known, compare

SYMBOL = "BTCUSDT"
WAIT_S = 8.0
HAS_PROTOCOL = PROTOCOL.is_dir()
Outcomes = dict[str, list[Difference]]  # by the name of the case
WHY_SKIPPED = f"the examples are absent: {PROTOCOL.parent.name}/{PROTOCOL.name}"


class UnansweredError(AssertionError):
    """Tell that the exchange refused a request, or that an event never came."""


class Listener:
    """Read one WebSocket in a thread and keep what came."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self.messages: list[Any] = []
        self._socket = socket
        self._new = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = received_bytes(self._socket)
            except (websocket.WebSocketException, OSError):
                return
            if not data:
                return
            with self._new:
                self.messages.append(json.loads(data))
                self._new.notify_all()

    def wait_for(self, accept: Callable[[Any], bool], what: str) -> Any:
        """Return the first message that is accepted. Raises UnansweredError if none comes."""
        end_s = time.monotonic() + WAIT_S
        with self._new:
            while True:
                for message in self.messages:
                    if accept(message):
                        return message
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    raise UnansweredError(f"no {what} within {WAIT_S:.0f} s")
                self._new.wait(left_s)


class Stage:
    """Hold a running exchange with short ways to ask it."""

    def __init__(self, *options: str) -> None:
        self.exchange = ExchangeProcess(
            *("--symbols", "BTCUSDT,ETHUSDT", "--rate", "60"),
            # All examples are asked for within a minute, which is more than the venue allows.
            *("--weight-limit", "100000", *options),
        )

    def close(self) -> None:
        self.exchange.close()

    def get(self, path: str, **params: str | int) -> Any:
        return checked(self.exchange.get(path, **params))

    def signed(self, method: str, path: str, **params: object) -> Any:
        return checked(self.exchange.signed(method, path, **params))

    def keyed(self, method: str, path: str) -> Any:
        return checked(self.exchange.keyed(method, path))

    def call(self, method: str, sign: bool = True, **params: object) -> Any:
        """Return a whole WS-API response. Raises UnansweredError for a refusal."""
        response = self.exchange.call(method, sign, **params)
        if response.get("status") != 200:
            raise UnansweredError(f"{method}: {response.get('error')}")
        return response

    def key_only(self, method: str) -> Any:
        return self.call(method, sign=False, apiKey="test-key")

    def listen(self, path: str) -> Listener:
        return Listener(self.exchange.connect(path))

    def user_events(self) -> Listener:
        return Listener(self.exchange.user_stream())

    def far_price(self) -> str:
        """Return a buying price 3 % below the market, on the tick."""
        best = Decimal(self.get("/fapi/v1/depth", symbol=SYMBOL, limit=5)["bids"][0][0])
        return str((best * Decimal("0.97")).quantize(Decimal("1")))

    def limit_order(self, **changes: object) -> dict[str, Any]:
        """Return the parameters of an order that rests far from the market."""
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        return {**order, "quantity": "0.010", "price": self.far_price(), **changes}

    def algo_order(self, **changes: object) -> dict[str, Any]:
        """Return the parameters of a conditional order that does not trigger."""
        order = {"algoType": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL", "type": "STOP_MARKET"}
        return {**order, "quantity": "0.003", "triggerPrice": self.far_price(), **changes}

    def place(self, **changes: object) -> dict[str, Any]:
        placed: dict[str, Any] = self.signed(
            "POST", "/fapi/v1/order", **self.limit_order(**changes)
        )
        return placed

    def place_algo(self) -> dict[str, Any]:
        placed: dict[str, Any] = self.signed("POST", "/fapi/v1/algoOrder", **self.algo_order())
        return placed

    def market(self, side: str, quantity: str = "0.020", **more: object) -> dict[str, Any]:
        order = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity, **more}
        placed: dict[str, Any] = self.signed("POST", "/fapi/v1/order", **order)
        return placed


def checked(response: Any) -> Any:
    """Return the JSON body. Raises UnansweredError for another status than 200."""
    if response.status_code != 200:
        raise UnansweredError(f"HTTP {response.status_code}: {response.text[:200]}")
    return response.json()


@dataclass(frozen=True, slots=True)
class Case:
    """Be one answer to compare: how to get it, and the examples of it."""

    name: str
    ask: Callable[[Stage], object]
    references: tuple[str, ...]


def run_cases(stage: Stage, cases: Sequence[Case]) -> Outcomes:
    """Ask for every case in order; a refusal is a difference and does not end the others."""
    outcomes: Outcomes = {}
    for case in cases:
        examples = [reference(name) for name in case.references]
        try:
            outcomes[case.name] = compare(case.ask(stage), examples)
        except (AssertionError, LookupError, TypeError) as error:
            text = f"{type(error).__name__}: {error}"
            outcomes[case.name] = [Difference(text, "refused", "no answer to compare")]
    return outcomes


def judge(name: str, found: Sequence[Difference], explained: Sequence[Known]) -> list[str]:
    """Print every difference with its explanation; return those that have none."""
    unexplained = []
    for difference in found:
        reasons = [known.reason for known in explained if known.covers(name, difference)]
        print(f"{name}: {difference}" + (f"  [{reasons[0]}]" if reasons else ""))
        if not reasons:
            unexplained.append(str(difference))
    return unexplained


def unused(outcomes: Outcomes, explained: Sequence[Known]) -> list[str]:
    """Return the explanations that match no difference."""
    pairs = [(name, difference) for name, found in outcomes.items() for difference in found]
    return [
        f"{known.problem} {known.case} {known.path}: {known.reason}"
        for known in explained
        if not any(known.covers(name, difference) for name, difference in pairs)
    ]
