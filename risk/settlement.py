"""Orders that no report has decided although it should have: the executor's rows decide.

An order is looked at when it has been in flight for a second. Three findings are possible:

    it is in the ring still, or its row is not terminal     nothing: the executor is at work
    its row is terminal, and no report is waiting           the row's sums are taken over
    it has left the ring, has no row, no report is waiting  it was never sent
"""

from __future__ import annotations

from risk.fills import TERMINAL, finish_if_done
from risk.guard import guard_address
from risk.inventory import take_fill
from risk.positions import FLAT, position_address, symbol_state_address
from risk.quote_rows import quotes_address
from risk.quote_state import QUOTES
from risk.state import CONTEXT, GUARD, ORDER_STATE, PARAMETERS, SYMBOL_STATE
from risk.undo import LOCAL, begin_change, end_change, order_state_address
from shm import counters
from shm.atomics import fence_acquire, load_acquire
from shm.compiled import kernel
from shm.histograms import count
from shm.records import OrderStatus
from shm.rings import head_address, peek
from shm.tables import CONTROL, ORDER_ROW, POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)
order_row_at = view_of(ORDER_ROW)
guard_at = view_of(GUARD)
quotes_at = view_of(QUOTES)
parameters_at = view_of(PARAMETERS)

ROW_SIZE = ORDER_ROW.size
NOT_SENT = int(OrderStatus.NOT_SENT)
SETTLED = counters.offset("risk.settled_orders")
SETTLE_AFTER_NS = 1_000_000_000


@kernel
def find_row(context: int, order_id: int) -> int:
    """Return the executor's row of an order, or 0: it is that of its id modulo the row count."""
    view = context_at(context)
    row = view.order_rows + order_id % view.order_row_count * ROW_SIZE
    return row if order_row_at(row).order_id == order_id else 0


@kernel
def _take_over(context: int, order: int, row: int, now_ns: int) -> None:
    """Bring an order to the sums of its terminal row; only what is missing is applied."""
    record = order_state_at(order)
    source = order_row_at(row)
    missing = source.filled_lot - record.filled_lot
    if missing > 0:
        value = source.filled_value - record.filled_value
        take_fill(context, order, missing, value, source.fee_e8 - record.fee_e8, now_ns)
        record.contiguous_lot = source.filled_lot
        record.island_count = 0
    record.stated_lot = record.filled_lot
    record.status = source.status
    record.error_code = source.error_code


@kernel
def settle_order(context: int, order_id: int, now_ns: int) -> int:
    """Decide an order in flight from the executor's memory; return 1 if that was possible."""
    view = context_at(context)
    order = order_state_address(context, order_id)
    record = order_state_at(order)
    if record.order_id != order_id or record.done != 0:
        return 0
    if now_ns - record.written_ns < SETTLE_AFTER_NS:
        return 0
    # Ordering: the ring's head first, then the row, then the reports. The executor writes the row
    # before it moves the head, and publishes a report before it updates the row.
    if load_acquire(head_address(view.orders, 0)) - record.ring_position <= 0:
        return 0
    fence_acquire()
    row = find_row(context, order_id)
    if row != 0 and order_row_at(row).status < TERMINAL:
        return 0
    fence_acquire()
    if peek(view.reports, 0) != 0:
        return 0
    begin_change(context, LOCAL, record.symbol, order_id)
    if row != 0:
        _take_over(context, order, row, now_ns)
    else:
        record.stated_lot = record.filled_lot
        record.status = NOT_SENT
    finish_if_done(context, order, now_ns)
    end_change(context)
    count(view.counters, SETTLED, 1)
    return 1


@kernel
def _settle_quotes(context: int, symbol: int, now_ns: int) -> int:
    view = quotes_at(quotes_address(context, symbol))
    settled = 0
    for place in range(2):
        if view.order_id[place] != 0:
            settled += settle_order(context, view.order_id[place], now_ns)
        if view.stray_order_id[place] != 0:
            settled += settle_order(context, view.stray_order_id[place], now_ns)
    return settled


@kernel
def settle_orders(context: int, now_ns: int) -> int:
    """Look at every order in flight; return how many were decided. Loop bound: symbol_count."""
    view = context_at(context)
    settings = parameters_at(view.parameters)
    settled = 0
    for symbol in range(control_at(view.control).symbol_count):
        guard = guard_at(guard_address(context, symbol))
        if guard.order_id != 0:
            settled += settle_order(context, guard.order_id, now_ns)
        if guard.stray_order_id != 0:
            settled += settle_order(context, guard.stray_order_id, now_ns)
        row = position_at(position_address(context, symbol))
        if row.state == FLAT:
            continue
        if settings.quoted[symbol] != 0:
            settled += _settle_quotes(context, symbol, now_ns)
        state = symbol_state_at(symbol_state_address(context, symbol))
        if state.entry_live != 0:
            settled += settle_order(context, row.entry_order_id, now_ns)
        if row.exit_order_id != 0:
            settled += settle_order(context, row.exit_order_id, now_ns)
        if state.doubt_order_id != 0:
            settled += settle_order(context, state.doubt_order_id, now_ns)
    return settled
