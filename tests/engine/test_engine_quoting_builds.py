"""Quoting compiled and as plain Python: the same bytes of state and of every decision."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from engine.quoting import decide, on_book, on_trade
from engine.quoting_state import QUOTE_DECISION, QUOTE_PARAMETERS, QUOTE_STATE, QuoteModel
from tests.naive.engine_quoting_bench import QuoteBench

ROOT = Path(__file__).resolve().parents[2]


class Hashed(QuoteBench):
    """A bench that keeps a hash over all decisions."""

    def __init__(self, model: int, **changes: int) -> None:
        super().__init__(model=model, **changes)
        self.hash = hashlib.sha256()

    def decide(self, ms: int, inventory: int) -> None:
        super().decide(ms, inventory)
        self.hash.update(ctypes.string_at(self.at[2], QUOTE_DECISION.size))


NASTY = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-320, 1e-9, 1e18, 1e308, 0.5)
WHOLE = (-(1 << 62), -1, 0, 1, 3, 64, 65, 1 << 40, (1 << 40) + 1, 1 << 48, 1 << 62)
ESTIMATES = ("volatility_short", "volatility_long", "intensity", "decay", "vpin", "flow_share")


def disturb(bench: Hashed, rng: random.Random, count: int) -> int:
    """Set parameters and estimates to anything; return how often it was quoted all the same.

    Whatever stands afterwards must be sane: prices that do not cross, within the limits.
    """
    quoted = 0
    names = [(bench.p, field.name) for field in QUOTE_PARAMETERS]
    for turn in range(count):
        bench.ms += 10
        bid = bench.best[0] + rng.randrange(2)
        on_book(*bench.at[:2], bench.ms, bid, 5, bid + 2, 5)
        chosen = rng.choice([*names, *[(bench.state, name) for name in ESTIMATES]])
        before = getattr(*chosen)
        setattr(*chosen, rng.choice(NASTY if isinstance(before, float) else WHOLE))
        inventory = rng.choice((0, 7, -50, 50, 1 << 62, -(1 << 62)))
        decide(*bench.at, bench.ms, inventory)
        bench.hash.update(ctypes.string_at(bench.at[2], QUOTE_DECISION.size))
        bench.check_prices(inventory)
        quoted += any(bench.stands())
        setattr(*chosen, before)
        reach, is_sell = int(rng.expovariate(0.5)), turn % 2
        price = bid - reach if is_sell else bid + 2 + reach
        on_trade(*bench.at[:2], bench.ms, price, 2, is_sell)
    return quoted


def outcome(model: int) -> str:
    bench = Hashed(model)
    bench.warm()
    bench.walk(random.Random(9), 400)
    calm = Hashed(model, message_rate=1_000, rest_ms=0)
    calm.warm()
    assert disturb(calm, random.Random(10), 1_000) > 100
    bench.hash.update(calm.hash.digest())
    bench.hash.update(ctypes.string_at(bench.at[0], QUOTE_STATE.size))
    return bench.hash.hexdigest()[:16]


@pytest.mark.parametrize("model", list(QuoteModel))
def test_plain_python_equals_compiled(model: QuoteModel) -> None:
    code = f"from tests.engine.test_engine_quoting_builds import outcome; print(outcome({model}))"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == outcome(int(model))
