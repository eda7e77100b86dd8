"""Wire REST and WS-API to handlers of a test's own, without a process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from exchange.api.keys import Keys, hmac_key
from exchange.api.limits import Limits
from exchange.api.rest import Rest
from exchange.api.trouble import Trouble
from exchange.api.ws_api import Method, WsApi
from exchange.faults.connections import Connections
from exchange.faults.switches import Switches


def broken(params: object) -> object:
    raise RuntimeError("a handler is broken")


class Wire:
    """Parts for a REST server and a WS-API; by default the one method is broken."""

    def __init__(self, methods: Sequence[Method] = (), ack_latency_ms: float = 0.0) -> None:
        self.switches = switches = Switches()
        trouble = Trouble(switches, Connections(switches), int, lambda params: None)
        keys = Keys([hmac_key("k", "s")])
        limits = Limits(lambda: 0)
        reach = (keys, limits, lambda: 0, ack_latency_ms, lambda params, code: None, trouble)
        self.rest = Rest(*reach)
        self.ws_api = WsApi(list(methods) or [Method("broken", broken)], *reach)


class Heard:
    """Stand in for a client: keep what it is sent."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.transport = asyncio.Transport()

    def send(self, data: bytes) -> None:
        self.messages.append(json.loads(data))
