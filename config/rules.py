"""Checks that need more than one knob, or more than a range."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from config.errors import ConfigError, shown
from config.venues import refusal_of_url

URL_KEYS = ("venue.rest_url", "venue.stream_url", "venue.private_stream_url", "venue.ws_api_url")
HEARTBEATS_PER_TIMEOUT = 3
# Two beats may fail, and the third still comes in time.
BEATS_PER_COUNTDOWN = 3

Flat = Mapping[str, Any]


class Rule(NamedTuple):
    """One check: the key it is reported under, the keys it shows, and when it holds."""

    key: str
    others: tuple[str, ...]
    text: str
    holds: Callable[[Flat], bool]


def _at_most(low: str, high: str) -> Rule:
    return Rule(low, (high,), f"must not be above {high}", lambda s: bool(s[low] <= s[high]))


def _below(low: str, high: str) -> Rule:
    return Rule(low, (high,), f"must be below {high}", lambda s: bool(s[low] < s[high]))


def _power_of_two(key: str) -> Rule:
    return Rule(key, (), "must be a power of two", lambda s: s[key].bit_count() == 1)


RULES = (
    _at_most("trading.base_position_usd", "trading.max_position_usd"),
    Rule(
        "quoting.symbols",
        ("trading.symbols",),
        "must be among trading.symbols",
        lambda s: set(s["quoting.symbols"]) <= set(s["trading.symbols"]),
    ),
    _at_most("scalping.momentum_hold_min_s", "scalping.momentum_hold_max_s"),
    _at_most("scalping.mean_reversion_hold_min_s", "scalping.mean_reversion_hold_max_s"),
    _at_most("scalping.order_flow_hold_min_s", "scalping.order_flow_hold_max_s"),
    _below("signals.ema_fast", "signals.ema_slow"),
    _below("signals.rsi_oversold", "signals.rsi_overbought"),
    Rule(
        "signals.weights",
        (),
        "at least one weight must be above 0",
        lambda s: any(s[key] > 0 for key in s if key.startswith("signals.weights.")),
    ),
    _at_most("position_sizing.base_size", "position_sizing.max_size"),
    _at_most("risk.max_order_notional_usd", "risk.max_gross_notional_usd"),
    Rule(
        "venue.countdown_s",
        ("venue.countdown_beat_s",),
        f"must be 0 or at least {BEATS_PER_COUNTDOWN} times venue.countdown_beat_s",
        lambda s: (
            s["venue.countdown_s"] == 0
            or bool(s["venue.countdown_s"] >= BEATS_PER_COUNTDOWN * s["venue.countdown_beat_s"])
        ),
    ),
    _power_of_two("performance.queue_size"),
    _power_of_two("performance.market_queue_size"),
    Rule(
        "supervisor.heartbeat_timeout_ms",
        ("performance.processing_cycle_ms",),
        f"must be at least {HEARTBEATS_PER_TIMEOUT} times performance.processing_cycle_ms",
        lambda s: bool(
            s["supervisor.heartbeat_timeout_ms"]
            >= HEARTBEATS_PER_TIMEOUT * s["performance.processing_cycle_ms"]
        ),
    ),
    Rule(
        "exchange.capture",
        ("venue.mode", "exchange.market"),
        "must name a recording when venue.mode or exchange.market is capture",
        lambda s: (
            bool(s["exchange.capture"]) or "capture" not in (s["venue.mode"], s["exchange.market"])
        ),
    ),
)


def check_rules(flat: Flat) -> None:
    """Raise ConfigError for the first rule that the settings (path to value) break."""
    for rule in RULES:
        if not rule.holds(flat):
            keys = [key for key in (rule.key, *rule.others) if key in flat]
            values = ", ".join(f"{key}={shown(flat[key])}" for key in keys)
            raise ConfigError(rule.key, f"{rule.text}: {values}" if values else rule.text)
    for key in URL_KEYS:
        refusal = refusal_of_url(flat["venue.mode"], flat[key])
        if refusal:
            raise ConfigError(key, f"{refusal}: {shown(flat[key])}")
