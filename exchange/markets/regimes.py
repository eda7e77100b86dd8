"""Describe the weather of the synthetic market: regimes, how they follow, the common factor.

All symbols share one path. Each holds a copy that is drawn from the same seed, so no symbol waits
for another and the path does not depend on how fast any of them is driven.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

BPS = 1e-4
STEP_S = 0.1  # grid of the common factor; in between it is a straight line
TREND_S = 30.0  # time constant of the trend
HEAT_S = 20.0  # time constant of the volatility's own wandering
HEAT = 0.7  # standard deviation of its logarithm
PULL_S = 7_200.0  # the factor returns to its start within hours


@dataclass(frozen=True, slots=True)
class Regime:
    """Be one kind of market. Rates and shares of the recordings stand in docs/EXCHANGE.md."""

    volatility_bps: float  # per square root of a second
    trend_bps: float  # standard deviation of the drift, per s
    activity: float  # arrivals, relative to the mean rate that was asked for
    taker_share: float  # of the arrivals of a market at rest
    depth: float  # quantities, relative to the instrument's usual ones
    spread_bps: float  # distance that makers keep beyond one tick, mean
    duration_s: tuple[float, float]
    move_bps: tuple[float, float] = (0.0, 0.0)  # of the whole regime, beside noise and trend


REGIMES = {
    "quiet": Regime(0.16, 0.00, 0.35, 0.06, 1.3, 0.0, (60.0, 240.0)),
    "trending": Regime(0.60, 0.20, 1.00, 0.07, 1.0, 0.0, (60.0, 240.0)),
    "volatile": Regime(1.10, 0.25, 1.80, 0.085, 0.7, 0.01, (30.0, 120.0)),
    "falling": Regime(2.50, 0.00, 6.00, 0.30, 0.12, 2.5, (4.0, 8.0), (-300.0, -150.0)),
    # What is regained is a share of what was lost, see `Weather._enter`.
    "recovering": Regime(1.60, 0.00, 2.50, 0.15, 0.4, 0.7, (15.0, 30.0), (0.4, 0.7)),
}

# What `--regime` names: the chain of regimes with their weights. The first row is where it starts.
CHAINS: dict[str, dict[str, dict[str, float]]] = {
    "quiet": {"quiet": {"quiet": 1.0}},
    "trending": {"trending": {"trending": 1.0}},
    "volatile": {"volatile": {"volatile": 1.0}},
    "flash-crash": {
        "volatile": {"falling": 1.0},
        "falling": {"recovering": 1.0},
        "recovering": {"volatile": 1.0},
    },
    "mixed": {
        "trending": {"quiet": 0.35, "trending": 0.25, "volatile": 0.40},
        "quiet": {"quiet": 0.30, "trending": 0.60, "volatile": 0.10},
        "volatile": {"trending": 0.70, "volatile": 0.24, "falling": 0.06},
        "falling": {"recovering": 1.0},
        "recovering": {"volatile": 0.6, "trending": 0.4},
    },
}
REGIME_DEFAULT = "mixed"
RATE_DEFAULT = 120.0  # flow events per second and symbol


class Weather:
    """Walk through a chain of regimes and draw the logarithm of the common factor on the way."""

    def __init__(self, seed: int, chain: str) -> None:
        self._chain = CHAINS[chain]
        self._random = random.Random(f"{seed}/{chain}/weather")
        self._before = self._after = 0.0  # the factor at both ends of the running step
        self._steps = 0  # the running step ends at this many
        self._trend = 0.0
        self._heat = 0.0
        self._lost_bps = 0.0
        self._end_s = 0.0
        self.changes = 0
        self._enter(next(iter(self._chain)))

    def advance(self, time_s: float) -> float:
        """Go to a time, not before the last one; return the factor's logarithm there."""
        while self._steps * STEP_S <= time_s:
            self._step()
        share = 1.0 - (self._steps * STEP_S - time_s) / STEP_S
        return self._before + share * (self._after - self._before)

    @property
    def drift(self) -> float:
        """Return what the factor is expected to gain in a second."""
        return self._trend * BPS + self._push

    @property
    def volatility(self) -> float:
        """Return the noise per square root of a second now."""
        return self.regime.volatility_bps * BPS * math.exp(self._heat - HEAT * HEAT)

    def _enter(self, name: str) -> None:
        draw = self._random
        self.name = name
        self.regime = regime = REGIMES[name]
        self.changes += 1
        length_s = draw.uniform(*regime.duration_s)
        move = draw.uniform(*regime.move_bps)
        if name == "recovering":
            move = -move * self._lost_bps
        elif name == "falling":
            self._lost_bps = move
        self._push = move * BPS / length_s
        self._end_s += length_s
        self._trend = regime.trend_bps * draw.gauss(0.0, 1.0)

    def _step(self) -> None:
        draw, regime = self._random, self.regime
        self._steps += 1
        self._before = self._after
        if self._steps * STEP_S > self._end_s:
            names = self._chain[self.name]
            self._enter(draw.choices(list(names), list(names.values()))[0])
            regime = self.regime
        kick = math.sqrt(2.0 * STEP_S / TREND_S)
        self._trend += -self._trend * STEP_S / TREND_S
        self._trend += regime.trend_bps * kick * draw.gauss(0.0, 1.0)
        kick = math.sqrt(2.0 * STEP_S / HEAT_S)
        self._heat += -self._heat * STEP_S / HEAT_S + HEAT * kick * draw.gauss(0.0, 1.0)
        noise = self.volatility * math.sqrt(STEP_S) * draw.gauss(0.0, 1.0)
        drift = self.drift - self._after / PULL_S
        self._after += drift * STEP_S + noise
