"""Keep one side of a book in price order: best price in O(1), insert and remove in O(log n)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

LevelT = TypeVar("LevelT")


class Ladder(Generic[LevelT]):
    """Map price to level for one side.

    The sorted list holds `side * price`, so the best price of either side is its last entry and the
    usual churn, near the best, moves few entries.
    """

    __slots__ = ("_keys", "levels", "side")

    def __init__(self, side: int) -> None:
        self.side = side
        self.levels: dict[int, LevelT] = {}
        self._keys: list[int] = []

    def __len__(self) -> int:
        return len(self._keys)

    def best(self) -> int:
        """Return the best price in ticks, 0 when the side is empty."""
        return self._keys[-1] * self.side if self._keys else 0

    def put(self, price_tick: int, level: LevelT) -> None:
        """Add a level, or replace the one at that price."""
        if price_tick not in self.levels:
            insort(self._keys, price_tick * self.side)
        self.levels[price_tick] = level

    def drop(self, price_tick: int) -> None:
        """Remove a level if it is there."""
        if self.levels.pop(price_tick, None) is None:
            return
        key = price_tick * self.side
        if self._keys[-1] == key:
            self._keys.pop()
        else:
            del self._keys[bisect_left(self._keys, key)]

    def prices(self) -> Iterator[int]:
        """Yield the prices in ticks, best first. The ladder must not change meanwhile."""
        side = self.side
        for key in reversed(self._keys):
            yield key * side

    def clear(self) -> None:
        """Empty the side."""
        self.levels.clear()
        self._keys.clear()
