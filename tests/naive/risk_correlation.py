"""The obvious twin of the online correlation: all returns kept, numpy weighs them."""

from __future__ import annotations

import math

import numpy as np


class Prices:
    """Mid prices of symbols on a grid; None where a symbol has none."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.rows: list[list[float | None]] = []

    def add(self, mids: list[float | None]) -> None:
        self.rows.append(mids)

    def common_returns(self, first: int, second: int) -> list[tuple[float, float]]:
        """Return the returns of two symbols at the steps where both have one, oldest first."""
        found = []
        for before, now in zip(self.rows, self.rows[1:], strict=False):
            prices = (before[first], now[first], before[second], now[second])
            if None not in prices:
                found.append((prices[1] / prices[0] - 1.0, prices[3] / prices[2] - 1.0))
        return found

    def correlation(self, first: int, second: int, samples_min: int) -> float | None:
        """Return the weighted correlation about zero, None when it is not known.

        numpy takes the mean off: each return stands beside its mirror image, which makes it zero.
        """
        pairs = self.common_returns(first, second)
        if len(pairs) < samples_min:
            return None
        ages = np.arange(len(pairs))[::-1]
        weights = self.decay**ages
        both = np.array(pairs + [(-a, -b) for a, b in pairs]).T
        covariance = np.cov(both, aweights=np.concatenate([weights, weights]), ddof=0)
        scale = math.sqrt(covariance[0, 0] * covariance[1, 1])
        return covariance[0, 1] / scale if scale > 0 else None
