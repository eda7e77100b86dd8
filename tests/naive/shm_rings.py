"""Rings as lists: what the rings of shm.rings must do, with nothing in common with how they do."""

from __future__ import annotations


class NaiveGatedRing:
    def __init__(self, capacity: int, cursor_count: int) -> None:
        self.capacity = capacity
        self.records: list[int] = []
        self.read = [0] * cursor_count
        self.rejected = 0

    def push(self, value: int) -> bool:
        if len(self.records) - min(self.read) >= self.capacity:
            self.rejected += 1
            return False
        self.records.append(value)
        return True

    def peek(self, cursor: int) -> int | None:
        read = self.read[cursor]
        return self.records[read] if read < len(self.records) else None

    def advance(self, cursor: int) -> None:
        self.read[cursor] += 1


class NaiveBroadcastRing:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.records: list[int] = []
        self.being_written = False

    def begin(self) -> None:
        self.being_written = True

    def finish(self, value: int) -> None:
        self.records.append(value)
        self.being_written = False

    def read(self, index: int) -> int | str:
        if index >= len(self.records):
            return "empty"
        oldest = len(self.records) + int(self.being_written) - self.capacity
        return "lapped" if index < oldest else self.records[index]
