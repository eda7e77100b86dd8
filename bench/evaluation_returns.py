"""Forward returns from the mid at a signal to the mid a horizon later, before and after fees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HORIZONS_S = (0.1, 1.0, 5.0, 30.0)
# A horizon that ends in a silence longer than this has no mid of its own.
SILENCE_MS_MAX = 5_000
# What an order needs at least to get to a venue, as an assumption: what the price did until then
# was for nobody to have.
LATE_S = 0.05
BPS = 1e4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Quotes:
    """Hold best prices over venue time, in order of receipt; equal times are in that order too.

    `time_ms`: i8[n], not falling. `bid`, `ask`: f8[n], any unit of price, known (> 0).
    """

    time_ms: Ints
    bid: Floats
    ask: Floats

    @property
    def mid(self) -> Floats:
        """Return f8[n]."""
        middle: Floats = (self.bid + self.ask) / 2.0
        return middle

    def places_at(self, time_ms: Floats) -> Ints:
        """Return the last row at or before each time; −1 where there is none that holds.

        None holds after the end of the series (what the price did then is not recorded), before
        its beginning, and where the row is older than `SILENCE_MS_MAX`.
        """
        if len(self.time_ms) == 0:
            return np.full(len(time_ms), -1, dtype=np.int64)
        places = np.searchsorted(self.time_ms, time_ms, side="right") - 1
        age = time_ms - self.time_ms[np.maximum(places, 0)]
        is_known = (places >= 0) & (time_ms <= self.time_ms[-1]) & (age <= SILENCE_MS_MAX)
        found: Ints = np.where(is_known, places, -1)
        return found


@dataclass(frozen=True)
class Fees:
    """Hold the fees of one fill as fractions of its notional."""

    maker: float
    taker: float


@dataclass(frozen=True)
class Forward:
    """Hold the returns over one horizon of those signals whose horizon is complete.

    `is_complete`: b1[m], over all signals. `gross`, `late`, `maker`, `taker`: f8[n], basis points,
    in the direction of the signal: above 0 is a gain.
    """

    is_complete: Bools
    gross: Floats
    late: Floats
    maker: Floats
    taker: Floats

    @property
    def left_out(self) -> int:
        """Return how many signals have no complete horizon."""
        return int((~self.is_complete).sum())


def forward_returns(
    quotes: Quotes, places: Ints, sides: Ints, horizon_s: float, fees: Fees
) -> Forward:
    """Return what followed on signals, `horizon_s` later.

    Gross: from the mid at the signal to the mid then. Late: from the mid `LATE_S` after the signal
    to the mid then, 0 where the horizon is no longer than that. Taker: in at the far side (a buy
    at the ask) at the signal, valued at the mid then, less the taker fee of getting in and of
    getting out; half the spread of getting out is not taken off. Maker: the same, in at the near
    side (a buy at the bid) with maker fees. It assumes a fill at once, which a resting order does
    not get, and least when the signal is right: read it as a bound.

    Args:
        quotes: best prices.
        places: i8[m], rows of `quotes` at which the signals fired.
        sides: i8[m], +1 or −1.
        horizon_s: venue time, > 0.
        fees: of one fill.
    """
    ends: Floats = quotes.time_ms[places].astype(np.float64) + horizon_s * 1000.0
    then = quotes.places_at(ends)
    is_complete = then >= 0
    place, side = places[is_complete], sides[is_complete].astype(np.float64)
    mid = quotes.mid
    before, after = mid[place], mid[then[is_complete]]
    bid, ask = quotes.bid[place], quotes.ask[place]
    # Not after the horizon, so it is known wherever the horizon is complete: a silence in between
    # holds the last mid.
    late_ms = quotes.time_ms[place] + min(LATE_S, horizon_s) * 1000.0
    late = mid[np.searchsorted(quotes.time_ms, late_ms, side="right") - 1]

    def net(entry: Floats, fee: float) -> Floats:
        moved: Floats = side * (after / entry - 1.0) - fee * (1.0 + after / entry)
        return moved * BPS

    return Forward(
        is_complete=is_complete,
        gross=side * (after / before - 1.0) * BPS,
        late=side * (after / late - 1.0) * BPS,
        maker=net(np.where(side > 0, bid, ask), fees.maker),
        taker=net(np.where(side > 0, ask, bid), fees.taker),
    )
