"""Inventory per symbol: the signed sum of fills, whatever order and however often they arrive.

Reports are idempotent: `filled_lot` is cumulative per order. So a table by order id holds what has
been counted, and only what goes beyond it is added. Rows are reused by later orders.

The tables outlive the process. A report changes two or three of their words, so they are noted
before: when the process is killed in between, its successor undoes the change and reads the report
again.
"""

from __future__ import annotations

from engine.state import ENGINE, FILL_ROWS
from shm.atomics import fence_release, store_release
from shm.compiled import kernel
from shm.records import REPORT
from shm.views import view_of

engine_at = view_of(ENGINE)
report_at = view_of(REPORT)
FILL_MASK = FILL_ROWS - 1
UNDO_SYMBOL = ENGINE.offset("undo_symbol")


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
def note_report(engine: int, report: int) -> int:
    """Add what a report says has been filled since to the inventory of its symbol; return the lots.

    Args:
        engine: address of ENGINE; changed.
        report: address of a REPORT.
    """
    view = engine_at(engine)
    source = report_at(report)
    symbol = source.symbol
    if symbol >= view.symbol_count or source.side == 0:
        return 0
    row = source.order_id & FILL_MASK
    view.undo_inventory = view.inventories[symbol]
    view.undo_foreign_id = view.foreign_ids[symbol]
    view.undo_row = row
    view.undo_order_id = view.fill_order_ids[row]
    view.undo_lot = view.fill_lots[row]
    # Ordering: a killed process has done what comes before in the order of the program: the words
    # are noted before the mark is set, which is set before they change. Read by `undo_report`.
    store_release(engine + UNDO_SYMBOL, symbol + 1)
    fence_release()
    new_lot = _new_lots(engine, report)
    view.inventories[symbol] += source.side * new_lot
    store_release(engine + UNDO_SYMBOL, 0)
    return new_lot


@kernel
def undo_report(engine: int) -> bool:
    """Take back what a killed predecessor had changed of a report under way; return whether it had.

    The report is read again: the position in the ring is advanced only after it.
    """
    view = engine_at(engine)
    symbol = view.undo_symbol - 1
    if symbol < 0:
        return False
    view.inventories[symbol] = view.undo_inventory
    view.foreign_ids[symbol] = view.undo_foreign_id
    view.fill_order_ids[view.undo_row] = view.undo_order_id
    view.fill_lots[view.undo_row] = view.undo_lot
    # Ordering: undoing twice is as good as once, so the mark goes last.
    store_release(engine + UNDO_SYMBOL, 0)
    return True
