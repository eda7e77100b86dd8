"""Stand between the hub and its clients while a fault of messages is armed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import orjson

from exchange.faults.corruption import absurd, crossed, malformed
from exchange.faults.delay_line import DelayLine, Deliver
from exchange.faults.switches import Switches

DIFF_DEPTH = re.compile(r"@depth(@|$)")
HOLD_S = 0.5  # a message that waits for the next one does not wait longer
FILL_EVENTS = frozenset({"TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"})


class Tamper:
    """Lose, repeat, reorder, delay and spoil messages.

    A stream whose name holds an `@` or `!` is market data; any other is a listen key.
    """

    def __init__(
        self, switches: Switches, deliver: Deliver, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._switches = switches
        self._deliver = deliver
        self._on_change = on_change  # called when `is_idle` may have changed
        self._lines: dict[str, DelayLine] = {}
        self._held: dict[str, tuple[bytes, asyncio.TimerHandle]] = {}

    @property
    def is_idle(self) -> bool:
        """Tell whether no fault of messages is armed and nothing waits."""
        return (
            not self._switches.on_streams
            and not self._held
            and all(line.is_empty for line in self._lines.values())
        )

    def publish(self, stream: str, data: bytes) -> None:
        """Take a message on its way to the clients of a stream."""
        if "@" in stream or "!" in stream:
            self._market(stream, data)
        else:
            self._user(stream, data)

    def forget(self, stream: str) -> None:
        """Drop what waits for the readers of a stream: the last one has left."""
        held = self._held.pop(stream, None)
        if held is not None:
            held[1].cancel()
        line = self._lines.pop(stream, None)
        if line is not None:
            line.clear()
        self._on_change()

    def _market(self, stream: str, data: bytes) -> None:
        take = self._switches.take
        where = {"stream": stream, "symbol": stream.partition("@")[0].upper()}
        copies, hold = 1, False
        if DIFF_DEPTH.search(stream):
            if take("depth_gap", **where):
                return
            copies += take("depth_duplicate", **where) is not None
            hold = stream not in self._held and take("depth_reorder", **where) is not None
        data = self._spoiled(stream, data, where)
        late = take("market_latency", **where)
        delay_s = late.delay_s() if late else 0.0
        if hold:
            self._hold(stream, data, HOLD_S)
            return
        for _ in range(copies):
            self._send(stream, data, delay_s)
        self._release(stream)

    def _spoiled(self, stream: str, data: bytes, where: dict[str, str]) -> bytes:
        take = self._switches.take
        if ("@depth" in stream or "@bookTicker" in stream) and (
            fault := take("crossed_book", **where)
        ):
            data = crossed(data, float(fault.values["share"]))
        if fault := take("absurd_price", **where):
            data = absurd(data, fault.text("value"))
        if fault := take("malformed", **where):
            data = malformed(data, fault.text("shape"), fault.number("size"))
        return data

    def _user(self, stream: str, data: bytes) -> None:
        event = orjson.loads(data)
        order = event.get("o") or {}
        where = {"stream": event.get("e", ""), "symbol": order.get("s", event.get("s", ""))}
        take = self._switches.take
        if take("user_stream_silent", **where):
            return
        copies = 1
        if _is_fill(event):
            if take("fill_lost", **where):
                return
            copies += take("fill_duplicate", **where) is not None
            reorder = take("fill_reorder", **where) if stream not in self._held else None
            if reorder is not None:
                self._hold(stream, data, reorder.number("hold_ms") / 1000)
                return
        late = take("fill_latency", **where)
        for _ in range(copies):
            self._send(stream, data, late.delay_s() if late else 0.0)
        self._release(stream)

    def _send(self, stream: str, data: bytes, delay_s: float) -> None:
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = DelayLine(stream, self._deliver, self._on_change)
        if delay_s == 0 and line.is_empty:
            self._deliver(stream, data)
        else:
            line.put(data, delay_s)

    def _hold(self, stream: str, data: bytes, hold_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(hold_s, self._release, stream)
        self._held[stream] = data, timer
        self._on_change()

    def _release(self, stream: str) -> None:
        """Send what waited for a later message."""
        held = self._held.pop(stream, None)
        if held is not None:
            held[1].cancel()
            self._send(stream, held[0], 0.0)
            self._on_change()


def _is_fill(event: dict[str, object]) -> bool:
    kind = event.get("e")
    if kind == "ORDER_TRADE_UPDATE":
        order = event["o"]
        return isinstance(order, dict) and order.get("x") == "TRADE"
    if kind == "ACCOUNT_UPDATE":
        change = event["a"]
        return isinstance(change, dict) and change.get("m") == "ORDER"
    return kind in FILL_EVENTS
