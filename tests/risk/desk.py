"""A risk stage on a desk: its own instance, real rings, the other stages played by the test."""

from __future__ import annotations

import itertools
import os
import time
from types import SimpleNamespace
from typing import Any

from config.knobs import KNOBS
from config.loader import settings_of
from config.settings import Settings
from risk.parameters import wire
from risk.state import (
    GUARD,
    GUARDS_OFFSET,
    HEADER,
    KEPT,
    KEPT_OFFSET,
    ORDER_COUNT,
    ORDER_STATE,
    ORDERS_OFFSET,
    SYMBOL_STATE,
    SYMBOLS_OFFSET,
)
from risk.state import state_size as risk_state_size
from runtime.wait_layout import WAIT, WaitStrategy
from shm import topology
from shm.records import (
    MARKET_EVENT,
    ORDER,
    REPORT,
    SIGNAL,
    EventKind,
    OrderAction,
    OrderFlag,
    OrderReason,
    OrderStatus,
    Strategy,
)
from shm.tables import ORDER_ROW, write_symbol_name

NUMBERS = itertools.count(1)
RUN_FIELDS = ("origin_ns", "written_ns", "expires_ns", "sequence")
SYMBOL_COUNT = 3
# A day before any that a test names: equity is known, and each of those begins.
LONG_AGO = 1
OUT_OF_THE_WAY = {
    "position_sizing__correlation_limit": 1.0,
    "position_sizing__risk_per_trade": 0.1,
    "risk__warmup_s": 0,
}


def settings_with(**changes: Any) -> Settings:
    """Return the default settings with some knobs changed: `risk__stop_loss_pct=0.01`."""
    values = {knob.path: knob.default for knob in KNOBS}
    for name, value in changes.items():
        path = name.replace("__", ".")
        assert path in values, path
        values[path] = tuple(value) if isinstance(value, list) else value
    return settings_of(values)


