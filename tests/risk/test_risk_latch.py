"""The latch for losses against its twin: random equities, days that change, people who re-arm.

The kernel is done early where an equity lies between the floor and the peak; the twin never is.
"""

from __future__ import annotations

import math
from contextlib import closing
from typing import Any

import hypothesis
from hypothesis import strategies as st

from risk.positions import track_equity
from shm.latch_table import LatchReason
from shm.latches import risk_latch_held
from tests.compiled import exported
from tests.naive.risk_latch import Latch
from tests.risk.desk import Desk

WALLET_E8 = 10_000 * 10**8
FIRST_DAY = 20_000
SHARES = st.sampled_from((0.002, 0.05, 0.1, 0.3, 0.9))
# Where an equity is drawn: at a border to the last unit, or anywhere.
STEPS = st.tuples(
    st.sampled_from(("peak", "least_of_peak", "least_of_day", "anywhere", "anywhere")),
    st.integers(-2, 2),
    st.floats(0.6, 1.2),
    st.sampled_from((0, 0, 0, 0, 1, 2, -1)),
    st.integers(0, 5).map(lambda drawn: drawn == 0),
)


def equity_of(twin: Latch, anchor: str, offset: int, share: float) -> int:
    """Return an equity beside one of the twin's borders, or one that is drawn."""
    if anchor == "peak":
        return twin.peak + offset
    if anchor == "anywhere":
        return int(WALLET_E8 * share)
    least = twin.least_of_peak() if anchor == "least_of_peak" else twin.least_of_day()
    return max(1, math.ceil(least) + offset)


def begin(desk: Desk, max_daily_loss: float) -> None:
    """Forget what equity was: as if the wallet had just been told."""
    header, control = desk.header, desk.control
    header.wallet_start_e8 = header.peak_e8 = header.day_start_e8 = header.floor_e8 = 0
    header.utc_day = 0
    control.risk_latch = control.risk_latch_ns = control.rearm_ns = control.realized_e8 = 0
    control.wallet_e8 = WALLET_E8
    desk.wiring.parameters.max_daily_loss = max_daily_loss


def state_of(desk: Desk, control: int) -> dict[str, Any]:
    header = desk.header
    return {
        "peak": header.peak_e8,
        "day": header.utc_day,
        "day_start": header.day_start_e8,
        "reason": LatchReason(risk_latch_held(control)),
    }


def test_peak_day_and_latch_are_those_of_a_twin_that_compares_at_each_step():
    tripped = dict.fromkeys(LatchReason, 0)
    with closing(Desk(exported())) as desk:
        context, control = desk.wiring.context, desk.wiring.context.control

        def take(max_drawdown: float, equity: int, day: int) -> None:
            desk.control.realized_e8 = equity - WALLET_E8
            context.utc_day = day
            track_equity(desk.wiring.address, max_drawdown)

        @hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
        @hypothesis.given(SHARES, SHARES, st.lists(STEPS, min_size=1, max_size=40))
        def compare(max_drawdown, max_daily_loss, steps):
            begin(desk, max_daily_loss)
            twin = Latch(max_drawdown, max_daily_loss)
            day = FIRST_DAY
            take(max_drawdown, WALLET_E8, day)
            twin.step(WALLET_E8, day)
            for anchor, offset, share, days, rearms in steps:
                day += days
                equity = equity_of(twin, anchor, offset, share)
                if rearms:
                    desk.control.rearm_ns = desk.control.risk_latch_ns + 1
                    twin.rearm()
                take(max_drawdown, equity, day)
                twin.step(equity, day)
                found = state_of(desk, control)
                assert found == {name: getattr(twin, name) for name in found}, (anchor, equity)
                tripped[twin.reason] += 1

        compare()
    # What is not reached is not tested.
    for reason in (LatchReason.NONE, LatchReason.DRAWDOWN, LatchReason.DAILY_LOSS):
        assert tripped[reason] > 50, tripped
