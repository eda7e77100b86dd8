"""Orders into the ring: ids, the order table, the message rate; entry and exit orders.

An order is one change (see undo.py) whose commit is its appearance in the ring: a crash before it
leaves neither an order nor a trace of one, a crash after it leaves both.
"""

from __future__ import annotations

from risk.exits import apply_decision
from risk.hints import take_hints
from risk.positions import (
    position_address,
    settle_state,
    side_of,
    symbol_address,
    symbol_state_address,
)
from risk.state import (
    CONTEXT,
    HEADER,
    ORDER_COUNT,
    ORDER_STATE,
    PARAMETERS,
    STAMP_COUNT,
    STAMPS,
    SYMBOL_STATE,
    Role,
)
from risk.throttle import note_entry, repeat_key
from risk.undo import (
    ORDER_STATE_SIZE,
    ORDER_WRITTEN,
    POSITION_SIZE,
    begin_change,
    end_change,
    order_state_address,
)
from runtime.clocks import mono_ns
from shm import counters
from shm.atomics import load_acquire, load_relaxed
from shm.compiled import kernel
from shm.histograms import count, record_value
from shm.memory import zero_bytes
from shm.records import (
    ORDER,
    SIGNAL,
    TERMINAL_STATUS_MIN,
    OrderAction,
    OrderFlag,
    OrderReason,
    OrderType,
    TimeInForce,
)
from shm.ring_layout import RING
from shm.rings import TAIL, claim, head_address, publish
from shm.tables import ORDER_ROW, POSITION, SYMBOL
from shm.views import view_of

context_at = view_of(CONTEXT)
header_at = view_of(HEADER)
stamps_at = view_of(STAMPS)
parameters_at = view_of(PARAMETERS)
position_at = view_of(POSITION)
symbol_at = view_of(SYMBOL)
symbol_state_at = view_of(SYMBOL_STATE)
order_state_at = view_of(ORDER_STATE)
order_at = view_of(ORDER)
signal_at = view_of(SIGNAL)
ring_at = view_of(RING)
order_row_at = view_of(ORDER_ROW)

ORDER_ROW_SIZE = ORDER_ROW.size
TERMINAL = int(TERMINAL_STATUS_MIN)

PLACE = int(OrderAction.PLACE)
LIMIT = int(OrderType.LIMIT)
MARKET = int(OrderType.MARKET)
IOC = int(TimeInForce.IOC)
NO_TIME_IN_FORCE = int(TimeInForce.NONE)
EXIT_FLAGS = int(OrderFlag.REDUCE_ONLY | OrderFlag.EXIT)
REASON_ENTRY = int(OrderReason.ENTRY)
REASON_PARTIAL = int(OrderReason.PARTIAL)
ROLE_ENTRY = int(Role.ENTRY)
ROLE_EXIT = int(Role.EXIT)
ORDERS = counters.offset("risk.orders")
EXIT_RESERVE_MAX = 64
NEVER_NS = 1 << 62


@kernel
def _is_row_free(context: int, order_id: int) -> bool:
    # The executor's table has another size: a stop that rests there for hours keeps another row.
    view = context_at(context)
    if view.order_row_count <= 0:
        return True
    row = order_row_at(view.order_rows + order_id % view.order_row_count * ORDER_ROW_SIZE)
    return row.order_id == 0 or row.status >= TERMINAL


@kernel
def next_order_id(context: int) -> int:
    """Return the next order id whose row is free to use. Loop bound: ORDER_COUNT.

    An order in flight keeps its row, and so does a stop that rests at the venue; there are at most
    ORDERS_IN_FLIGHT_MAX per symbol, so a row is always found.
    """
    order_id = header_at(context_at(context).header).last_order_id + 1
    for _ in range(ORDER_COUNT):
        record = order_state_at(order_state_address(context, order_id))
        if (record.order_id == 0 or record.done != 0) and _is_row_free(context, order_id):
            break
        order_id += 1
    return order_id


@kernel
def age_of_order_back(context: int, back: int, now_ns: int) -> int:
    """Return the age of the order written `back` orders ago; NEVER_NS when there is none.

    With `back` the most allowed in a second, an age below a second means that they are used up:
    the same as counting, without the loop. Needs 1 ≤ back ≤ STAMP_COUNT.
    """
    view = context_at(context)
    written = header_at(view.header).order_count
    if back > written:
        return NEVER_NS
    return now_ns - stamps_at(view.stamps).order_ns[(written - back) & (STAMP_COUNT - 1)]


@kernel
def entry_slots_free(ring: int) -> int:
    """Return how many slots an entry may still take: an eighth of the ring is kept for exits."""
    capacity = ring_at(ring).mask + 1
    reserve = min(EXIT_RESERVE_MAX, max(1, capacity >> 3))
    # Ordering: pairs with the release store in `advance`; a stale head only looks fuller.
    used = load_relaxed(ring + TAIL) - load_acquire(head_address(ring, 0))
    return capacity - reserve - used


