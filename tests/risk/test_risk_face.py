"""`DynamicExitManager`: the promised behaviour, refusals, and the same steps as the kernel."""

from __future__ import annotations

from typing import Any

import pytest

import risk

LONG: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "long",
    "entry_price": 45000,
    "quantity": 1.0,
    "initial_stop": 44900,
    "initial_target": 45200,
}


def test_the_promised_example():
    manager = risk.DynamicExitManager()
    position = manager.add_position(**LONG)
    assert manager.update_position(position, 45000)["action"] == "HOLD"
    step = manager.update_position(position, 45150)
    assert step["action"] == "PARTIAL_CLOSE"
    assert (step["quantity"], step["remaining"]) == (0.5, 0.5)
    assert step["stop"] >= 45000
    step = manager.update_position(position, 45190)
    assert step["action"] == "MOVE_STOP" and step["stop"] == pytest.approx(45190 * 0.999)
    step = manager.update_position(position, 45200)
    assert (step["action"], step["reason"], step["remaining"]) == ("CLOSE", "TARGET", 0.0)
    with pytest.raises(ValueError, match="position_id=1"):
        manager.update_position(position, 45200)


def test_a_short_of_a_tiny_price():
    manager = risk.DynamicExitManager()
    position = manager.add_position(
        symbol="1000SHIBUSDT",
        side="SELL",
        entry_price=0.0000123,
        quantity=1e9,
        initial_stop=0.0000125,
        initial_target=0.0000115,
    )
    assert manager.update_position(position, 0.0000121)["action"] == "PARTIAL_CLOSE"
    step = manager.update_position(position, 0.0000126)
    assert (step["action"], step["quantity"]) == ("CLOSE", 5e8)


def test_the_time_limit():
    clock = iter([0, 299 * 10**9, 300 * 10**9])
    manager = risk.DynamicExitManager(clock_ns=lambda: next(clock))
    position = manager.add_position(**LONG)
    assert manager.update_position(position, 45000)["action"] == "HOLD"
    assert manager.update_position(position, 45000)["reason"] == "TIME_LIMIT"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("symbol", ""),
        ("symbol", 7),
        ("side", "up"),
        ("side", None),
        ("entry_price", 0),
        ("entry_price", float("nan")),
        ("entry_price", "abc"),
        ("entry_price", True),
        ("quantity", -1),
        ("quantity", float("inf")),
        ("initial_stop", 45000),
        ("initial_stop", 46000),
        ("initial_stop", 1e-9),
        ("initial_target", 44000),
        ("initial_target", 1e30),
    ],
)
def test_senseless_values_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        risk.DynamicExitManager().add_position(**(LONG | {name: value}))


@pytest.mark.parametrize("price", [0, -1, float("nan"), "x", None, 1e30])
def test_senseless_prices_are_refused(price):
    manager = risk.DynamicExitManager()
    position = manager.add_position(**LONG)
    with pytest.raises(ValueError, match="price"):
        manager.update_position(position, price)


@pytest.mark.parametrize(
    ("option", "knob"),
    [
        ("partial_close_fraction", "partial_close_fraction"),
        ("trailing_distance_pct", "trailing_distance_pct"),
        ("max_hold_s", "max_hold_time"),
    ],
)
def test_senseless_options_are_refused(option, knob):
    options: dict[str, Any] = {option: 1e9}
    with pytest.raises(ValueError, match=f"{knob}=1000000000.0"):
        risk.DynamicExitManager(**options)
