"""A symbol that is never at rest, in a time of its own, compared by the executor's own parts.

Fills happen at the venue, their events arrive later, in order, or never. The answer to a request
holds the position of some moment between request and reply.
"""

from __future__ import annotations

import random
from collections import deque
from types import SimpleNamespace
from typing import Any

from executor import beliefs, comparing, venue
from executor.beliefs import Beliefs
from executor.comparing import Comparing
from executor.procedures import Pause
from executor.trust import Trusts
from executor.venue import Reply
from shm.tables import Distrust

MS = 1_000_000
PERIOD_NS, AGAIN_NS = 10_000 * MS, 1_000 * MS
VENUE_AHEAD_NS = 10**18


class Time:
    """Stands in for the module `time`, and for the venue's clock."""

    def __init__(self) -> None:
        self.now_ns = 10**9

    def monotonic_ns(self) -> int:
        return self.now_ns

    def venue_ns(self) -> int:
        return self.now_ns + VENUE_AHEAD_NS


class Motion:
    """`lag_ms(chance)` is the delay of an event, `sizes` are the lots that fills can have."""

    def __init__(
        self, monkeypatch: Any, seed: int, gap_ms: float, lag_ms: Any, sizes: tuple[int, ...]
    ) -> None:
        self.chance = random.Random(seed)
        self.time = Time()
        for module in (beliefs, comparing):
            monkeypatch.setattr(module, "time", self.time)
        self.gap_ms, self.lag_ms, self.sizes = gap_ms, lag_ms, sizes
        self.theirs = self.ours = self.inventory = self.true = 0
        self.missed_next = 0
        self.events: deque[tuple[int, int, int]] = deque()  # arrival, lots, when it was filled
        self.arrival_ns = 0
        self.next_fill_ns = self.time.now_ns
        self.corrections: list[tuple[int, int]] = []  # lots; the true difference then
        self.trust = SimpleNamespace(distrust=0, venue_lot=0, compared_ns=0, foreign_trade_id=0)
        table = SimpleNamespace(with_status=lambda *wanted: [], slot_of=None)
        self.ledger: Any = SimpleNamespace(table=table, backlog=(), apply=self.correct)
        memory = SimpleNamespace(
            control=SimpleNamespace(epoch=1), ring=lambda name: 0,
            trust=lambda symbol: self.trust, symbol=lambda symbol: SimpleNamespace(tick_size=0.1),
            position=lambda symbol: SimpleNamespace(entry_lot=0),
        )  # fmt: skip
        self.told: list[str] = []
        log = SimpleNamespace(
            error=lambda event, **values: self.told.append(values.get("differences", event)),
            info=lambda *a, **k: None,
        )
        context: Any = SimpleNamespace(symbols=("BTCUSDT",), memory=memory, log=log)
        resolver: Any = SimpleNamespace(symbol_lots=lambda symbol, text: int(text))
        clock: Any = self.time
        self.comparing = Comparing(context, self.ledger, resolver, clock)
        local: Any = SimpleNamespace(lots=lambda symbol: self.ours)
        self.beliefs = self.comparing._beliefs = Beliefs(local, clock)
        counts: Any = SimpleNamespace(
            mismatches=SimpleNamespace(value=0), corrections=SimpleNamespace(value=0)
        )
        self.trusts = Trusts(context, counts, self.ledger)

    def correct(self, change: Any) -> None:
        lots = change.side * change.fill_lot
        self.corrections.append((lots, self.true))
        self.ours += lots
        self.true -= lots
        self.beliefs.note(0, lots, change.venue_ns)

    def _fill(self) -> None:
        lots = self.chance.choice(self.sizes)
        limit = 3 * max(self.sizes)
        side = self.chance.choice((1, -1))
        if abs(self.inventory + side * lots) > limit:
            side = -side
        self.inventory += side * lots
        self.theirs += side * lots
        filled_ns = self.time.now_ns
        if self.missed_next:
            self.missed_next -= 1
            self.true += side * lots
        else:
            late_ns = int(self.lag_ms(self.chance) * MS)
            self.arrival_ns = max(self.arrival_ns, filled_ns + late_ns)
            self.events.append((self.arrival_ns, side * lots, filled_ns))
        self.next_fill_ns = filled_ns + int(self.chance.expovariate(1 / self.gap_ms) * MS) + 1

    def run_to(self, until_ns: int) -> None:
        """Let everything happen that is due. Loop bound: the fills until then, twice."""
        while True:
            event_ns = self.events[0][0] if self.events else until_ns + 1
            due_ns = min(event_ns, self.next_fill_ns)
            if due_ns > until_ns:
                break
            self.time.now_ns = due_ns
            if event_ns == due_ns:
                _, lots, filled_ns = self.events.popleft()
                self.ours += lots
                self.beliefs.note(0, lots, (filled_ns + VENUE_AHEAD_NS) // MS * MS)
            else:
                self._fill()
        self.time.now_ns = until_ns

    def _call(self, call: Any) -> Reply:
        self.run_to(self.time.now_ns + int(self.chance.uniform(0.2, 30) * MS))
        shown = str(self.theirs)
        self.run_to(self.time.now_ns + int(self.chance.uniform(0.2, 30) * MS))
        body: list[Any] = []
        if call.path == venue.POSITIONS:
            body = [{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": shown,
                     "entryPrice": "100.0", "markPrice": "100.0"}]  # fmt: skip
        return Reply(status=200, body=body)

    def compare(self) -> bool:
        """Compare once; return whether it is to be done again soon."""
        procedure: Any = self.comparing.compare(0)
        value = None
        while True:
            try:
                wanted = procedure.send(value)
            except StopIteration as end:
                return bool(self.trusts.conclude(end.value, (), (), in_doubt=False))
            if isinstance(wanted, Pause):
                self.run_to(self.time.now_ns + wanted.duration_ns)
                value = None
            else:
                value = self._call(wanted)

    def go_on(self, seconds: float, until: Any = lambda: False) -> float:
        """Compare as the executor does, until something holds; return the seconds that took."""
        began_ns = self.time.now_ns
        end_ns = began_ns + int(seconds * 1000) * MS
        while self.time.now_ns < end_ns and not until():
            again = self.compare()
            self.run_to(self.time.now_ns + (AGAIN_NS if again else PERIOD_NS))
        return (self.time.now_ns - began_ns) / (1000 * MS)

    @property
    def is_distrusted(self) -> bool:
        return bool(self.trust.distrust & Distrust.POSITION)
