"""The tables are consistent, and every generated file is what they generate."""

import re

import pytest

from config.generate import texts
from config.knob import FILES, Knob, allowed, file_name
from config.knobs import BY_PATH, KNOBS, SECTIONS, of_file
from config.rules import RULES, check_rules
from config.schema import check
from config.yaml_reader import parse

DEFAULTS = {knob.path: knob.default for knob in KNOBS}


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.name)
def test_committed_file_equals_generated_text(path):
    assert path.read_text(encoding="utf-8") == texts()[path], "run: python -m config --write"


@pytest.mark.parametrize("knob", KNOBS, ids=lambda knob: knob.path)
def test_knob_is_complete_and_takes_its_own_default(knob: Knob):
    assert check(knob, knob.default, "the table") == knob.default
    assert knob.meaning and not knob.meaning.endswith(".")
    assert knob.applies in ("restart", "live")
    assert allowed(knob)
    numeric = knob.type in ("int", "float", "list[int]")
    if numeric and not knob.choices:
        assert knob.minimum is not None and knob.maximum is not None
        assert knob.minimum < knob.maximum
    if knob.type in ("str", "list[str]"):
        assert bool(knob.choices) != bool(knob.pattern)
    assert bool(knob.pattern) == bool(knob.pattern_meaning)


def test_yaml_file_holds_every_knob_of_its_file_in_order_with_its_default():
    for file in FILES:
        name = file_name(file)
        text = next(text for path, text in texts().items() if path.name == name)
        entries = parse(text, name)
        assert [entry.path for entry in entries] == [knob.path for knob in of_file(file)]
        for entry in entries:
            assert check(BY_PATH[entry.path], entry.value, name) == BY_PATH[entry.path].default


def test_generated_lines_fit_the_width():
    for path, text in texts().items():
        if path.suffix in (".yaml", ".py"):
            assert max(map(len, text.splitlines())) <= 100, path


def test_document_names_every_knob_and_rule():
    document = next(text for path, text in texts().items() if path.suffix == ".md")
    for section in SECTIONS:
        assert f"### `{section}`" in document
    for knob in KNOBS:
        assert f"| `{knob.name}` |" in document
    for rule in RULES:
        assert f"- `{rule.key}`: {rule.text}" in document


def test_rules_hold_for_defaults_and_name_existing_keys():
    check_rules(DEFAULTS)
    known = {*BY_PATH, *SECTIONS}
    for rule in RULES:
        assert {rule.key, *rule.others} <= known
        assert re.search(r"must|needs", rule.text)


PROMISED = {
    "trading.symbols": ("BTCUSDT", "ETHUSDT", "BNBUSDT"),
    "trading.base_position_usd": 100,
    "trading.leverage": 15,
    "trading.max_concurrent_positions": 20,
    "scalping.signal_threshold": 0.12,
    "scalping.confidence_threshold": 0.60,
    "scalping.min_confirmations": 1,
    "scalping.max_hold_time": 300,
    "signals.use_momentum": True,
    "signals.use_mean_reversion": True,
    "signals.use_order_flow": True,
    "signals.use_volume_spikes": True,
    "signals.use_market_making": True,
    "risk.stop_loss_pct": 0.002,
    "risk.take_profit_pct": 0.004,
    "risk.max_portfolio_risk": 0.02,
    "risk.max_drawdown": 0.10,
    "position_sizing.method": "volatility_adjusted",
    "position_sizing.base_size": 0.1,
    "position_sizing.max_size": 1.0,
    "position_sizing.correlation_limit": 0.7,
    "system.cpu_cores": (0, 1, 2, 3),
    "system.memory_pools": True,
    "system.cache_alignment": 64,
    "system.numa_optimization": True,
    "performance.processing_cycle_ms": 100,
    "performance.signal_cooldown_sec": 5,
    "performance.cache_size": 2000,
    "performance.queue_size": 8192,
}


@pytest.mark.parametrize("path", PROMISED)
def test_promised_key_has_its_promised_default(path):
    assert DEFAULTS[path] == PROMISED[path]
