"""The kill latch: who may trip it, why, and whether it holds. One table for stages and people.

Each writer has a reason and a stamp of its own in the control record, so no word has two writers.
The operator's `rearm_ns` voids every trip before it: a person re-arms without writing the words of
another, and a trip that comes later holds. Held by anybody, only risk-reducing orders pass.
"""

from __future__ import annotations

import time
from enum import IntEnum
from typing import Any, NamedTuple


class LatchReason(IntEnum):
    """Why the kill latch was tripped. Only a person re-arms it."""

    NONE = 0
    OPERATOR = 1
    RESTART_BUDGET = 2
    DRAWDOWN = 3
    DAILY_LOSS = 4
    SUPERVISOR = 5
    MEMORY = 6


# What a person is told; one sentence each.
MEANINGS = {
    LatchReason.NONE: "nothing is latched",
    LatchReason.OPERATOR: "a person ran make kill",
    LatchReason.RESTART_BUDGET: "a stage kept dying and used up its restart budget",
    LatchReason.DRAWDOWN: "equity fell below (1 − risk.max_drawdown) × its peak",
    LatchReason.DAILY_LOSS: "the day's loss reached its limit",
    LatchReason.SUPERVISOR: "the supervisor itself failed",
    LatchReason.MEMORY: "what limits remembered of earlier runs cannot be read",
}
assert set(MEANINGS) == set(LatchReason), "one meaning per reason"


class Words(NamedTuple):
    """Who trips, and the names of its two words in the control record."""

    writer: str
    reason: str
    stamp: str


WORDS = (
    Words("operator", "kill_latch", "kill_latch_ns"),
    Words("supervisor", "supervisor_latch", "supervisor_latch_ns"),
    Words("risk", "risk_latch", "risk_latch_ns"),
)
BY_WRITER = {words.writer: words for words in WORDS}


class Latch(NamedTuple):
    """A trip that holds: `tripped_ns` is monotonic."""

    writer: str
    reason: LatchReason
    tripped_ns: int


def trip(control: Any, writer: str, reason: LatchReason, now_ns: int = 0) -> bool:
    """Trip a writer's own latch; return False when it holds already: the first reason stays.

    Args:
        control: CONTROL record, in place.
        writer: one of WORDS; nobody but that writer may call this.
        reason: why.
        now_ns: monotonic; 0 = now.
    """
    words = BY_WRITER[writer]
    if _holds(control, words):
        return False
    # Ordering: the stamp first. The reason alone, with an old stamp, would hold nothing.
    setattr(control, words.stamp, now_ns or time.monotonic_ns())
    setattr(control, words.reason, int(reason))
    return True


def held(control: Any) -> list[Latch]:
    """Return every trip that holds, the oldest first."""
    found = [
        Latch(
            words.writer, reason_of(getattr(control, words.reason)), getattr(control, words.stamp)
        )
        for words in WORDS
        if _holds(control, words)
    ]
    return sorted(found, key=lambda latch: latch.tripped_ns)


def is_latched(control: Any) -> bool:
    """Return whether anybody's trip holds; three loads while nothing was ever tripped."""
    if not (control.kill_latch or control.supervisor_latch or control.risk_latch):
        return False
    return any(_holds(control, words) for words in WORDS)


def reason_of(code: int) -> LatchReason:
    """Return the reason of a code; one that is unknown was written by another build: SUPERVISOR."""
    return LatchReason(code) if code in set(LatchReason) else LatchReason.SUPERVISOR


def forget_voided(control: Any, writer: str) -> bool:
    """Clear a writer's own word when a person has re-armed; return whether there was one."""
    words = BY_WRITER[writer]
    if getattr(control, words.reason) == 0 or _holds(control, words):
        return False
    setattr(control, words.reason, 0)
    return True


def _holds(control: Any, words: Words) -> bool:
    if getattr(control, words.reason) == 0:
        return False
    return bool(getattr(control, words.stamp) >= control.rearm_ns)
