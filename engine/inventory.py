"""Inventory per symbol: the signed sum of fills, whatever order and however often they arrive.

Reports are idempotent: `filled_lot` is cumulative per order. So a table by order id holds what has
been counted, and only what goes beyond it is added. Rows are reused by later orders.
"""

from __future__ import annotations

from engine.state import ENGINE, FILL_ROWS
from shm.compiled import kernel
from shm.records import REPORT
from shm.views import view_of

engine_at = view_of(ENGINE)
report_at = view_of(REPORT)
FILL_MASK = FILL_ROWS - 1


@kernel
def _new_lots(engine: int, report: int) -> int:
    view = engine_at(engine)
    source = report_at(report)
    order_id = source.order_id
    if order_id == 0:
        # Not one of our orders: the venue's trade ids of a symbol count up.
        if source.trade_id <= view.foreign_ids[source.symbol]:
            return 0
        view.foreign_ids[source.symbol] = source.trade_id
        return source.fill_lot
    row = order_id & FILL_MASK
    if order_id < view.fill_order_ids[row]:
        # Its row was taken over by an order 1024 later: too old to tell what is new.
        view.reports_missed += 1
        return 0
    before = 0
    if order_id == view.fill_order_ids[row]:
        before = view.fill_lots[row]
    view.fill_order_ids[row] = order_id
    view.fill_lots[row] = max(source.filled_lot, before)
    return max(source.filled_lot - before, 0)


@kernel
def note_report(engine: int, report: int) -> None:
    """Add what a report says has been filled since to the inventory of its symbol.

    Args:
        engine: address of ENGINE; changed.
        report: address of a REPORT.
    """
    view = engine_at(engine)
    source = report_at(report)
    if source.symbol < view.symbol_count and source.side != 0:
        view.inventories[source.symbol] += source.side * _new_lots(engine, report)
