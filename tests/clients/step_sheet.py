"""Run a scenario step by step and print one JSON line of what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from venue_truth import VenueTruth, watch_network

STEP_S_MAX = 60.0
STOP_S_MAX = 5.0
SYMBOL = "BTCUSDT"
TICK = Decimal("0.10")
LOT = Decimal("0.001")
UPDATES = int(os.environ.get("JUDGE_UPDATES", "10000"))
COMPARE_EVERY = max(1, UPDATES // 20)


class MismatchError(Exception):
    """Tell that the exchange answered something else than was wanted."""


def want(name: str, have: object, wanted: object) -> None:
    """Raise MismatchError unless both are equal."""
    if have != wanted:
        raise MismatchError(f"{name} is {have!r}, wanted {wanted!r}")


class Sheet:
    """Hold the results of one scenario."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.rest, self.stream = sys.argv[1:3]
        self.key = os.environ["EXCHANGE_API_KEY"]
        self.secret = os.environ["EXCHANGE_API_SECRET"]
        self.truth = VenueTruth(self.rest, self.key, self.secret)
        self.steps: list[dict[str, object]] = []
        self.not_offered: dict[str, str] = {}
        self.facts: dict[str, object] = {}
        self.reached: list[str] = []
        watch_network(self.reached)

    async def run(self, name: str, step: Callable[[], Awaitable[object]]) -> Any:
        """Await one step and note how it went; return its result, None if it failed."""
        began_s = time.monotonic()
        row: dict[str, object] = {"name": name, "ok": False}
        self.steps.append(row)
        result = None
        try:
            result = await asyncio.wait_for(step(), STEP_S_MAX)
            row["ok"] = True
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119
            row["why"] = f"{type(error).__name__}: {str(error)[:400]} ({where})"
        row["seconds"] = round(time.monotonic() - began_s, 2)
        return result

    def note(self, name: str, complaints: list[str]) -> None:
        """Add a step whose outcome is a list of complaints."""
        row: dict[str, object] = {"name": name, "ok": not complaints}
        if complaints:
            row["why"] = "; ".join(complaints[:4])
        self.steps.append(row)

    def print(self) -> None:
        """Print the one line that the runner reads."""
        self.note("loopback only", sorted(set(self.reached)))
        line = {
            "client": self.client,
            "steps": self.steps,
            "not_offered": self.not_offered,
            "facts": self.facts,
        }
        print(json.dumps(line, default=str), flush=True)


async def until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Let the loop run until the condition holds; raise MismatchError when it never does."""
    end_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_s:
            raise MismatchError(f"waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(0.02)


async def stop(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel the tasks and wait for their end, at most STOP_S_MAX."""
    end_s = time.monotonic() + STOP_S_MAX
    left = set(tasks)
    while left and time.monotonic() < end_s:
        # Until Python 3.12, wait_for loses a cancellation that comes together with its result.
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


class Touch:
    """Read prices for the orders of a scenario from the exchange's own book."""

    def __init__(self, truth: VenueTruth) -> None:
        self._truth = truth

    def below(self, share: str) -> Decimal:
        """Return the best bid lowered by a share of itself, on the tick."""
        best = Decimal(self._truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=5)["bids"][0][0])
        return (best * (1 - Decimal(share)) / TICK).to_integral_value() * TICK

    def bid(self, level: int) -> Decimal:
        """Return the bid that stands so many levels down, the best being the first."""
        rows = self._truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=50)["bids"]
        return Decimal(rows[level - 1][0])

    def sweep(self, price: Decimal) -> Decimal:
        """Return twice the quantity that rests at or above a price, at least one lot.

        It is read anew for every sweep: the market moves on, and may have left the price behind.
        """
        rows = self._truth.get("/fapi/v1/depth", symbol=SYMBOL, limit=1000)["bids"]
        resting = sum((Decimal(row[1]) for row in rows if Decimal(row[0]) >= price), Decimal(0))
        return max(2 * resting, LOT)