class Desk:
    """One instance with three symbols of tick 0.1 and lot 0.001; close it when done.

    Its mark price is always fresh and the mid price of the last `best`. Where a test does not set
    them, knobs that only a long or a rich history satisfies are out of the way (OUT_OF_THE_WAY).
    """

    def __init__(self, kernels: Any, queue: int = 64, market_queue: int = 64, **changes: Any):
        self.kernels = kernels
        # Tests of the ledger switch it on; in the others no stop is among the orders.
        changes.setdefault("risk__venue_stop", False)
        self.settings = settings_with(**OUT_OF_THE_WAY | changes)
        sizes = topology.Sizes(
            market_queue=market_queue,
            queue=queue,
            order_rows=64,
            state={"risk": risk_state_size(self.settings, SYMBOL_COUNT)},
        )
        self.memory = topology.create_all(f"trisk{os.getpid()}x{next(NUMBERS)}", sizes, epoch=1)
        self.wait = WAIT.new()
        self.wait.strategy = int(WaitStrategy.YIELD)
        self.wait.doorbell = self.memory.doorbell("risk")
        self.control = self.memory.control
        self.control.symbol_count = SYMBOL_COUNT
        self.control.reconciled = self.control.clock_ready = 1
        self.control.wallet_e8 = 10_000 * 10**8
        for index in range(SYMBOL_COUNT):
            self._fill_symbol(index)
        # Its cold start is behind it: a process that starts again goes on.
        self.kept.whole = 1
        self.trade_ids = itertools.count(1)
        self.restart_process()

    def _fill_symbol(self, index: int) -> None:
        row = self.memory.symbol(index)
        write_symbol_name(row, f"SYM{index}USDT")
        row.tick_size, row.lot_size, row.value_e8 = 0.1, 0.001, 10_000
        row.lot_min, row.lot_max, row.market_lot_max = 1, 1_000_000, 120_000
        row.price_tick_min, row.price_tick_max = 1, 10_000_000
        row.notional_min = 5.0

    def restart_process(self) -> None:
        """Make the private memory of a risk process anew: what is shared stays."""
        import ctypes

        self.wiring = wire(self.memory, self.settings, ctypes.addressof(self.wait))
        self.wiring.context.utc_day = LONG_AGO

    def close(self) -> None:
        self.memory.close()
        self.memory.unlink()

    # -- the stage ----------------------------------------------------------------------------

    def look(self, times: int = 1) -> int:
        """Run one look (or several); return the records taken."""
        return sum(self.kernels.risk_run(self.wiring.address, 0) for _ in range(times))

    def recover(self) -> int:
        self.restart_process()
        return self.kernels.risk_recover(self.wiring.address)

    def count(self, label: str) -> int:
        return self.memory.counters.get(f"risk.{label}")

    def position(self, symbol: int = 0) -> Any:
        return self.memory.position(symbol)

    def symbol_state(self, symbol: int = 0) -> Any:
        base = self.memory.state("risk") + SYMBOLS_OFFSET
        return SYMBOL_STATE.at(base + symbol * SYMBOL_STATE.size)

    def guard(self, symbol: int = 0) -> Any:
        base = self.memory.state("risk") + GUARDS_OFFSET
        return GUARD.at(base + symbol * GUARD.size)

    def order_state(self, order_id: int) -> Any:
        base = self.memory.state("risk") + ORDERS_OFFSET
        return ORDER_STATE.at(base + (order_id & (ORDER_COUNT - 1)) * ORDER_STATE.size)

    @property
    def header(self) -> Any:
        return HEADER.at(self.memory.state("risk"))

    @property
    def kept(self) -> Any:
        return KEPT.at(self.memory.state("risk") + KEPT_OFFSET)

    # -- the other stages ---------------------------------------------------------------------

    def write(self, ring: str, record: Any, values: dict[str, Any]) -> None:
        claim = self.kernels.ring_claim_broadcast if ring == "market" else self.kernels.ring_claim
        slot = claim(self.memory.ring(ring))
        assert slot, f"ring is full: {ring}"
        target = record.at(slot)
        for field in record:
            if field.name != "sequence" and not field.overlay and field.count == 1:
                setattr(target, field.name, values.get(field.name, 0))
        self.kernels.ring_publish(self.memory.ring(ring), slot)

    def best(self, bid: int, ask: int, symbol: int = 0, age_ns: int = 0) -> None:
        now = time.monotonic_ns() - age_ns
        values = {"price_tick": bid, "ask_tick": ask, "symbol": symbol, "kind": int(EventKind.BEST)}
        self.write("market", MARKET_EVENT, {"origin_ns": now, **values})
        state = self.symbol_state(symbol)
        state.mark_tick, state.mark_ns = (bid + ask) // 2, time.monotonic_ns()

    def event(self, kind: EventKind, symbol: int = 0, **values: int) -> None:
        values = {"origin_ns": time.monotonic_ns(), "kind": int(kind), "symbol": symbol, **values}
        self.write("market", MARKET_EVENT, values)

    def signal(self, side: int = 1, symbol: int = 0, age_ns: int = 0, **changes: Any) -> None:
        values = {
            "origin_ns": time.monotonic_ns() - age_ns,
            "bid_tick": 450_000,
            "ask_tick": 450_001,
            "strength": 0.8,
            "confidence": 0.9,
            "volatility": 1e-4,
            "symbol": symbol,
            "strategy": int(Strategy.MOMENTUM),
            "side": side,
        }
        self.write("signals", SIGNAL, values | changes)

    def report(self, order: Any, status: OrderStatus, **values: int) -> None:
        base = {
            "order_id": order.order_id,
            "position_id": order.position_id,
            "symbol": order.symbol,
            "side": order.side,
            "status": int(status),
        }
        self.write("reports", REPORT, base | values)

    def fill(self, order: Any, price: int, lot: int = 0, done: int = 0, fee_e8: int = 1000) -> None:
        """Report one fill after `done` lots were filled; 0 lots means all that is left."""
        lot = lot or order.quantity_lot - done
        full = done + lot == order.quantity_lot
        self.report(
            order,
            OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED,
            fill_tick=price,
            fill_lot=lot,
            filled_lot=done + lot,
            fee_e8=fee_e8,
            trade_id=next(self.trade_ids),
        )

    def orders(self) -> list[Any]:
        """Take the orders out of the ring, as copies."""
        found = []
        ring = self.memory.ring("orders")
        while slot := self.kernels.ring_peek(ring, 0):
            found.append(
                SimpleNamespace(**{f.name: getattr(ORDER.at(slot), f.name) for f in ORDER})
            )
            self.kernels.ring_advance(ring, 0)
        return found

    def row(self, order: Any, status: OrderStatus, **values: int) -> Any:
        """Write the executor's row of an order."""
        index = order.order_id % self.memory.order_row_count
        row = ORDER_ROW.at(self.memory.order_rows + index * ORDER_ROW.size)
        row.order_id, row.position_id = order.order_id, order.position_id
        row.side, row.flags, row.symbol = order.side, order.flags, order.symbol
        row.quantity_lot, row.status = order.quantity_lot, int(status)
        for name, value in values.items():
            setattr(row, name, value)
        return row

    # -- steps that many tests share ----------------------------------------------------------

    def enter(self, side: int = 1, symbol: int = 0) -> Any:
        """Bring an entry order out and return it."""
        self.best(450_000, 450_001, symbol)
        self.signal(side, symbol)
        self.look()
        (order,) = self.orders()
        return order

    def open(self, side: int = 1, symbol: int = 0, price: int = 450_000) -> Any:
        """Open a position and return its entry order."""
        order = self.enter(side, symbol)
        self.fill(order, price)
        self.look()
        return order

    def close_too_much(self, lot: int) -> None:
        """Open a position, and have its stop close so many lots more than there are."""
        self.open()
        self.best(449_000, 449_001)
        self.look()
        (stop,) = self.orders()
        self.fill(stop, 449_000)
        self.fill(stop, 449_000, lot=lot, done=stop.quantity_lot)
        self.look()
        assert self.header.untrusted == 1

    def rest(self, order: Any) -> None:
        """Let the venue take a stop, and risk hear of it."""
        self.report(order, OrderStatus.NEW)
        self.look()

    def release_move(self, symbol: int = 0) -> None:
        """Let the least time between two moves of a stop be over."""
        self.guard(symbol).placed_ns -= 10_000_000_000

    def release_retry(self, symbol: int = 0) -> None:
        """Let the pause before the next exit be over."""
        self.symbol_state(symbol).retry_ns = 1


def kinds(orders: list[Any]) -> list[tuple[str, str]]:
    """Return each order's action and reason by name."""
    return [(OrderAction(o.action).name, OrderReason(o.reason).name) for o in orders]


def is_exit(order: Any) -> bool:
    return order.flags == int(OrderFlag.REDUCE_ONLY | OrderFlag.EXIT)
