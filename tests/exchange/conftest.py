"""Give the tests of the exchange running exchanges and the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_process import SHARED, ExchangeProcess


@pytest.fixture(scope="module")
def synthetic() -> Iterator[ExchangeProcess]:
    exchange = ExchangeProcess("--seed", "11")
    yield exchange
    assert exchange.close() == 0


@pytest.fixture(scope="session")
def recordings() -> Path:
    path = SHARED / "data" / "capture"
    if not path.is_dir():
        pytest.skip("the recordings in ../shared are absent")
    return path
