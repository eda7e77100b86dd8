"""Fixtures of the risk tests."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.compiled import exported
from tests.risk.desk import Desk
from tests.risk.quote_desk import QuoteDesk


@pytest.fixture(scope="session")
def kernels():
    """Compile everything before a test stamps a record: compiling takes longer than prices last."""
    found = exported()
    with closing(Desk(found)) as desk:
        desk.look()
        desk.best(450_000, 450_001)
        desk.signal()
        desk.look()
        desk.orders()
        desk.recover()
    return found


@pytest.fixture
def make_desk(kernels):
    made = []

    def make(**changes) -> Desk:
        made.append(Desk(kernels, **changes))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make_desk) -> Desk:
    return make_desk(trading__base_position_usd=1000.0, risk__max_order_notional_usd=5000.0)


@pytest.fixture
def guarded(make_desk) -> Desk:
    """A desk whose positions have a stop at the venue."""
    return make_desk(
        trading__base_position_usd=1000.0,
        risk__max_order_notional_usd=5000.0,
        risk__venue_stop=True,
    )


@pytest.fixture
def make_quote_desk(kernels):
    made = []

    def make(**changes) -> QuoteDesk:
        made.append(QuoteDesk(kernels, **changes))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def quote_desk(make_quote_desk) -> QuoteDesk:
    return make_quote_desk()
