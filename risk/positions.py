"""Fills into positions: exact sums in integers, realised and unrealised results, the state.

Values are ticks × lots; results are 1e-8 quote through `symbol.value_e8`. The average entry is
never rounded: it stays value / lots. Loops: none.
"""

from __future__ import annotations

import math

from risk.kept_equity import take_over_equity
from risk.levels import set_levels
from risk.quote_rows import quotes_live
from risk.soundness import lose_trust
from risk.state import CONTEXT, HEADER, ORDER_STATE, PARAMETERS, SYMBOL_STATE, Role
from risk.trades import note_trade
from risk.undo import POSITION_SIZE, SYMBOL_STATE_SIZE
from runtime.clocks import mono_ns
from shm import counters
from shm.atomics import compiler_barrier
from shm.compiled import kernel
from shm.histograms import count
from shm.latch_table import LatchReason
from shm.latches import forget_voided_risk_latch, risk_latch_held, trip_risk_latch
from shm.records import Strategy
from shm.tables import CONTROL, POSITION, SYMBOL, PositionOwner, PositionState
from shm.views import address_of, view_of

context_at = view_of(CONTEXT)
header_at = view_of(HEADER)
parameters_at = view_of(PARAMETERS)
control_at = view_of(CONTROL)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)

SYMBOL_SIZE = SYMBOL.size
FLAT = int(PositionState.FLAT)
ENTERING = int(PositionState.ENTERING)
OPEN = int(PositionState.OPEN)
EXITING = int(PositionState.EXITING)
ENTRY = int(Role.ENTRY)
MANAGED = int(PositionOwner.MANAGED)
LEFT_ALONE = int(PositionOwner.LEFT_ALONE)
DRAWDOWN = int(LatchReason.DRAWDOWN)
DAILY_LOSS = int(LatchReason.DAILY_LOSS)
MARKET_MAKING = int(Strategy.MARKET_MAKING)
# Above any equity: what stands between it and the peak is nothing.
FLOOR_UNKNOWN = 1 << 62
ROUND_TRIPS = counters.offset("risk.round_trips")


@kernel
def position_address(context: int, symbol: int) -> int:
    """Return the address of a symbol's position row."""
    return context_at(context).positions + symbol * POSITION_SIZE


@kernel
def symbol_state_address(context: int, symbol: int) -> int:
    """Return the address of a symbol's SYMBOL_STATE row."""
    return context_at(context).symbol_states + symbol * SYMBOL_STATE_SIZE


@kernel
def symbol_address(context: int, symbol: int) -> int:
    """Return the address of a row of the symbol table."""
    return context_at(context).symbols + symbol * SYMBOL_SIZE


@kernel
def share_of(whole: int, part: int, parts: int) -> int:
    """Return whole × part // parts without the product overflowing.

    Requires 0 ≤ part ≤ parts < 2^31, whole ≥ 0.
    """
    if part == 0:
        # Nothing is closed yet, which is nearly always so: no division.
        return 0
    each = whole // parts
    rest = whole - each * parts
    return each * part + rest * part // parts


@kernel
def realized_e8(position: int, value_e8: int) -> int:
    """Return the result of the closed part before fees, in 1e-8 quote.

    The cost of the closed part is rounded down; when all is closed it is exact. Where more was
    closed than opened, only as much as was opened counts.
    """
    view = position_at(position)
    closed = min(view.exit_lot, view.entry_lot)
    if closed <= 0:
        return 0
    cost = share_of(view.entry_value * value_e8, closed, view.entry_lot)
    proceeds = share_of(view.exit_value * value_e8, closed, view.exit_lot)
    return view.side * (proceeds - cost)


@kernel
def unrealized_e8(position: int, value_e8: int, price_tick: int) -> int:
    """Return the result of closing the rest at a price, in 1e-8 quote, before fees.

    The rest of a position of which more was closed than opened lies on the other side.
    """
    view = position_at(position)
    left = view.entry_lot - view.exit_lot
    if left == 0:
        return 0
    if left > 0:
        whole = view.entry_value * value_e8
        cost = whole - share_of(whole, view.exit_lot, view.entry_lot)
        return view.side * (left * price_tick * value_e8 - cost)
    whole = view.exit_value * value_e8
    proceeds = whole - share_of(whole, view.entry_lot, view.exit_lot)
    return view.side * (proceeds + left * price_tick * value_e8)


@kernel
def side_of(position: int) -> int:
    """Return the side of what is held, which is the entry's but for a wrong net position."""
    view = position_at(position)
    return view.side if view.entry_lot >= view.exit_lot else -view.side


@kernel
def exit_price(symbol_state: int, side: int) -> int:
    """Return the price a position would leave at: bid for a long, ask for a short; 0 = unknown."""
    view = symbol_state_at(symbol_state)
    if view.best_valid == 0:
        return 0
    return view.bid_tick if side > 0 else view.ask_tick


