"""A venue and its executor in kernels, for generated paths: delays, refusals, doubt, duplicates.

Orders taken from the ring reach the venue after a delay, and what becomes of them reaches risk
after another. One symbol, one position, one price; the truth about the position is `held_lot`.
"""

from __future__ import annotations

from shm.compiled import kernel
from shm.fields import Field, Record
from shm.records import ORDER, REPORT, OrderAction, OrderStatus, OrderType
from shm.rings import advance, claim, peek, publish
from shm.tables import ORDER_ROW
from shm.views import view_of

TRANSIT_COUNT = 64
REPORT_COUNT = 128
ORDER_COUNT = 1024  # more than are ever unsettled; a path uses few
ROW_COUNT = 64

SIM = Record(
    "path_sim",
    "The venue, the way to it and back, and what the driver has seen.",
    [
        Field("random", "i64", "state", "kernel", "of the generator"),
        Field("orders", "i64", "address", "driver", "ring"),
        Field("reports", "i64", "address", "driver", "ring"),
        Field("rows", "i64", "address", "driver", "order rows"),
        Field("bid", "i64", "ticks", "kernel", "best bid at the venue"),
        Field("ask", "i64", "ticks", "kernel", "best ask at the venue"),
        Field("held_lot", "i64", "lots, signed", "kernel", "the position, as the venue has it"),
        Field("live_stop_id", "i64", "id", "kernel", "the stop that rests; 0 = none"),
        Field("live_stop_tick", "i64", "ticks", "kernel", "its trigger"),
        Field("live_stop_lot", "i64", "lots", "kernel", "its quantity"),
        Field("live_stop_side", "i64", "+1, -1", "kernel", "its side"),
        Field("fee_e8", "i64", "1e-8 quote", "kernel", "of all fills"),
        Field("trade_id", "i64", "id", "kernel", "the last one"),
        Field("fill_count", "i64", "count", "kernel", "fills of all paths"),
        Field("order_count", "i64", "count", "kernel", "orders taken"),
        Field("stop_count", "i64", "count", "kernel", "stops that rested"),
        Field("trigger_count", "i64", "count", "kernel", "stops that triggered"),
        Field("doubt_count", "i64", "count", "kernel", "outcomes in doubt"),
        Field("refusal_count", "i64", "count", "kernel", "orders refused"),
        Field("duplicate_count", "i64", "count", "kernel", "reports told twice"),
        Field("two_stops", "i64", "count", "kernel", "violations: two stops alive or on their way"),
        Field("no_room", "i64", "count", "kernel", "violations: the model is too small"),
        Field("naked_ns", "i64", "ns", "kernel", "held without a stop since; 0 = not so"),
        Field("naked_ns_max", "i64", "ns", "kernel", "the longest of all paths"),
        Field("hash", "i64", "hash", "kernel", "over all fills and ends"),
        Field("way_ns", "i64", "ns", "kernel", "arrival at the venue; 0 = free", TRANSIT_COUNT),
        Field("way_id", "i64", "id", "kernel", "order", TRANSIT_COUNT),
        Field("way_action", "i64", "OrderAction", "kernel", "action", TRANSIT_COUNT),
        Field("way_type", "i64", "OrderType", "kernel", "type", TRANSIT_COUNT),
        Field("way_side", "i64", "+1, -1", "kernel", "side", TRANSIT_COUNT),
        Field("way_lot", "i64", "lots", "kernel", "quantity", TRANSIT_COUNT),
        Field("way_tick", "i64", "ticks", "kernel", "limit or trigger", TRANSIT_COUNT),
        Field("tell_ns", "i64", "ns", "kernel", "arrival at risk; 0 = free", REPORT_COUNT),
        Field("tell_id", "i64", "id", "kernel", "order", REPORT_COUNT),
        Field("tell_status", "i64", "OrderStatus", "kernel", "status", REPORT_COUNT),
        Field("tell_lot", "i64", "lots", "kernel", "of this fill", REPORT_COUNT),
        Field("tell_tick", "i64", "ticks", "kernel", "of this fill", REPORT_COUNT),
        Field("tell_sum", "i64", "lots", "kernel", "cumulative", REPORT_COUNT),
        Field("tell_code", "i64", "venue code", "kernel", "of a rejection", REPORT_COUNT),
        Field("tell_side", "i64", "+1, -1", "kernel", "of the order", REPORT_COUNT),
        Field("filled", "i64", "lots", "kernel", "by order id", ORDER_COUNT),
    ],
)
sim_at = view_of(SIM)
order_at = view_of(ORDER)
report_at = view_of(REPORT)
row_at = view_of(ORDER_ROW)

PLACE = int(OrderAction.PLACE)
CANCEL = int(OrderAction.CANCEL)
LIMIT = int(OrderType.LIMIT)
STOP_MARKET = int(OrderType.STOP_MARKET)
SENDING = int(OrderStatus.SENDING)
UNKNOWN = int(OrderStatus.UNKNOWN)
NEW = int(OrderStatus.NEW)
PARTIALLY_FILLED = int(OrderStatus.PARTIALLY_FILLED)
FILLED = int(OrderStatus.FILLED)
CANCELED = int(OrderStatus.CANCELED)
REJECTED = int(OrderStatus.REJECTED)
EXPIRED = int(OrderStatus.EXPIRED)
ROW_SIZE = ORDER_ROW.size
MS = 1_000_000
FEE_E8 = 7
ORDER_MASK = ORDER_COUNT - 1


