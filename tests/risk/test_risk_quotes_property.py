"""Random stories of market making: the invariants hold after every step, and after every crash."""

from __future__ import annotations

import pytest

from tests.risk.quote_story import Story
from tests.uncompiled import run_uncompiled

STEPS = 400


@pytest.mark.parametrize("seed", range(6))
def test_random_stories_keep_the_invariants(kernels, seed: int) -> None:
    print(f"seed={seed}")
    story = Story(kernels, seed)
    try:
        story.run(STEPS, lambda look: look())
        assert story.venue.round_trips() > 0 and story.desk.count("duplicate_fills") > 0
        assert story.desk.count("quote_cancels") > 5
    finally:
        story.desk.close()


def test_a_crash_at_any_line_leaves_the_invariants() -> None:
    """Uncompiled, in a process of its own: a trace ends looks at random lines."""
    found = run_uncompiled("tests.risk.quote_cuts", "4")
    assert found["crashes"] > 300 and found["taken_back"] > 20
