"""What the tests of the engine share."""

from __future__ import annotations

import pytest

from config.loader import load
from config.settings import Settings
from tests.naive.engine_bench import Bench


@pytest.fixture
def settings() -> Settings:
    return load(env_file=None, environ={})


@pytest.fixture
def bench(settings: Settings) -> Bench:
    return Bench(settings)
