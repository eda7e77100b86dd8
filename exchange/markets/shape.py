"""Shape a synthetic book: where orders rest and how large they are, fitted to recordings.

Recorded books of USDⓈ-M contracts hold most of what is near at the touch itself; the next prices
are all but empty, and the quantity per basis point grows until about two basis points away.
"""

from __future__ import annotations

import random

from exchange.instruments import Instrument

TOUCH = 120.0  # quantity at the touch, in the instrument's usual orders
TOUCH_ORDERS = 14.0  # which share it
TOUCH_SIGMA = 1.1
LEVEL_SIGMA = 0.8
DENSITY = 2.4  # quantity per basis point far from the touch, over that at the touch
DENSITY_NEAR = 0.06  # right behind it
DENSITY_BPS = 1.6  # where the far density is reached
DENSITY_POWER = 1.3
TAKER = 0.22  # median taker, in the instrument's usual orders
NEAR_SHARE = 0.3  # of the orders that do not join the touch: they fill the gap behind it
NEAR_BPS = 0.5
DISTANCE_BPS = 3.3  # median distance of an order that does not join the touch
DISTANCE_SIGMA = 0.9
NEAR_LEVELS = 470  # of the opening book, at most every second tick empty
FAR_LEVELS = 130  # further out, ever sparser
FAR_BPS = 500.0


class Shape:
    """Draw distances and quantities for one instrument."""

    def __init__(self, instrument: Instrument, draw: random.Random) -> None:
        self._random = draw
        self._tick_bps = 1e4 / instrument.base_tick
        self._usual = instrument.typical_lot
        self.best_lot = max(1, int(TOUCH * instrument.typical_lot))

    def opening_ticks(self) -> list[int]:
        """Return the distances from the touch of one side's opening levels, ascending."""
        distance = 0
        ticks = []
        for _ in range(NEAR_LEVELS):
            ticks.append(distance)
            distance += 1 if self._random.random() < 0.8 else 2
        last_tick = max(FAR_BPS / self._tick_bps, 2.0 * distance)
        growth = (last_tick / distance) ** (1.0 / FAR_LEVELS)
        reach = float(distance)
        for _ in range(FAR_LEVELS):
            reach = max(reach * growth, reach + 1.0)
            ticks.append(int(reach))
        return ticks

    def distance_tick(self) -> int:
        """Return how far behind the touch an ordinary order rests."""
        if self._random.random() < NEAR_SHARE:
            bps = self._random.expovariate(1.0 / NEAR_BPS)
        else:
            bps = DISTANCE_BPS * self._random.lognormvariate(0.0, DISTANCE_SIGMA)
        return 1 + int(min(bps, FAR_BPS) / self._tick_bps)

    def far_tick(self) -> int:
        """Return a distance for an order that keeps a side long enough."""
        near = max(2.0, 0.5 / self._tick_bps)
        span = max(4.0 * NEAR_LEVELS, 20.0 / self._tick_bps) / near
        return int(near * span ** self._random.random())

    def level_lot(self, distance_tick: int) -> float:
        """Return the quantity that usually rests at a distance from the touch."""
        if distance_tick == 0:
            return float(self.best_lot)
        bps = distance_tick * self._tick_bps
        density = DENSITY * min(1.0, (bps / DENSITY_BPS) ** DENSITY_POWER)
        share = max(DENSITY_NEAR, density) * self._tick_bps
        return self.best_lot * min(1.0, share)

    def size(self, distance_tick: int, depth: float) -> int:
        """Return the quantity of a new resting order."""
        if distance_tick == 0:
            sigma, typical = TOUCH_SIGMA, self.best_lot / TOUCH_ORDERS
        else:
            sigma, typical = LEVEL_SIGMA, self.level_lot(distance_tick)
        # The mean of the draw is one, whatever its spread.
        draw = self._random.lognormvariate(-sigma * sigma / 2.0, sigma)
        return max(1, int(typical * depth * draw))

    def taker_lot(self, sigma: float, scale: float = 1.0) -> int:
        """Return the quantity of a taker: many are as small as they may be, few are huge."""
        draw = self._random.lognormvariate(0.0, sigma)
        return max(1, int(TAKER * self._usual * scale * draw))
