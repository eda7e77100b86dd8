"""Funding: what positions paid and got, by symbol, from the venue's income history.

Venue: "Get Income History" (weight 30), "Event: Balance and Position Update": a FUNDING_FEE of a
crossed position tells the balance alone, not the symbol, and it may be lost with the stream. So an
event only says that it is time to look; the history, where every payment has an id, is what counts.
"""

from __future__ import annotations

import time
from typing import Any

from executor import venue
from executor.link import NS_PER_S
from executor.procedures import Pause, Procedure, Runner
from executor.rest import HOUSEKEEPING, Call
from executor.timers import Timers
from executor.venue import VenueDataError
from runtime.stage import StageContext
from shm.tables import FUNDING

PAGE_SIZE = 1000
# The history may lag behind the event.
LOOK_NS = tuple(ms * 1_000_000 for ms in (100, 400, 1_000, 5_000, 30_000, 120_000))
# Without an event it is looked at that often: one that was lost is found.
PERIOD_NS = 3600 * NS_PER_S
# Payments older than that, against the newest, are not listed again.
SETTLED_MS = 2 * 3600 * 1000


class FundingBooks:
    """Keep the rows of the funding table and `control.funding_e8` equal to the venue's history.

    The rows are set to sums over all payments since the run began: reading them twice, or anew
    after a restart, changes nothing.
    """

    def __init__(self, context: StageContext, runner: Runner, timers: Timers) -> None:
        self._memory, self._log = context.memory, context.log
        self._control = context.memory.control
        self._runner, self._timers = runner, timers
        self._index = {name: i for i, name in enumerate(context.symbols)}
        self._quote = venue.quote_asset(context.symbols[0]) if context.symbols else "USDT"
        self._from_ms = self._control.epoch * 1000
        self._settled: dict[str, tuple[int, int]] = {}  # sum and count of what is older
        self._known = 0  # payments listed so far
        self._awaited = 0  # payments that events told of, and the history has not
        self._active = self._stopped = False

    def begin(self) -> None:
        """Look now, and from here on every hour."""
        if self._stopped:
            return
        self.look()
        self._timers.at(time.monotonic_ns() + PERIOD_NS, self.begin)

    def noticed(self) -> None:
        """Take the word of an event that one symbol's funding was paid."""
        self._awaited += 1
        self.look()

    def look(self) -> None:
        """Begin to read the history, unless that is under way."""
        if not (self._active or self._stopped):
            self._active = True
            self._runner.start(self._follow(), self._ended)

    def _ended(self, result: object) -> None:
        self._active = False

    def _follow(self) -> Procedure:
        for pause_ns in LOOK_NS:
            yield from self.fetch(HOUSEKEEPING)
            if self._awaited <= 0:
                return
            yield Pause(pause_ns)
        self._log.warning("funding is not in the income history yet", count=self._awaited)
        self._awaited = 0

    def close(self, priority: int) -> Procedure:
        """Read the history a last time; return whether the venue answered."""
        self._stopped = True
        return (yield from self.fetch(priority))

    def fetch(self, priority: int) -> Procedure:
        """Read the history once and set the rows; return whether the venue answered.

        Loop bound: the pages of the history since `_from_ms`.
        """
        found: dict[tuple[object, str], tuple[int, int]] = {}  # by id and symbol: time, amount
        start_ms = self._from_ms
        while True:
            parameters = {"incomeType": "FUNDING_FEE", "startTime": start_ms, "limit": PAGE_SIZE}
            reply = yield Call("GET", venue.INCOME, parameters, priority=priority)
            if not reply.ok:
                self._log.warning("no income history", status=reply.status, code=reply.code)
                return False
            before = len(found)
            for time_ms, symbol, key, amount_e8 in self._payments(reply.body):
                found[key, symbol] = time_ms, amount_e8
                start_ms = max(start_ms, time_ms)
            if len(reply.body) < PAGE_SIZE or len(found) == before:
                break
        self._book([(symbol, *payment) for (_, symbol), payment in found.items()])
        return True

    def _payments(self, body: Any) -> list[tuple[int, str, object, int]]:
        """Return time, symbol, id and amount of the payments in the quote asset.

        Raises:
            VenueDataError: the answer cannot be read.
        """
        try:
            return [
                (int(row["time"]), str(row["symbol"]), row["tranId"], venue.to_e8(row["income"]))
                for row in body
                if row["incomeType"] == "FUNDING_FEE" and row["asset"] == self._quote
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise VenueDataError(f"income: {type(error).__name__} {error}") from None

    def _book(self, payments: list[tuple[str, int, int]]) -> None:
        """Set the rows from what is settled and what was listed: (symbol, time, amount)."""
        sums = {name: [*self._settled.get(name, (0, 0)), 0] for name in self._index}
        for symbol, time_ms, amount_e8 in payments:
            if symbol in sums:
                row = sums[symbol]
                row[0] += amount_e8
                row[1] += 1
                row[2] = max(row[2], time_ms)
        for name, (total_e8, count, last_ms) in sums.items():
            self._set_row(name, total_e8, count, last_ms)
        self._control.funding_e8 = sum(row[0] for row in sums.values())
        self._settle(payments)

    def _set_row(self, name: str, total_e8: int, count: int, last_ms: int) -> None:
        row = FUNDING.at(self._memory.funding_address(self._index[name]))
        if (row.total_e8, row.payments) == (total_e8, count):
            return
        self._log.info("funding", symbol=name, amount_e8=total_e8 - row.total_e8, total_e8=total_e8)
        # Ordering: x86 and the interpreter keep stores in program order. The ledger reads the
        # count, the total and the count again.
        row.total_e8 = total_e8
        row.last_ms = max(row.last_ms, last_ms)
        row.payments = count

    def _settle(self, payments: list[tuple[str, int, int]]) -> None:
        """Take note of what is new, and stop listing what is old."""
        settled = sum(count for _, count in self._settled.values())
        known = settled + sum(symbol in self._index for symbol, _, _ in payments)
        self._awaited = max(0, self._awaited - max(0, known - self._known))
        self._known = known
        newest_ms = max((time_ms for _, time_ms, _ in payments), default=0)
        from_ms = max(self._from_ms, newest_ms - SETTLED_MS)
        for symbol, time_ms, amount_e8 in payments:
            if time_ms < from_ms and symbol in self._index:
                total_e8, count = self._settled.get(symbol, (0, 0))
                self._settled[symbol] = total_e8 + amount_e8, count + 1
        self._from_ms = from_ms
