"""Stand between the hub and its clients while a fault of messages is armed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from exchange.faults.corruption import absurd, crossed, malformed
from exchange.faults.delay_line import DelayLine, Deliver, Room
from exchange.faults.switches import Fault, Switches, Texts

DIFF_DEPTH = re.compile(r"@depth(@|$)")
HOLD_S = 0.5  # a depth message that waits for the next one does not wait longer


@dataclass(frozen=True, slots=True)
class Held:
    """Be a message that leaves after a later one."""

    data: bytes
    fault: Fault
    timer: asyncio.TimerHandle


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
        self._room = Room()
        self._lines: dict[str, DelayLine] = {}  # those in which something waits
        self._held: dict[str, Held] = {}
        switches.on_disarm.append(self._disarmed)

    @property
    def is_idle(self) -> bool:
        """Tell whether no fault of messages is armed and nothing waits."""
        return not (self._switches.on_streams or self._held or self._lines)

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
            held.timer.cancel()
        line = self._lines.pop(stream, None)
        if line is not None:
            line.clear()
        self._on_change()

    def _market(self, stream: str, data: bytes) -> None:
        take = self._switches.take
        where = {"stream": stream, "symbol": stream.partition("@")[0].upper()}
        copies = 1
        if DIFF_DEPTH.search(stream):
            if take("depth_gap", **where):
                return
            reorder = take("depth_reorder", **where) if stream not in self._held else None
            if reorder is not None:
                self._hold(stream, self._spoiled(stream, data, where), reorder, HOLD_S)
                return
            copies += take("depth_duplicate", **where) is not None
        data = self._spoiled(stream, data, where)
        self._send(stream, data, take("market_latency", **where), copies)
        self._release(stream)

    def _spoiled(self, stream: str, data: bytes, where: dict[str, str]) -> bytes:
        take = self._switches.take
        if ("@depth" in stream or "bookTicker" in stream) and (
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
        where: dict[str, Texts] = {"stream": event.get("e", ""), "symbol": _symbols(event)}
        take = self._switches.take
        if take("user_stream_silent", **where):
            return
        copies = 1
        held = self._held.get(stream)
        is_fill = _is_fill(event)
        if is_fill:
            if take("fill_lost", **where):
                return
            reorder = take("fill_reorder", **where) if held is None else None
            if reorder is not None:
                self._hold(stream, data, reorder, reorder.number("hold_ms") / 1000)
                return
            copies += take("fill_duplicate", **where) is not None
        self._send(stream, data, take("fill_latency", **where), copies)
        # Only a later fill that the same fault could have struck makes an order that is wrong:
        # other events say nothing of how fills follow one another.
        if held is not None and is_fill and held.fault.fits(where):
            self._release(stream)

    def _send(self, stream: str, data: bytes, late: Fault | None = None, copies: int = 1) -> None:
        delay_s = late.delay_s() if late is not None else 0.0
        for _ in range(copies):
            line = self._lines.get(stream)
            if line is None and not delay_s:
                self._deliver(stream, data)
                continue
            if line is None:
                line = DelayLine(stream, self._deliver, self._room, self._emptied)
                self._lines[stream] = line
                self._on_change()
            line.put(data, delay_s, late)

    def _emptied(self, stream: str) -> None:
        self._lines.pop(stream, None)
        self._on_change()

    def _hold(self, stream: str, data: bytes, fault: Fault, hold_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(hold_s, self._release, stream)
        self._held[stream] = Held(data, fault, timer)
        self._on_change()

    def _release(self, stream: str) -> None:
        """Send what waited for a later message."""
        held = self._held.pop(stream, None)
        if held is not None:
            held.timer.cancel()
            self._send(stream, held.data)
            self._on_change()

    def _disarmed(self, faults: list[Fault]) -> None:
        """Let go at once what the disarmed faults keep back."""
        for line in list(self._lines.values()):
            line.release(faults)
        for stream in [name for name, held in self._held.items() if held.fault in faults]:
            self._release(stream)


def _symbols(event: dict[str, Any]) -> frozenset[str]:
    """Return the symbols that a user event speaks of."""
    order, account = event.get("o"), event.get("a")
    if isinstance(order, dict):
        return frozenset({order.get("s", "")})
    if isinstance(account, dict):
        return frozenset(position["s"] for position in account.get("P", ()))
    return frozenset({event.get("s", "")})


def _is_fill(event: dict[str, Any]) -> bool:
    kind = event.get("e")
    if kind == "ORDER_TRADE_UPDATE":
        return bool(event["o"].get("x") == "TRADE")
    if kind == "ACCOUNT_UPDATE":
        return bool(event["a"].get("m") == "ORDER")
    return kind == "TRADE_LITE"
