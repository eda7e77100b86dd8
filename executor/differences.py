"""How the venue's position and ours can differ, told from looks at a symbol that is never at rest.

A look asks the venue and gets the position of some moment between request and reply. Which of the
positions that we believed in around then belongs to it nobody says, so a look leaves a set of
differences that are possible, and the true one is in it:

    theirs = 7; ours, fill by fill = 5, 7, 5, 3   →   possible = {2, 0, 4}

The true difference stays the same from look to look, the others come and go with the fills: what is
left of the sets in common is soon one value. Quantities are signed lots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def held_around(held: int, fills: Sequence[tuple[int, int]], from_ns: int) -> frozenset[int]:
    """Return all positions that were held from a moment on.

    Args:
        held: the position after all fills.
        fills: (time, signed lots), oldest first.
        from_ns: fills at or after it are undone one after the other.
    """
    positions = [held]
    for at_ns, lots in reversed(fills):
        if at_ns < from_ns:
            break
        positions.append(positions[-1] - lots)
    return frozenset(positions)


class Differences:
    """What looks at one symbol leave possible.

    A fill that arrives long after it happened makes earlier looks wrong: `lates` counts such fills,
    and what is known from before the last of them is forgotten.
    """

    def __init__(self) -> None:
        self.possible: frozenset[int] = frozenset()  # empty = anything
        self._lates = 0

    def look(self, theirs: int, ours: Iterable[int], lates: int) -> None:
        """Take what the venue said, and what we believed in meanwhile; nothing = no look."""
        seen = frozenset(theirs - held for held in ours)
        if lates != self._lates:
            self._lates, self.possible = lates, frozenset()
        if not seen:
            return
        # Nothing in common: the difference itself has changed meanwhile, so the looks begin anew.
        self.possible = (self.possible & seen) or seen


def agrees(possible: frozenset[int]) -> bool:
    """Return whether there is no difference for certain."""
    return possible == {0}


def differs(possible: frozenset[int]) -> bool:
    """Return whether there is a difference for certain, if not which."""
    return bool(possible) and 0 not in possible


class Streak:
    """How often in a row comparisons of one symbol found the same single difference.

    `since_ns` is the `now_ns` of the first: what differs had happened by then.
    """

    def __init__(self) -> None:
        self.lots = self.times = self.since_ns = 0
        self._lates = 0

    def note(self, possible: frozenset[int], lates: int, now_ns: int) -> int:
        """Take what a comparison leaves possible; return how often its only value was found.

        One that leaves several values, among them the one before, neither counts nor ends it.
        """
        if lates != self._lates or (self.times and self.lots not in possible):
            self.lots = self.times = 0
        self._lates = lates
        if len(possible) != 1 or agrees(possible):
            return 0
        (self.lots,) = possible
        self.times += 1
        if self.times == 1:
            self.since_ns = now_ns
        return self.times
