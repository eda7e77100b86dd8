"""Slow, obvious twins of the limits and of sizing, in decimals and fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from risk.limit_table import Refusal

NO_EDGE, PORTFOLIO_RISK, MARGIN = Refusal.NO_EDGE, Refusal.PORTFOLIO_RISK, Refusal.MARGIN


def refusal(check: dict[str, float], limits: dict[str, float]) -> str:
    """Return the name of the first limit that refuses, or "NONE"."""
    return next((name for name, refuses in findings(check, limits).items() if refuses), "NONE")


def findings(check: dict[str, float], limits: dict[str, float]) -> dict[str, bool]:
    """Return what each limit says by itself, in order of precedence."""
    stale_ns = limits["max_stale_ns"]
    order, side = check["order_notional_e8"], check["side"]
    net, equity = check["net_notional_e8"], Fraction(check["equity_e8"])
    no_lot = check["quantity_lot"] <= 0
    left_no_room = check["size_bound"] if no_lot else 0
    alike = check["unknown_pairs"] > 0 or check["correlation"] > limits["correlation_limit"]
    mark_ns = limits["max_mark_age_ns"]
    margin = Fraction(limits["max_margin_share"] * check["equity_e8"] * limits["leverage"])
    stops = Fraction(limits["max_portfolio_risk"] * check["equity_e8"])
    no_mark = check["mark_tick"] <= 0 or not 0 <= check["mark_age_ns"] <= mark_ns
    halted = check["halt_reason"] or check["stop_requested"] or check["flatten_requested"]
    return {
        "KILLED": bool(check["kill_latch"]),
        "HALTED": bool(halted),
        "VENUE": not check["reconciled"],
        "CLOCK": not check["clock_ready"],
        "UNTRUSTED": bool(check["untrusted"]),
        "DISTRUST": bool(check["distrust"]),
        "EQUITY": equity <= 0,
        "WARMUP": check["started_age_ns"] < limits["warmup_ns"],
        "DRAWDOWN": check["risk_latch"] not in (0, 4),
        "DAILY_LOSS": check["risk_latch"] == 4,
        "COOL_OFF": check["cool_off_left_ns"] > 0,
        "THROTTLED": bool(check["throttled"]),
        "DISABLED": not check["strategy_enabled"],
        "NO_PRICE": not check["best_valid"],
        "STALE": not 0 <= check["price_age_ns"] <= stale_ns,
        "LATE": not 0 <= check["signal_age_ns"] <= stale_ns,
        "NO_MARK": mark_ns > 0 and no_mark,
        "QUOTED": bool(check["quoted"]),
        "DUPLICATE": check["position_state"] != 0,
        "IN_FLIGHT": check["in_flight_count"] + 1 > limits["max_symbol_orders"],
        "POSITIONS": check["position_count"] + 1 > limits["max_positions"],
        "RATE": check["rate_age_ns"] < 10**9,
        "CORRELATION": limits["correlation_limit"] < 1 and alike,
        "NO_EDGE": check["size_bound"] == NO_EDGE,
        "COLLAR": check["limit_tick"] <= 0,
        "SIZE": no_lot and left_no_room not in (PORTFOLIO_RISK, MARGIN),
        "QUANTITY": not no_lot and check["quantity_lot"] > check["lot_max"],
        "FILTER": not no_lot and not check["conforms"],
        "ORDER_NOTIONAL": not no_lot and order > limits["max_order_notional_e8"],
        "INVENTORY": not no_lot
        and abs(check["inventory_e8"] + side * order) > limits["max_position_e8"],
        "STRATEGY_NOTIONAL": not no_lot
        and check["strategy_notional_e8"] + order > limits["max_strategy_e8"],
        "GROSS_NOTIONAL": not no_lot
        and check["gross_notional_e8"] + order > limits["max_gross_e8"],
        "NET_NOTIONAL": not no_lot
        and abs(net + side * order) > max(limits["max_net_e8"], abs(net)),
        "PORTFOLIO_RISK": left_no_room == PORTFOLIO_RISK
        or (not no_lot and check["risk_e8"] + check["order_risk_e8"] > stops),
        "MARGIN": left_no_room == MARGIN
        or (not no_lot and check["gross_notional_e8"] + order > margin),
        "REPEAT": check["repeat_count"] + 1 > limits["max_repeats"],
        "RING": check["ring_free"] < 1,
    }


def factor(
    p: Any,
    strength: float,
    confidence: float,
    volatility: float,
    stop: float,
    equity: float,
    edge: float | None,
) -> float:
    """Return the size as a multiple of the base; `edge`: the Kelly share, None = unknown."""
    if p.size_method == 1:
        return p.max_size
    if p.size_method == 2:
        if edge is None:
            return p.base_size
        if edge == 0:
            return 0.0
        return sorted(
            [p.base_size, edge * p.kelly_fraction * equity / stop / p.base_position, p.max_size]
        )[1]
    if volatility == 0:
        return p.base_size
    calm = stop / (volatility * math.sqrt(60.0))
    raw = strength * confidence * (calm if calm < 1.0 else 1.0)
    return sorted([p.base_size, raw, p.max_size])[1]


def kelly(results: list[float], trades_min: int) -> float | None:
    """Return the share of equity to lose on a losing trade, from the trades' results one by one."""
    wins, losses = [r for r in results if r > 0], [-r for r in results if r <= 0]
    if len(results) < trades_min or sum(losses) <= 0:
        return None
    if not wins:
        return 0.0
    payoff = (sum(wins) / len(wins)) / (sum(losses) / len(losses))
    # As many imagined trades again, won as often as just breaks even.
    break_even = 1 / (1 + payoff)
    rate = (len(wins) + trades_min * break_even) / (len(results) + trades_min)
    return max(0.0, rate - (1 - rate) / payoff)


