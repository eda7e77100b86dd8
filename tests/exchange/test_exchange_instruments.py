"""The table of instruments: its own consistency, and instruments read from an exchangeInfo."""

from __future__ import annotations

import pytest

from exchange.instruments import INSTRUMENTS, described_instrument


def test_at_least_twenty_instruments_with_sane_filters():
    assert len(INSTRUMENTS) >= 20
    for row in INSTRUMENTS.values():
        assert row.price_min_tick < row.base_tick < row.price_max_tick, row.symbol
        assert 1 <= row.lot_min <= row.market_lot_max <= row.lot_max, row.symbol
        assert row.percent_down_e4 < 10_000 < row.percent_up_e4, row.symbol
        usual_e8 = row.notional_e8(row.base_tick, row.typical_lot)
        assert usual_e8 > row.min_notional * 10**8, row.symbol
        assert 0.3 <= row.beta <= 2.0, row.symbol
        assert row.base_asset + "USDT" == row.symbol
        assert 1e4 / row.base_tick < 5.0, "a tick of more than five basis points"


def test_bitcoin_has_the_published_filters():
    row = INSTRUMENTS["BTCUSDT"]
    assert row.price_text(row.price_min_tick) == "556.80"
    assert row.price_text(row.price_max_tick) == "4529764.00"
    assert row.quantity_text(row.lot_max) == "1000.000"
    assert row.quantity_text(row.market_lot_max) == "120.000"
    assert (row.percent_down_e4, row.percent_up_e4, row.min_notional) == (9_500, 10_500, 50)


def described(**changes: object) -> dict:
    row = {
        "symbol": "XYZUSDT",
        "pricePrecision": 4,
        "quantityPrecision": 1,
        "marketTakeBound": "0.10",
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.0017",
                "maxPrice": "900",
                "tickSize": "0.0050",
            },
            {"filterType": "LOT_SIZE", "minQty": "0.2", "maxQty": "1000", "stepSize": "0.2"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.2", "maxQty": "50.1", "stepSize": "0.2"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 180},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.1500",
                "multiplierDown": "0.8500",
                "multiplierDecimal": "4",
            },
        ],
    }
    return row | changes


def test_an_instrument_is_read_from_a_venues_own_description():
    row = described_instrument(described())
    assert (row.price_decimals, row.tick_unit) == (4, 50)
    assert (row.quantity_decimals, row.lot_unit) == (1, 2)
    assert (row.lot_min, row.lot_max, row.market_lot_max) == (1, 5_000, 250)
    assert (row.price_min_tick, row.price_max_tick) == (0, 180_000)
    assert (row.percent_down_e4, row.percent_up_e4, row.take_bound_e4) == (8_500, 11_500, 1_000)
    assert row.orders_max == 180
    # The precision may say less than the tick needs.
    finer = described_instrument(described(pricePrecision=2))
    assert finer.price_text(1) == "0.005"


def test_a_description_without_a_filter_is_refused():
    with pytest.raises(KeyError):
        described_instrument(described(filters=[]))
