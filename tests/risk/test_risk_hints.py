"""Hints of a signal: what a position takes over, and what a hint may not do."""

from __future__ import annotations

import ctypes
import math

import pytest

from risk import hints
from risk.parameters import parameters_of
from shm.records import SIGNAL, ExitRule, Strategy
from shm.tables import POSITION
from tests.risk.desk import settings_with

# Configured: stop 0.002, no hold beyond 300 s; momentum 5 to 120 s, a user's strategy 0 to 300 s.
CASES = """
strategy rule mean stop  target hold_min hold_max -> rule mean stop  target min_s max_s
1        0    0    0     0      0        0        -> 0    0    0     0      5     120
1        1    0    0.001 0.003  30000    120000   -> 1    0    0.001 0.003  30    120
1        1    0    0.002 0.5    0        0        -> 1    0    0     0.5    5     120
1        1    0    0.05  1.0    0        0        -> 1    0    0     0      5     120
1        1    0    nan   nan    0        0        -> 1    0    0     0      5     120
1        1    0    -1    -1     0        0        -> 1    0    0     0      5     120
1        1    0    inf   inf    0        0        -> 1    0    0     0      5     120
2        2    900  0     0      60000    0        -> 2    900  0     0      60    300
2        2    0    0     0      60000    0        -> 0    0    0     0      60    300
2        2    -5   0     0      0        0        -> 0    0    0     0      60    300
3        3    0    0     0      10000    60000    -> 3    0    0     0      10    60
1        0    0    0     0      0        900000   -> 0    0    0     0      5     300
1        0    0    0     0      900000   100000   -> 0    0    0     0      100   100
9        0    0    0     0      0        0        -> 0    0    0     0      0     300
9        4    0    0     0      0        0        -> 0    0    0     0      0     300
9        77   0    0     0      0        0        -> 0    0    0     0      0     300
"""


def rows() -> list[list[str]]:
    return [line.replace("->", "").split() for line in CASES.strip().splitlines()[1:]]


@pytest.mark.parametrize("case", rows(), ids="-".join)
def test_hints_are_taken_over_within_what_is_configured(case):
    settings = parameters_of(settings_with(scalping__momentum_hold_min_s=5))
    signal, row = SIGNAL.new(), POSITION.new()
    signal.strategy, signal.exit_rule, signal.mean_tick = (int(word) for word in case[:3])
    signal.stop_pct, signal.target_pct = float(case[3]), float(case[4])
    signal.hold_ms_min, signal.hold_ms_max = int(case[5]), int(case[6])
    row.strategy = signal.strategy
    hints.take_hints(ctypes.addressof(row), ctypes.addressof(signal), ctypes.addressof(settings))
    assert (row.exit_rule, row.mean_tick) == (int(case[7]), int(case[8]))
    assert math.isclose(row.stop_pct, float(case[9]), rel_tol=1e-6)
    assert math.isclose(row.target_pct, float(case[10]), rel_tol=1e-6)
    seconds = (row.hold_ns_min / 1e9, row.hold_ns_max / 1e9)
    assert seconds == (float(case[11]), float(case[12]))


def test_a_position_carries_the_hints_of_its_signal(desk):
    desk.best(450_000, 450_001)
    desk.signal(
        1,
        strategy=int(Strategy.MEAN_REVERSION),
        exit_rule=int(ExitRule.RETURN_TO_MEAN),
        mean_tick=450_300,
        stop_pct=0.001,
        hold_ms_min=1,
    )
    desk.look()
    (order,) = desk.orders()
    desk.fill(order, 450_000)
    desk.look()
    row = desk.position()
    assert row.stop_tick == 450_000 - 450 and row.target_tick == 450_000 + 1800
    assert row.rule_tick == 450_300 + 450
    row.opened_ns -= 10**9
    desk.best(450_750, 450_751)
    desk.look()
    (exit_order,) = desk.orders()
    assert exit_order.reason == 15 and desk.count("exit_mean") == 1
