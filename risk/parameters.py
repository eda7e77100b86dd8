"""The settings as risk's kernels read them, and the addresses they work on."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config.quoted import quoted_symbols
from config.settings import Settings
from config.strategies import strategies_of
from risk.limit_table import LIMITS
from risk.state import (
    CONTEXT,
    CORRELATION_OFFSET,
    DECISION,
    ENTRY_CHECK,
    GUARDS_OFFSET,
    KEPT_OFFSET,
    ORDERS_OFFSET,
    PAIRS_OFFSET,
    PARAMETERS,
    QUOTES_OFFSET,
    REPEATS_OFFSET,
    STAMPS_OFFSET,
    SYMBOLS_OFFSET,
    TRADES_OFFSET,
    UNDO_OFFSET,
    ForeignPolicy,
    SizeMethod,
)
from shm import counters
from shm.latch_table import LatchReason
from shm.records import MARKET_EVENT, STRATEGY_COUNT_MAX, Strategy
from shm.tables import HaltReason, read_symbol_name
from shm.topology import MARKET_CURSOR, SharedMemory

# Which cursor of the market ring is risk's.
MARKET_READER = MARKET_CURSOR["risk"]
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
# One order in four is kept for exits, which are never held back themselves.
EXIT_RESERVE_SHARE = 4


def parameters_of(settings: Settings) -> Any:
    """Return a filled PARAMETERS structure."""
    made = PARAMETERS.new()
    risk, sizing, trading = settings.risk, settings.position_sizing, settings.trading
    made.stop_loss_pct = risk.stop_loss_pct
    made.take_profit_pct = risk.take_profit_pct
    made.partial_close_fraction = risk.partial_close_fraction
    made.trailing_activation_pct = risk.trailing_activation_pct
    made.trailing_distance_pct = risk.trailing_distance_pct
    made.trail_risk_fraction = risk.trail_risk_fraction
    made.profit_step = risk.profit_step_risk
    made.mean_profit_pct = risk.mean_profit_pct
    made.imbalance_limit = risk.imbalance_exit
    made.imbalance_ns = risk.imbalance_smoothing_ms * 1_000_000
    made.stale_exit_ns = risk.stale_exit_ms * MS_NS
    made.exit_doubt_ns = risk.exit_doubt_ms * MS_NS
    made.venue_stop = int(risk.venue_stop)
    made.stop_offset_pct = risk.venue_stop_offset_pct
    made.stop_move_pct = risk.venue_stop_move_pct
    made.stop_move_ns = risk.venue_stop_move_ms * MS_NS
    made.unprotected_ns = risk.unprotected_close_ms * MS_NS
    _fill_closing(made, settings)
    made.max_drawdown = risk.max_drawdown
    made.max_portfolio_risk = risk.max_portfolio_risk
    made.price_collar_pct = risk.price_collar_pct
    made.max_slippage_pct = risk.max_slippage_pct
    made.base_position = trading.base_position_usd
    made.leverage = float(trading.leverage)
    made.base_size = sizing.base_size
    made.max_size = sizing.max_size
    made.risk_per_trade = sizing.risk_per_trade
    made.size_method = SizeMethod[sizing.method.upper()]
    made.kelly_fraction = sizing.kelly_fraction
    made.kelly_trades_min = sizing.kelly_min_trades
    made.close_on_reverse = int(risk.close_on_reverse_signal)
    made.max_stale_ns = risk.max_stale_ms * MS_NS
    made.foreign_policy = int(ForeignPolicy[risk.foreign_policy.upper()])
    made.time_to_live_ns = risk.order_time_to_live_ms * MS_NS
    made.max_inventory_e8 = _e8(settings.quoting.max_inventory_usd)
    made.quote_lease_ns = settings.quoting.lease_ms * MS_NS
    _fill_limits(made, settings)
    _fill_strategies(made, settings)
    for limit in LIMITS:
        made.refusal_counter[limit.refusal] = counters.offset(f"risk.{limit.counter}")
    return made


def _fill_closing(made: Any, settings: Settings) -> None:
    """Set which halts and latches close positions; one name may be both."""
    risk = settings.risk
    for name in risk.close_on_halt:
        if name.upper() in HaltReason.__members__:
            made.close_halts |= 1 << HaltReason[name.upper()]
        if name.upper() in LatchReason.__members__:
            made.close_latches |= 1 << LatchReason[name.upper()]
    if risk.close_on_drawdown:
        made.close_latches |= 1 << LatchReason.DRAWDOWN


def _e8(money: float) -> int:
    """Return an amount of money in 1e-8 quote: a decimal of few digits, exact."""
    return round(money * 100_000_000)


def _fill_limits(made: Any, settings: Settings) -> None:
    risk, trading = settings.risk, settings.trading
    made.max_order_notional_e8 = _e8(risk.max_order_notional_usd)
    made.max_position_e8 = _e8(trading.max_position_usd)
    made.max_strategy_e8 = _e8(risk.max_strategy_notional_usd)
    made.max_gross_e8 = _e8(risk.max_gross_notional_usd)
    made.max_net_e8 = _e8(risk.max_net_notional_usd)
    made.max_order_quantity = risk.max_order_quantity
    made.max_margin_share = risk.max_margin_share
    made.max_daily_loss = risk.max_daily_loss
    made.max_positions = trading.max_concurrent_positions
    made.max_symbol_orders = risk.max_symbol_orders
    made.max_mark_age_ns = risk.max_mark_age_ms * MS_NS
    made.warmup_ns = risk.warmup_s * SECOND_NS
    made.max_losses = risk.max_consecutive_losses
    made.cool_off_ns = risk.loss_cool_off_min * 60 * SECOND_NS
    made.max_repeats = risk.max_repeats
    made.repeat_window_ns = risk.repeat_window_ms * MS_NS
    reserve = risk.max_orders_per_s // EXIT_RESERVE_SHARE
    made.entries_per_s = risk.max_orders_per_s - reserve
    made.correlation_limit = settings.position_sizing.correlation_limit
    made.correlation_grid_ns = risk.correlation_grid_ms * MS_NS
    made.correlation_samples_min = risk.correlation_min_samples
    steps = risk.correlation_half_life_s * 1000 / risk.correlation_grid_ms
    made.correlation_decay = 0.5 ** (1.0 / steps)


def _fill_strategies(made: Any, settings: Settings) -> None:
    made.longest_hold_ns = settings.scalping.max_hold_time * 1000 * MS_NS
    # Where neither the signal nor the table of strategies says more.
    for code in range(STRATEGY_COUNT_MAX):
        made.hold_ns_max[code] = made.longest_hold_ns
    # Inventory of quotes has no time limit.
    made.hold_ns_max[Strategy.MARKET_MAKING] = 0
    for code, known in strategies_of(settings).items():
        made.strategy_enabled[code] = int(known.is_on)
        made.hold_ns_min[code] = known.hold_ms_min * MS_NS
        made.hold_ns_max[code] = known.hold_ms_max * MS_NS


def fill_quoted(made: Any, settings: Settings, names: Sequence[str]) -> None:
    """Set which symbols belong to market making; `names` are those of the symbol table."""
    for place, name in enumerate(quoted_symbols(settings, names)):
        made.quoted_symbols[place] = index = names.index(name)
        made.quoted[index] = 1
        made.quoted_count = place + 1
        made.strategy_enabled[Strategy.MARKET_MAKING] = 1


@dataclass
class Wiring:
    """The context for the kernels and the private memory it points to, kept alive together."""

    context: Any
    parameters: Any
    scratch: tuple[Any, ...]

    @property
    def address(self) -> int:
        """Return the address of the context, for kernels."""
        return ctypes.addressof(self.context)


def wire(memory: SharedMemory, settings: Settings, wait_address: int) -> Wiring:
    """Return the addresses of everything risk's kernels touch."""
    parameters = parameters_of(settings)
    rows = [memory.symbol(index) for index in range(memory.control.symbol_count)]
    fill_quoted(parameters, settings, [read_symbol_name(row) for row in rows])
    decision, check = DECISION.new(), ENTRY_CHECK.new()
    event, unread = MARKET_EVENT.new(), MARKET_EVENT.new()
    context = CONTEXT.new()
    for name in ("market", "signals", "quotes", "orders", "reports"):
        setattr(context, name, memory.ring(name))
    context.control = memory.control_address
    context.symbols = memory.symbol_address(0)
    context.positions = memory.position_address(0)
    context.trusts = memory.trust_address(0)
    context.order_rows = memory.order_rows
    context.order_row_count = memory.order_row_count
    state = memory.state("risk")
    context.header = state
    context.stamps = state + STAMPS_OFFSET
    context.symbol_states = state + SYMBOLS_OFFSET
    context.guards = state + GUARDS_OFFSET
    context.order_states = state + ORDERS_OFFSET
    context.undo = state + UNDO_OFFSET
    context.trades = state + TRADES_OFFSET
    context.quote_rows = state + QUOTES_OFFSET
    context.repeats = state + REPEATS_OFFSET
    context.kept = state + KEPT_OFFSET
    context.correlation = state + CORRELATION_OFFSET
    context.pairs = state + PAIRS_OFFSET
    context.parameters = ctypes.addressof(parameters)
    context.counters = memory.counters.block("risk")
    context.histogram = memory.histograms.address_of("risk")
    context.unprotected = memory.histograms.address_of("unprotected")
    context.wait = wait_address
    context.executor_doorbell = memory.doorbell("executor")
    context.decision = ctypes.addressof(decision)
    context.check = ctypes.addressof(check)
    context.event = ctypes.addressof(event)
    context.unread = ctypes.addressof(unread)
    return Wiring(context, parameters, (decision, check, event, unread))
