"""The limits an entry must pass, in order of precedence: one table for kernels and people.

The checks themselves are in limits.py; the first one that refuses gives the reason. The table is
printed by `python -m risk` and stands in docs/ARCHITECTURE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from risk.state import REFUSAL_COUNT_MAX


class Refusal(IntEnum):
    """Why a signal was refused; the value is the precedence, lowest first."""

    NONE = 0
    INVALID = 1
    KILLED = 2
    HALTED = 3
    VENUE = 4
    CLOCK = 5
    UNTRUSTED = 6
    DISTRUST = 7
    EQUITY = 8
    WARMUP = 9
    DRAWDOWN = 10
    DAILY_LOSS = 11
    COOL_OFF = 12
    THROTTLED = 13
    DISABLED = 14
    NO_PRICE = 15
    STALE = 16
    LATE = 17
    NO_MARK = 18
    QUOTED = 19
    DUPLICATE = 20
    IN_FLIGHT = 21
    POSITIONS = 22
    RATE = 23
    CORRELATION = 24
    NO_EDGE = 25
    COLLAR = 26
    SIZE = 27
    QUANTITY = 28
    FILTER = 29
    ORDER_NOTIONAL = 30
    INVENTORY = 31
    STRATEGY_NOTIONAL = 32
    GROSS_NOTIONAL = 33
    NET_NOTIONAL = 34
    PORTFOLIO_RISK = 35
    MARGIN = 36
    REPEAT = 37
    RING = 38


# Up to here a limit needs no price and no size: those are worked out only for what passes.
LAST_OF_STATE = Refusal.RATE


@dataclass(frozen=True)
class Limit:
    """One row: the reason code (its value is the precedence), counter, knob, what is refused.

    `knob` is the path of the setting that bounds it, "" where none does.
    """

    refusal: Refusal
    counter: str
    knob: str
    meaning: str


_R = Refusal
LIMITS = (
    Limit(_R.INVALID, "rejected_invalid", "", "symbol, side, strategy or numbers make no sense"),
    Limit(_R.KILLED, "rejected_halted", "", "the kill latch is set"),
    Limit(_R.HALTED, "rejected_halted", "", "the supervisor halts, or it is stopped or flattened"),
    Limit(_R.VENUE, "rejected_venue", "", "venue not reconciled, or its user stream is down"),
    Limit(_R.CLOCK, "rejected_clock", "", "the offset of the venue's clock is not measured"),
    Limit(_R.UNTRUSTED, "rejected_untrusted", "", "a position broke its invariant"),
    Limit(
        _R.DISTRUST, "rejected_distrust", "", "the executor found the symbol otherwise at the venue"
    ),
    Limit(_R.EQUITY, "rejected_equity", "", "equity is unknown, or there is none"),
    Limit(_R.WARMUP, "rejected_warmup", "risk.warmup_s", "risk started less than that ago"),
    Limit(_R.DRAWDOWN, "rejected_drawdown", "risk.max_drawdown", "fall of equity from its peak"),
    Limit(_R.DAILY_LOSS, "rejected_daily_loss", "risk.max_daily_loss", "loss since the day began"),
    Limit(_R.COOL_OFF, "rejected_cool_off", "risk.max_consecutive_losses", "losses in a row"),
    Limit(_R.THROTTLED, "rejected_throttled", "", "latched by REPEAT until a person re-arms"),
    Limit(_R.DISABLED, "rejected_disabled", "", "the strategy is switched off"),
    Limit(_R.NO_PRICE, "rejected_no_price", "", "no valid best prices since a start, lap or gap"),
    Limit(_R.STALE, "rejected_stale", "risk.max_stale_ms", "age of the symbol's last event"),
    Limit(_R.LATE, "rejected_late", "risk.max_stale_ms", "age of the signal"),
    Limit(_R.NO_MARK, "rejected_no_mark", "risk.max_mark_age_ms", "age of the mark price"),
    Limit(_R.QUOTED, "rejected_quoted", "quoting.symbols", "the symbol belongs to market making"),
    Limit(_R.DUPLICATE, "rejected_duplicate", "", "the symbol has a position or an entry"),
    Limit(_R.IN_FLIGHT, "rejected_in_flight", "risk.max_symbol_orders", "orders of the symbol"),
    Limit(
        _R.POSITIONS,
        "rejected_positions",
        "trading.max_concurrent_positions",
        "positions and entries of all symbols",
    ),
    Limit(_R.RATE, "rejected_rate", "risk.max_orders_per_s", "the entries' share of a second"),
    Limit(
        _R.CORRELATION,
        "rejected_correlation",
        "position_sizing.correlation_limit",
        "with an open position, signed by the sides; too few returns count as 1",
    ),
    Limit(_R.NO_EDGE, "rejected_no_edge", "", "fractional_kelly: closed trades show no edge"),
    Limit(
        _R.COLLAR,
        "rejected_collar",
        "risk.price_collar_pct",
        "no limit price near enough to best, signal's and mark price",
    ),
    Limit(_R.SIZE, "rejected_size", "", "the size allowed is below the venue's minimum"),
    Limit(
        _R.QUANTITY, "rejected_quantity", "risk.max_order_quantity", "lots, the venue's bound too"
    ),
    Limit(_R.FILTER, "rejected_filter", "", "tick, lot, minimum value, PERCENT_PRICE of the venue"),
    Limit(
        _R.ORDER_NOTIONAL, "rejected_notional", "risk.max_order_notional_usd", "value of the order"
    ),
    Limit(
        _R.INVENTORY,
        "rejected_inventory",
        "trading.max_position_usd",
        "net position of the symbol, its entries and the order",
    ),
    Limit(
        _R.STRATEGY_NOTIONAL,
        "rejected_strategy",
        "risk.max_strategy_notional_usd",
        "positions and entries of the strategy, and the order",
    ),
    Limit(
        _R.GROSS_NOTIONAL,
        "rejected_gross",
        "risk.max_gross_notional_usd",
        "all positions and entries, and the order",
    ),
    Limit(
        _R.NET_NOTIONAL,
        "rejected_net",
        "risk.max_net_notional_usd",
        "longs less shorts, entries and the order included, where the order adds to it",
    ),
    Limit(
        _R.PORTFOLIO_RISK,
        "rejected_portfolio",
        "risk.max_portfolio_risk",
        "lost if every stop were hit, the order's too",
    ),
    Limit(
        _R.MARGIN,
        "rejected_margin",
        "risk.max_margin_share",
        "initial margin of all positions, entries and the order at trading.leverage",
    ),
    Limit(
        _R.REPEAT,
        "rejected_repeat",
        "risk.max_repeats",
        "the same symbol, side and strategy again: latches them",
    ),
    Limit(_R.RING, "rejected_ring", "", "the entries' share of the order ring is used up"),
)

assert [limit.refusal for limit in LIMITS] == list(Refusal)[1:], "one row per refusal, in order"
assert len(Refusal) <= REFUSAL_COUNT_MAX
REJECTED_COUNTERS = tuple(dict.fromkeys(limit.counter for limit in LIMITS))


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return the table as text: precedence, reason, counter, knob with its default, meaning."""
    # Imported here: a trading process has no use for the defaults.
    from config.knob import format_value
    from config.knobs import BY_PATH

    found = []
    for row in LIMITS:
        knob = f"{row.knob} ({format_value(BY_PATH[row.knob].default)})" if row.knob else ""
        name = row.refusal.name.lower()
        found.append((str(int(row.refusal)), name, row.counter, knob, row.meaning))
    return found


def describe() -> str:
    """Return the table as text, one line per limit."""
    return "\n".join(
        f"{number:>2}  {name:17} {counter:20} {knob:40} {meaning}"
        for number, name, counter, knob, meaning in rows()
    )
