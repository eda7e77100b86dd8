"""The choice of strategies: made once per process, before the registry asks."""

from __future__ import annotations

import importlib.util

import pytest

from runtime import user_strategies


@pytest.fixture
def fresh():
    """Return the module as a process finds it that has not chosen yet."""
    spec = importlib.util.spec_from_file_location("fresh_choice", user_strategies.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_last_choice_before_the_registry_asks_stands(fresh, monkeypatch):
    monkeypatch.setenv(fresh.CACHE_VARIABLE, "somewhere")
    fresh.choose(())
    assert fresh.os.environ[fresh.CACHE_VARIABLE] == "somewhere"
    fresh.choose(("own.one",))
    fresh.choose(["own.two", "own.one"])
    assert fresh.CACHE_VARIABLE not in fresh.os.environ, "sources alone are the cache's key"
    assert fresh.chosen() == ("own.two", "own.one")
    fresh.choose(("own.two", "own.one"))


@pytest.mark.parametrize("other", [(), ("own.two",), ("own.one", "own.two")])
def test_no_other_choice_afterwards(fresh, other):
    fresh.choose(("own.one",))
    fresh.chosen()
    with pytest.raises(fresh.ChoiceError, match=r"strategies=\['own\.one'\] wanted="):
        fresh.choose(other)
    assert fresh.chosen() == ("own.one",)


def test_none_is_a_choice_too(fresh):
    assert fresh.chosen() == ()
    with pytest.raises(fresh.ChoiceError):
        fresh.choose(("own.one",))
