"""Timers of the executor's one thread: what is to be done at or after a moment."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Action = Callable[[], None]


class Timers:
    """A heap of actions by monotonic time. An action that is no longer wanted looks for itself."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._number = itertools.count()

    def at(self, due_ns: int, action: Action) -> None:
        """Run an action at or after `due_ns`; equal times in the order they were set."""
        heapq.heappush(self._heap, (due_ns, next(self._number), action))

    def next_ns(self, latest_ns: int) -> int:
        """Return when the next action is due, at most `latest_ns`."""
        return min(self._heap[0][0], latest_ns) if self._heap else latest_ns

    def run(self, now_ns: int) -> int:
        """Run what is due; return how many actions that were."""
        count = 0
        while self._heap and self._heap[0][0] <= now_ns:
            heapq.heappop(self._heap)[2]()
            count += 1
        return count

    def __len__(self) -> int:
        return len(self._heap)
