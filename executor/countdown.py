"""The dead-man countdown: the venue cancels a symbol's open orders when it hears nothing of us.

Venue: "Auto-Cancel All Open Orders": per symbol, weight 10; every call replaces the countdown that
runs, 0 stops it. It cancels ordinary orders, not positions; whether it reaches conditional orders
is not stated, so nothing here relies on either: a stop that it ended is reported as ended, and risk
places another.

A symbol is armed with its first order or position and disarmed when it has neither. A countdown
that is not renewed in time takes the symbol's entries away until it is: the venue is about to
cancel.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from executor.counts import Counts
from executor.ledger import Ledger
from executor.limits import Limits
from executor.link import NS_PER_S
from executor.positions import LocalPositions
from executor.procedures import Procedure, Runner
from executor.rest import QUERY, Call
from executor.timers import Timers
from executor.trust import Trusts
from runtime.stage import StageContext
from shm.tables import Distrust

COUNTDOWN = "/fapi/v1/countdownCancelAll"
# Venue: the weight of one call, and what of a minute's 2400 the countdowns may use. With more than
# six symbols armed the beats are further apart, and the countdowns longer in the same ratio.
WEIGHT = 10
WEIGHT_PER_MINUTE = 1200
# A countdown is late when so many beats in a row have not renewed it.
# Disarming at the end: a round trip or two, and one more for each symbol.
STOP_S, STOP_S_EACH, STOP_S_MAX = 0.2, 0.1, 2.0
LATE_BEATS = 2
BIT = int(Distrust.COUNTDOWN)


class Countdown:
    """Renew the countdowns. `hasten(symbol)` has a symbol compared: its orders may be gone."""

    def __init__(
        self,
        context: StageContext,
        counts: Counts,
        ledger: Ledger,
        runner: Runner,
        timers: Timers,
        limits: Limits,
        trusts: Trusts,
        hasten: Callable[[int], None],
    ) -> None:
        venue = context.settings.venue
        self._countdown_ns = int(venue.countdown_s * NS_PER_S)
        self._beat_ns = int(venue.countdown_beat_s * NS_PER_S)
        self._symbols, self._log = context.symbols, context.log
        self._local = LocalPositions(context.memory, context.symbols)
        self._counts, self._table = counts, ledger.table
        self._runner, self._timers, self._limits = runner, timers, limits
        self._trusts, self._hasten = trusts, hasten
        # By symbol, monotonic: when it was renewed last, or first tried to.
        self._renewed_ns: dict[int, int] = {}
        self._asking: set[int] = set()
        self._late: set[int] = set()
        self._gone: set[int] = set()
        self._failing = self._stopped = False

    @property
    def is_on(self) -> bool:
        """Return whether there are countdowns at all."""
        return self._countdown_ns > 0

    def begin(self) -> None:
        """Begin to beat: what is open already is armed now."""
        for symbol in range(len(self._symbols)):
            # A predecessor may have left it; whether it is so is found out anew.
            self._trusts.mark(symbol, 0, BIT)
        if self.is_on:
            self._beat()

    @property
    def stop_s(self) -> float:
        """Return how long disarming may take: requests follow one another."""
        return min(STOP_S_MAX, STOP_S + STOP_S_EACH * len(self._renewed_ns))

    def note(self, symbol: int) -> None:
        """Arm the symbol of a new order, unless it is."""
        if self.is_on and symbol not in self._renewed_ns and not self._stopped:
            self._ask(symbol, self._length_ns())

    def interval_ns(self) -> int:
        """Return the time between beats with so many symbols armed."""
        least = len(self._renewed_ns) * WEIGHT * 60 * NS_PER_S // WEIGHT_PER_MINUTE
        return max(self._beat_ns, least)

    def _length_ns(self) -> int:
        return max(self._countdown_ns, self.interval_ns() * self._countdown_ns // self._beat_ns)

    def _needed(self) -> set[int]:
        """Return the symbols with orders or a position. Loop bound: orders that have not ended."""
        table = self._table
        found = {table.slot_of(order_id).symbol for order_id in table.open_ids}
        return found | {s for s in range(len(self._symbols)) if self._local.lots(s)}

    def _beat(self) -> None:
        if self._stopped:
            return
        needed = self._needed()
        for symbol in sorted(needed | set(self._renewed_ns)):
            if symbol not in self._asking:
                self._ask(symbol, self._length_ns() if symbol in needed else 0)
        self._judge(time.monotonic_ns())
        self._timers.at(time.monotonic_ns() + self.interval_ns(), self._beat)

    def _ask(self, symbol: int, length_ns: int) -> None:
        self._renewed_ns.setdefault(symbol, time.monotonic_ns())
        if self._limits.pause_ns():
            return  # the venue has asked for silence: to go on would end in a ban
        self._asking.add(symbol)
        self._runner.start(
            self._renew(symbol, length_ns), lambda result: self._asking.discard(symbol)
        )

    def _renew(self, symbol: int, length_ns: int) -> Procedure:
        parameters: dict[str, object] = {
            "symbol": self._symbols[symbol],
            "countdownTime": length_ns // 1_000_000,
        }
        reply = yield Call("POST", COUNTDOWN, parameters, priority=QUERY)
        if not reply.ok:
            self._counts.beats_failed.value += 1
            if not self._failing:
                self._failing = True
                self._log.warning(
                    "countdown not renewed",
                    symbol=self._symbols[symbol],
                    status=reply.status,
                    code=reply.code,
                    message=reply.message,
                )
            return
        self._failing = False
        self._counts.beats.value += 1
        if length_ns:
            # It runs from when the venue got the request, which was not before it was sent.
            self._renewed_ns[symbol] = reply.sent_ns
        else:
            self._renewed_ns.pop(symbol, None)
            if symbol in self._needed() and not self._stopped:
                # An order has left while the disarming was on its way.
                parameters["countdownTime"] = self._length_ns() // 1_000_000
                again = yield Call("POST", COUNTDOWN, parameters, priority=QUERY)
                self._renewed_ns[symbol] = again.sent_ns if again.ok else time.monotonic_ns()
        self._gone.discard(symbol)
        if symbol in self._late:
            self._late.discard(symbol)
            self._trusts.mark(symbol, 0, BIT)
            self._log.warning("countdown renewed again", symbol=self._symbols[symbol])
            self._hasten(symbol)

    def _judge(self, now_ns: int) -> None:
        """Take the entries of symbols whose countdown is late; look at those where it ran out."""
        for symbol, renewed_ns in self._renewed_ns.items():
            age_ns = now_ns - renewed_ns
            if age_ns > LATE_BEATS * self.interval_ns() and symbol not in self._late:
                self._late.add(symbol)
                self._trusts.mark(symbol, BIT, BIT)
                self._log.error(
                    "countdown is late: no entries in this symbol until it is renewed",
                    symbol=self._symbols[symbol],
                    age_ms=age_ns // 1_000_000,
                )
            if age_ns > self._length_ns() and symbol not in self._gone:
                self._gone.add(symbol)
                self._log.error(
                    "countdown has run out: the venue cancels what is open",
                    symbol=self._symbols[symbol],
                )
                self._hasten(symbol)

    def stop(self) -> Procedure:
        """Stop beating and disarm: a stop that stays at the venue must not be canceled by it."""
        self._stopped = True
        for symbol in sorted(self._renewed_ns):
            yield from self._renew(symbol, 0)
            if symbol in self._renewed_ns:
                self._log.error("countdown is left armed", symbol=self._symbols[symbol])
