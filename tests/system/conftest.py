"""Fixtures of the system tests: kernels built once, pipelines ended whatever a test does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from runtime import kernels
from shm.topology import SharedMemory
from tests.system.hand import Hand
from tests.system.pipeline import Pipeline


@pytest.fixture(scope="session", autouse=True)
def built_kernels() -> None:
    if kernels.compiler():
        kernels.ensure_built()


@pytest.fixture
def start() -> Iterator[Callable[..., Pipeline]]:
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
