"""A small instance, settings without files, and contexts for stages."""

from __future__ import annotations

import itertools
import os

import pytest

from config.loader import load
from config.venues import Endpoints
from runtime.kernels import Kernels
from runtime.logs import make_logger
from runtime.stage import StageContext
from runtime.wait_layout import WaitStrategy
from shm.topology import Sizes, create_all

_NUMBERS = itertools.count()
NOWHERE = Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1", "ws://127.0.0.1:1", "")


@pytest.fixture
def memory():
    name = f"trun{os.getpid()}x{next(_NUMBERS)}"
    made = create_all(name, Sizes(market_queue=64, queue=16, order_rows=4), epoch=1)
    yield made
    made.unlink()
    made.close()


@pytest.fixture(scope="session")
def settings():
    return load(env_file=None, environ={})


@pytest.fixture
def context(memory, settings, tmp_path):
    return StageContext(
        name="engine",
        settings=settings,
        memory=memory,
        kernels=Kernels(mode="jit", build_hash=0, path=""),
        log=make_logger("engine", tmp_path),
        symbols=("BTCUSDT",),
        market_endpoints=NOWHERE,
        order_endpoints=NOWHERE,
        wait_strategy=WaitStrategy.BLOCK,
    )
