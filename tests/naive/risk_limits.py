"""Slow, obvious twins of the limits and of sizing, in decimals and fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any


def refusal(check: dict[str, int], limits: dict[str, float]) -> str:
    """Return the name of the first limit that refuses, or "NONE"."""
    halted = (
        check["halt_reason"]
        or check["kill_latch"]
        or check["stop_requested"]
        or check["flatten_requested"]
        or not check["reconciled"]
        or not check["clock_ready"]
        or check["untrusted"]
        or check["distrust"]
        or check["equity_e8"] <= 0
    )
    stale_ns = limits["max_stale_ns"]
    ages = (check["price_age_ns"], check["signal_age_ns"])
    order_usd = Fraction(check["order_notional_e8"], 10**8)
    gross_usd = Fraction(check["gross_notional_e8"], 10**8)
    findings = {
        "HALTED": halted,
        "DRAWDOWN": check["risk_latch"],
        "DISABLED": not check["strategy_enabled"],
        "STALE": not check["best_valid"] or any(not 0 <= age <= stale_ns for age in ages),
        "DUPLICATE": check["position_state"] != 0,
        "POSITIONS": check["position_count"] >= limits["max_positions"],
        "SIZE": check["limit_tick"] and check["quantity_lot"] <= 0,
        "ORDER_NOTIONAL": order_usd > limits["max_order_notional"],
        "GROSS_NOTIONAL": gross_usd + order_usd > limits["max_gross_notional"],
        "COLLAR": not check["limit_tick"],
        "RATE": check["order_count"] >= limits["entries_per_s"],
        "RING": check["ring_free"] <= 0,
    }
    return next((name for name, refuses in findings.items() if refuses), "NONE")


def factor(p: Any, strength: float, confidence: float, volatility: float) -> float:
    """Return the size as a multiple of the base."""
    if p.fixed_size:
        return p.max_size
    if volatility == 0:
        return p.base_size
    calm = p.stop_loss_pct / (volatility * math.sqrt(60.0))
    raw = strength * confidence * (calm if calm < 1.0 else 1.0)
    return sorted([p.base_size, raw, p.max_size])[1]


def cap(p: Any, equity: float, gross: float) -> float:
    """Return the most an entry may be worth."""
    return min(
        p.max_position,
        p.max_order_notional,
        p.max_portfolio_risk * equity / p.stop_loss_pct - gross,
        equity * p.leverage - gross,
    )


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


def limit_price(p: Any, s: Any, side: int, bid: int, ask: int, signal_mid: float) -> int:
    """Return the entry's limit by walking from the best price outward, tick by tick."""
    mid = (bid + ask) / 2.0

    def allowed(price: int) -> bool:
        if side > 0:
            return (
                price <= ask * (1.0 + p.max_slippage_pct)
                and price <= min(mid, signal_mid) * (1.0 + p.price_collar_pct)
                and (not s.multiplier_up or price <= mid * s.multiplier_up)
                and (not s.price_tick_max or price <= s.price_tick_max)
            )
        return (
            price >= bid * (1.0 - p.max_slippage_pct)
            and price >= max(mid, signal_mid) * (1.0 - p.price_collar_pct)
            and (not s.multiplier_down or price >= mid * s.multiplier_down)
            and price >= s.price_tick_min
            and price > 0
        )

    price = ask if side > 0 else bid
    if not allowed(price):
        return 0
    while allowed(price + side):
        price += side
    return price
