"""Strategies as the settings name them: rows read from text, codes, names, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import strategies
from config.errors import ConfigError
from config.loader import load
from config.strategies import strategies_of, strategy_name, strategy_names, user_strategy_names
from shm.records import STRATEGY_COUNT_MAX, ExitRule, Factor

GOOD = """
from config.strategy_row import StrategyRow

def side(state, parameters):
    return 0

STRATEGY = StrategyRow(
    name="mine", kernel=side, trigger="RSI", hold_s_min=1, hold_s_max=60, exit_rule="IMBALANCE",
    stop_pct=0.001, target_pct=0.002,
)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let users' modules lie in a folder of the test, beside the built-in ones."""
    (tmp_path / "engine").symlink_to(strategies.ROOT / "engine")
    (tmp_path / "own").mkdir()
    monkeypatch.setattr(strategies, "ROOT", tmp_path)
    return tmp_path / "own"


def loaded(*modules: str, more: tuple[str, ...] = ()):
    pair = f"signals.user_strategies=[{', '.join(modules)}]"
    return load(env_file=None, environ={}, overrides=[pair, *more])


def test_codes_follow_the_list(place: Path) -> None:
    for name in ("one", "two"):
        (place / f"{name}.py").write_text(GOOD.replace('"mine"', f'"{name}_x"'))
    settings = loaded("own.two", "own.one")
    known = strategies_of(settings)
    assert list(known) == [1, 2, 3, 5, 6]
    assert [known[code].name for code in (5, 6)] == ["two_x", "one_x"]
    assert known[5].label == "two x"
    assert known[5].trigger == Factor.RSI and known[5].exit_rule == ExitRule.IMBALANCE
    assert (known[5].hold_ms_min, known[5].hold_ms_max) == (1_000, 60_000)
    assert (known[5].stop_pct, known[5].target_pct) == (0.001, 0.002)
    assert known[5].is_on
    assert user_strategy_names(settings) == ("two_x", "one_x")
    assert strategy_names(settings)[4] == "market_making"
    assert strategy_name(6, settings) == "one_x"
    assert strategy_name(0, settings) == "none"
    assert strategy_name(9, settings) == "strategy_9"


def test_settings_may_hold_switch_and_window(place: Path) -> None:
    text = GOOD.replace("hold_s_max=60", 'hold_s_max="scalping.momentum_hold_max_s"')
    (place / "one.py").write_text(
        text.replace('exit_rule="IMBALANCE"', 'switch="signals.use_order_flow"')
    )
    more = ("signals.use_order_flow=false", "scalping.momentum_hold_max_s=45")
    known = strategies_of(loaded("own.one", more=more))[5]
    assert (known.is_on, known.hold_ms_max, known.exit_rule) == (False, 45_000, ExitRule.PLAIN)


# what is changed in the good file, and what the error must hold
REFUSED = [
    ("STRATEGY = ", "STRATEGIES = ", "own.one registers no strategy"),
    ("StrategyRow(\n", "Row(\n", "must be STRATEGY = StrategyRow"),
    ("def side", "def side(", "is not Python: line 4"),
    ('name="mine"', 'name="Mine"', "name='Mine' is refused"),
    ('name="mine"', "name=3", "name=3 is refused"),
    ('name="mine"', 'name="order_flow"', "name='order_flow' is that of"),
    ('name="mine"', 'name="market_making"', "name='market_making' is that of built in"),
    ('trigger="RSI"', 'trigger="RSJ"', "trigger='RSJ' is refused; nearest known: RSI"),
    ('trigger="RSI"', 'trigger="EMA_CROS"', "nearest known: EMA_CROSS"),
    ('trigger="RSI", ', "", "the row lacks trigger"),
    ("kernel=side, ", "", "the row lacks kernel"),
    ("kernel=side", "kernel=other", "kernel must name a function of the file"),
    ("kernel=side", "kernal=side", "unknown keyword kernal; nearest known: kernel"),
    ("hold_s_min=1", "hold_s_min=-1", "hold_s_min=-1 is refused; 0 to 86400 s"),
    ("hold_s_min=1", "hold_s_min=61", "hold_s_min=61 is refused; at most hold_s_max=60"),
    ("hold_s_min=1", "hold_s_min=1.5", "hold_s_min=1.5 is refused"),
    ("hold_s_max=60", "hold_s_max=0", "hold_s_max=0 is refused; 1 to 86400 s"),
    ("hold_s_max=60", "hold_s_max=LONG", "hold_s_max must be a literal: LONG"),
    ("hold_s_max=60", 'hold_s_max="scalping.max_hold"', "nearest known: scalping.max_hold_time"),
    ("hold_s_max=60", 'hold_s_max="signals.use_momentum"', "it holds bool, not int"),
    ('exit_rule="IMBALANCE"', 'exit_rule="TRAIL"', "nearest known: TRAIL_RISK"),
    ('exit_rule="IMBALANCE"', 'exit_rule="STOP_ONLY"', "exit_rule='STOP_ONLY' is refused"),
    ('exit_rule="IMBALANCE"', 'switch="scalping.max_hold_time"', "it holds int, not bool"),
    ('exit_rule="IMBALANCE"', "switch=True", "switch=True is refused; the path of a setting"),
    ("stop_pct=0.001", "stop_pct=0.6", "stop_pct=0.6 is refused; 0 to 0.5"),
    ("target_pct=0.002", "target_pct=float('nan')", "target_pct must be a literal"),
]


@pytest.mark.parametrize(("old", "new", "wanted"), REFUSED)
def test_a_row_that_is_refused_says_what_and_why(
    place: Path, old: str, new: str, wanted: str
) -> None:
    assert old in GOOD
    (place / "one.py").write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        loaded("own.one")
    assert caught.value.key == "signals.user_strategies"
    assert wanted in str(caught.value) and "own.one" in str(caught.value)


def test_modules_that_are_not_there_too_many_or_twice(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such module in the project's folder: own\.absent"):
        loaded("own.absent")
    with pytest.raises(ConfigError, match="malformed value"):
        loaded('"../own"')
    (place / "one.py").write_text(GOOD)
    (place / "two.py").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"own\.two: name='mine' is that of own\.one"):
        loaded("own.one", "own.two")
    with pytest.raises(ConfigError, match=r"'own\.one' more than once"):
        loaded("own.one", "own.one")
    many = [f"own.s{number}" for number in range(STRATEGY_COUNT_MAX - 4)]
    with pytest.raises(ConfigError, match="has 12 items"):
        loaded(*many)


def test_as_many_as_there_are_codes(place: Path) -> None:
    names = [f"s{number}" for number in range(STRATEGY_COUNT_MAX - 5)]
    for name in names:
        (place / f"{name}.py").write_text(GOOD.replace('"mine"', f'"{name}"'))
    known = strategies_of(loaded(*(f"own.{name}" for name in names)))
    assert max(known) == STRATEGY_COUNT_MAX - 1
