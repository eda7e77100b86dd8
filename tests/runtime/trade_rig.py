"""Risk and executor played by hand: orders and reports into rings, rows into the order table."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from runtime.kernels import Kernels
from runtime.trade_ledger import TradeLedger
from runtime.trade_store import TradeStore
from shm import rings
from shm.records import ORDER, REPORT, OrderAction, OrderReason, OrderStatus, OrderType
from shm.tables import ORDER_ROW, write_symbol_name
from shm.topology import Sizes, create_all

_NUMBERS = itertools.count()
EPOCH = 1_700_000_000
FEE_E8 = 7
VALUE_E8 = 10_000
STRATEGIES = {3: "order_flow"}
RING_KERNELS = {
    name: getattr(rings, name)
    for name in (
        "ring_claim", "ring_publish", "ring_advance", "ring_newest", "ring_read_broadcast",
    )
}  # fmt: skip
RUN = {"instance": "t", "mode": "sim", "symbols": "BTCUSDT,ETHUSDT", "settings_hash": "h"}


class Desk:
    """An instance of two symbols; each fill costs FEE_E8 a lot."""

    def __init__(self, queue: int = 16, order_rows: int = 64) -> None:
        name = f"ttrade{os.getpid()}x{next(_NUMBERS)}"
        self.memory = create_all(name, Sizes(64, queue, order_rows), epoch=EPOCH)
        self.kernels = Kernels(mode="jit", build_hash=0, path="", **RING_KERNELS)
        for index, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
            row = self.memory.symbol(index)
            write_symbol_name(row, symbol)
            row.price_decimals, row.tick_unit = 1, 1
            row.quantity_decimals, row.lot_unit = 3, 1
            row.value_e8 = VALUE_E8
        self.memory.control.symbol_count = 2
        self.last_id = self.last_trade = self.last_position = 0
        self.wall_ms = 1_700_000_000_000

    def close(self) -> None:
        self.memory.unlink()
        self.memory.close()

    def _publish(self, ring: str, record, **values) -> None:
        address = self.memory.ring(ring)
        slot = self.kernels.ring_claim(address)
        assert slot, f"ring is full: {ring}"
        view = record.at(slot)
        for field in record:
            if field.name != "sequence" and not field.count > 1:
                setattr(view, field.name, values.get(field.name, 0))
        self.kernels.ring_publish(address, slot)
        # The one that gates the ring has read it at once.
        self.kernels.ring_advance(address, 0)

    def order(self, side: int, lot: int, reason=OrderReason.ENTRY, symbol: int = 0) -> int:
        """Write an order and its row; return its id."""
        self.last_id += 1
        if reason == OrderReason.ENTRY:
            self.last_position += 1
        values = {
            "order_id": self.last_id, "position_id": self.last_position, "symbol": symbol,
            "action": OrderAction.PLACE, "type": OrderType.MARKET, "side": side,
            "quantity_lot": lot, "reason": reason, "strategy": 3, "written_ns": 1_000,
        }  # fmt: skip
        self._publish("orders", ORDER, **values)
        row = self.row(self.last_id)
        for field in ORDER_ROW:
            setattr(row, field.name, values.get(field.name, 0))
        row.status = int(OrderStatus.SENDING)
        return self.last_id

    def row(self, order_id: int):
        place = order_id % self.memory.order_row_count
        return ORDER_ROW.at(self.memory.order_rows + place * ORDER_ROW.size)

    def fill(self, order_id: int, lot: int, tick: int, told: bool = True, **values) -> dict:
        """Fill lots of an order: the report first, then its row; return the report's values."""
        row = self.row(order_id)
        self.last_trade += 1
        self.wall_ms += 10
        filled = row.filled_lot + lot
        done = filled == row.quantity_lot
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        report = {
            "order_id": order_id, "position_id": row.position_id, "symbol": row.symbol,
            "side": row.side, "trade_id": self.last_trade, "fill_tick": tick, "fill_lot": lot,
            "filled_lot": filled, "fee_e8": FEE_E8 * lot, "status": status,
            "venue_ns": self.wall_ms * 1_000_000, "written_ns": 2_000,
        } | values  # fmt: skip
        if told:
            self._publish("reports", REPORT, **report)
        row.filled_value += tick * lot
        row.fee_e8 += FEE_E8 * lot
        row.filled_lot = filled
        row.sent_ns, row.acked_ns = 1_500, 2_500
        row.status = int(status)
        return report

    def tell(self, report: dict) -> None:
        """Publish a report as it is."""
        self._publish("reports", REPORT, **report)

    def end(self, order_id: int, status: OrderStatus, error_code: int = 0) -> None:
        """End an order without a fill."""
        row = self.row(order_id)
        self._publish(
            "reports", REPORT, order_id=order_id, symbol=row.symbol, side=row.side,
            filled_lot=row.filled_lot, status=status, error_code=error_code, written_ns=3_000,
        )  # fmt: skip
        row.status = int(status)

    def trade(self, symbol: int = 0, lot: int = 2, bought: int = 100, sold: int = 103) -> None:
        """Open a long position and close it."""
        self.fill(self.order(1, lot, symbol=symbol), lot, bought)
        self.fill(self.order(-1, lot, OrderReason.TARGET, symbol=symbol), lot, sold)

    def ledger(self, path: Path) -> TradeLedger:
        """Return a writer that knows nothing but the file."""
        return TradeLedger(self.memory, self.kernels, TradeStore(path), RUN, STRATEGIES)


def table(path: Path, sql: str) -> list[tuple]:
    """Return what a reader sees."""
    from runtime.trade_table import open_reader

    database = open_reader(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()
