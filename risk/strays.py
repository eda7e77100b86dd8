"""Orders that were taken for absent and turned up beside another: none may be forgotten.

The rows of a symbol have room for one, the one that is being canceled. Where more stand they are
found in the order table when that one has ended: whatever of that role has not ended, and is not
the order that is meant to stand, is a stray. An order that has not ended keeps its row.
"""

from __future__ import annotations

from risk.state import CONTEXT, ORDER_COUNT, ORDER_STATE, Role
from risk.undo import ORDER_STATE_SIZE
from shm.compiled import kernel
from shm.views import view_of

context_at = view_of(CONTEXT)
order_state_at = view_of(ORDER_STATE)

QUOTE = int(Role.QUOTE)


@kernel
def next_stray(context: int, ended: int, meant_order_id: int) -> int:
    """Return the id of a stray beside an order that has just ended, or 0.

    Args:
        context: CONTEXT.
        ended: ORDER_STATE of the order whose symbol and role a stray has; of quotes the side, too.
        meant_order_id: the order that is meant to stand there; 0 = none.

    Returns:
        the lowest id, 0 = there is none. Loop bound: ORDER_COUNT, only when a stray ends.
    """
    view = context_at(context)
    wanted = order_state_at(ended)
    found = 0
    for row in range(ORDER_COUNT):
        record = order_state_at(view.order_states + row * ORDER_STATE_SIZE)
        if record.order_id == 0 or record.done != 0:
            continue
        if record.order_id == wanted.order_id or record.order_id == meant_order_id:
            continue
        if record.symbol != wanted.symbol or record.role != wanted.role:
            continue
        if record.role == QUOTE and record.side != wanted.side:
            continue
        if found == 0 or record.order_id < found:
            found = record.order_id
    return found
