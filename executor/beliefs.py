"""Which positions we believed in while the venue was asked for its own.

An event of a fill arrives a little after the fill, so what we believe runs behind the venue by the
lag of the stream; the answer to a request may run behind the stream. A window therefore reaches
from a grace before the request to a grace after the reply. The grace is longer than the lag
that fills have shown lately.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection

from executor.clock import VenueClock
from executor.differences import held_around
from executor.positions import LocalPositions
from executor.venue import NS_PER_MS

GRACE_NS_MIN = 50_000_000
# The grace follows lags up to this one: a comparison waits for it with every look.
LAG_NS_MAX = 2_000_000_000
LAG_HALF_LIFE_NS = 30_000_000_000
# A request that took longer than this gives no look.
KEEP_NS = 10_000_000_000
# The venue's stamps are whole milliseconds, and its clock is known to about as much.
CLOCK_MARGIN_NS = 5 * NS_PER_MS


class Beliefs:
    """Keep the fills of the last seconds by symbol, as they were reported to risk."""

    def __init__(self, local: LocalPositions, clock: VenueClock) -> None:
        self._local, self._clock = local, clock
        self._fills: dict[int, deque[tuple[int, int]]] = {}
        self._judged_ns: dict[int, int] = {}  # symbol → venue's time of the last look's reply
        self._lates: dict[int, int] = {}
        self._lag_ns, self._lag_at_ns = 0.0, time.monotonic_ns()

    @property
    def grace_ns(self) -> int:
        """Return how long after a reply events of before are still expected."""
        return GRACE_NS_MIN + max(0, int(self._lag_ns))

    def lates(self, symbol: int) -> int:
        """Return how many fills came to light after a look at the venue that had shown them."""
        return self._lates.get(symbol, 0)

    def note(self, symbol: int, lots: int, venue_ns: int, was_held: bool = False) -> None:
        """Take a fill that has just been reported.

        Args:
            symbol: of the fill.
            lots: signed.
            venue_ns: when it was made by the venue's clock; 0 = nobody knows.
            was_held: it was asked for, or has waited: it says nothing about the stream's lag.
        """
        now = time.monotonic_ns()
        fills = self._fills.setdefault(symbol, deque())
        fills.append((now, lots))
        while fills[0][0] < now - KEEP_NS:
            fills.popleft()
        lag_ns = self._clock.venue_ns() - venue_ns
        if not was_held and lag_ns < LAG_NS_MAX:
            left = 0.5 ** ((now - self._lag_at_ns) / LAG_HALF_LIFE_NS)
            self._lag_ns, self._lag_at_ns = max(lag_ns, self._lag_ns * left), now
        if venue_ns <= self._judged_ns.get(symbol, 0) + CLOCK_MARGIN_NS:
            self._lates[symbol] = self.lates(symbol) + 1

    def open(self, symbols: Collection[int]) -> Window:
        """Begin a look at symbols: right before the request leaves."""
        return Window(self, symbols)

    def held(self, symbol: int) -> int:
        """Return the position of now."""
        return self._local.lots(symbol)

    def fills(self, symbol: int) -> list[tuple[int, int]]:
        """Return (time, signed lots) of the fills of the last seconds, oldest first."""
        return list(self._fills.get(symbol, ()))

    def judge(self, symbol: int, venue_ns: int) -> None:
        """Note that a look was taken for complete whose reply came at a venue's time."""
        self._judged_ns[symbol] = max(venue_ns, self._judged_ns.get(symbol, 0))

    def judged_ns(self, symbol: int) -> int:
        """Return the venue's time of the last reply that a look was taken from."""
        return self._judged_ns.get(symbol, 0)

    def venue_ns(self) -> int:
        """Return the venue's time."""
        return self._clock.venue_ns()


class Window:
    """The positions of some symbols from before a request to after its reply."""

    def __init__(self, beliefs: Beliefs, symbols: Collection[int]) -> None:
        self._beliefs = beliefs
        self._began = {symbol: beliefs.held(symbol) for symbol in symbols}
        self._began_ns, self._grace_ns = time.monotonic_ns(), beliefs.grace_ns
        self._replied_ns = self._replied_venue_ns = 0

    def reply(self) -> None:
        """Note that the reply is there."""
        self._replied_ns, self._replied_venue_ns = time.monotonic_ns(), self._beliefs.venue_ns()

    @property
    def left_ns(self) -> int:
        """Return how much of the grace is left."""
        return max(0, self._replied_ns + self._grace_ns - time.monotonic_ns())

    def is_still(self, symbol: int) -> bool:
        """Return whether there was no fill for long: a symbol at rest has none on its way."""
        fills = self._beliefs.fills(symbol)
        return not fills or fills[-1][0] < self._began_ns - KEEP_NS

    def close(self, symbol: int) -> frozenset[int]:
        """Return the positions that were believed in; none when that cannot be said.

        Risk may be between reading a report and giving it back, or read a fill as told twice: the
        fills have to lead from the position of the beginning to that of the end.
        """
        held = self._beliefs.held(symbol)
        fills = self._beliefs.fills(symbol)
        since = sum(lots for at_ns, lots in fills if at_ns >= self._began_ns)
        too_old = time.monotonic_ns() - self._began_ns > KEEP_NS // 2
        if too_old or self._began[symbol] + since != held:
            return frozenset()
        self._beliefs.judge(symbol, self._replied_venue_ns)
        return held_around(held, fills, self._began_ns - self._grace_ns)
