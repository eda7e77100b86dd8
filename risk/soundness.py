"""Whether positions are the sums of their fills; trust that was lost when one was not.

Trust is one word for all symbols, as nobody knows which of them the books are wrong about: no
entries while it is lost. It comes back when every position is sound again and the executor has
asked the venue for every symbol after that, and found no difference.
"""

from __future__ import annotations

from risk.state import CONTEXT, HEADER
from risk.undo import POSITION_SIZE
from runtime.clocks import mono_ns
from shm.compiled import kernel
from shm.tables import CONTROL, POSITION, SYMBOL_TRUST, PositionState
from shm.views import view_of

context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
header_at = view_of(HEADER)
position_at = view_of(POSITION)
trust_at = view_of(SYMBOL_TRUST)

FLAT = int(PositionState.FLAT)
TRUST_SIZE = SYMBOL_TRUST.size


@kernel
def is_sum_of_fills(position: int) -> bool:
    """Return whether a position's quantity, sums and side agree with each other.

    More closed than opened is a position on the wrong side, not a broken one: a fill of its entry
    may be late, and if not, it is closed.
    """
    row = position_at(position)
    if row.quantity_lot != row.side * (row.entry_lot - row.exit_lot):
        return False
    if row.entry_lot < 0 or row.exit_lot < 0:
        return False
    if (row.entry_lot == 0) != (row.entry_value == 0):
        return False
    if (row.exit_lot == 0) != (row.exit_value == 0):
        return False
    # Quotes that stand have no side before the first fill.
    return row.state == FLAT or row.entry_lot == 0 or row.side == 1 or row.side == -1


@kernel
def lose_trust(context: int) -> None:
    """Take no entries in any symbol until trust is regained."""
    header = header_at(context_at(context).header)
    # The time first: a crash between the two loses no trust too short.
    header.unsound_ns = mono_ns()
    header.untrusted = 1


@kernel
def regain_trust(context: int, now_ns: int) -> None:
    """Trust again when all is sound and compared, see the module. Loop bound: symbol_count."""
    view = context_at(context)
    header = header_at(view.header)
    if header.untrusted == 0:
        return
    count = control_at(view.control).symbol_count
    for symbol in range(count):
        place = view.positions + symbol * POSITION_SIZE
        row = position_at(place)
        if row.exit_lot > row.entry_lot or not is_sum_of_fills(place):
            header.unsound_ns = now_ns
            return
    for symbol in range(count):
        trust = trust_at(view.trusts + symbol * TRUST_SIZE)
        if trust.distrust != 0 or trust.compared_ns <= header.unsound_ns:
            return
    header.untrusted = 0
