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


STEPS = """
rule           price  trade  imbalance action        reason
plain          45150  -      0.0       PARTIAL_CLOSE PARTIAL
plain          45010  44890  0.0       CLOSE         STOP
plain          45010  44910  0.0       HOLD          NONE
trail_risk     45060  -      0.0       MOVE_STOP     TRAILING
trail_risk     45040  -      0.0       HOLD          NONE
return_to_mean 45094  -      0.0       HOLD          NONE
return_to_mean 45096  -      0.0       CLOSE         MEAN
imbalance      45010  -      -0.31     CLOSE         IMBALANCE
imbalance      45010  -      0.31      HOLD          NONE
stop_only      45190  -      -1.0      HOLD          NONE
stop_only      99999  -      0.0       HOLD          NONE
stop_only      44900  -      0.0       CLOSE         STOP
"""


@pytest.mark.parametrize(
    "line", STEPS.strip().splitlines()[1:], ids=lambda line: "-".join(line.split()[:4])
)
def test_the_rules_can_be_chosen(line):
    rule, price, trade, imbalance, action, reason = line.split()
    manager = risk.DynamicExitManager()
    mean = {"mean_price": 45_050} if rule == "return_to_mean" else {}
    position = manager.add_position(**LONG, exit_rule=rule, **mean)
    given = {} if trade == "-" else {"trade_price": float(trade)}
    step = manager.update_position(position, float(price), imbalance=float(imbalance), **given)
    assert (step["action"], step["reason"]) == (action, reason)


def test_a_rule_waits_for_the_least_hold():
    clock = iter([0, 4 * 10**9, 5 * 10**9])
    manager = risk.DynamicExitManager(clock_ns=lambda: next(clock))
    position = manager.add_position(**LONG, exit_rule="imbalance", min_hold_s=5)
    assert manager.update_position(position, 45_000, imbalance=-1.0)["action"] == "HOLD"
    assert manager.update_position(position, 45_000, imbalance=-1.0)["reason"] == "IMBALANCE"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exit_rule", "none"),
        ("exit_rule", None),
        ("mean_price", 45_050),
        ("min_hold_s", -1),
        ("min_hold_s", "x"),
        ("min_hold_s", float("nan")),
    ],
)
def test_senseless_rules_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        risk.DynamicExitManager().add_position(**(LONG | {name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("trade_price", 0), ("trade_price", "x"), ("imbalance", 2), ("imbalance", float("nan"))],
)
def test_senseless_steps_are_refused_by_name(name, value):
    manager = risk.DynamicExitManager()
    position = manager.add_position(**LONG)
    with pytest.raises(ValueError, match=name):
        manager.update_position(position, 45_000, **{name: value})


@pytest.mark.parametrize("option", ["trail_risk_fraction", "profit_step", "mean_profit_pct"])
def test_senseless_rule_options_are_refused(option):
    options: dict[str, Any] = {option: 1e9}
    with pytest.raises(ValueError, match="must be"):
        risk.DynamicExitManager(**options)
