"""The exit machine: a table of cases, its naive twin, and what holds on every path."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import exits, levels
from risk.state import DECISION, PARAMETERS, ExitAction
from shm.records import ExitRule, OrderReason
from shm.tables import POSITION, PositionState
from tests.naive import risk_exits as naive

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

# The same long under each rule: mean 45050, so the rule closes at 45095 (a tenth of a percent on).
# An age of 5 is the least before a rule may close; a trade of 0 is none.
RULES = """
rule           price  trade  best   stop   done age imbalance action        reason    stop_after
PLAIN          45050  44900  45000  44900  0    0    0.0      CLOSE         STOP      44900
PLAIN          45050  44901  45000  44900  0    0    0.0      MOVE_STOP     TRAILING  45005
PLAIN          45010  44000  45000  44900  0    0    0.0      CLOSE         STOP      44900
PLAIN          0      44900  45000  44900  0    0    0.0      CLOSE         STOP      44900
PLAIN          0      44901  45000  44900  0    0    0.0      HOLD          NONE      44900
PLAIN          45010  45300  45000  44900  0    0    0.0      HOLD          NONE      44900
PLAIN          45010  0      45000  44900  0    5   -1.0      HOLD          NONE      44900
TRAIL_RISK     45049  0      45000  44900  0    0    0.0      HOLD          NONE      44900
TRAIL_RISK     45050  0      45000  44900  0    0    0.0      MOVE_STOP     TRAILING  45000
TRAIL_RISK     45080  0      45000  44900  0    0    0.0      MOVE_STOP     TRAILING  45030
TRAIL_RISK     45100  0      45000  44900  0    0    0.0      PARTIAL_CLOSE PARTIAL   45050
TRAIL_RISK     45060  0      45090  45040  0    0    0.0      HOLD          NONE      45040
TRAIL_RISK     45040  0      45090  45040  0    0    0.0      CLOSE         STOP      45040
TRAIL_RISK     45140  0      45120  45070  1    0    0.0      MOVE_STOP     TRAILING  45090
RETURN_TO_MEAN 45094  0      45000  44900  0    5    0.0      HOLD          NONE      44900
RETURN_TO_MEAN 45095  0      45000  44900  0    5    0.0      CLOSE         MEAN      44900
RETURN_TO_MEAN 45095  0      45000  44900  0    4    0.0      HOLD          NONE      44900
RETURN_TO_MEAN 45100  0      45000  44900  0    4    0.0      PARTIAL_CLOSE PARTIAL   45000
RETURN_TO_MEAN 45149  0      45100  45000  1    4    0.0      HOLD          NONE      45000
RETURN_TO_MEAN 45150  0      45100  45000  1    4    0.0      MOVE_STOP     TRAILING  45050
RETURN_TO_MEAN 45199  0      45100  45000  1    4    0.0      MOVE_STOP     TRAILING  45050
RETURN_TO_MEAN 45200  0      45100  45000  1    5    0.0      CLOSE         TARGET    45000
IMBALANCE      45010  0      45000  44900  0    5   -0.29     HOLD          NONE      44900
IMBALANCE      45010  0      45000  44900  0    5   -0.3      CLOSE         IMBALANCE 44900
IMBALANCE      45010  0      45000  44900  0    4   -1.0      HOLD          NONE      44900
IMBALANCE      45010  0      45000  44900  0    5    1.0      HOLD          NONE      44900
IMBALANCE      0      0      45000  44900  0    5   -1.0      HOLD          NONE      44900
IMBALANCE      45090  0      45000  44900  0    0    0.0      HOLD          NONE      44900
IMBALANCE      45150  0      45000  44900  0    0    0.0      PARTIAL_CLOSE PARTIAL   45050
STOP_ONLY      45150  0      45000  44900  0    0    0.0      HOLD          NONE      44900
STOP_ONLY      99999  0      45000  44900  0    900 -1.0      HOLD          NONE      44900
STOP_ONLY      44900  0      45000  44900  0    0    0.0      CLOSE         STOP      44900
STOP_ONLY      44950  44800  45000  44900  0    0    0.0      CLOSE         STOP      44900
"""


def address(record) -> int:
    return ctypes.addressof(record)


def parameters(chosen: naive.Settings | None = None):
    chosen = chosen or naive.Settings()
    made = PARAMETERS.new()
    made.partial_close_fraction = chosen.fraction
    made.trailing_activation_pct = chosen.activation
    made.trailing_distance_pct = chosen.distance
    made.trail_risk_fraction = chosen.risk_share
    made.profit_step = chosen.profit_step
    made.mean_profit_pct = chosen.mean_profit
    made.imbalance_limit = chosen.imbalance
    made.stop_loss_pct, made.take_profit_pct = 0.002, 0.004
    return made


def table(text: str) -> list[dict[str, str]]:
    head, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def mirror(price: int, side: int) -> int:
    return price if side > 0 or price == 0 else 90_000 - price


def position_of(side: int, stop: int, best: int, lots: int = 10, rule: str = "PLAIN"):
    row = POSITION.new()
    row.state, row.side = int(PositionState.OPEN), side
    row.entry_lot, row.entry_value = lots, lots * 45_000
    row.exit_rule = int(ExitRule[rule])
    row.mean_tick = mirror(45_050, side)
    row.hold_ns_max, row.hold_ns_min = 300, 5
    levels.set_levels(address(row), address(parameters()))
    row.initial_risk_tick = 100
    row.stop_tick, row.best_tick = mirror(stop, side), mirror(best, side)
    if rule == "STOP_ONLY":
        row.hold_ns_max = 0
    else:
        row.target_tick, row.partial_tick = mirror(45_200, side), mirror(45_100, side)
    return row


def run(row, price, now, lot_min=1, settings_record=None, trade=0, imbalance=0.0):
    made = DECISION.new()
    settings_record = settings_record or parameters()
    action = exits.evaluate_exit(
        address(row),
        address(settings_record),
        lot_min,
        price,
        trade,
        imbalance,
        now,
        address(made),
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


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    "case", table(RULES), ids=lambda c: "-".join([c["rule"], c["price"], c["trade"], c["age"]])
)
def test_cases_of_the_rules(case, side):
    row = position_of(side, int(case["stop"]), int(case["best"]), rule=case["rule"])
    # The level of the rule is a share of the mean, and the mirror's mean is a little lower.
    row.rule_tick = mirror(45_095, side) if case["rule"] == "RETURN_TO_MEAN" else 0
    row.partial_done = int(case["done"])
    made = run(
        row,
        mirror(int(case["price"]), side),
        int(case["age"]),
        trade=mirror(int(case["trade"]), side),
        imbalance=float(case["imbalance"]) * side,
    )
    found = (ExitAction(made.action).name, OrderReason(made.reason).name)
    assert found == (case["action"], case["reason"])
    if case["rule"] != "PLAIN" or side > 0:
        assert made.stop_tick == mirror(int(case["stop_after"]), side)


MEANS = """
side mean  profit level
1    45050 0.001  45095
1    45050 0.003  45185
1    44000 0.001  45045
1    45000 0.001  45045
-1   44950 0.001  44906
-1   46000 0.002  44910
1    45001 0.001  45046
"""


@pytest.mark.parametrize("case", table(MEANS), ids=lambda c: "-".join(c.values()))
def test_the_mean_and_a_profit_beyond_it(case):
    side, mean, profit = int(case["side"]), int(case["mean"]), float(case["profit"])
    assert levels.return_tick(side, 45_000, mean, profit) == int(case["level"])


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
steps = st.lists(
    st.tuples(
        st.integers(-60, 70),
        st.integers(0, 20),
        st.sampled_from([0, 0, 0, -30, 30, 200]),
        st.sampled_from([0.0, 0.5, -0.5, 0.25, -0.25]),
    ),
    min_size=1,
    max_size=60,
)
chosen_settings = st.builds(
    naive.Settings,
    fraction=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    activation=st.sampled_from([0.0, 0.0005, 0.002]),
    distance=st.sampled_from([0.0001, 0.001, 0.003]),
    risk_share=st.sampled_from([0.05, 0.5, 1.0]),
    profit_step=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    mean_profit=st.sampled_from([0.001, 0.002, 0.003]),
    imbalance=st.sampled_from([0.2, 0.3]),
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, -1]),
    fills,
    steps,
    st.integers(1, 5),
    chosen_settings,
    st.sampled_from([rule.name for rule in ExitRule]),
    st.integers(44_900, 45_100),
)
def test_any_path_agrees_with_the_twin_and_the_stop_never_retreats(
    side, entry_fills, path, lot_min, chosen, rule, mean
):
    record = parameters(chosen)
    row = POSITION.new()
    row.state, row.side, row.hold_ns_max = int(PositionState.OPEN), side, 500
    row.hold_ns_min, row.exit_rule, row.mean_tick = 40, int(ExitRule[rule]), mean
    twin = naive.Position(side, entry_fills, rule, mean, hold_ns=500, least_ns=40)
    row.entry_lot, row.entry_value = twin.lots, sum(p * q for p, q in entry_fills)
    levels.set_levels(address(row), address(record))
    naive.levels(twin, 0.002, 0.004, chosen.mean_profit)
    assert (row.stop_tick, row.target_tick, row.partial_tick, row.best_tick, row.rule_tick) == (
        twin.stop,
        twin.target,
        twin.partial,
        twin.best,
        twin.goal,
    )
    price, now = round(float(twin.average)), 0
    for move, wait, trade_move, imbalance in path:
        price, now, stop = price + move, now + wait, row.stop_tick
        trade = price + trade_move if trade_move else 0
        quiet = trade == 0 and rule != "IMBALANCE" and exits.is_quiet(address(row), price, now)
        before = (row.stop_tick, row.best_tick, row.trailing, row.partial_done)
        made = run(row, price, now, lot_min, record, trade, imbalance)
        action, reason, quantity = naive.step(twin, price, now, lot_min, chosen, trade, imbalance)
        assert (ExitAction(made.action).name, OrderReason(made.reason).name) == (action, reason)
        assert made.quantity_lot == quantity
        assert (made.stop_tick - stop) * side >= 0
        if quiet:
            assert made.action == ExitAction.HOLD
            assert before == (made.stop_tick, made.best_tick, made.trailing, made.partial_done)
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


def test_the_quiet_band_spans_the_prices_between_stop_and_best():
    row = position_of(1, 44_900, 45_010)
    assert not exits.is_quiet(address(row), 45_000, 0), "nothing has been judged yet"
    made = run(row, 45_010, 0)
    assert made.action == ExitAction.HOLD
    exits.apply_decision(address(row), address(made))
    quiet = [price for price in range(44_890, 45_020) if exits.is_quiet(address(row), price, 299)]
    assert quiet == list(range(44_901, 45_011))
    assert not exits.is_quiet(address(row), 45_000, 300), "the time limit is due"
    levels.set_levels(address(row), address(parameters()))
    assert not exits.is_quiet(address(row), 45_000, 0), "its levels have changed"


def test_levels_of_an_entry_that_fills_further_never_move_the_stop_back():
    record, row = parameters(), POSITION.new()
    row.side = 1
    row.entry_lot, row.entry_value = 1, 45_010
    levels.set_levels(address(row), address(record))
    stop = row.stop_tick
    row.entry_lot, row.entry_value = 10, 45_010 + 9 * 44_000
    levels.set_levels(address(row), address(record))
    assert row.stop_tick == stop
