"""Risk on an instance of the bench's own: rings, rows and settings as in a run."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from config.loader import load
from risk.parameters import wire
from risk.positions import track_equity
from risk.state import PAIR, SYMBOL_STATE, SYMBOLS_OFFSET, state_size
from runtime.wait_layout import WAIT, WaitStrategy
from shm import topology
from shm.records import SIGNAL, Strategy
from shm.tables import PositionState, write_symbol_name

BID = 450_000
NEVER = 1 << 60
# No stop at the venue: its orders are no part of what is measured.
QUIET = ("risk.venue_stop=false", "risk.max_net_notional_usd=100000.0")


class RiskMemory:
    """Symbols of tick 0.1 and lot 0.001 at 45,000; ages never run out."""

    def __init__(self, memory: Any, symbol_count: int, *overrides: str) -> None:
        self.memory = memory
        self._settings = load(env_file=None, environ={}, overrides=[*QUIET, *overrides])
        self._wait = WAIT.new()
        self._wait.strategy = int(WaitStrategy.SPIN)
        self._wait.doorbell = memory.doorbell("risk")
        control = memory.control
        control.symbol_count, control.reconciled, control.clock_ready = symbol_count, 1, 1
        control.wallet_e8 = 1_000_000 * 10**8
        for index in range(symbol_count):
            row = memory.symbol(index)
            write_symbol_name(row, f"SYM{index}USDT")
            row.tick_size, row.lot_size, row.value_e8 = 0.1, 0.001, 10_000
            row.lot_min, row.lot_max, row.market_lot_max = 1, 1_000_000, 120_000
            row.price_tick_min, row.price_tick_max, row.notional_min = 1, 10_000_000, 5.0
            row.multiplier_up, row.multiplier_down = 1.05, 0.95
        self.wiring = wire(memory, self._settings, ctypes.addressof(self._wait))
        self.wiring.context.utc_day = 1  # without a day no equity is known
        self.wiring.parameters.max_stale_ns = self.wiring.parameters.max_mark_age_ns = NEVER
        self.wiring.parameters.entries_per_s = 1
        self.wiring.parameters.max_repeats = NEVER
        for index in range(symbol_count):
            state = self.symbol_state(index)
            state.bid_tick, state.ask_tick, state.best_valid = BID, BID + 1, 1
            state.mark_tick, state.seen_ns, state.mark_ns = BID, 1, 1
        self._know_correlations(symbol_count)

    def _know_correlations(self, symbol_count: int) -> None:
        """Let every pair be known, and unlike."""
        for index in range(symbol_count * (symbol_count + 1) // 2):
            pair = PAIR.at(self.wiring.context.pairs + index * PAIR.size)
            pair.sample_count, pair.product = 1_000, 0.1 if index % 2 else -0.1
            pair.square_row = pair.square_column = 1.0

    @property
    def address(self) -> int:
        """Return the address of CONTEXT."""
        return self.wiring.address

    def symbol_state(self, symbol: int) -> Any:
        """Return a symbol's SYMBOL_STATE."""
        base = self.memory.state("risk") + SYMBOLS_OFFSET
        return SYMBOL_STATE.at(base + symbol * SYMBOL_STATE.size)

    def open(self, symbol: int, side: int = 1, lots: int = 10) -> Any:
        """Put an open position there, with its levels; return its row."""
        row = self.memory.position(symbol)
        price = BID
        row.position_id, row.side, row.strategy = symbol + 1, side, int(Strategy.MOMENTUM)
        row.entry_lot, row.entry_value, row.quantity_lot = lots, lots * price, side * lots
        row.exit_lot = row.exit_value = 0
        row.initial_risk_tick, row.stop_tick = 900, price - side * 900
        row.target_tick, row.partial_tick = price + side * 1800, price + side * 900
        row.best_tick, row.opened_ns, row.hold_ns_max = price, 1, NEVER
        row.quiet_until_ns = row.partial_done = row.trailing = 0
        if row.state == PositionState.FLAT:
            self.memory.control.open_position_count += 1
        row.state = int(PositionState.OPEN)
        return row

    def signals(self, symbols: list[int], **changes: Any) -> Any:
        """Return SIGNAL records in a buffer, one per symbol named."""
        made = ctypes.create_string_buffer(SIGNAL.size * len(symbols))
        for index, symbol in enumerate(symbols):
            record = SIGNAL.at(ctypes.addressof(made) + index * SIGNAL.size)
            record.symbol, record.strategy, record.side = symbol, int(Strategy.ORDER_FLOW), 1
            record.bid_tick, record.ask_tick, record.origin_ns = BID, BID + 1, 2
            record.strength, record.confidence, record.volatility = 0.8, 0.9, 1e-4
            for name, value in changes.items():
                setattr(record, name, value)
        return made

    def know_equity(self) -> None:
        """Let risk take the wallet over, as its first look does."""
        track_equity(self.address, self.wiring.parameters.max_drawdown)

    def count(self, label: str) -> int:
        """Return one of risk's counters."""
        return int(self.memory.counters.get(f"risk.{label}"))


@contextmanager
def risk_memory(symbol_count: int, *overrides: str, queue: int = 1024) -> Iterator[RiskMemory]:
    """Give an instance for as long as a case runs."""
    sizes = topology.Sizes(market_queue=64, queue=queue, order_rows=64)
    sizes.state["risk"] = state_size(load(env_file=None, environ={}), symbol_count)
    memory = topology.create_all(f"bench{os.getpid()}", sizes, epoch=1)
    try:
        yield RiskMemory(memory, symbol_count, *overrides)
    finally:
        memory.close()
        memory.unlink()
