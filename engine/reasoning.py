"""A signal as a sentence for people, from its factor bits and scores."""

from __future__ import annotations

from typing import Any

from shm.records import Factor, Strategy

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


def _phrases(signal: Any, bits: int) -> str:
    named = [factor for factor in Factor if bits >> int(factor) & 1]
    named.sort(key=lambda factor: -abs(signal.scores[int(factor)]))
    return ", ".join(
        f"{_WORDS[factor][int(signal.scores[int(factor)] < 0)]} ({signal.scores[int(factor)]:+.2f})"
        for factor in named
    )


def strategy_name(code: int) -> str:
    """Return a strategy as people write it: "mean reversion"."""
    return Strategy(code).name.lower().replace("_", " ")


def render(signal: Any, symbol: str) -> str:
    """Return a SIGNAL record as a sentence.

    Args:
        signal: SIGNAL structure.
        symbol: name of its symbol.
    """
    agreeing = _phrases(signal, signal.agreeing) or "nothing"
    opposing = _phrases(signal, signal.opposing)
    against = f"; against it: {opposing}" if opposing else ""
    return (
        f"{strategy_name(signal.strategy)} {_SIDES[signal.side]} {symbol}, "
        f"strength {signal.strength:.2f}, confidence {signal.confidence:.0%}: "
        f"{agreeing}{against}"
    )
