"""The compiled book against its naive twin: any sequence of entries leaves both the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.matching import entries
from exchange.matching.layout import (
    BAD_PRICE,
    BAD_QUANTITY,
    BUSY,
    CROSSES,
    DONE,
    EXPIRED,
    FILLED,
    PAUSED,
    RESTS,
    UNKNOWN,
)
from runtime import kernels
from shm.compiled import interpreted
from tests.exchange.matching_driver import Driver

ROOT = Path(__file__).resolve().parents[2]
ORDERS_WANTED = 10_000


def run_steps(seeds, orders=256, levels=64, matching=entries) -> Driver:
    driver = Driver(matching, orders, levels)
    for seed in seeds:
        driver.step(seed)
        driver.conserved()
    return driver


def test_any_sequence_leaves_the_book_equal_to_its_twin():
    submitted = 0
    answers: Counter[int] = Counter()

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.integers(0, 2**48), min_size=100, max_size=240))
    def property_holds(seeds):
        nonlocal submitted
        driver = run_steps(seeds)
        submitted += driver.submitted
        answers.update(driver.answers)

    property_holds()
    print(f"submitted={submitted} answers={dict(answers)}")
    assert submitted >= ORDERS_WANTED
    # Invariant of the test itself: what can be answered here was answered many times.
    wanted = (RESTS, FILLED, EXPIRED, PAUSED, DONE, CROSSES, BAD_PRICE, BAD_QUANTITY, UNKNOWN, BUSY)
    assert min(answers[status] for status in wanted) > 50, answers


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2**48), min_size=40, max_size=120))
def test_growth_changes_nothing(seeds):
    run_steps(seeds, orders=2, levels=4)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_long_runs_stay_equal(seed):
    draw = random.Random(seed)
    driver = run_steps([draw.getrandbits(48) for _ in range(1500)])
    assert driver.traded > 100
    assert driver.withdrawn > 100


def test_the_same_uncompiled():
    if interpreted():
        pytest.skip("kernels are interpreted in this run anyway")
    program = (
        "import random\n"
        "from shm.compiled import interpreted\n"
        "from tests.exchange.test_exchange_matching import run_steps\n"
        "assert interpreted()\n"
        "draw = random.Random(5)\n"
        "driver = run_steps([draw.getrandbits(48) for _ in range(300)], 16, 8)\n"
        "print(driver.entered, driver.traded, driver.withdrawn)\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    draw = random.Random(5)
    driver = run_steps([draw.getrandbits(48) for _ in range(300)], 16, 8)
    assert done.stdout.split() == [
        str(n) for n in (driver.entered, driver.traded, driver.withdrawn)
    ]


@pytest.mark.skipif(not kernels.compiler(), reason="there is no C compiler")
def test_the_same_ahead_of_time():
    draw = random.Random(11)
    seeds = [draw.getrandbits(48) for _ in range(800)]
    ahead, jit = run_steps(seeds, 8, 4, kernels.load("ahead")), run_steps(seeds, 8, 4)
    assert ahead.book._words[32:200].tolist() == jit.book._words[32:200].tolist()


def test_the_face_loads_neither_numba_nor_numpy():
    program = (
        "import sys, exchange.matching.book\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'numba', 'llvmlite'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
