"""Sizes, limit prices and filters: tables of cases and naive twins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import limits, sizing, trades
from risk.limit_table import Refusal
from risk.state import TRADES, SizeMethod
from risk.trades import UNKNOWN_EDGE
from tests.naive import risk_limits as naive
from tests.risk.limit_cases import E8, GOOD, address, check_of, parameters, symbol, table

SIZES = """
wanted cap   low    high   lot_min notional_min lots
1000   5000  450000 450000 1       5            22
1000   500   450000 450000 1       5            11
44     5000  450000 450000 1       5            1
10     5000  450000 450000 2       5            2
10     5000  450000 450000 3       5            0
10     5000  450000 450000 1       90           2
10     5000  450000 450000 1       91           0
10     80    450000 450000 1       90           0
10     0     450000 450000 1       5            0
10     -5    450000 450000 1       5            0
1000   5000  0      450000 1       5            0
"""


@pytest.mark.parametrize("case", table(SIZES), ids=lambda c: "-".join(c))
def test_lots_of_an_entry(case):
    wanted, cap, low, high, lot_min, notional_min, lots = (float(word) for word in case)
    row, record = symbol(lot_min=int(lot_min), notional_min=notional_min), parameters()
    found = sizing.entry_quantity(address(record), address(row), wanted, cap, int(low), int(high))
    assert found == lots


positive = st.floats(0.5, 2000.0)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    positive, st.floats(-100.0, 2000.0), st.integers(1000, 900_000), st.integers(0, 500),
    st.integers(1, 20), st.floats(0.0, 300.0), st.sampled_from([0, 3, 50, 100_000]),
)  # fmt: skip
def test_any_size_agrees_with_the_twin(wanted, cap, low, wider, lot_min, notional_min, lot_max):
    row = symbol(lot_min=lot_min, notional_min=notional_min, lot_max=lot_max)
    record = parameters()
    high = low + wider
    found = sizing.entry_quantity(address(record), address(row), wanted, cap, low, high)
    expected = naive.quantity(record, row, wanted, cap, low, high)
    value = high * row.tick_size * row.lot_size
    on_an_edge = abs(min(wanted, cap) / value - round(min(wanted, cap) / value)) < 1e-9
    assert found == expected or (on_an_edge and abs(found - expected) == 1) or expected >= 10_000
    if found:
        assert found * value <= max(cap, 0.0) * (1 + 1e-9)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.floats(0.01, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 0.01), st.floats(0.0005, 0.05),
    st.floats(1.0, 1e6), st.sampled_from(SizeMethod), st.sampled_from([None, 0.0, 0.001, 0.2]),
)  # fmt: skip
def test_factor_agrees_with_the_twin(strength, confidence, volatility, stop, equity, method, share):
    record = parameters(size_method=int(method))
    given_share = UNKNOWN_EDGE if share is None else share
    found = sizing.size_factor(
        address(record), strength, confidence, volatility, stop, equity, given_share
    )
    wanted = naive.factor(record, strength, confidence, volatility, stop, equity, share)
    assert math.isclose(found, wanted)
    assert record.base_size <= found <= record.max_size or (found == 0.0 == share)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.floats(1.0, 1e6), st.floats(0.0, 1e5), st.floats(0.0, 1e4), st.floats(0.0005, 0.05),
)  # fmt: skip
def test_room_agrees_with_the_twin(equity, gross, risk, stop):
    record = parameters()
    values = {"equity_e8": equity * E8, "gross_notional_e8": gross * E8, "risk_e8": risk * E8}
    made = check_of(GOOD | values)
    found, bound = sizing.notional_room(address(record), address(made), stop)
    wanted, name = naive.room(record, made, stop)
    assert math.isclose(found, wanted) and Refusal(bound).name == name


KELLY = """
wins losses gain loss trades_min share
30   20     0.4  0.2  50         0.2
60   40     0.4  0.2  50         0.2667
10   39     0.4  0.2  50         unknown
50   0      0.4  0.2  50         unknown
0    50     0.4  0.2  50         0
20   30     0.2  0.2  50         0
25   25     0.2  0.2  50         0
"""


@pytest.mark.parametrize("case", table(KELLY), ids=lambda c: "-".join(c))
def test_the_kelly_share_of_closed_trades(case):
    wins, losses, trades_min = int(case[0]), int(case[1]), int(case[4])
    gain, loss = float(case[2]), float(case[3])
    row = TRADES.new()
    row.trade_count, row.win_count = wins + losses, wins
    row.win_ppb, row.loss_ppb = round(wins * gain * 1e9), round(losses * loss * 1e9)
    found = trades.kelly_share(address(row), trades_min)
    expected = naive.kelly([gain] * wins + [-loss] * losses, trades_min)
    assert (
        found == UNKNOWN_EDGE if expected is None else math.isclose(found, expected, abs_tol=1e-12)
    )
    assert found == UNKNOWN_EDGE if case[5] == "unknown" else abs(found - float(case[5])) < 1e-4


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, -1]), st.integers(2, 60_000), st.integers(1, 400), st.integers(-400, 400),
    st.integers(-400, 400), st.sampled_from([0.0, 0.0005, 0.02]), st.sampled_from([0.0001, 0.005]),
    st.sampled_from([0.0, 1.001]), st.sampled_from([0, 30_000, 10**7]),
)  # fmt: skip
def test_limit_price_agrees_with_the_twin(
    side, bid, spread, moved, basis, slip, collar, up, highest
):
    record = parameters(max_slippage_pct=slip, price_collar_pct=collar)
    row = symbol(multiplier_up=up, multiplier_down=2 - up if up else 0.0, price_tick_max=highest)
    ask, middle = bid + spread, max(1.0, bid + spread / 2 + moved)
    mark = max(1.0, bid + spread / 2 + basis)
    found = limits.entry_limit_tick(address(record), address(row), side, bid, ask, middle, mark)
    assert found == naive.limit_price(record, row, side, bid, ask, middle, mark)


FILTERS = """
side price  lots   conforms why
1    450000 1      1        45_quote
1    450000 0      0        no_lot
1    0      1      0        no_price
1    49999  1      0        4.9999_quote
1    50000  1      1        5_quote_exactly
1    450000 100000 1        largest
1    450000 100001 0        above_largest
1    450449 1      1        below_mark_times_up
1    450451 1      0        above_mark_times_up
-1   450451 1      1        a_sell_may_be_dear
-1   449550 1      1        mark_times_down
-1   449549 1      0        below_mark_times_down
1    449549 1      1        a_buy_may_be_cheap
"""


@pytest.mark.parametrize("case", table(FILTERS), ids=lambda c: c[4])
def test_filters_on_the_final_integers(case):
    side, price, lots, expected = (int(word) for word in case[:4])
    row = symbol(multiplier_up=1.001, multiplier_down=0.999)
    mark = 450_000.0
    if price < 100_000:
        row.multiplier_down = 0.0
    assert bool(limits.conforms(address(row), side, price, lots, mark)) == bool(expected)
    assert naive.passes_filters(row, side, price, lots, mark) == bool(expected)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.sampled_from([1, -1]), st.integers(-2, 60_000), st.integers(-2, 120_000),
    st.floats(1.0, 60_000.0), st.sampled_from([0.0, 1.001, 1.2]), st.sampled_from([0, 5, 50_000]),
)  # fmt: skip
def test_filters_agree_with_the_twin(side, price, lots, mark, up, highest):
    row = symbol(multiplier_up=up, multiplier_down=2 - up if up else 0.0, price_tick_max=highest)
    found = limits.conforms(address(row), side, price, lots, mark)
    assert bool(found) == naive.passes_filters(row, side, price, lots, mark)


@pytest.mark.parametrize("lots", [1, 2**31, 2**62])
@pytest.mark.parametrize("price", [1, 10**7, 2**40])
def test_money_saturates_instead_of_wrapping(lots, price):
    exact = lots * price * 10_000
    assert limits.money_e8(lots, price, 10_000) == min(exact, limits.MONEY_E8_MAX)
