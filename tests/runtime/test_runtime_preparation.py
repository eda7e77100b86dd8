"""What the supervisor refuses or prepares before the first fork."""

from __future__ import annotations

from config.loader import load
from runtime.preparation import refused_settings


def test_settings_that_ask_for_what_there_is_not_are_refused_with_a_reason():
    assert refused_settings(load(env_file=None, environ={})) == []
    overrides = ["optimization.USE_MARKET_MAKING=true", "system.cache_alignment=128"]
    refused = refused_settings(load(env_file=None, environ={}, overrides=overrides))
    assert len(refused) == 2
    assert "quoting.symbols is empty" in refused[0]
    assert "cache_alignment=128" in refused[1]
