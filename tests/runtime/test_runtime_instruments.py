"""exchangeInfo as integers, and prices and quantities between text and integers, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.instruments import (
    InstrumentError,
    fill_symbol_row,
    find_symbol,
    price_text,
    quantity_text,
    to_lots,
    to_ticks,
)
from shm.tables import SYMBOL, read_symbol_name

FIXED = settings(deadline=None, derandomize=True, max_examples=200)


def entry(tick: str = "0.10", step: str = "0.001", **rest: Any) -> dict[str, Any]:
    filters = [
        {
            "filterType": "PRICE_FILTER",
            "tickSize": tick,
            "minPrice": rest.get("price_min", "556.80"),
            "maxPrice": rest.get("price_max", "4529764"),
        },
        {
            "filterType": "LOT_SIZE",
            "stepSize": step,
            "minQty": rest.get("lot_min", "0.001"),
            "maxQty": rest.get("lot_max", "1000"),
        },
        {"filterType": "MARKET_LOT_SIZE", "stepSize": step, "minQty": "0.001", "maxQty": "120"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95"},
    ]
    drop = rest.get("drop", "")
    return {
        "symbol": rest.get("symbol", "BTCUSDT"),
        "status": rest.get("status", "TRADING"),
        "filters": [row for row in filters if row["filterType"] != drop],
    }


def row_of(**rest: Any) -> Any:
    row = SYMBOL.new()
    fill_symbol_row(row, entry(**rest), 0.0005, 0.0002)
    return row


def test_filters_become_integers():
    row = row_of()
    assert read_symbol_name(row) == "BTCUSDT"
    assert (row.price_decimals, row.tick_unit) == (1, 1)
    assert (row.quantity_decimals, row.lot_unit) == (3, 1)
    assert row.value_e8 == 10_000
    assert (row.tick_size, row.lot_size) == (0.1, 0.001)
    assert (row.lot_min, row.lot_max, row.market_lot_max) == (1, 1_000_000, 120_000)
    assert (row.price_tick_min, row.price_tick_max) == (5_568, 45_297_640)
    assert (row.notional_min, row.multiplier_up, row.multiplier_down) == (100.0, 1.05, 0.95)
    assert (row.taker_fee, row.maker_fee) == (0.0005, 0.0002)


# tick      step   | decimals unit | decimals unit | value_e8
GRIDS = """
0.10        0.001  | 1 1 | 3 1 | 10000
0.01000000  1      | 2 1 | 0 1 | 1000000
0.05        0.1    | 2 5 | 1 1 | 500000
5           10     | 0 5 | 0 10 | 5000000000
0.0000010   1      | 6 1 | 0 1 | 100
2.5         0.02   | 1 25 | 2 2 | 5000000
"""


@pytest.mark.parametrize("line", GRIDS.strip().splitlines())
def test_steps_are_scaled_without_their_zeros(line: str):
    steps, price, quantity, value = (part.split() for part in line.split("|"))
    row = row_of(tick=steps[0], step=steps[1], lot_min=steps[1])
    assert [row.price_decimals, row.tick_unit] == [int(x) for x in price]
    assert [row.quantity_decimals, row.lot_unit] == [int(x) for x in quantity]
    assert row.value_e8 == int(value[0])


def test_bounds_are_rounded_inwards():
    row = row_of(price_min="556.81", price_max="999.99", lot_min="0.0015", lot_max="10.0009")
    assert (row.price_tick_min, row.price_tick_max) == (5_569, 9_999)
    assert (row.lot_min, row.lot_max) == (2, 10_000)


@pytest.mark.parametrize("name", ["PRICE_FILTER", "LOT_SIZE"])
def test_missing_filter_is_named(name: str):
    with pytest.raises(InstrumentError, match=f"symbol=BTCUSDT filter='{name}'"):
        row_of(drop=name)


def test_missing_optional_filters_have_neutral_values():
    assert row_of(drop="MARKET_LOT_SIZE").market_lot_max == 1_000_000
    assert row_of(drop="MIN_NOTIONAL").notional_min == 0.0
    assert row_of(drop="PERCENT_PRICE").multiplier_up == 0.0


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({"tick": "0"}, "must be positive: BTCUSDT tick=0"),
        ({"step": "-1"}, "step=-1"),
        ({"tick": "0.00001", "step": "0.0001"}, "finer than 1e-8"),
    ],
)
def test_grids_that_cannot_be_represented_are_refused(rest: dict[str, str], words: str):
    with pytest.raises(InstrumentError, match=words):
        row_of(**rest)


def test_symbols_are_found_or_the_nearest_is_named():
    info = {"symbols": [entry(), entry(symbol="ETHUSDT", status="SETTLING")]}
    assert find_symbol(info, "BTCUSDT")["symbol"] == "BTCUSDT"
    with pytest.raises(InstrumentError, match="unknown symbol: BTCUSD; nearest: BTCUSDT"):
        find_symbol(info, "BTCUSD")
    with pytest.raises(InstrumentError, match="ETHUSDT status=SETTLING"):
        find_symbol(info, "ETHUSDT")


@st.composite
def grids(draw: Any) -> tuple[int, int]:
    return draw(st.integers(0, 8)), draw(st.sampled_from([1, 2, 5, 25, 10]))


def grid_row(decimals: int, unit: int) -> Any:
    row = SYMBOL.new()
    row.price_decimals = row.quantity_decimals = decimals
    row.tick_unit = row.lot_unit = unit
    return row


@FIXED
@given(grids(), st.integers(-(10**12), 10**12))
def test_text_and_integer_round_trip(grid: tuple[int, int], count: int):
    decimals, unit = grid
    row = grid_row(decimals, unit)
    for text_of, whole_of in ((price_text, to_ticks), (quantity_text, to_lots)):
        text = text_of(row, count)
        assert Decimal(text) == Decimal(count * unit).scaleb(-decimals)
        assert len(text.partition(".")[2]) == decimals
        assert whole_of(row, text) == count
        if decimals:
            assert whole_of(row, text + "000") == count


@FIXED
@given(grids(), st.integers(-(10**9), 10**9), st.integers(1, 24))
def test_what_is_off_the_grid_is_refused_never_rounded(grid, count: int, further: int):
    decimals, unit = grid
    row = grid_row(decimals, unit)
    text = format(Decimal(count * unit).scaleb(-decimals), "f")
    text += ("" if "." in text else ".") + "0" * (further + 2 + decimals) + "1"
    with pytest.raises(InstrumentError, match="no whole tick"):
        to_ticks(row, text)


@pytest.mark.parametrize("text", ["", "abc", "1,5", "0x10", "1.2.3", "--1"])
def test_what_is_no_number_is_refused(text: str):
    with pytest.raises(InstrumentError, match="price is no number"):
        to_ticks(grid_row(2, 1), text)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "1e-999999"])
def test_what_is_out_of_range_is_refused_at_once(text: str):
    with pytest.raises(InstrumentError, match="quantity is out of range"):
        to_lots(grid_row(2, 1), text)
