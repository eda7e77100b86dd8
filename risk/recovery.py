"""Starting again after a crash: the ring, the change in progress, the invariants of the positions.

Everything risk knows lies in shared memory. What was being changed is taken back or found complete
(undo.py); reports, signals and market events that were not passed are delivered again; orders that
nobody reports on are decided from the executor's rows (settlement.py). What remains is to check
that each position is the sum of its fills.
"""

from __future__ import annotations

from risk.levels import clear_quiet, set_levels
from risk.limit_table import REJECTED_COUNTERS
from risk.positions import (
    FLAT,
    forget_floor,
    mark_to_market,
    position_address,
    settle_state,
    symbol_state_address,
)
from risk.quote_rows import is_quoted
from risk.quotes import forget_wanted
from risk.settlement import ROW_SIZE
from risk.soundness import is_sum_of_fills, lose_trust
from risk.state import CONTEXT, HEADER, SYMBOL_STATE
from risk.undo import take_back
from shm import counters
from shm.compiled import kernel
from shm.memory import load_i64, store_i64
from shm.records import OrderFlag
from shm.rings import recover_tail
from shm.tables import CONTROL, ORDER_ROW, POSITION
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
header_at = view_of(HEADER)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
order_row_at = view_of(ORDER_ROW)

EXIT_FLAG = int(OrderFlag.EXIT)
SIGNALS = counters.offset("risk.signals")
ACCEPTED = counters.offset("risk.accepted")
REJECTED = counters.offset("risk.rejected")
REJECTED_OFFSETS = tuple(counters.offset(f"risk.{label}") for label in REJECTED_COUNTERS)


@kernel
def rebuild_position(context: int, position: int) -> bool:
    """Set a position's sums from the executor's rows; False when they make no position either.

    Loop bound: order_row_count.
    """
    view = context_at(context)
    row = position_at(position)
    entry_lot = 0
    entry_value = 0
    exit_lot = 0
    exit_value = 0
    fee = 0
    side = 0
    for index in range(view.order_row_count):
        order = order_row_at(view.order_rows + index * ROW_SIZE)
        if order.order_id == 0 or order.position_id != row.position_id:
            continue
        fee += order.fee_e8
        if order.flags & EXIT_FLAG:
            exit_lot += order.filled_lot
            exit_value += order.filled_value
        else:
            entry_lot += order.filled_lot
            entry_value += order.filled_value
            side = order.side
    if side == 0:
        return False
    row.side = side
    row.entry_lot = entry_lot
    row.entry_value = entry_value
    row.exit_lot = exit_lot
    row.exit_value = exit_value
    row.fee_e8 = fee
    row.quantity_lot = side * (entry_lot - exit_lot)
    if not is_sum_of_fills(position) or exit_lot > entry_lot:
        return False
    if entry_lot > 0:
        row.stop_tick = 0
        row.best_tick = 0
        set_levels(position, view.parameters)
    return True


@kernel
def check_positions(context: int) -> int:
    """Check every position, rebuild what is wrong; return how many were. Bound: symbol_count.

    Trust is lost when the executor's rows make no sound position either.
    """
    view = context_at(context)
    control = control_at(view.control)
    wrong = 0
    for symbol in range(control.symbol_count):
        position = position_address(context, symbol)
        # A crash may have fallen between two stores of the band.
        clear_quiet(position)
        if not is_sum_of_fills(position):
            wrong += 1
            # Orders that stand for days outlive their rows: inventory cannot be made of those.
            if is_quoted(context, symbol) or not rebuild_position(context, position):
                lose_trust(context)
        settle_state(context, symbol)
    forget_floor(context)
    # The sums over symbols are taken anew: they are not one symbol's to repair.
    control.open_position_count = 0
    control.unrealized_e8 = 0
    for symbol in range(control.symbol_count):
        if position_at(position_address(context, symbol)).state != FLAT:
            control.open_position_count += 1
        symbol_state_at(symbol_state_address(context, symbol)).unrealized_e8 = 0
        mark_to_market(context, symbol)
    return wrong


@kernel
def repair_counters(context: int) -> None:
    """Make signals = accepted + rejected hold again: a crash may fall between two counts."""
    block = context_at(context).counters
    rejected = 0
    for offset in REJECTED_OFFSETS:
        rejected += load_i64(block + offset)
    store_i64(block + REJECTED, rejected)
    store_i64(block + SIGNALS, load_i64(block + ACCEPTED) + rejected)


@kernel
def recover(context: int) -> int:
    """Bring risk's memory to a state between two changes; return what had to be repaired.

    Returns:
        Bit 0: an order's publication was completed. Bit 1: a change was taken back.
        From bit 8 on: how many positions broke their invariant.
    """
    found = recover_tail(context_at(context).orders)
    taken_back = take_back(context)
    repair_counters(context)
    forget_wanted(context)
    return (1 if found > 0 else 0) | taken_back << 1 | check_positions(context) << 8
