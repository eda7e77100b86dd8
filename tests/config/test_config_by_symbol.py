"""Thresholds of single symbols: from which source, within which bounds, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config.by_symbol import Thresholds, thresholds_of
from config.errors import ConfigError
from config.loader import DIRECTORY, load

DEFAULT = Thresholds(0.12, 0.60, 1, 5.0)
PREFIX = "scalping.by_symbol"


def with_file(folder: Path, mapping: str, *overrides: str):
    """Load with a mapping in trading_config.yaml."""
    shutil.copytree(DIRECTORY, folder, dirs_exist_ok=True)
    path = folder / "trading_config.yaml"
    text = path.read_text()
    assert text.count("  by_symbol: {}\n") == 1
    path.write_text(text.replace("  by_symbol: {}\n", mapping))
    return load(folder, env_file=None, environ={}, overrides=overrides)


FILE = """\
  by_symbol:
    BTCUSDT:
      signal_threshold: 0.2
      min_confirmations: 3
    ETHUSDT: {confidence_threshold: 1, signal_cooldown_sec: 2.5}
    BNBUSDT: {}
"""


def test_own_values_override_and_others_stay(tmp_path: Path) -> None:
    settings = with_file(tmp_path, FILE, "scalping.signal_threshold=0.05")
    assert thresholds_of(settings, "BTCUSDT") == Thresholds(0.2, 0.60, 3, 5.0)
    assert thresholds_of(settings, "ETHUSDT") == Thresholds(0.05, 1.0, 1, 2.5)
    for symbol in ("BNBUSDT", "XRPUSDT"):
        assert thresholds_of(settings, symbol) == DEFAULT._replace(signal_threshold=0.05)
    assert isinstance(thresholds_of(settings, "BTCUSDT").min_confirmations, int)
    assert isinstance(thresholds_of(settings, "ETHUSDT").confidence_threshold, float)
    assert load(env_file=None, environ={}).scalping.by_symbol == ()
    assert hash(settings), "settings stay hashable"


def test_a_later_source_overrides_single_entries(tmp_path: Path) -> None:
    settings = with_file(tmp_path, FILE, f"{PREFIX}.BTCUSDT.signal_threshold=0.3")
    assert thresholds_of(settings, "BTCUSDT") == Thresholds(0.3, 0.60, 3, 5.0)
    again = with_file(
        tmp_path / "other",
        FILE,
        f"{PREFIX}.BTCUSDT.signal_threshold=0.9",
        f"{PREFIX}.BTCUSDT.signal_threshold=0.3",
    )
    assert again == settings


def test_a_symbol_may_begin_with_a_digit(tmp_path: Path) -> None:
    mapping = "  by_symbol:\n    1000PEPEUSDT: {min_confirmations: 8}\n"
    settings = with_file(tmp_path, mapping, "trading.symbols=[1000PEPEUSDT]")
    assert thresholds_of(settings, "1000PEPEUSDT").min_confirmations == 8


# the entry, and what the error must hold
REFUSED = [
    ("BTCUSD: {signal_threshold: 0.2}", "BTCUSD: symbol is not in trading.symbols; nearest known "),
    ("BTCUSD: {signal_threshold: 0.2}", "symbol: BTCUSDT"),
    ("btcusdt: {signal_threshold: 0.2}", "'btcusdt' is no symbol"),
    ("BTCUSDT: {signal_treshold: 0.2}", "nearest known key: scalping.by_symbol.BTCUSDT.signal_thr"),
    ("BTCUSDT: {max_hold_time: 20}", "unknown key in trading_config.yaml line"),
    ("BTCUSDT: {signal_threshold: 1.5}", "above the maximum: 1.5"),
    ("BTCUSDT: {signal_threshold: -0.1}", "below the minimum: -0.1"),
    ("BTCUSDT: {signal_threshold: true}", "must be a number: True"),
    ("BTCUSDT: {signal_threshold: .nan}", "must be finite"),
    ("BTCUSDT: {min_confirmations: 1.5}", "must be an integer: 1.5"),
    ("BTCUSDT: {min_confirmations: 9}", "above the maximum: 9"),
    ("BTCUSDT: {signal_cooldown_sec: -1}", "below the minimum"),
    ("BTCUSDT: 0.2", "must hold keys, not a value"),
    ("BTCUSDT: {a: {b: 1}}", "unknown key"),
    ("BTCUSDT: {signal_threshold: 0.2, signal_threshold: 0.3}", "duplicate key"),
]


@pytest.mark.parametrize(("entry", "wanted"), REFUSED)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, entry: str, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_file(tmp_path, f"  by_symbol:\n    {entry}\n")
    assert caught.value.key.startswith(PREFIX)
    assert wanted in str(caught.value)


@pytest.mark.parametrize("value", ["3", "[]", "null", "BTCUSDT"])
def test_it_must_be_a_mapping(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="must be a mapping of symbols"):
        with_file(tmp_path, f"  by_symbol: {value}\n")


def test_the_command_line_is_checked_the_same() -> None:
    with pytest.raises(ConfigError, match="above the maximum: 2"):
        load(env_file=None, environ={}, overrides=[f"{PREFIX}.BTCUSDT.signal_threshold=2"])
    with pytest.raises(ConfigError, match=r"nearest known key: scalping\.by_symbol"):
        load(env_file=None, environ={}, overrides=["scalping.by_symbl.BTCUSDT=2"])


def test_it_belongs_to_its_file(tmp_path: Path) -> None:
    shutil.copytree(DIRECTORY, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "risk_config.yaml"
    path.write_text("scalping: {by_symbol: {BTCUSDT: {signal_threshold: 0.2}}}\n")
    with pytest.raises(ConfigError, match=r"unknown key in risk_config\.yaml"):
        load(tmp_path, env_file=None, environ={})
