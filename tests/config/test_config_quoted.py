"""Which symbols are quoted, and why none is, said from the settings."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from config.loader import load
from config.quoted import quoted_symbols, unquoted_reasons

SYMBOLS = ("AAAUSDT", "BBBUSDT")
SWITCHES = [
    "optimization.USE_MARKET_MAKING=true",
    'trading.symbols=["AAAUSDT", "BBBUSDT"]',
    'quoting.symbols=["AAAUSDT"]',
]
SETTINGS = load(env_file=None, environ={}, overrides=SWITCHES)


def test_settings_say_which_symbols_are_quoted_and_why_none_is() -> None:
    assert quoted_symbols(SETTINGS, SYMBOLS) == ("AAAUSDT",)
    assert quoted_symbols(SETTINGS, ("BBBUSDT",)) == ()
    assert unquoted_reasons(SETTINGS) == []
    for override, reason in (
        ("optimization.USE_MARKET_MAKING=false", "USE_MARKET_MAKING is false"),
        ("signals.use_market_making=false", "use_market_making is false"),
        ("quoting.symbols=[]", "quoting.symbols is empty"),
    ):
        settings = load(env_file=None, environ={}, overrides=[*SWITCHES, override])
        assert quoted_symbols(settings, SYMBOLS) == ()
        assert reason in unquoted_reasons(settings)[0]
    with pytest.raises(ConfigError, match=r"must be among trading\.symbols"):
        load(env_file=None, environ={}, overrides=['quoting.symbols=["NOPEUSDT"]'])
