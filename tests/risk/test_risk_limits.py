"""Limits: one at a time, their order, any check against the naive twin, the table itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import limits
from risk.limit_table import LIMITS, Refusal, describe
from risk.state import ENTRY_CHECK, PARAMETERS
from shm import counters
from shm.records import SIGNAL
from tests.naive import risk_limits as naive
from tests.risk.limit_cases import E8, GOOD, address, check_of, parameters, table

ROOT = Path(__file__).resolve().parent.parent.parent
# Each line changes one thing in an entry that would pass.
CASES = """
field                value            refusal
reconciled           1                NONE
kill_latch           1                KILLED
halt_reason          1                HALTED
halt_reason          6                HALTED
stop_requested       1                HALTED
flatten_requested    1                HALTED
reconciled           0                VENUE
clock_ready          0                CLOCK
untrusted            1                UNTRUSTED
distrust             1                DISTRUST
equity_e8            0                EQUITY
equity_e8            -1               EQUITY
started_age_ns       2000000000       NONE
started_age_ns       1999999999       WARMUP
risk_latch           3                DRAWDOWN
risk_latch           6                DRAWDOWN
risk_latch           4                DAILY_LOSS
cool_off_left_ns     0                NONE
cool_off_left_ns     -5               NONE
cool_off_left_ns     1                COOL_OFF
throttled            1                THROTTLED
strategy_enabled     0                DISABLED
best_valid           0                NO_PRICE
price_age_ns         2000000000       NONE
price_age_ns         2000000001       STALE
price_age_ns         -1               STALE
signal_age_ns        2000000000       NONE
signal_age_ns        2000000001       LATE
signal_age_ns        -1               LATE
mark_tick            0                NO_MARK
mark_age_ns          5000000000       NONE
mark_age_ns          5000000001       NO_MARK
mark_age_ns          -1               NO_MARK
quoted               1                QUOTED
position_state       1                DUPLICATE
position_state       2                DUPLICATE
position_state       3                DUPLICATE
in_flight_count      3                NONE
in_flight_count      4                IN_FLIGHT
position_count       19               NONE
position_count       20               POSITIONS
rate_age_ns          1000000000       NONE
rate_age_ns          999999999        RATE
correlation          0.7              NONE
correlation          0.7000001        CORRELATION
correlation          -0.99            NONE
unknown_pairs        1                CORRELATION
size_bound           25               NO_EDGE
limit_tick           0                COLLAR
quantity_lot         0                SIZE
quantity_lot         1000             NONE
quantity_lot         1001             QUANTITY
conforms             0                FILTER
order_notional_e8    50000000000      NONE
order_notional_e8    50000000001      ORDER_NOTIONAL
inventory_e8         90000000000      NONE
inventory_e8         90000000001      INVENTORY
inventory_e8         -110000000000    NONE
inventory_e8         -110000000001    INVENTORY
strategy_notional_e8 990000000000     NONE
strategy_notional_e8 990000000001     STRATEGY_NOTIONAL
gross_notional_e8    1990000000000    NONE
gross_notional_e8    1990000000001    GROSS_NOTIONAL
net_notional_e8      990000000000     NONE
net_notional_e8      990000000001     NET_NOTIONAL
net_notional_e8      -2000000000000   NONE
risk_e8              19980000000      NONE
risk_e8              19980000001      PORTFOLIO_RISK
repeat_count         9                NONE
repeat_count         10               REPEAT
ring_free            1                NONE
ring_free            0                RING
ring_free            -3               RING
"""
# What left no room for a lot is the reason, at its own place in the table.
NO_ROOM = """
size_bound ring_free refusal
27         7         SIZE
35         7         PORTFOLIO_RISK
36         7         MARGIN
36         0         MARGIN
"""


def refusal_of(values: dict[str, float], **changes: float) -> str:
    made, record = check_of(values), parameters(**changes)
    return Refusal(limits.first_refusal(address(made), address(record))).name


@pytest.mark.parametrize(("field", "value", "expected"), table(CASES))
def test_one_limit_at_a_time(field, value, expected):
    assert refusal_of(GOOD | {field: float(value)}) == expected


@pytest.mark.parametrize(("bound", "ring_free", "expected"), table(NO_ROOM))
def test_what_left_no_room_is_the_reason(bound, ring_free, expected):
    values = {"quantity_lot": 0, "order_notional_e8": 0, "order_risk_e8": 0}
    values |= {"size_bound": int(bound), "ring_free": int(ring_free)}
    assert refusal_of(GOOD | values) == expected


def test_margin_counts_the_new_order():
    # 0.8 of an equity of 100 at leverage 15: gross and order may be worth 1200.
    values = GOOD | {"equity_e8": 100 * E8, "order_risk_e8": 0}
    assert refusal_of(values | {"gross_notional_e8": 1100 * E8}) == "NONE"
    assert refusal_of(values | {"gross_notional_e8": 1100 * E8 + 1}) == "MARGIN"


def test_an_order_that_lessens_the_net_passes_its_limit():
    far = GOOD | {"net_notional_e8": -20_000 * E8}
    assert refusal_of(far) == "NONE"
    assert refusal_of(far | {"side": -1}) == "NET_NOTIONAL"


def test_knobs_that_switch_a_limit_off():
    alike = {"correlation": 1.0, "unknown_pairs": 3}
    assert refusal_of(GOOD | alike, correlation_limit=1.0) == "NONE"
    assert refusal_of(GOOD | {"mark_tick": 0}, max_mark_age_ns=0) == "NONE"


def test_the_first_limit_of_the_table_gives_the_reason():
    bad: dict[str, float] = {}
    first: dict[str, dict[str, float]] = {}
    for field, value, refusal in table(CASES):
        if refusal != "NONE":
            first.setdefault(refusal, {field: float(value)})
    # With lots there is no SIZE, with a limit price no COLLAR: each is tried by itself above. One
    # latch has one reason.
    for name in ("COLLAR", "SIZE", "DAILY_LOSS", "NO_EDGE"):
        del first[name]
    order = [limit.refusal.name for limit in LIMITS if limit.refusal.name in first]
    assert list(first) == order and len(order) == len(LIMITS) - 6
    for name in reversed(order):
        bad |= first[name]
        assert refusal_of(GOOD | bad) == name


names = [field.name for field in ENTRY_CHECK]
amounts = [-1, 0, 1, 2, 4, 15, 20, 25, 27, 35, 36, 2 * 10**9, 2 * 10**9 + 1]
amounts += [501 * E8, 999 * E8, 20_000 * E8, -20_000 * E8]
changed = st.dictionaries(st.sampled_from(names), st.sampled_from(amounts), max_size=6)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(changed, st.sampled_from([0.0, 0.7, 1.0]))
def test_any_check_agrees_with_the_twin(changes, limit):
    changes |= {"side": 1 if changes.get("side", 1) > 0 else -1}
    made = check_of(GOOD | changes)
    values = {name: getattr(made, name) for name in names}
    record = parameters(correlation_limit=limit)
    known = {f.name: getattr(record, f.name) for f in PARAMETERS if f.count == 1}
    assert refusal_of(values, correlation_limit=limit) == naive.refusal(values, known)


def test_the_table_names_counters_that_exist_and_is_printed():
    for limit in LIMITS:
        assert f"risk.{limit.counter}" in counters.OFFSETS
    done = subprocess.run(
        [sys.executable, "-m", "risk"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and describe() in done.stdout


SIGNALS = """
field       value  valid
side        1      1
side        -1     1
side        0      0
side        2      0
symbol      2      1
symbol      3      0
strategy    15     1
strategy    16     0
bid_tick    0      0
bid_tick    450001 0
ask_tick    0      0
strength    0.0    0
strength    1.0    1
strength    1.01   0
strength    nan    0
confidence  -0.1   0
confidence  1.0    1
confidence  nan    0
volatility  0.0    1
volatility  -1.0   0
volatility  inf    0
volatility  nan    0
stop_pct    0.01   1
stop_pct    -0.01  0
stop_pct    0.51   0
stop_pct    nan    0
target_pct  0.02   1
target_pct  -0.02  0
target_pct  nan    0
"""


@pytest.mark.parametrize(("field", "value", "valid"), table(SIGNALS))
def test_senseless_signals(field, value, valid):
    record = SIGNAL.new()
    record.side, record.strategy, record.bid_tick, record.ask_tick = 1, 1, 450_000, 450_001
    record.strength, record.confidence = 0.5, 0.5
    kind = float if SIGNAL.by_name[field].type[0] == "f" else int
    setattr(record, field, kind(value))
    assert bool(limits.signal_is_valid(address(record), 3)) == bool(int(valid))
