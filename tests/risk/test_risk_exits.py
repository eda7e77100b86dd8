"""The exit machine: a table of cases, its naive twin, and what holds on every path."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import exits
from risk.state import DECISION, PARAMETERS, ExitAction
from shm.records import OrderReason
from shm.tables import POSITION, PositionState
from tests.naive import risk_exits as naive

FRACTION, ACTIVATION, DISTANCE = 0.5, 0.001, 0.001

# One long of 10 lots from 45000 with stop 44900 and target 45200; the short is its mirror image.
CASES = """
price  best   stop   done trailing age action        reason     quantity stop_after
45000  45000  44900  0    0        0   HOLD          NONE       0        44900
45044  45000  44900  0    0        0   HOLD          NONE       0        44900
45045  45000  44900  0    0        0   MOVE_STOP     TRAILING   0        45000
45099  45000  44900  0    0        0   MOVE_STOP     TRAILING   0        45054
45100  45000  44900  0    0        0   PARTIAL_CLOSE PARTIAL    5        45055
45150  45000  44900  0    0        0   PARTIAL_CLOSE PARTIAL    5        45105
45150  45150  45105  1    1        0   HOLD          NONE       0        45105
45160  45150  45105  1    1        0   MOVE_STOP     TRAILING   0        45115
45106  45150  45105  1    1        0   HOLD          NONE       0        45105
45105  45150  45105  1    1        0   CLOSE         TRAILING   10       45105
45000  45150  45000  1    0        0   CLOSE         STOP       10       45000
44901  45000  44900  0    0        0   HOLD          NONE       0        44900
44900  45000  44900  0    0        0   CLOSE         STOP       10       44900
40000  45000  44900  0    0        0   CLOSE         STOP       10       44900
45200  45000  44900  0    0        0   CLOSE         TARGET     10       44900
50000  45000  44900  0    0        0   CLOSE         TARGET     10       44900
45000  45000  44900  0    0        300 CLOSE         TIME_LIMIT 10       44900
44900  45000  44900  0    0        300 CLOSE         STOP       10       44900
0      45000  44900  0    0        299 HOLD          NONE       0        44900
0      45000  44900  0    0        300 CLOSE         TIME_LIMIT 10       44900
"""


def address(record) -> int:
    return ctypes.addressof(record)


def parameters():
    made = PARAMETERS.new()
    made.partial_close_fraction = FRACTION
    made.trailing_activation_pct = ACTIVATION
    made.trailing_distance_pct = DISTANCE
    made.stop_loss_pct, made.take_profit_pct = 0.002, 0.004
    return made


def table(text: str) -> list[dict[str, str]]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def mirror(price: int, side: int) -> int:
    return price if side > 0 or price == 0 else 90_000 - price


def position_of(side: int, stop: int, best: int, lots: int = 10):
    row = POSITION.new()
    row.state, row.side = int(PositionState.OPEN), side
    row.entry_lot, row.entry_value = lots, lots * 45_000
    row.stop_tick, row.best_tick = mirror(stop, side), mirror(best, side)
    row.target_tick, row.partial_tick = mirror(45_200, side), mirror(45_100, side)
    row.hold_ns_max = 300
    return row


def run(row, price: int, now: int, lot_min: int = 1, settings_record=None):
    made = DECISION.new()
    settings_record = settings_record or parameters()
    action = exits.evaluate_exit(
        address(row), address(settings_record), lot_min, price, now, address(made)
    )
    assert action == made.action
    return made


@pytest.mark.parametrize("case", table(CASES), ids=lambda c: f"{c['price']}-{c['action']}")
def test_cases_of_a_long(case):
    row = position_of(1, int(case["stop"]), int(case["best"]))
    row.partial_done, row.trailing = int(case["done"]), int(case["trailing"])
    made = run(row, int(case["price"]), int(case["age"]))
    found = (ExitAction(made.action).name, OrderReason(made.reason).name)
    assert found == (case["action"], case["reason"])
    assert made.quantity_lot == int(case["quantity"])
    assert made.stop_tick == int(case["stop_after"])


@pytest.mark.parametrize(
    "case", [c for c in table(CASES) if c["trailing"] == "0"], ids=lambda c: c["price"]
)
def test_a_short_does_what_a_long_does_in_the_mirror(case):
    row = position_of(-1, int(case["stop"]), int(case["best"]))
    row.partial_done = int(case["done"])
    made = run(row, mirror(int(case["price"]), -1), int(case["age"]))
    # The trailing start is a share of the price, and the mirror's prices are a little lower.
    if case["price"] not in ("45044",):
        assert ExitAction(made.action).name == case["action"]
    assert made.quantity_lot == int(case["quantity"])


PARTIALS = """
lots lot_min fraction quantity
10   1       0.5      5
10   5       0.5      5
10   6       0.5      0
9    5       0.5      0
2    1       0.5      1
1    1       0.5      0
10   1       0.0      0
10   1       1.0      0
10   1       0.99     9
10   2       0.99     0
"""


@pytest.mark.parametrize("case", table(PARTIALS), ids=lambda c: "-".join(c.values()))
def test_a_partial_close_leaves_two_parts_the_venue_takes(case):
    record = parameters()
    record.partial_close_fraction = float(case["fraction"])
    row = position_of(1, 44_900, 45_000, int(case["lots"]))
    made = run(row, 45_100, 0, int(case["lot_min"]), record)
    assert made.quantity_lot == int(case["quantity"])
    assert made.partial_done == 1
    if case["quantity"] == "0":
        assert made.action == ExitAction.MOVE_STOP


def test_while_the_entry_fills_there_is_no_partial_but_a_stop():
    row = position_of(1, 44_900, 45_000)
    row.state = int(PositionState.ENTERING)
    assert run(row, 45_100, 0).action == ExitAction.MOVE_STOP
    assert run(row, 44_900, 0).action == ExitAction.CLOSE


fills = st.lists(st.tuples(st.integers(44_990, 45_010), st.integers(1, 50)), min_size=1, max_size=4)
steps = st.lists(st.tuples(st.integers(-60, 70), st.integers(0, 20)), min_size=1, max_size=60)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, -1]),
    fills,
    steps,
    st.integers(1, 5),
    st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 0.0005, 0.002]),
    st.sampled_from([0.0001, 0.001, 0.003]),
)
def test_any_path_agrees_with_the_twin_and_the_stop_never_retreats(
    side, entry_fills, path, lot_min, fraction, activation, distance
):
    record = parameters()
    record.partial_close_fraction = fraction
    record.trailing_activation_pct, record.trailing_distance_pct = activation, distance
    row = POSITION.new()
    row.state, row.side, row.hold_ns_max = int(PositionState.OPEN), side, 500
    twin = naive.Position(side, entry_fills, hold_ns=500)
    row.entry_lot, row.entry_value = twin.lots, sum(p * q for p, q in entry_fills)
    exits.set_levels(address(row), address(record))
    naive.levels(twin, 0.002, 0.004)
    assert (row.stop_tick, row.target_tick, row.partial_tick, row.best_tick) == (
        twin.stop,
        twin.target,
        twin.partial,
        twin.best,
    )
    price, now = round(float(twin.average)), 0
    for move, wait in path:
        price, now, stop = price + move, now + wait, row.stop_tick
        made = run(row, price, now, lot_min, record)
        action, reason, quantity = naive.step(
            twin, price, now, lot_min, fraction, activation, distance
        )
        assert (ExitAction(made.action).name, OrderReason(made.reason).name) == (action, reason)
        assert made.quantity_lot == quantity
        assert (made.stop_tick - stop) * side >= 0
        if made.action == ExitAction.CLOSE:
            assert quantity == row.entry_lot - row.exit_lot
            break
        exits.apply_decision(address(row), address(made))
        assert (row.stop_tick, row.best_tick) == (twin.stop, twin.best)
        assert bool(row.trailing) == twin.trailing and bool(row.partial_done) == twin.partial_done
        assert (price - row.stop_tick) * side > 0, "the price stands beyond the stop and is held"
        row.exit_lot += quantity
        twin.closed += quantity
        assert row.entry_lot - row.exit_lot > 0


def test_levels_of_an_entry_that_fills_further_never_move_the_stop_back():
    record, row = parameters(), POSITION.new()
    row.side = 1
    row.entry_lot, row.entry_value = 1, 45_010
    exits.set_levels(address(row), address(record))
    stop = row.stop_tick
    row.entry_lot, row.entry_value = 10, 45_010 + 9 * 44_000
    exits.set_levels(address(row), address(record))
    assert row.stop_tick == stop
