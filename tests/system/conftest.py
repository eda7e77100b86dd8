"""Fixtures of the system tests: kernels built once, pipelines ended whatever a test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime import kernels
from shm.topology import SharedMemory
from tests.system.hand import Hand
from tests.system.own_venue import KEY, SECRET, OwnVenue
from tests.system.pipeline import Pipeline


@pytest.fixture(scope="session", autouse=True)
def built_kernels() -> None:
    if kernels.compiler():
        kernels.ensure_built()


@pytest.fixture
def make_venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OwnVenue]]:
    """Make exchanges of the test's own, whose keys are in the environment."""
    made: list[OwnVenue] = []

    def make(*options: str, **more: Any) -> OwnVenue:
        monkeypatch.setenv("BINANCE_TESTNET_API_KEY", KEY)
        monkeypatch.setenv("BINANCE_TESTNET_API_SECRET", SECRET)
        made.append(OwnVenue(*options, **more))
        return made[-1]

    yield make
    for venue in made:
        venue.close()


@pytest.fixture
def venue(make_venue: Callable[..., OwnVenue], request: pytest.FixtureRequest) -> OwnVenue:
    """An exchange with the options that the test's file names as VENUE_OPTIONS."""
    return make_venue(*getattr(request.module, "VENUE_OPTIONS", ()))


@pytest.fixture
def start(make_venue: Callable[..., OwnVenue]) -> Iterator[Callable[..., Pipeline]]:
    """Start pipelines; they end before the exchanges that they trade on."""
    started: list[Pipeline] = []

    def make(*arguments, **options) -> Pipeline:
        pipeline = Pipeline(*arguments, **options)
        started.append(pipeline)
        return pipeline

    yield make
    for pipeline in started:
        pipeline.end()


@pytest.fixture
def take_over(start: Callable[..., Pipeline]) -> Iterator[Callable[[SharedMemory], Hand]]:
    """Freeze the engine of a run and write its signals; let it go before the run is ended."""
    made: list[Hand] = []

    def make(memory: SharedMemory) -> Hand:
        made.append(Hand(memory))
        return made[-1]

    yield make
    for hand in made:
        hand.release()
