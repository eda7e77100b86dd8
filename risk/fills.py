"""Reports into orders: each lot of an order is applied once, in whatever order its fills arrive.

The venue's cumulative quantity places a fill within its order: the lots from filled_lot − fill_lot
up to filled_lot. Stretches that were applied are remembered; what is covered is a duplicate.
"""

from __future__ import annotations

from risk.coverage import begin_exposure
from risk.foreign import apply_foreign, is_foreign_fill
from risk.guard import finish_stop, note_stop_status, revive_stop
from risk.inventory import take_fill
from risk.levels import clear_quiet
from risk.positions import (
    mark_to_market,
    position_address,
    settle_state,
    symbol_state_address,
)
from risk.quote_rows import finish_quote, note_quote_status, revive_quote
from risk.retries import note_failed_exit
from risk.state import CONTEXT, ISLAND_COUNT, ORDER_STATE, PARAMETERS, SYMBOL_STATE, Role
from risk.undo import REPORT as REPORT_CHANGE
from risk.undo import begin_change, end_change, order_state_address
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.records import REPORT, TERMINAL_STATUS_MIN, OrderReason, OrderStatus, ReportFlag
from shm.rings import advance
from shm.tables import POSITION
from shm.views import address_of, view_of

context_at = view_of(CONTEXT)
order_state_at = view_of(ORDER_STATE)
report_at = view_of(REPORT)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)

TERMINAL = int(TERMINAL_STATUS_MIN)
UNKNOWN = int(OrderStatus.UNKNOWN)
REJECTED = int(OrderStatus.REJECTED)
NOT_SENT = int(OrderStatus.NOT_SENT)
ENTRY = int(Role.ENTRY)
RESTING_STOP = int(Role.STOP)
QUOTE = int(Role.QUOTE)
MAKER = int(ReportFlag.MAKER)
PARTIAL = int(OrderReason.PARTIAL)
PROTECTION = int(OrderReason.PROTECTION)
REPORTS = counters.offset("risk.reports")
FILLS = counters.offset("risk.fills")
EXIT_PROTECTION = counters.offset("risk.exit_protection")
DUPLICATE_FILLS = counters.offset("risk.duplicate_fills")
FOREIGN_FILLS = counters.offset("risk.foreign_fills")
QUOTE_FILLS_BUY = counters.offset("risk.quote_fills_buy")
QUOTE_FILLS_SELL = counters.offset("risk.quote_fills_sell")
QUOTE_FILLS_MAKER = counters.offset("risk.quote_fills_maker")
UNKNOWN_REPORTS = counters.offset("risk.unknown_reports")

OLD = 0
APPLIED = 1
NO_FILL = 2


@kernel
def uncovered_lot(order: int, start: int, end: int) -> int:
    """Return how many lots of [start, end) have not been applied. Loop bound: ISLAND_COUNT."""
    record = order_state_at(order)
    first = max(start, record.contiguous_lot)
    if end <= first:
        return 0
    left = end - first
    for index in range(record.island_count):
        low = max(first, record.island_start[index])
        high = min(end, record.island_end[index])
        if high > low:
            left -= high - low
    return left


@kernel
def cover(order: int, start: int, end: int) -> bool:
    """Remember [start, end) as applied; False when there is no room. Loop bound: ISLAND_COUNT.

    Islands neither overlap nor touch each other or the contiguous part.
    """
    record = order_state_at(order)
    kept = 0
    low = start
    high = end
    for index in range(record.island_count):
        island_low = record.island_start[index]
        island_high = record.island_end[index]
        if island_low <= end and island_high >= start:
            low = min(low, island_low)
            high = max(high, island_high)
        else:
            kept += 1
    if low > record.contiguous_lot and kept == ISLAND_COUNT:
        return False
    kept = 0
    for index in range(record.island_count):
        island_low = record.island_start[index]
        island_high = record.island_end[index]
        if island_low > end or island_high < start:
            record.island_start[kept] = island_low
            record.island_end[kept] = island_high
            kept += 1
    if low <= record.contiguous_lot:
        record.contiguous_lot = max(record.contiguous_lot, high)
    else:
        record.island_start[kept] = low
        record.island_end[kept] = high
        kept += 1
    record.island_count = kept
    return True


@kernel
def _apply_fill_of(context: int, order: int, report: int, now_ns: int) -> int:
    view = report_at(report)
    if view.fill_lot <= 0:
        return NO_FILL
    start = max(0, view.filled_lot - view.fill_lot)
    new = uncovered_lot(order, start, view.filled_lot)
    if new <= 0:
        return OLD
    if not cover(order, start, view.filled_lot):
        # More gaps than can be remembered: the executor's row decides later (see settlement.py).
        return NO_FILL
    fee = view.fee_e8
    if new != view.fill_lot:
        fee = fee // view.fill_lot * new
    take_fill(context, order, new, new * view.fill_tick, fee, now_ns)
    record = order_state_at(order)
    row = position_at(position_address(context, record.symbol))
    if record.role == RESTING_STOP and row.position_id == record.position_id:
        row.exit_reason = PROTECTION
    return APPLIED