def room(p: Any, check: Any, stop: float) -> tuple[float, str]:
    """Return the most an entry may be worth, and the name of the limit that says so."""
    equity, gross = check.equity_e8 / 1e8, check.gross_notional_e8 / 1e8
    bounds = {
        "SIZE": min(
            p.max_position_e8 / 1e8, p.max_order_notional_e8 / 1e8, p.risk_per_trade * equity / stop
        ),
        "PORTFOLIO_RISK": (p.max_portfolio_risk * equity - check.risk_e8 / 1e8) / stop,
        "MARGIN": p.max_margin_share * equity * p.leverage - gross,
    }
    name = min(bounds, key=lambda key: bounds[key])
    return bounds[name], name


def quantity(p: Any, s: Any, wanted: float, most: float, low: int, high: int) -> int:
    """Return the lots by trying them one by one."""
    value_high = high * s.tick_size * s.lot_size
    value_low = low * s.tick_size * s.lot_size
    least = max(1, s.lot_min)
    while value_low * least < s.notional_min * (1 - 1e-9):
        least += 1
    lots = 0
    while (lots + 1) * value_high <= min(wanted, most) and lots < 10_000:
        lots += 1
    if lots < least:
        affordable = least * value_high <= p.base_position and least * value_high <= most
        if not affordable or min(wanted, most) <= 0:
            return 0
        lots = least
    if s.lot_max:
        lots = min(lots, s.lot_max)
    return lots if lots >= least else 0


def limit_price(
    p: Any, s: Any, side: int, bid: int, ask: int, signal_mid: float, mark: float
) -> int:
    """Return the entry's limit by walking from the best price outward, tick by tick."""
    mid = (bid + ask) / 2.0

    def allowed(price: int) -> bool:
        if side > 0:
            return (
                price <= ask * (1.0 + p.max_slippage_pct)
                and price <= min(mid, signal_mid, mark) * (1.0 + p.price_collar_pct)
                and (not s.multiplier_up or price <= mark * s.multiplier_up)
                and (not s.price_tick_max or price <= s.price_tick_max)
            )
        return (
            price >= bid * (1.0 - p.max_slippage_pct)
            and price >= max(mid, signal_mid, mark) * (1.0 - p.price_collar_pct)
            and (not s.multiplier_down or price >= mark * s.multiplier_down)
            and price >= s.price_tick_min
            and price > 0
        )

    price = ask if side > 0 else bid
    if not allowed(price):
        return 0
    while allowed(price + side):
        price += side
    return price


def passes_filters(s: Any, side: int, price: int, lots: int, mark: float) -> bool:
    """Return whether an order passes the venue's filters, from their decimals."""
    value = Fraction(price * lots * s.value_e8, 10**8)
    rules = [
        price > 0,
        price >= s.price_tick_min,
        not s.price_tick_max or price <= s.price_tick_max,
        lots >= 1,
        lots >= s.lot_min,
        not s.lot_max or lots <= s.lot_max,
        value >= Fraction(str(s.notional_min)),
        side < 0 or not s.multiplier_up or price <= mark * s.multiplier_up,
        side > 0 or not s.multiplier_down or price >= mark * s.multiplier_down,
    ]
    return all(rules)
