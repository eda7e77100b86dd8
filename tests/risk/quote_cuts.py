"""Kill risk at random lines of random stories of market making; run uncompiled.

    NUMBA_DISABLE_JIT=1 python -m tests.risk.quote_cuts [seeds]

A trace ends a look at a line, as SIGKILL ends a process between two instructions; `recover` runs
and the story goes on. After every step the sums are those of the venue's fills, and never are two
orders of a side at the venue.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from risk.agent import CHANGE_TAKEN_BACK
from tests.compiled import exported
from tests.risk.cuts import TRACED, Crash
from tests.risk.quote_story import Story

STEPS = 250
LINES_MAX = 1200


class RandomKiller:
    """End a look after a random number of its lines, if it has that many."""

    def __init__(self, story: Story, seed: int) -> None:
        self.story, self.rng = story, random.Random(seed + 1_000)
        self.left = 0
        self.crashes = self.taken_back = 0

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise Crash
        return self.trace

    def look(self, look: Callable[[], Any]) -> None:
        self.left = self.rng.randint(1, LINES_MAX)
        sys.settrace(self.trace)
        try:
            look()
        except Crash:
            sys.settrace(None)
            self.crashes += 1
            self.taken_back += bool(self.story.desk.recover() & CHANGE_TAKEN_BACK)
            self.story.desk.look()
        finally:
            sys.settrace(None)


def cut_stories(kinds: Sequence[Any], seeds: int, tell: Callable[[Any, Any], Any]) -> int:
    """Tell stories with looks that end at random lines; print how often they did, as JSON.

    Args:
        kinds: each takes kernels and a seed, and has a `desk`.
        seeds: stories of each kind, unless the command line says how many.
        tell: takes a story and the way to look.
    """
    crashes = taken_back = 0
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else seeds):
        for kind in kinds:
            story = kind(exported(), seed)
            killer = RandomKiller(story, seed)
            try:
                tell(story, killer.look)
            finally:
                story.desk.close()
            crashes += killer.crashes
            taken_back += killer.taken_back
    print(json.dumps({"crashes": crashes, "taken_back": taken_back}))
    return 0


if __name__ == "__main__":
    sys.exit(cut_stories([Story], 4, lambda story, look: story.run(STEPS, look)))
