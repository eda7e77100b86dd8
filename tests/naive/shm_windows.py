"""Tick windows as lists."""

from __future__ import annotations

import math


class NaiveWindows:
    def __init__(self, symbol_count: int, window_count: int, ticks: int) -> None:
        self.symbol_count = symbol_count
        self.window_count = window_count
        self.ticks = ticks
        self.windows: dict[int, list[tuple[float, float]]] = {}
        self.counts = {"ticks": 0, "rejected": 0, "full": 0}

    def store(self, symbol: int, price: float, size: float) -> bool | str:
        for what, bad in (
            ("unknown symbol", symbol not in range(self.symbol_count)),
            ("bad price", math.isnan(price) or math.isinf(price) or price <= 0),
            ("bad size", math.isnan(size) or math.isinf(size) or size <= 0),
        ):
            if bad:
                self.counts["rejected"] += 1
                return what
        if symbol not in self.windows and len(self.windows) == self.window_count:
            self.counts["full"] += 1
            return False
        self.windows.setdefault(symbol, []).append((price, size))
        del self.windows[symbol][: -self.ticks]
        self.counts["ticks"] += 1
        return True
