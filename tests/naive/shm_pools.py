"""A pool as a stack of indices and a set."""

from __future__ import annotations


class NaivePool:
    def __init__(self, object_count: int) -> None:
        self.free = list(range(object_count))
        self.taken: set[int] = set()
        self.exhausted = 0
        self.refused = 0

    def take(self) -> int | None:
        if not self.free:
            self.exhausted += 1
            return None
        index = self.free.pop(0)
        self.taken.add(index)
        return index

    def give(self, index: int) -> bool:
        if index not in self.taken:
            self.refused += 1
            return False
        self.taken.remove(index)
        self.free.insert(0, index)
        return True