@kernel
def open_order(context: int, slot: int, symbol: int, role: int, now_ns: int) -> int:
    """Save what will change, take an order id and start its row and its slot; return the id."""
    view = context_at(context)
    order_id = next_order_id(context)
    begin_change(context, ORDER_WRITTEN, symbol, order_id)
    header = header_at(view.header)
    header.last_order_id = order_id
    order_row = order_state_address(context, order_id)
    zero_bytes(order_row, ORDER_STATE_SIZE)
    record = order_state_at(order_row)
    record.order_id = order_id
    record.ring_position = load_relaxed(view.orders + TAIL)
    record.written_ns = now_ns
    record.symbol = symbol
    record.role = role
    order = order_at(slot)
    order.order_id = order_id
    order.signal_id = 0
    order.symbol = symbol
    order.action = PLACE
    order.written_ns = now_ns
    return order_id


@kernel
def note_message(context: int, now_ns: int) -> None:
    """Count a message that is being written against the rate, within its change."""
    view = context_at(context)
    header = header_at(view.header)
    stamps_at(view.stamps).order_ns[header.order_count & (STAMP_COUNT - 1)] = now_ns
    header.order_count += 1


@kernel
def close_order(context: int, slot: int, read_ns: int) -> None:
    """Publish the filled slot: the commit of the change."""
    view = context_at(context)
    order = order_at(slot)
    record = order_state_at(order_state_address(context, order.order_id))
    record.position_id = order.position_id
    record.quantity_lot = order.quantity_lot
    record.price_tick = order.price_tick
    record.side = order.side
    record.reason = order.reason
    order.strategy = position_at(position_address(context, order.symbol)).strategy
    note_message(context, order.written_ns)
    settle_state(context, order.symbol)
    publish(view.orders, slot)
    end_change(context)
    count(view.counters, ORDERS, 1)
    record_value(view.histogram, mono_ns() - read_ns)


@kernel
def write_entry(
    context: int,
    signal: int,
    quantity_lot: int,
    limit_tick: int,
    risk_tick: int,
    read_ns: int,
    now_ns: int,
) -> bool:
    """Write the entry order of a signal and start its position; False when the ring is full.

    `risk_tick`: distance of the stop that the entry will have, for the portfolio's risk.
    """
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    cause = signal_at(signal)
    symbol = cause.symbol
    order_id = open_order(context, slot, symbol, ROLE_ENTRY, now_ns)
    header = header_at(view.header)
    header.last_position_id += 1
    settings = parameters_at(view.parameters)
    place = position_address(context, symbol)
    row = position_at(place)
    trips = row.round_trips
    zero_bytes(place, POSITION_SIZE)
    row.round_trips = trips
    row.position_id = header.last_position_id
    row.side = cause.side
    row.strategy = cause.strategy
    take_hints(place, signal, view.parameters)
    row.entry_order_id = order_id
    state = symbol_state_at(symbol_state_address(context, symbol))
    state.realized_e8 = 0
    state.entry_live = 1
    state.entry_left_lot = quantity_lot
    best = state.ask_tick if cause.side > 0 else state.bid_tick
    # A sell may fill above its limit: in flight it counts with the higher of the two.
    state.entry_tick = max(best, limit_tick)
    state.entry_risk_tick = risk_tick
    state.moved_venue_ns = 0
    state.imbalance_at_ns = 0
    note_entry(context, symbol, repeat_key(cause.strategy, cause.side), now_ns)
    order = order_at(slot)
    order.origin_ns = cause.origin_ns
    order.signal_id = cause.signal_id
    order.expires_ns = now_ns + settings.time_to_live_ns
    order.position_id = row.position_id
    order.price_tick = limit_tick
    order.quantity_lot = quantity_lot
    order.reference_tick = best
    order.type = LIMIT
    order.time_in_force = IOC
    order.side = cause.side
    order.flags = 0
    order.reason = REASON_ENTRY
    close_order(context, slot, read_ns)
    return True


@kernel
def write_exit(
    context: int, symbol: int, quantity_lot: int, reason: int, origin_ns: int, now_ns: int
) -> bool:
    """Write a reduce-only market order that closes lots of a position; False when the ring is full.

    Its side is against what is held, on whichever side of the entry that is. The quantity is cut
    to the venue's largest market order; what is left is closed by the next one.
    """
    view = context_at(context)
    slot = claim(view.orders)
    if slot == 0:
        return False
    largest = symbol_at(symbol_address(context, symbol)).market_lot_max
    quantity = min(quantity_lot, largest) if largest > 0 else quantity_lot
    order_id = open_order(context, slot, symbol, ROLE_EXIT, now_ns)
    place = position_address(context, symbol)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(context, symbol))
    if reason == REASON_PARTIAL:
        # The caller's decision: the partial is done, the stop moves to break-even or better.
        apply_decision(place, view.decision)
    row.exit_order_id = order_id
    row.exit_sent_ns = now_ns
    row.exit_reason = reason
    order = order_at(slot)
    order.origin_ns = origin_ns
    order.expires_ns = 0
    order.position_id = row.position_id
    order.price_tick = 0
    order.quantity_lot = quantity
    held = side_of(place)
    order.reference_tick = state.bid_tick if held > 0 else state.ask_tick
    order.type = MARKET
    order.time_in_force = NO_TIME_IN_FORCE
    order.side = -held
    order.flags = EXIT_FLAGS
    order.reason = reason
    close_order(context, slot, now_ns)
    return True
