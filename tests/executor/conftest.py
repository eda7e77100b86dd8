"""Fixtures of the executor's tests: the kernel library, a scripted venue, a rig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_exchange import Exchange, fill_symbols
from executor_rig import Rig
from executor_venue import ScriptedVenue

from runtime.kernels import Kernels
from tests.compiled import exported

MODULES = ("shm.rings", "shm.histograms", "runtime.waits", "executor.loop")


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    """The kernels as a trading process has them."""
    return exported()


@pytest.fixture
def venue() -> Iterator[ScriptedVenue]:
    made = ScriptedVenue()
    yield made
    made.close()


@pytest.fixture
def rig(venue: ScriptedVenue, kernels: Kernels) -> Iterator[Rig]:
    made = Rig(venue, kernels)
    yield made
    made.close()


@pytest.fixture
def make_rig(venue: ScriptedVenue, kernels: Kernels) -> Iterator[Any]:
    made: list[Rig] = []

    def make(**overrides: Any) -> Rig:
        made.append(Rig(venue, kernels, **overrides))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """An embedded exchange with a market that moves."""
    made = Exchange(tmp_path, "--regime", "volatile")
    yield made
    made.close()


@pytest.fixture
def exchange_rig(exchange: Exchange, kernels: Kernels) -> Iterator[Rig]:
    """A rig on the embedded exchange."""
    made = Rig(exchange, kernels, order_rows=512, queue=1024)
    fill_symbols(made, exchange)
    yield made
    made.close()
