"""Generated paths: exits, ledger and fills together against a moody venue; any violation fails.

`PATHS_COUNT` sets how many are run here; `python -m tests.risk.paths` runs a million.
"""

from __future__ import annotations

import json
import os

import pytest

from shm.compiled import interpreted
from tests.compiled import compiling
from tests.risk.paths import run, violations
from tests.uncompiled import run_the_other_way

COUNT = int(os.environ.get("PATHS_COUNT", "40" if interpreted() else "4000"))
FEW = 60


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    with compiling("risk"):
        run(1, seed=1)


def test_no_path_breaks_an_invariant():
    found = run(COUNT, seed=7)
    print(json.dumps(found))
    assert violations(found) == {}, found
    assert found["opened"] > COUNT * 0.9
    # What is not reached is not tested.
    reached = {**found["exits"], **{n: found[n] for n in ("doubt_count", "trigger_count")}}
    reached.pop("exit_unprotected")
    if COUNT >= 4000:
        assert [name for name, count in reached.items() if count == 0] == []


def test_compiled_and_uncompiled_paths_are_the_same():
    here = run(FEW, seed=3)
    there = run_the_other_way("tests.risk.paths", "--count", str(FEW), "--seed", "3")
    assert there == here
