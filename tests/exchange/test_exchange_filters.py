"""Filters: every one with its own error, printed as they are checked, changed while running."""

from __future__ import annotations

from decimal import Decimal

import pytest
from scripted_desk import SYMBOL, Bench, refusal

from exchange.instruments import INSTRUMENTS
from exchange.trading.filters import Filters


@pytest.fixture
def bench() -> Bench:
    return Bench()


def rows(filters: Filters, symbol: str = SYMBOL) -> dict[str, dict]:
    return {row["filterType"]: row for row in filters[symbol].as_json()}


def test_all_filters_are_printed(bench):
    printed = rows(bench.desk.filters)
    assert set(printed) == {
        *("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS"),
        *("MAX_NUM_ALGO_ORDERS", "MIN_NOTIONAL", "PERCENT_PRICE"),
    }
    assert printed["PRICE_FILTER"]["tickSize"] == "0.10"
    assert printed["PERCENT_PRICE"]["multiplierUp"] == "1.0500"


@pytest.mark.parametrize("symbol", sorted(INSTRUMENTS))
def test_printed_bounds_are_what_is_checked(symbol):
    filters = Filters([INSTRUMENTS[symbol]])
    printed, row, instrument = rows(filters, symbol), filters[symbol], INSTRUMENTS[symbol]
    tick = instrument.price_tick
    row.check_price(tick(printed["PRICE_FILTER"]["minPrice"]))
    row.check_price(tick(printed["PRICE_FILTER"]["maxPrice"]))
    assert refusal(row.check_price, tick(printed["PRICE_FILTER"]["maxPrice"]) + 1) == -4002
    assert refusal(row.check_price, tick(printed["PRICE_FILTER"]["minPrice"]) - 1) in (-4013, -4001)
    for name, is_market in (("LOT_SIZE", False), ("MARKET_LOT_SIZE", True)):
        largest = instrument.quantity_lot(printed[name]["maxQty"])
        row.check_quantity(largest, is_market)
        row.check_quantity(instrument.quantity_lot(printed[name]["minQty"]), is_market)
        assert refusal(row.check_quantity, largest + 1, is_market) == -4005


def test_percent_price_is_measured_from_the_mark(bench):
    bench.market.marks_by_symbol[SYMBOL] = 640_000
    bench.place("BUY", "LIMIT", "0.010", "67200.0")
    assert refusal(bench.place, "BUY", "LIMIT", "0.010", "67200.1") == -4016
    bench.place("SELL", "LIMIT", "0.010", "60800.0")
    assert refusal(bench.place, "SELL", "LIMIT", "0.010", "60799.9") == -4024
    bench.place("BUY", "LIMIT", "0.010", "40000")  # the far side is free


def test_min_notional_spares_what_reduces(bench):
    assert refusal(bench.place, "BUY", "LIMIT", "0.001", "49999") == -4164
    bench.place("BUY", "LIMIT", "0.001", "50000")
    bench.place("BUY", "MARKET", "0.001")
    bench.desk.filters.change(SYMBOL, min_notional=1_000)
    assert refusal(bench.place, "SELL", "MARKET", "0.001") == -4164
    assert bench.place("SELL", "MARKET", "0.001", reduceOnly="true").status == "FILLED"


def test_max_num_orders(bench):
    limit = bench.desk.filters[SYMBOL].orders_max
    for _ in range(limit):
        bench.place("BUY", "LIMIT", "0.001", "60000")
    assert refusal(bench.place, "BUY", "LIMIT", "0.001", "60000") == -2025
    bench.desk.cancel_all(SYMBOL)
    assert bench.place("BUY", "LIMIT", "0.001", "60000").is_open


def test_a_change_of_tick_and_step_binds_new_orders_only(bench):
    resting = bench.place("BUY", "LIMIT", "0.007", "63000.3")
    bench.desk.filters.change(SYMBOL, tick_step=10, lot_step=5)
    assert refusal(bench.place, "BUY", "LIMIT", "0.005", "63000.3") == -4014
    assert refusal(bench.place, "BUY", "LIMIT", "0.007", "63000") == -4023
    assert refusal(bench.place, "BUY", "LIMIT", "0.004", "63000") == -4004
    assert bench.place("BUY", "LIMIT", "0.010", "63000").is_open
    assert resting.is_open
    printed = rows(bench.desk.filters)
    assert printed["PRICE_FILTER"]["tickSize"] == "1.00"
    assert (printed["LOT_SIZE"]["stepSize"], printed["LOT_SIZE"]["minQty"]) == ("0.005", "0.005")
    for name in ("minPrice", "maxPrice"):
        assert Decimal(printed["PRICE_FILTER"][name]) % 1 == 0
    bench.desk.filters.change(SYMBOL, tick_step=1)
    assert bench.place("BUY", "LIMIT", "0.010", "63000.3").is_open
    assert rows(bench.desk.filters)["LOT_SIZE"]["stepSize"] == "0.005"


@pytest.mark.parametrize("name", ["tick_step", "lot_step", "min_notional"])
def test_a_change_must_be_positive(bench, name):
    with pytest.raises(ValueError, match=f"{name}=0"):
        bench.desk.filters.change(SYMBOL, **{name: 0})
