"""A slow, obvious twin of the exit machine: fractions and plain words, no ticks rounded by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class Position:
    """A position as a person would write it down."""

    side: int
    fills: list[tuple[int, int]]  # (price in ticks, lots)
    closed: int = 0
    stop: int = 0
    target: int = 0
    partial: int = 0
    best: int = 0
    partial_done: bool = False
    trailing: bool = False
    entering: bool = False
    opened_ns: int = 0
    hold_ns: int = 10**18

    @property
    def lots(self) -> int:
        return sum(lot for _, lot in self.fills)

    @property
    def average(self) -> Fraction:
        return Fraction(sum(price * lot for price, lot in self.fills), self.lots)


def levels(position: Position, stop_pct: float, target_pct: float) -> None:
    """Set the levels of a fresh position."""
    average = float(position.average)
    entry = math.floor(position.average + Fraction(1, 2))
    risk = max(1, math.floor(average * stop_pct))
    reward = max(1, math.floor(average * target_pct + 0.5))
    position.stop = entry - position.side * risk
    position.target = entry + position.side * reward
    position.partial = entry + position.side * risk
    position.best = entry


def better(side: int, a: int, b: int) -> bool:
    """Return whether price a is better than b for a position of that side."""
    return a > b if side > 0 else a < b


def trailed_stop(position: Position, best: int, activation: float, distance: float) -> int:
    """Return where trailing wants the stop, or the present stop."""
    average = float(position.average)
    gain = (best - average) * position.side
    if gain < activation * average:
        return position.stop
    wanted = best - position.side * max(1, math.floor(best * distance))
    return wanted if better(position.side, wanted, position.stop) else position.stop


def step(
    position: Position,
    price: int,
    now_ns: int,
    lot_min: int,
    fraction: float,
    activation: float,
    distance: float,
) -> tuple[str, str, int]:
    """Return (action, reason, lots to close) and move the position's levels on."""
    side, left = position.side, position.lots - position.closed
    if price > 0:
        if not better(side, price, position.stop):
            return "CLOSE", "TRAILING" if position.trailing else "STOP", left
        if not better(side, position.target, price):
            return "CLOSE", "TARGET", left
    if now_ns - position.opened_ns >= position.hold_ns:
        return "CLOSE", "TIME_LIMIT", left
    if price <= 0:
        return "HOLD", "NONE", 0
    if better(side, price, position.best):
        position.best = price
    wanted = trailed_stop(position, position.best, activation, distance)
    if not better(side, price, wanted):
        return "CLOSE", "TRAILING", left
    reached = not better(side, position.partial, price)
    if reached and not position.partial_done and not position.entering:
        position.partial_done = True
        half = math.floor(left * fraction)
        if half >= max(1, lot_min) and left - half >= max(1, lot_min):
            even = math.ceil(position.average) if side > 0 else math.floor(position.average)
            if better(side, wanted, even):
                even, position.trailing = wanted, True
            if better(side, even, position.stop):
                position.stop = even
            return "PARTIAL_CLOSE", "PARTIAL", half
    if wanted != position.stop:
        position.stop, position.trailing = wanted, True
        return "MOVE_STOP", "TRAILING", 0
    return "HOLD", "NONE", 0
