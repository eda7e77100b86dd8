"""Generated signals through the limits: nothing that passes breaches one, and each of them refuses.

`LIMITS_COUNT` sets how many are run here; `python -m tests.risk.limits_paths` runs a million.
"""

from __future__ import annotations

import json
import os

import pytest

from shm.compiled import interpreted
from tests.compiled import compiling
from tests.risk.limits_paths import NEVER_REACHED, breaches, run
from tests.uncompiled import run_the_other_way

COUNT = int(os.environ.get("LIMITS_COUNT", "300" if interpreted() else "30000"))
FEW = 150


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    with compiling("risk"):
        run(1, seed=1)


def test_no_limit_is_breached_by_what_passes():
    found = run(COUNT, seed=5)
    print(json.dumps(found))
    assert breaches(found) == {}, found
    assert found["signals"] == COUNT and found["accepted"] > 0
    if COUNT >= 30_000:
        # What is not reached is not tested.
        silent = {label for label, count in found["reasons"].items() if count == 0}
        assert silent <= NEVER_REACHED, silent
        assert found["fills"] > 500 and found["exits"] > 200


def test_compiled_and_uncompiled_signals_are_judged_alike():
    here = run(FEW, seed=3)
    there = run_the_other_way("tests.risk.limits_paths", "--count", str(FEW), "--seed", "3")
    assert there == here
