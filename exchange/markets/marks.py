"""Keep mark prices: index, premium, mark, funding rate and when it is due, for every symbol."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exchange.instruments import E8, Instrument

INDEX_S = 5.0  # time constant of the index: the middle of the book, smoothed
BASIS_S = 30.0  # Venue: "Mark Price": Price 2 is the index plus a 30-second average of the basis
HOUR_MS = 60 * 60 * 1000
FUNDING_INTERVAL_MS = 8 * HOUR_MS
INTEREST_E8 = 10_000  # Venue: "Funding Rates": 0.01 % an interval
CLAMP_E8 = 50_000  # ± 0.05 %
CAP_E8 = 2_000_000  # ± 2 %, `adjustedFundingRateCap`
HISTORY_MAX = 1_000  # rows a symbol, the endpoint's largest limit


@dataclass(frozen=True, slots=True)
class MarkView:
    """Show one symbol's marks; prices in 1e-8 USDT, all 0 while there is no book.

    The mark price is a whole number of ticks, so that profits at the mark are exact.
    """

    mark_e8: int
    index_e8: int
    settle_e8: int
    funding_rate_e8: int
    next_funding_ms: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Funding:
    """Be one funding: the rate and the mark price at which positions paid."""

    symbol: str
    time_ms: int
    rate_e8: int
    mark_tick: int


class SymbolMarks:
    """Hold the running averages of one symbol."""

    __slots__ = (
        "_basis_e8",
        "_samples",
        "_seen",
        "_smoothed_ms",
        "_tick_e8",
        "_weighted_e8",
        "history",
        "index_e8",
        "instrument",
        "mark_tick",
        "next_ms",
        "premium_e8",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.index_e8 = 0
        self.mark_tick = 0
        self.premium_e8 = 0  # of the index, in 1e-8
        self.next_ms = 0
        self.history: list[Funding] = []
        self._tick_e8 = instrument.tick_unit * 10 ** (8 - instrument.price_decimals)
        self._basis_e8 = 0
        self._smoothed_ms = 0
        self._weighted_e8 = 0
        self._samples = 0
        self._seen: tuple[object, ...] = ()

    def refresh(self, quote: tuple[int, int], last_tick: int, smooth_ms: int, share: float) -> None:
        """Take a quote in ticks; `share` is how much of the funding interval is still to come.

        # Venue: "Mark Price": the median of Price 1, Price 2 and the contract's last price.
        """
        seen = (quote, last_tick, smooth_ms)
        if seen == self._seen:
            return
        self._seen = seen
        bid_e8, ask_e8 = quote[0] * self._tick_e8, quote[1] * self._tick_e8
        if not bid_e8 or not ask_e8:
            return
        middle_e8 = (bid_e8 + ask_e8) // 2
        if not self.index_e8:
            self.index_e8 = middle_e8
        else:
            passed_s = max(0, smooth_ms - self._smoothed_ms) / 1000
            self.index_e8 += _move_e8(middle_e8 - self.index_e8, passed_s, INDEX_S)
            basis_e8 = middle_e8 - self.index_e8
            self._basis_e8 += _move_e8(basis_e8 - self._basis_e8, passed_s, BASIS_S)
        self._smoothed_ms = smooth_ms
        # Venue: "Funding Rates": premium index, here with the best prices as the impact prices.
        over_e8 = max(0, bid_e8 - self.index_e8) - max(0, self.index_e8 - ask_e8)
        self.premium_e8 = over_e8 * E8 // self.index_e8
        price_1 = self.index_e8 + round(self.index_e8 * self.rate_e8() * share) // E8
        price_2 = self.index_e8 + self._basis_e8
        last_e8 = last_tick * self._tick_e8 or middle_e8
        median_e8 = sorted((price_1, price_2, last_e8))[1]
        self.mark_tick = max(1, (median_e8 + self._tick_e8 // 2) // self._tick_e8)

    def sample(self) -> None:
        """Let the present premium count for the rate; later samples weigh more.

        # Venue: "Funding Rates": average premium index = (1 * P1 + … + n * Pn) / (1 + … + n).
        """
        self._samples += 1
        self._weighted_e8 += self._samples * self.premium_e8

    def rate_e8(self) -> int:
        """Return the rate that the running interval would end with now.

        # Venue: "Funding Rates": F = P + clamp(interest − P, ±0.05 %), within cap and floor.
        """
        weights = self._samples * (self._samples + 1) // 2
        premium_e8 = self._weighted_e8 // weights if weights else self.premium_e8
        rate_e8 = premium_e8 + max(-CLAMP_E8, min(CLAMP_E8, INTEREST_E8 - premium_e8))
        return max(-CAP_E8, min(CAP_E8, rate_e8))

    def settle(self, time_ms: int) -> Funding:
        """End the interval: return its funding and begin the next average."""
        row = Funding(self.instrument.symbol, time_ms, self.rate_e8(), self.mark_tick)
        self.history.append(row)
        del self.history[:-HISTORY_MAX]
        self._samples = self._weighted_e8 = 0
        return row


class Marks:
    """Keep the marks of all symbols, brought up to date once a second and when asked.

    `best` returns a symbol's best bid and ask in ticks, `last` its last traded price in ticks or 0;
    `smooth_ms` is the time that the averages run on: that of the market, which a replay moves at
    its own speed, while funding is due by the venue's clock.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        best: Callable[[str], tuple[int, int]],
        last: Callable[[str], int],
        clock_ms: Callable[[], int],
        smooth_ms: Callable[[], int] | None = None,
        interval_ms: int = FUNDING_INTERVAL_MS,
    ) -> None:
        self.interval_ms = interval_ms
        self._symbols = {i.symbol: SymbolMarks(i) for i in instruments}
        self._best = best
        self._last = last
        self._clock_ms = clock_ms
        self._smooth_ms = smooth_ms or clock_ms
        for row in self._symbols.values():
            row.next_ms = self._boundary_ms(clock_ms())

    def tick(self, symbol: str) -> int:
        """Return the mark price in ticks, 0 while there is no book."""
        return self._refreshed(symbol, self._clock_ms()).mark_tick

    def view(self, symbol: str) -> MarkView:
        """Return a symbol's marks as of now."""
        now_ms = self._clock_ms()
        row = self._refreshed(symbol, now_ms)
        unit = row.instrument.tick_unit * 10 ** (8 - row.instrument.price_decimals)
        mark_e8 = row.mark_tick * unit
        return MarkView(mark_e8, row.index_e8, row.index_e8, row.rate_e8(), row.next_ms, now_ms)

    def history(self, symbol: str) -> list[Funding]:
        """Return a symbol's past fundings, oldest first."""
        return self._symbols[symbol].history

    def step(self) -> list[Funding]:
        """Bring all symbols up to date and sample the premium; return the fundings now due.

        Called once a second. A clock that was stepped over several intervals settles once.
        """
        now_ms = self._clock_ms()
        due = []
        for symbol in self._symbols:
            row = self._refreshed(symbol, now_ms)
            row.sample()
            if now_ms >= row.next_ms:
                if row.mark_tick:
                    due.append(row.settle(row.next_ms))
                row.next_ms = self._boundary_ms(now_ms)
            elif row.next_ms - now_ms > self.interval_ms:
                row.next_ms = self._boundary_ms(now_ms)  # the clock was stepped back
        return due

    def _boundary_ms(self, now_ms: int) -> int:
        return (now_ms // self.interval_ms + 1) * self.interval_ms

    def _refreshed(self, symbol: str, now_ms: int) -> SymbolMarks:
        row = self._symbols[symbol]
        share = min(1.0, max(0.0, (row.next_ms - now_ms) / self.interval_ms))
        row.refresh(self._best(symbol), self._last(symbol), self._smooth_ms(), share)
        return row


def _move_e8(distance_e8: int, passed_s: float, constant_s: float) -> int:
    """Return how far an exponential average moves towards a value at that distance."""
    return round(distance_e8 * -math.expm1(-passed_s / constant_s))