@kernel
def earned_e8(context: int) -> int:
    """Return equity less what was paid in since the start; 0 without a wallet."""
    view = context_at(context)
    header = header_at(view.header)
    if header.wallet_start_e8 == 0:
        return 0
    control = control_at(view.control)
    results = control.realized_e8 - control.fee_e8 + control.funding_e8
    return header.wallet_start_e8 + results + control.unrealized_e8


@kernel
def equity_e8(context: int) -> int:
    """Return wallet at start + realised − fees + funding + unrealised + transfers; 0 without it."""
    view = context_at(context)
    if header_at(view.header).wallet_start_e8 == 0:
        return 0
    return earned_e8(context) + control_at(view.control).transfer_e8


@kernel
def track_equity(context: int, max_drawdown: float) -> None:
    """Take the wallet over once it is known, follow peak and day, trip the latch on either's loss.

    The wallet waits for the day, as no entry passes before the venue's clock is known either.
    Re-armed by a person, both begin with the equity of that moment: the old would trip it again.
    Between the floor and the peak of a day nothing changes, unless money is paid in or out. Peak,
    day and floor are kept less what was paid in since the start, so that it shifts all three.
    """
    view = context_at(context)
    header = header_at(view.header)
    control = control_at(view.control)
    earned = earned_e8(context)
    is_known = header.wallet_start_e8 != 0 and view.utc_day <= header.utc_day
    is_between = header.floor_e8 <= earned and earned <= header.peak_e8
    is_same = control.risk_latch == 0 and control.transfer_e8 == view.floor_transfer_e8
    if not (is_known and is_between and is_same):
        _follow_equity(context, max_drawdown)
    base = earned_e8(context) - control.unrealized_e8
    header.calm_low_e8 = header.floor_e8 - base
    header.calm_high_e8 = header.peak_e8 - base


@kernel
def forget_floor(context: int) -> None:
    """Have peak, day and losses looked at anew: a crash may have fallen between two words."""
    header = header_at(context_at(context).header)
    header.floor_e8 = FLOOR_UNKNOWN
    header.calm_low_e8 = FLOOR_UNKNOWN


@kernel
def track_mark(context: int) -> None:
    """Follow equity after a price, where the unrealised result has left the band of `track_equity`.

    All else that moves equity has it tracked: fills at once; funding, transfers, a new day and a
    re-arm with the timers.
    """
    view = context_at(context)
    header = header_at(view.header)
    unrealized = control_at(view.control).unrealized_e8
    if unrealized < header.calm_low_e8 or unrealized > header.calm_high_e8:
        track_equity(context, parameters_at(view.parameters).max_drawdown)


@kernel
def _follow_equity(context: int, max_drawdown: float) -> None:
    view = context_at(context)
    header = header_at(view.header)
    control = control_at(view.control)
    # Read once: the executor may count another meanwhile, which the next look then finds.
    paid_in = control.transfer_e8
    if header.wallet_start_e8 == 0:
        compiler_barrier()
        wallet = control.wallet_e8
        compiler_barrier()
        # Ordering: the executor takes the wallet away before it counts a transfer, and states it
        # again after. The same sum before and after a wallet is one that belongs to it.
        if control.transfer_e8 != paid_in:
            return
        # Without a day a loss of yesterday would be judged as one of today.
        if wallet <= 0 or view.utc_day <= 0:
            return
        take_over_equity(context, wallet - paid_in)
        # The wallet may be stated late: results that it already holds are not counted twice.
        results = control.realized_e8 - control.fee_e8 + control.funding_e8
        # Ordering: last. Until it is known a crash has all of this done again, to the same end.
        compiler_barrier()
        header.wallet_start_e8 = wallet - paid_in - results
    earned = earned_e8(context)
    # What a person has re-armed is forgotten last: killed before, risk begins both anew again.
    is_rearmed = control.risk_latch != 0 and risk_latch_held(view.control) == 0
    if is_rearmed or earned > header.peak_e8:
        header.peak_e8 = earned
    # A clock that steps back begins no day: the loss of one would be forgotten.
    if is_rearmed or header.day_start_e8 == 0 or view.utc_day > header.utc_day:
        header.day_start_e8 = earned
        # Ordering: the day after its start. A crash between them begins the day once more.
        compiler_barrier()
        header.utc_day = max(view.utc_day, header.utc_day)
    compiler_barrier()
    forget_voided_risk_latch(view.control)
    equity = earned + paid_in
    least = (1.0 - max_drawdown) * (header.peak_e8 + paid_in)
    if equity < least and risk_latch_held(view.control) == 0:
        trip_risk_latch(view.control, DRAWDOWN, mono_ns())
    share = parameters_at(view.parameters).max_daily_loss
    day_least = (1.0 - share) * (header.day_start_e8 + paid_in)
    if equity < day_least and risk_latch_held(view.control) == 0:
        trip_risk_latch(view.control, DAILY_LOSS, mono_ns())
    header.floor_e8 = math.ceil(max(least, day_least)) - paid_in
    view.floor_transfer_e8 = paid_in


