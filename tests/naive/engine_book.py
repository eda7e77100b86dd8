"""A book as two dictionaries: the slow, obvious twin of engine/book.py."""

from __future__ import annotations

from typing import Any

from shm.records import EventFlag, EventKind


class NaiveBook:
    """Prices and quantities by side; follows market events."""

    def __init__(self) -> None:
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.is_valid = False
        self.is_building = False
        self.updates = 0

    def take(self, event: Any) -> bool:
        """Take an event in; return whether it completed a depth update of a valid book."""
        kind, flags = int(event["kind"]), int(event["flags"])
        if kind == EventKind.SNAPSHOT_BEGIN:
            self.sides = ({}, {})
            self.is_valid, self.is_building = False, True
        elif kind == EventKind.SNAPSHOT_END:
            self.is_valid = self.is_valid or self.is_building
            self.is_building = False
        elif kind == EventKind.INVALID:
            self.is_valid = self.is_building = False
        elif kind == EventKind.LEVEL and (self.is_valid or self.is_building):
            self.set(
                flags & EventFlag.SIDE_ASK, int(event["price_tick"]), int(event["quantity_lot"])
            )
            if flags & EventFlag.LAST and self.is_valid:
                self.updates += 1
                return True
        return False

    def set(self, is_ask: int, price_tick: int, quantity_lot: int) -> None:
        if quantity_lot:
            self.sides[is_ask][price_tick] = quantity_lot
        else:
            self.sides[is_ask].pop(price_tick, None)

    def best(self, is_ask: int) -> int:
        side = self.sides[is_ask]
        return (min(side) if is_ask else max(side)) if side else 0

    def levels(self, is_ask: int, count: int) -> list[tuple[int, int]]:
        return sorted(self.sides[is_ask].items(), reverse=not is_ask)[:count]
