"""Find the conditional orders that a price has reached, without looking at the others."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count

SPARE_ROWS = 64  # dead rows that a heap may hold before it is worth cleaning

Row = tuple[int, int, int, int]  # ticks (negative where falling), number, order id, generation


class TriggerIndex:
    """Hold watches: an order is to be told when the price rises, or falls, to a level.

    Two heaps, one per direction, with the nearest level on top: a price that reaches nothing costs
    two comparisons, each watch that it reaches O(log n). Watches of orders that were forgotten stay
    in the heaps as dead rows until they surface or are too many.

    # Invariant: a row is alive when its generation is the one of its order.
    """

    def __init__(self) -> None:
        self._rising: list[Row] = []
        self._falling: list[Row] = []
        self._generations: dict[int, int] = {}
        self._numbers = count()

    def __len__(self) -> int:
        """Return how many orders are watched for."""
        return len(self._generations)

    def watch(self, order_id: int, levels: list[tuple[int, bool]]) -> None:
        """Replace an order's watches: (level in ticks, whether waited for from below)."""
        generation = next(self._numbers)
        self._generations[order_id] = generation
        for tick, rises in levels:
            heap = self._rising if rises else self._falling
            row = (tick if rises else -tick, next(self._numbers), order_id, generation)
            heappush(heap, row)
            if len(heap) > SPARE_ROWS + 4 * len(self._generations):
                self._clean(heap)

    def forget(self, order_id: int) -> None:
        """Drop an order's watches."""
        self._generations.pop(order_id, None)

    def reached(self, low_tick: int, high_tick: int, from_tick: int) -> list[int]:
        """Return the orders with a watch in the range, each once.

        The level nearest to `from_tick`, the price before, comes first, whichever direction; one
        that was reached already has no distance; of equals the one watched for longest is first.
        They are forgotten: whoever still waits is to be watched for again.
        """
        rows: list[tuple[int, int, int]] = []
        for heap, level, start in (
            (self._rising, high_tick, from_tick),
            (self._falling, -low_tick, -from_tick),
        ):
            while heap and heap[0][0] <= level:
                key, number, order_id, generation = heappop(heap)
                if self._generations.get(order_id) == generation:
                    rows.append((max(0, key - start), number, order_id))
        rows.sort()
        # Whoever had both of its watches reached is in the rows twice: the nearer one counts.
        found = list(dict.fromkeys(order_id for _, _, order_id in rows))
        for order_id in found:
            del self._generations[order_id]
        return found

    def _clean(self, heap: list[Row]) -> None:
        heap[:] = [row for row in heap if self._generations.get(row[2]) == row[3]]
        heapify(heap)
