"""A risk desk whose first symbol is quoted; the test plays the engine and the venue."""

from __future__ import annotations

import time
from typing import Any

from risk.quote_state import QUOTES
from risk.state import QUOTES_OFFSET
from shm.records import QUOTE, OrderAction, OrderReason, OrderStatus, ReportFlag, TimeInForce
from shm.ring_layout import RING
from tests.risk.desk import Desk

BID, ASK = 450_000, 450_010
QUOTED = {
    "optimization__USE_MARKET_MAKING": True,
    "quoting__symbols": ["SYM0USDT"],
    "quoting__max_inventory_usd": 1000.0,
    "quoting__lease_ms": 60_000,
    "risk__max_stale_ms": 60_000,
    "risk__max_orders_per_s": 300,
}


class QuoteDesk(Desk):
    """See the module."""

    def __init__(self, kernels: Any, queue: int = 64, **changes: Any) -> None:
        super().__init__(kernels, queue, **QUOTED | changes)
        self.quote_id = 0
        self.best(BID, ASK)
        self.look()

    def quotes(self) -> Any:
        return QUOTES.at(self.memory.state("risk") + QUOTES_OFFSET)

    def reports_read(self) -> int:
        return RING.at(self.memory.ring("reports")).tail

    def quote(self, bid: int = 0, bid_lot: int = 0, ask: int = 0, ask_lot: int = 0, **more: int):
        """Write what the engine wants; by default it has seen every report that was written."""
        self.quote_id += 1
        slot = self.kernels.ring_claim(self.memory.ring("quotes"))
        record = QUOTE.at(slot)
        now = time.monotonic_ns()
        values = {"symbol": 0, "report_position": self.reports_read(), "written_ns": now, **more}
        record.origin_ns, record.quote_id = now - 1000, self.quote_id
        for name, value in values.items():
            setattr(record, name, value)
        record.tick[0], record.lot[0] = bid, bid_lot
        record.tick[1], record.lot[1] = ask, ask_lot
        record.reasons[0] = record.reasons[1] = 0
        self.kernels.ring_publish(self.memory.ring("quotes"), slot)

    def want(self, bid: int = 0, bid_lot: int = 0, ask: int = 0, ask_lot: int = 0) -> list[Any]:
        """Publish what the engine wants, look, and return the orders of it."""
        self.quote(bid, bid_lot, ask, ask_lot)
        self.look()
        return self.orders()

    def stand(self, bid: int = BID - 5, ask: int = ASK + 5, lot: int = 4) -> tuple[Any, Any]:
        """Bring quotes on both sides to rest at the venue; return both orders."""
        both = self.want(bid, lot, ask, lot)
        assert len(both) == 2 and all(is_quote(order) for order in both)
        for order in both:
            self.say(order, OrderStatus.NEW)
        self.look()
        return both[0], both[1]

    def say(self, order: Any, status: OrderStatus, **values: int) -> None:
        """Report on a quote, as the executor does."""
        self.report(order, status, flags=int(ReportFlag.QUOTE), **values)

    def trade(self, order: Any, lot: int = 0, done: int = 0, fee_e8: int = 1000) -> None:
        """Report one fill of a quote at its price; 0 lots = all that is left."""
        lot = lot or order.quantity_lot - done
        full = done + lot == order.quantity_lot
        self.report(
            order,
            OrderStatus.FILLED if full else OrderStatus.PARTIALLY_FILLED,
            fill_tick=order.price_tick,
            fill_lot=lot,
            filled_lot=done + lot,
            fee_e8=fee_e8,
            trade_id=next(self.trade_ids),
            flags=int(ReportFlag.QUOTE | ReportFlag.MAKER),
        )


def is_quote(order: Any) -> bool:
    return (
        order.action == OrderAction.PLACE
        and order.time_in_force == TimeInForce.GTX
        and order.reason == OrderReason.QUOTE
        and order.flags == 0
    )


def is_cancel(order: Any, of: Any) -> bool:
    return order.action == OrderAction.CANCEL and order.order_id == of.order_id
