"""Cancel a symbol's orders when its client has gone silent: the dead man's switch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from exchange.trading.timers import Timer

if TYPE_CHECKING:
    from exchange.trading.desk import Desk


class Countdown:
    """Keep at most one countdown per symbol.

    # Venue: "Auto-Cancel All Open Orders": every call replaces the running countdown, 0 stops it;
    it cancels ordinary orders and no positions.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._timers: dict[str, Timer] = {}

    def set(self, symbol: str, countdown_ms: int) -> None:
        """Start a symbol's countdown anew, or stop it."""
        self._desk.register.requests["countdown"] += 1
        running = self._timers.pop(symbol, None)
        if running is not None:
            running.cancel()
        if countdown_ms > 0:
            due_ms = self._desk.clock_ms() + countdown_ms
            run_out = partial(self._run_out, symbol)
            self._timers[symbol] = self._desk.timers.call_at(due_ms, run_out)

    def is_armed(self, symbol: str) -> bool:
        """Tell whether a countdown is running."""
        return symbol in self._timers

    def _run_out(self, symbol: str) -> None:
        del self._timers[symbol]
        switches = self._desk.switches
        if switches.on_desk and switches.take("dead_man_ignored", symbol=symbol) is not None:
            return
        self._desk.cancel_open(symbol)
