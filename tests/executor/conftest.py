"""Fixtures of the executor's tests: the kernel library, a scripted venue, a rig."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from executor_exchange import Exchange, fill_symbols
from executor_rig import Rig
from executor_venue import ScriptedVenue

from runtime.kernels import ROOT, Kernels

MODULES = ("shm.rings", "shm.histograms", "runtime.waits", "executor.loop")


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels that the executor needs, compiled ahead of time as in a trading process."""
    path = tmp_path_factory.mktemp("kernels") / "k.so"
    command = [sys.executable, "-m", "runtime.kernel_build", str(path), *MODULES]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return load_library(path)


def load_library(path: Path) -> Kernels:
    library = ctypes.CDLL(str(path), use_errno=True)
    made = Kernels(mode="ahead", build_hash=0, path=str(path))
    manifest: dict[str, int] = json.loads(path.with_suffix(".json").read_text())
    for name, count in manifest.items():
        function = getattr(library, name)
        function.argtypes = [ctypes.c_int64] * count
        function.restype = ctypes.c_int64
        setattr(made, name, function)
    return made


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
