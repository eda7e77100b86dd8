"""What the tests of limits and sizing share: an entry that passes, records to change, tables."""

from __future__ import annotations

import ctypes

from risk.limit_table import Refusal
from risk.state import ENTRY_CHECK, PARAMETERS
from shm.tables import SYMBOL

E8 = 10**8
GOOD = {
    "side": 1,
    "strategy": 1,
    "reconciled": 1,
    "clock_ready": 1,
    "equity_e8": 10_000 * E8,
    "started_age_ns": 10**15,
    "strategy_enabled": 1,
    "best_valid": 1,
    "mark_tick": 450_000,
    "rate_age_ns": 1 << 62,
    "correlation": -1.0,
    "size_bound": int(Refusal.SIZE),
    "quantity_lot": 5,
    "lot_max": 1000,
    "conforms": 1,
    "order_notional_e8": 100 * E8,
    "order_risk_e8": E8 // 5,
    "limit_tick": 450_000,
    "ring_free": 7,
}


def address(record) -> int:
    return ctypes.addressof(record)


def parameters(**changes):
    made = PARAMETERS.new()
    made.max_stale_ns, made.max_positions, made.entries_per_s = 2_000_000_000, 20, 15
    made.warmup_ns, made.max_mark_age_ns, made.max_symbol_orders = 2 * 10**9, 5 * 10**9, 4
    made.correlation_limit, made.max_repeats, made.max_margin_share = 0.7, 10, 0.8
    made.max_order_notional_e8, made.max_position_e8 = 500 * E8, 1000 * E8
    made.max_strategy_e8, made.max_gross_e8, made.max_net_e8 = 10_000 * E8, 20_000 * E8, 10_000 * E8
    made.risk_per_trade, made.kelly_fraction = 0.005, 0.25
    made.stop_loss_pct, made.max_portfolio_risk, made.leverage = 0.002, 0.02, 15.0
    made.base_position = 100.0
    made.base_size, made.max_size = 0.1, 1.0
    made.price_collar_pct, made.max_slippage_pct = 0.005, 0.0005
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def symbol(**changes):
    row = SYMBOL.new()
    row.tick_size, row.lot_size, row.lot_min, row.lot_max = 0.1, 0.001, 1, 100_000
    row.notional_min, row.price_tick_min, row.price_tick_max = 5.0, 1, 10**7
    row.value_e8 = 10_000
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def check_of(values: dict[str, float]):
    made = ENTRY_CHECK.new()
    for name, value in values.items():
        setattr(made, name, float(value) if name == "correlation" else int(value))
    return made


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()[1:]]
