"""Settings of single symbols: `scalping.by_symbol`, which overrides a few settings for all.

    scalping:
      by_symbol:
        BTCUSDT:
          signal_threshold: 0.2
          signal_cooldown_sec: 2.5

An entry has a path of its own, `scalping.by_symbol.BTCUSDT.signal_threshold`, so a later source
overrides one entry and leaves the others. It is bounded as the setting that it overrides.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from config.errors import ConfigError
from config.knob import Value
from config.knobs import BY_PATH
from config.schema import check
from config.settings import Settings

KNOB = BY_PATH["scalping.by_symbol"]
PREFIX = f"{KNOB.path}."
# What may be set, by its short name: the path that it overrides.
OVERRIDDEN = {path.rpartition(".")[2]: path for path in KNOB.keys}
_SYMBOL = re.compile(BY_PATH["trading.symbols"].pattern, re.ASCII)


class Thresholds(NamedTuple):
    """What an entry of a symbol must reach, and how long its cool-down is."""

    signal_threshold: float
    confidence_threshold: float
    min_confirmations: int
    signal_cooldown_sec: float


assert set(Thresholds._fields) == set(OVERRIDDEN)


def thresholds_of(settings: Settings, symbol: str) -> Thresholds:
    """Return the thresholds of a symbol: its own where it has some, else those for all."""
    scalping, performance = settings.scalping, settings.performance
    found = Thresholds(
        scalping.signal_threshold,
        scalping.confidence_threshold,
        scalping.min_confirmations,
        performance.signal_cooldown_sec,
    )
    own: dict[str, Any] = {k: value for name, k, value in scalping.by_symbol if name == symbol}
    return found._replace(**own)


def is_entry(path: str) -> bool:
    """Return whether a path lies within the mapping."""
    return path.startswith(PREFIX)


def check_entry(path: str, value: object, source: str) -> Value:
    """Return the value of one entry in its type.

    Raises:
        ConfigError: no symbol, a key that cannot be set by symbol, or a value out of bounds.
    """
    symbol, _, key = path.removeprefix(PREFIX).partition(".")
    if not _SYMBOL.fullmatch(symbol):
        raise ConfigError(path, f"{symbol[:64]!r} is no symbol in {source}")
    if not key:
        raise ConfigError(path, f"must hold keys, not a value, in {source}")
    if key not in OVERRIDDEN:
        near = _nearest(key, OVERRIDDEN)
        raise ConfigError(
            path, f"unknown key in {source}; nearest known key: {PREFIX}{symbol}.{near}"
        )
    return check(BY_PATH[OVERRIDDEN[key]]._replace(path=path), value, source)


def gather(flat: dict[str, Any]) -> None:
    """Put all entries of `flat` into the one value of the mapping, ordered by symbol and key.

    Raises:
        ConfigError: a symbol that is not traded.
    """
    entries = []
    for path in sorted(filter(is_entry, flat)):
        symbol, _, key = path.removeprefix(PREFIX).partition(".")
        known = flat["trading.symbols"]
        if symbol not in known:
            near = _nearest(symbol, known)
            raise ConfigError(
                f"{PREFIX}{symbol}",
                f"symbol is not in trading.symbols; nearest known symbol: {near}",
            )
        entries.append((symbol, key, flat.pop(path)))
    if entries:
        flat[KNOB.path] = tuple(entries)


def _nearest(word: str, known: Iterable[str]) -> str:
    # Imported here: only a refused configuration needs it, and the supervisor's memory counts.
    import difflib

    return difflib.get_close_matches(word[:64], list(known), n=1, cutoff=0.0)[0]
