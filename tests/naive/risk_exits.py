"""A slow, obvious twin of the exit machine: fractions and plain words, no ticks rounded by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class Settings:
    """What is configured."""

    fraction: float = 0.5
    activation: float = 0.001
    distance: float = 0.001
    risk_share: float = 0.5
    profit_step: float = 0.5
    mean_profit: float = 0.001
    imbalance: float = 0.3


@dataclass
class Position:
    """A position as a person would write it down."""

    side: int
    fills: list[tuple[int, int]]  # (price in ticks, lots)
    rule: str = "PLAIN"
    mean: int = 0
    closed: int = 0
    risk: int = 0
    stop: int = 0
    target: int = 0
    partial: int = 0
    goal: int = 0
    best: int = 0
    partial_done: bool = False
    trailing: bool = False
    entering: bool = False
    opened_ns: int = 0
    least_ns: int = 0
    hold_ns: int = 10**18

    @property
    def lots(self) -> int:
        return sum(lot for _, lot in self.fills)

    @property
    def average(self) -> Fraction:
        return Fraction(sum(price * lot for price, lot in self.fills), self.lots)

    @property
    def even(self) -> int:
        """Return the average entry, rounded so that a close there loses nothing."""
        return math.ceil(self.average) if self.side > 0 else math.floor(self.average)


def levels(position: Position, stop_pct: float, target_pct: float, mean_profit: float) -> None:
    """Set the levels of a fresh position."""
    average = float(position.average)
    entry = math.floor(position.average + Fraction(1, 2))
    position.risk = max(1, math.floor(average * stop_pct))
    position.stop = entry - position.side * position.risk
    position.best = entry
    if position.rule != "STOP_ONLY":
        reward = max(1, math.floor(average * target_pct + 0.5))
        position.target = entry + position.side * reward
        position.partial = entry + position.side * position.risk
    if position.rule == "RETURN_TO_MEAN":
        base = position.mean if better(position.side, position.mean, entry) else entry
        position.goal = base + position.side * max(1, math.floor(base * mean_profit))


def better(side: int, a: int, b: int) -> bool:
    """Return whether price a is better than b for a position of that side."""
    return a > b if side > 0 else a < b


def reached(side: int, price: int, level: int) -> bool:
    """Return whether a price stands at a level in the position's favour or beyond it."""
    return not better(side, level, price)


def trailed_stop(position: Position, best: int, settings: Settings) -> int:
    """Return where trailing wants the stop, or the present stop."""
    average = float(position.average)
    gain = (best - average) * position.side
    if position.rule == "PLAIN":
        needed = settings.activation * average
        distance = max(1, math.floor(best * settings.distance))
    elif position.rule == "TRAIL_RISK":
        needed = distance = max(1, math.floor(position.risk * settings.risk_share))
    else:
        return position.stop
    if gain < needed:
        return position.stop
    wanted = best - position.side * distance
    return wanted if better(position.side, wanted, position.stop) else position.stop


def locked_stop(position: Position, best: int, settings: Settings) -> int:
    """Return the stop of profit protection once the partial close has been due."""
    step = math.floor(position.risk * settings.profit_step)
    stop, level = position.even, position.partial
    while step > 0 and reached(position.side, best, level + position.side * step):
        stop, level = stop + position.side * step, level + position.side * step
    return stop


def closing(
    position: Position, settings: Settings, price: int, trade: int, imbalance: float, now_ns: int
) -> str:
    """Return why the whole position is to be closed, or NONE."""
    side, held = position.side, now_ns - position.opened_ns
    for seen in (price, trade):
        if seen > 0 and not better(side, seen, position.stop):
            return "TRAILING" if position.trailing else "STOP"
    if price > 0 and position.target > 0 and reached(side, price, position.target):
        return "TARGET"
    if held >= position.hold_ns:
        return "TIME_LIMIT"
    if price > 0 and held >= position.least_ns:
        if position.goal > 0 and reached(side, price, position.goal):
            return "MEAN"
        against = -imbalance if side > 0 else imbalance
        if position.rule == "IMBALANCE" and against >= settings.imbalance:
            return "IMBALANCE"
    return "NONE"


def step(
    position: Position,
    price: int,
    now_ns: int,
    lot_min: int,
    settings: Settings,
    trade: int = 0,
    imbalance: float = 0.0,
) -> tuple[str, str, int]:
    """Return (action, reason, lots to close) and move the position's levels on."""
    side, left = position.side, position.lots - position.closed
    reason = closing(position, settings, price, trade, imbalance, now_ns)
    if reason != "NONE":
        return "CLOSE", reason, left
    if price <= 0:
        return "HOLD", "NONE", 0
    if better(side, price, position.best):
        position.best = price
    due = position.partial > 0 and reached(side, price, position.partial)
    due = due and not position.partial_done and not position.entering
    protects = position.partial > 0 and (position.partial_done or due)
    wanted = trailed_stop(position, position.best, settings)
    if protects:
        locked = locked_stop(position, position.best, settings)
        wanted = locked if better(side, locked, wanted) else wanted
    if not better(side, price, wanted):
        return "CLOSE", "TRAILING", left
    moved = wanted != position.stop
    if better(side, wanted, position.even) if protects else moved:
        position.trailing = True
    position.stop = wanted
    if due:
        position.partial_done = True
        part = math.floor(left * settings.fraction)
        if part >= max(1, lot_min) and left - part >= max(1, lot_min):
            return "PARTIAL_CLOSE", "PARTIAL", part
    return ("MOVE_STOP", "TRAILING", 0) if moved else ("HOLD", "NONE", 0)