@kernel
def mark_to_market(context: int, symbol: int) -> None:
    """Bring a symbol's unrealised result and the total up to date; an unknown price keeps it."""
    view = context_at(context)
    position = position_address(context, symbol)
    state = symbol_state_at(symbol_state_address(context, symbol))
    row = position_at(position)
    now = state.unrealized_e8
    if row.entry_lot == row.exit_lot:
        now = 0
    else:
        price = exit_price(address_of(state), side_of(position))
        if price > 0:
            value = symbol_at(symbol_address(context, symbol)).value_e8
            now = unrealized_e8(position, value, price)
    control_at(view.control).unrealized_e8 += now - state.unrealized_e8
    state.unrealized_e8 = now


@kernel
def apply_fill(
    context: int, order: int, fill_lot: int, fill_value: int, fee_e8: int, now_ns: int
) -> None:
    """Add a new fill of an order to its position, the totals and the order's own sums.

    A fill counts as entry or exit by its side: one of an order whose position has been followed by
    another belongs to the net position all the same, and so does one that closes a wrong side.
    """
    record = order_state_at(order)
    symbol = record.symbol
    position = position_address(context, symbol)
    row = position_at(position)
    state = symbol_state_at(symbol_state_address(context, symbol))
    record.filled_lot += fill_lot
    record.filled_value += fill_value
    record.fee_e8 += fee_e8
    is_entry = record.side == row.side
    if record.role == ENTRY and record.position_id == row.position_id:
        state.entry_left_lot = max(0, state.entry_left_lot - fill_lot)
    if is_entry and row.owner == LEFT_ALONE:
        # From here on part of it is ours, and that cannot be told apart.
        row.owner = MANAGED
    add_fill(context, symbol, is_entry, fill_lot, fill_value, fee_e8, now_ns)


@kernel
def add_fill(
    context: int,
    symbol: int,
    is_entry: bool,
    fill_lot: int,
    fill_value: int,
    fee_e8: int,
    now_ns: int,
) -> None:
    """Add a fill to a symbol's position and to the totals; an entry sets the levels anew."""
    view = context_at(context)
    position = position_address(context, symbol)
    row = position_at(position)
    state = symbol_state_at(symbol_state_address(context, symbol))
    control = control_at(view.control)
    row.fee_e8 += fee_e8
    control.fee_e8 += fee_e8
    if is_entry:
        row.entry_lot += fill_lot
        row.entry_value += fill_value
        if row.opened_ns == 0:
            row.opened_ns = now_ns
        if row.owner != LEFT_ALONE:
            set_levels(position, view.parameters)
    else:
        row.exit_lot += fill_lot
        row.exit_value += fill_value
    # Invariant: the net position is the sum of its fills.
    row.quantity_lot = row.side * (row.entry_lot - row.exit_lot)
    if row.exit_lot > row.entry_lot:
        lose_trust(context)
    realized = realized_e8(position, symbol_at(symbol_address(context, symbol)).value_e8)
    control.realized_e8 += realized - state.realized_e8
    state.realized_e8 = realized


@kernel
def settle_state(context: int, symbol: int) -> None:
    """Derive a position's state from its quantity and the orders in flight.

    An entry that never filled makes it FLAT again; quantity without an order in flight is OPEN.
    """
    view = context_at(context)
    row = position_at(position_address(context, symbol))
    state = symbol_state_at(symbol_state_address(context, symbol))
    before = row.state
    if row.exit_order_id != 0 or state.doubt_order_id != 0:
        row.state = EXITING
    elif state.entry_live != 0:
        row.state = ENTERING
    elif row.entry_lot != row.exit_lot:
        row.state = OPEN
    elif quotes_live(context, symbol):
        # They may open a position at any time, and count as one.
        row.state = ENTERING
    else:
        row.state = FLAT
    if row.state == before:
        return
    control = control_at(view.control)
    if before == FLAT:
        control.open_position_count += 1
    if row.state == FLAT:
        control.open_position_count -= 1
        state.want_close = 0
        state.retry_count = 0
        state.retry_ns = 0
        # Inventory has counted its round trip when it came to zero, quotes standing or not.
        if row.entry_lot > 0 and row.strategy != MARKET_MAKING:
            row.round_trips += 1
            note_trade(context, symbol)
            count(view.counters, ROUND_TRIPS, 1)
