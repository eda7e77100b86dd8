"""A signal as a sentence for people, from its factor bits, its scores and its hints.

Rendered when a line is logged or a signal is handed to Python, never where signals are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.strategies import KnownStrategy
from shm.records import ExitRule, Factor

_SIDES = {1: "buy", -1: "sell"}
# What a factor says when its score is positive, and when it is negative.
_WORDS = {
    Factor.MOMENTUM: ("last trades rise", "last trades fall"),
    Factor.ACCELERATION: ("price accelerates upwards", "price accelerates downwards"),
    Factor.ORDER_FLOW: ("buyers press", "sellers press"),
    Factor.VOLUME_SPIKE: ("volume spikes on buying", "volume spikes on selling"),
    Factor.BOOK_IMBALANCE: ("bids outweigh asks", "asks outweigh bids"),
    Factor.EMA_CROSS: ("fast mean above slow", "fast mean below slow"),
    Factor.RSI: ("index oversold or diverging up", "index overbought or diverging down"),
    Factor.SPREAD: ("spread favours a rise", "spread favours a fall"),
}
assert set(_WORDS) == set(Factor)
_EXITS = {
    ExitRule.PLAIN: "by the configured trailing stop",
    ExitRule.TRAIL_RISK: "by a stop that trails at half the initial risk",
    ExitRule.RETURN_TO_MEAN: "at a return to the mean, tick {mean_tick}, plus a profit",
    ExitRule.IMBALANCE: "when the imbalance of the best prices has turned",
    ExitRule.STOP_ONLY: "by its stop alone",
}
assert set(_EXITS) == set(ExitRule)
MINUTE_MS = 60_000


def _phrases(signal: Any, bits: int) -> str:
    named = [factor for factor in Factor if bits >> int(factor) & 1]
    named.sort(key=lambda factor: -abs(signal.scores[int(factor)]))
    return ", ".join(
        f"{_WORDS[factor][int(signal.scores[int(factor)] < 0)]} ({signal.scores[int(factor)]:+.2f})"
        for factor in named
    )


def _duration(ms: int) -> str:
    return f"{ms // MINUTE_MS} min" if ms and ms % MINUTE_MS == 0 else f"{ms / 1000:g} s"


def _leaving(signal: Any) -> str:
    most = f" to {_duration(signal.hold_ms_max)}" if signal.hold_ms_max else " or longer"
    text = f"held {_duration(signal.hold_ms_min)}{most}, left "
    text += _EXITS[ExitRule(signal.exit_rule)].format(mean_tick=signal.mean_tick)
    for name, fraction in (("stop", signal.stop_pct), ("target", signal.target_pct)):
        text += f", {name} {fraction:.2%}" if fraction else ""
    return text


def label_of(code: int, strategies: Mapping[int, KnownStrategy]) -> str:
    """Return a strategy as people write it: "mean reversion"."""
    return strategies[code].label if code in strategies else f"strategy {code}"


def render(signal: Any, symbol: str, strategies: Mapping[int, KnownStrategy]) -> str:
    """Return a SIGNAL record as a sentence.

    It names strategy, side, symbol, strength, confidence, what triggered it, which factors speak
    for and against it with their scores, and how long and by what the position is to be held.

    Args:
        signal: SIGNAL structure.
        symbol: name of its symbol.
        strategies: as `config.strategies.strategies_of` returns them.
    """
    trigger = ""
    if signal.strategy in strategies:
        factor = strategies[signal.strategy].trigger
        words = factor.name.lower().replace("_", " ")
        trigger = f"triggered by {words} ({signal.scores[int(factor)]:+.2f}); "
    agreeing = _phrases(signal, signal.agreeing) or "nothing"
    opposing = _phrases(signal, signal.opposing) or "nothing"
    return (
        f"{label_of(signal.strategy, strategies)} {_SIDES[signal.side]} {symbol}, "
        f"strength {signal.strength:.2f}, confidence {signal.confidence:.0%}: {trigger}"
        f"for it: {agreeing}; against it: {opposing}; {_leaving(signal)}"
    )