@kernel
def draw(sim: int, bound: int) -> int:
    """Return a number of 0 … bound − 1."""
    view = sim_at(sim)
    view.random = (view.random * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return (view.random >> 8) % bound


@kernel
def mix(sim: int, value: int) -> None:
    """Take a value into the hash."""
    view = sim_at(sim)
    view.hash = (view.hash * 31 + value) % 2_147_483_647


@kernel
def delay_ns(sim: int) -> int:
    """Return a delay of 0.1 to 80 ms; one in fifty takes up to 900 ms."""
    if draw(sim, 50) == 0:
        return (100 + draw(sim, 800)) * MS
    return MS // 10 + draw(sim, 80) * MS


@kernel
def tell(
    sim: int, order_id: int, side: int, status: int, lot: int, tick: int, code: int, due_ns: int
) -> None:
    """Send a report on its way. Loop bound: REPORT_COUNT."""
    view = sim_at(sim)
    for place in range(REPORT_COUNT):
        if view.tell_ns[place] == 0:
            view.tell_ns[place] = due_ns
            view.tell_id[place] = order_id
            view.tell_side[place] = side
            view.tell_status[place] = status
            view.tell_lot[place] = lot
            view.tell_tick[place] = tick
            view.tell_sum[place] = view.filled[order_id & ORDER_MASK]
            view.tell_code[place] = code
            return
    view.no_room += 1


@kernel
def take_orders(sim: int, now_ns: int) -> None:
    """Take what risk has written: a row each, then on the way. Bound: the ring × TRANSIT_COUNT."""
    view = sim_at(sim)
    while True:
        slot = peek(view.orders, 0)
        if slot == 0:
            return
        order = order_at(slot)
        found = -1
        stops = 1 if view.live_stop_id != 0 else 0
        for place in range(TRANSIT_COUNT):
            if view.way_ns[place] == 0:
                found = place
            elif view.way_type[place] == STOP_MARKET and view.way_action[place] == PLACE:
                stops += 1
        if found < 0:
            view.no_room += 1
            advance(view.orders, 0)
            continue
        if order.action == PLACE:
            if order.type == STOP_MARKET and stops > 0:
                view.two_stops += 1
            view.order_count += 1
            view.filled[order.order_id & ORDER_MASK] = 0
            row = row_at(view.rows + order.order_id % ROW_COUNT * ROW_SIZE)
            row.order_id = order.order_id
            row.position_id = order.position_id
            row.side = order.side
            row.flags = order.flags
            row.quantity_lot = order.quantity_lot
            row.filled_lot = 0
            row.filled_value = 0
            row.fee_e8 = 0
            row.status = SENDING
        view.way_ns[found] = now_ns + delay_ns(sim)
        view.way_id[found] = order.order_id
        view.way_action[found] = order.action
        view.way_type[found] = order.type
        view.way_side[found] = order.side
        view.way_lot[found] = order.quantity_lot
        view.way_tick[found] = order.price_tick
        advance(view.orders, 0)


@kernel
def fill(sim: int, order_id: int, side: int, lot: int, whole: int, tick: int, now_ns: int) -> None:
    """Fill lots of an order in one or two pieces, told with delays of their own, perhaps twice."""
    view = sim_at(sim)
    first = lot if lot < 2 or draw(sim, 3) > 0 else 1 + draw(sim, lot - 1)
    for piece in range(2):
        part = first if piece == 0 else lot - first
        if part <= 0:
            continue
        view.held_lot += side * part
        view.filled[order_id & ORDER_MASK] += part
        view.fill_count += 1
        view.fee_e8 += FEE_E8 * part
        mix(sim, order_id * 7 + part * 3 + tick)
        full = view.filled[order_id & ORDER_MASK] == whole
        status = FILLED if full else PARTIALLY_FILLED
        tell(sim, order_id, side, status, part, tick, 0, now_ns + delay_ns(sim))
        if draw(sim, 10) == 0:
            view.duplicate_count += 1
            tell(sim, order_id, side, status, part, tick, 0, now_ns + delay_ns(sim))


@kernel
def _take_market(sim: int, place: int, now_ns: int) -> None:
    """Carry out an entry (IOC) or a reduce-only market order that has arrived."""
    view = sim_at(sim)
    order_id = view.way_id[place]
    side = view.way_side[place]
    lot = view.way_lot[place]
    is_entry = view.way_type[place] == LIMIT
    price = view.ask if side > 0 else view.bid
    if not is_entry and view.held_lot * side >= 0:
        view.refusal_count += 1
        tell(sim, order_id, side, REJECTED, 0, 0, -2022, now_ns + delay_ns(sim))
        return
    if draw(sim, 12) == 0 and not is_entry:
        view.refusal_count += 1
        tell(sim, order_id, side, REJECTED, 0, 0, -1008, now_ns + delay_ns(sim))
        return
    most = lot if is_entry else min(lot, abs(view.held_lot))
    done = most if draw(sim, 4) > 0 else 1 + draw(sim, most)
    if is_entry and (price - view.way_tick[place]) * side > 0:
        done = 0
    if done > 0:
        fill(sim, order_id, side, done, lot, price, now_ns)
    if done < lot:
        tell(sim, order_id, side, EXPIRED, 0, 0, 0, now_ns + delay_ns(sim))


@kernel
def _take_stop(sim: int, place: int, now_ns: int) -> None:
    """Let a stop rest, unless its trigger is reached already or the venue refuses it."""
    view = sim_at(sim)
    order_id = view.way_id[place]
    side = view.way_side[place]
    price = view.bid if side < 0 else view.ask
    if (price - view.way_tick[place]) * side >= 0:
        view.refusal_count += 1
        tell(sim, order_id, side, REJECTED, 0, 0, -2021, now_ns + delay_ns(sim))
    elif draw(sim, 15) == 0:
        view.refusal_count += 1
        tell(sim, order_id, side, REJECTED, 0, 0, -4045, now_ns + delay_ns(sim))
    else:
        if view.live_stop_id != 0:
            view.two_stops += 1
        view.stop_count += 1
        view.live_stop_id = order_id
        view.live_stop_tick = view.way_tick[place]
        view.live_stop_lot = view.way_lot[place]
        view.live_stop_side = side
        tell(sim, order_id, side, NEW, 0, 0, 0, now_ns + delay_ns(sim))


@kernel
def end_stop(sim: int, status: int, now_ns: int) -> None:
    """End the stop that rests."""
    view = sim_at(sim)
    order_id = view.live_stop_id
    view.live_stop_id = 0
    tell(sim, order_id, view.live_stop_side, status, 0, 0, 0, now_ns + delay_ns(sim))


@kernel
def arrive(sim: int, now_ns: int) -> None:
    """Carry out what has arrived at the venue. Loop bound: TRANSIT_COUNT."""
    view = sim_at(sim)
    for place in range(TRANSIT_COUNT):
        due = view.way_ns[place]
        if due == 0 or due > now_ns:
            continue
        if view.way_action[place] == PLACE and draw(sim, 40) == 0:
            # No answer in time: in doubt first, the outcome comes when the venue is asked.
            view.doubt_count += 1
            tell(sim, view.way_id[place], view.way_side[place], UNKNOWN, 0, 0, 0, now_ns)
        if view.way_action[place] == CANCEL:
            if view.live_stop_id == view.way_id[place]:
                end_stop(sim, CANCELED, now_ns)
        elif view.way_type[place] == STOP_MARKET:
            _take_stop(sim, place, now_ns)
        else:
            _take_market(sim, place, now_ns)
        view.way_ns[place] = 0


@kernel
def trigger(sim: int, now_ns: int) -> None:
    """Trigger the stop that rests if the price is there: reduce-only, at the market."""
    view = sim_at(sim)
    if view.live_stop_id == 0:
        return
    side = view.live_stop_side
    price = view.bid if side < 0 else view.ask
    if draw(sim, 4000) == 0:
        # The venue loses it, for reasons of its own.
        end_stop(sim, EXPIRED, now_ns)
        return
    if (price - view.live_stop_tick) * side < 0:
        return
    view.trigger_count += 1
    order_id = view.live_stop_id
    view.live_stop_id = 0
    most = min(view.live_stop_lot, max(0, -view.held_lot * side))
    if most > 0:
        fill(sim, order_id, side, most, view.live_stop_lot, price, now_ns)
    if most < view.live_stop_lot:
        tell(sim, order_id, side, EXPIRED, 0, 0, 0, now_ns + delay_ns(sim))


@kernel
def next_report(sim: int, now_ns: int) -> int:
    """Write the report that is due first into the ring; return 1, or 0 when none is due.

    The executor's row takes it over, as the executor writes it: after the report, the status last.
    Loop bound: REPORT_COUNT.
    """
    view = sim_at(sim)
    first = -1
    for place in range(REPORT_COUNT):
        due = view.tell_ns[place]
        if due != 0 and due <= now_ns and (first < 0 or due < view.tell_ns[first]):
            first = place
    if first < 0:
        return 0
    slot = claim(view.reports)
    if slot == 0:
        view.no_room += 1
        return 0
    report = report_at(slot)
    report.order_id = view.tell_id[first]
    report.position_id = 0
    report.symbol = 0
    report.side = view.tell_side[first]
    report.status = view.tell_status[first]
    report.fill_lot = view.tell_lot[first]
    report.fill_tick = view.tell_tick[first]
    report.filled_lot = view.tell_sum[first]
    report.fee_e8 = FEE_E8 * view.tell_lot[first]
    report.error_code = view.tell_code[first]
    view.trade_id += 1
    report.trade_id = view.trade_id
    publish(view.reports, slot)
    view.tell_ns[first] = 0
    return 1