@kernel
def _finish_exit(context: int, order: int, now_ns: int) -> None:
    """Note that an exit order is over: what it left is closed by another one."""
    record = order_state_at(order)
    row = position_at(position_address(context, record.symbol))
    state_address = symbol_state_address(context, record.symbol)
    state = symbol_state_at(state_address)
    is_partial = record.reason == PARTIAL
    if is_partial and record.filled_lot == 0 and row.position_id == record.position_id:
        # Nothing of it was closed: it is due again when the price says so.
        row.partial_done = 0
        clear_quiet(address_of(row))
    if state.doubt_order_id == record.order_id:
        state.doubt_order_id = 0
        return
    if row.exit_order_id != record.order_id:
        return
    row.exit_order_id = 0
    if record.filled_lot >= record.quantity_lot or (is_partial and record.filled_lot > 0):
        state.retry_count = 0
        state.retry_ns = 0
        return
    note_failed_exit(state_address, is_partial, now_ns)


@kernel
def finish_if_done(context: int, order: int, now_ns: int) -> None:
    """Release a position from an order that is terminal and whose fills are all applied."""
    record = order_state_at(order)
    if record.done == 0 and record.status >= TERMINAL and record.filled_lot >= record.stated_lot:
        record.done = 1
        if record.role == ENTRY:
            row = position_at(position_address(context, record.symbol))
            if row.entry_order_id == record.order_id:
                state = symbol_state_at(symbol_state_address(context, record.symbol))
                state.entry_live = 0
                state.entry_left_lot = 0
        elif record.role == RESTING_STOP:
            finish_stop(context, order, now_ns)
        elif record.role == QUOTE:
            finish_quote(context, order, now_ns)
        else:
            _finish_exit(context, order, now_ns)
    elif record.role == RESTING_STOP and record.status < TERMINAL:
        note_stop_status(context, order)
    elif record.role == QUOTE and record.status < TERMINAL:
        note_quote_status(context, order)
    settle_state(context, record.symbol)
    mark_to_market(context, record.symbol)


@kernel
def _revive(context: int, order: int) -> None:
    """Put an order that was taken for absent back in flight.

    Venue: an order whose outcome was unknown can turn up after it was given up for rejected.
    """
    record = order_state_at(order)
    record.done = 0
    if record.role == RESTING_STOP:
        revive_stop(context, order)
        return
    if record.role == QUOTE:
        revive_quote(context, order)
        return
    row = position_at(position_address(context, record.symbol))
    if row.position_id != record.position_id:
        return
    state = symbol_state_at(symbol_state_address(context, record.symbol))
    if record.role == ENTRY:
        state.entry_live = 1
        state.entry_left_lot = max(0, record.quantity_lot - record.filled_lot)
    elif row.exit_order_id == 0:
        row.exit_order_id = record.order_id
    elif row.exit_order_id != record.order_id and state.doubt_order_id == 0:
        state.doubt_order_id = record.order_id


@kernel
def apply_report(context: int, order: int, report: int, now_ns: int) -> int:
    """Apply a report to its order and position; return OLD, APPLIED or NO_FILL (of its fill).

    A terminal state is kept, but for REJECTED and NOT_SENT when the order turns up after all; the
    quantity that a terminal report states is waited for.
    """
    record = order_state_at(order)
    view = report_at(report)
    absent = record.status == REJECTED or record.status == NOT_SENT
    if absent and view.status != REJECTED and view.status != NOT_SENT:
        record.status = UNKNOWN
        _revive(context, order)
    result = _apply_fill_of(context, order, report, now_ns)
    record.stated_lot = max(record.stated_lot, view.filled_lot)
    if record.status < TERMINAL:
        record.status = view.status
        record.error_code = view.error_code
    finish_if_done(context, order, now_ns)
    return result


@kernel
def find_order(context: int, report: int) -> int:
    """Return the row of a report's order, or 0 when it is not one of ours."""
    view = report_at(report)
    if view.order_id <= 0:
        return 0
    order = order_state_address(context, view.order_id)
    record = order_state_at(order)
    if record.order_id != view.order_id or record.symbol != view.symbol:
        return 0
    return order


@kernel
def _count_quote_fill(block: int, report: int) -> None:
    view = report_at(report)
    count(block, QUOTE_FILLS_BUY if view.side > 0 else QUOTE_FILLS_SELL, 1)
    if view.flags & MAKER:
        count(block, QUOTE_FILLS_MAKER, 1)


@kernel
def take_report(context: int, report: int, now_ns: int) -> None:
    """Apply the report at the head of its ring and advance the ring: both or neither."""
    view = context_at(context)
    order = find_order(context, report)
    is_foreign = is_foreign_fill(context, report)
    result = NO_FILL
    is_first = order != 0 and order_state_at(order).filled_lot == 0
    if order != 0 or is_foreign:
        source = report_at(report)
        begin_change(context, REPORT_CHANGE, source.symbol, source.order_id)
        if order != 0:
            result = apply_report(context, order, report, now_ns)
        else:
            result = APPLIED if apply_foreign(context, report, now_ns) else OLD
        begin_exposure(context, source.symbol, source.written_ns, now_ns)
    advance(view.reports, 0)
    if order != 0 or is_foreign:
        end_change(context)
    else:
        count(view.counters, UNKNOWN_REPORTS, 1)
    count(view.counters, REPORTS, 1)
    if result == APPLIED and is_foreign:
        count(view.counters, FOREIGN_FILLS, 1)
    elif result == APPLIED:
        count(view.counters, FILLS, 1)
        if order_state_at(order).role == QUOTE:
            _count_quote_fill(view.counters, report)
        if is_first and order_state_at(order).role == RESTING_STOP:
            count(view.counters, EXIT_PROTECTION, 1)
    elif result == OLD:
        count(view.counters, DUPLICATE_FILLS, 1)
