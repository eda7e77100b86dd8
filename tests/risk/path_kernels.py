"""Paths of price through exits, ledger and fills, in kernels: risk against a venue that is moody.

Each path opens one position and lives until it is flat and nothing is under way. Time is simulated.
After every step the invariants are checked; a violation is counted by its kind, and the first one's
path is kept.
"""

from __future__ import annotations

from risk.fills import take_report
from risk.guard import NONE as NO_GUARD
from risk.guard import guard_address
from risk.orders import write_entry
from risk.positions import FLAT, position_address, symbol_state_address
from risk.prices import take_event_at
from risk.recovery import recover
from risk.state import CONTEXT, GUARD, SYMBOL_STATE
from risk.watching import watch_all, watch_position
from shm.compiled import export, kernel
from shm.fields import Field, Record
from shm.records import MARKET_EVENT, SIGNAL, EventKind, ExitRule
from shm.rings import peek
from shm.tables import CONTROL, POSITION
from shm.views import view_of
from tests.risk.path_venue import (
    MS,
    REPORT_COUNT,
    SIM,
    arrive,
    draw,
    mix,
    next_report,
    take_orders,
    trigger,
)

RUN = Record(
    "path_run",
    "What the driver works on and what it has found.",
    [
        Field("context", "i64", "address", "driver", "risk's CONTEXT"),
        Field("sim", "i64", "address", "driver", "SIM"),
        Field("signal", "i64", "address", "driver", "scratch SIGNAL"),
        Field("event", "i64", "address", "driver", "scratch MARKET_EVENT"),
        Field("now_ns", "i64", "ns", "kernel", "simulated time"),
        Field("paths", "i64", "count", "kernel", "paths done"),
        Field("steps", "i64", "count", "kernel", "prices seen"),
        Field("opened", "i64", "count", "kernel", "paths that held a position"),
        Field("recoveries", "i64", "count", "kernel", "restarts in the middle"),
        Field("first_bad_path", "i64", "index", "kernel", "of the first violation; -1 = none"),
        Field("bad_sum", "i64", "count", "kernel", "the position is not the sum of its fills"),
        Field("bad_side", "i64", "count", "kernel", "more was closed than opened"),
        Field("bad_stop", "i64", "count", "kernel", "the stop moved back"),
        Field("bad_exit", "i64", "count", "kernel", "beyond the stop, and nothing is sent"),
        Field("bad_naked", "i64", "count", "kernel", "without a stop for longer than the bound"),
        Field("bad_loss", "i64", "count", "kernel", "more lost than stop, gap and fees allow"),
        Field("bad_end", "i64", "count", "kernel", "the path did not come to an end"),
        Field("bad_fee", "i64", "count", "kernel", "fees are not those of the fills"),
        Field("span", "i64", "ticks", "kernel", "largest common step of the path's price"),
        Field("stop_tick", "i64", "ticks", "kernel", "the stop after the last step"),
        Field("floor_tick", "i64", "ticks", "kernel", "worst price since an exit was due"),
        Field("start_fee_e8", "i64", "1e-8 quote", "kernel", "fees before the path"),
    ],
)
run_at = view_of(RUN)
sim_at = view_of(SIM)
context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
guard_at = view_of(GUARD)
position_at = view_of(POSITION)
symbol_state_at = view_of(SYMBOL_STATE)
signal_at = view_of(SIGNAL)
event_at = view_of(MARKET_EVENT)

BEST = int(EventKind.BEST)
TRADE = int(EventKind.TRADE)
RULE_COUNT = int(ExitRule.STOP_ONLY)
STEPS_MAX = 6000
# Stated bound: the limit after which risk closes for want of a stop, and the time that such a close
# may take here: pauses of up to 1.6 s between refusals, and twice the longest way each time.
NAKED_NS_MAX = (15_000 + 20_000) * MS


@kernel
def _start(run: int) -> bool:
    """Write the entry of a path; its hints are drawn."""
    view = run_at(run)
    sim = sim_at(view.sim)
    signal = signal_at(view.signal)
    signal.side = 1 if draw(view.sim, 2) else -1
    signal.strategy = 1 + draw(view.sim, 3)
    signal.exit_rule = draw(view.sim, RULE_COUNT)
    signal.mean_tick = sim.bid + signal.side * draw(view.sim, 200)
    signal.hold_ms_min = draw(view.sim, 3) * 1000
    signal.hold_ms_max = 2000 + draw(view.sim, 100_000)
    signal.stop_pct = 0.0005 * draw(view.sim, 4)
    signal.target_pct = 0.0
    signal.origin_ns = view.now_ns
    signal.symbol = 0
    price = sim.ask if signal.side > 0 else sim.bid
    view.stop_tick = 0
    view.floor_tick = 0
    view.span = 1 + draw(view.sim, 4) * draw(view.sim, 6)
    view.start_fee_e8 = sim.fee_e8
    lots = 1 + draw(view.sim, 20)
    return write_entry(
        view.context, view.signal, lots, price + signal.side * 20, 0, view.now_ns, view.now_ns
    )


@kernel
def _move_price(run: int) -> None:
    """Draw the next prices: mostly small steps, sometimes a gap of up to half a percent."""
    view = run_at(run)
    sim = sim_at(view.sim)
    step = draw(view.sim, 2 * view.span + 1) - view.span
    if draw(view.sim, 100) == 0:
        step = draw(view.sim, 501) - 250
    sim.bid = max(20_000, min(100_000, sim.bid + step))
    sim.ask = sim.bid + 1 + draw(view.sim, 3)


@kernel
def _show_price(run: int) -> None:
    """Give risk the new best prices, and sometimes a trade at one of them."""
    view = run_at(run)
    sim = sim_at(view.sim)
    event = event_at(view.event)
    event.origin_ns = view.now_ns
    event.venue_ns = view.now_ns
    event.symbol = 0
    event.flags = 0
    event.kind = BEST
    event.price_tick = sim.bid
    event.ask_tick = sim.ask
    event.quantity_lot = draw(view.sim, 50)
    event.ask_lot = draw(view.sim, 50)
    take_event_at(view.context, view.event, view.now_ns)
    if draw(view.sim, 3) == 0:
        event.kind = TRADE
        event.price_tick = sim.bid if draw(view.sim, 2) else sim.ask
        take_event_at(view.context, view.event, view.now_ns)


@kernel
def _hear(run: int) -> None:
    """Deliver the reports that are due. Loop bound: the reports on their way."""
    view = run_at(run)
    while next_report(view.sim, view.now_ns):
        report = peek(context_at(view.context).reports, 0)
        take_report(view.context, report, view.now_ns)
        watch_position(view.context, 0, view.now_ns, view.now_ns)


@kernel
def _is_exit_due(run: int) -> bool:
    """Return whether the price that a position would leave at has reached its stop."""
    view = run_at(run)
    sim = sim_at(view.sim)
    row = position_at(position_address(view.context, 0))
    price = sim.bid if row.side > 0 else sim.ask
    return row.entry_lot > row.exit_lot and (price - row.stop_tick) * row.side <= 0


@kernel
def _check(run: int) -> None:
    """Check what must hold after every step."""
    view = run_at(run)
    sim = sim_at(view.sim)
    place = position_address(view.context, 0)
    row = position_at(place)
    state = symbol_state_at(symbol_state_address(view.context, 0))
    guard = guard_at(guard_address(view.context, 0))
    before = view.bad_sum + view.bad_side + view.bad_stop + view.bad_exit + view.bad_naked
    if row.quantity_lot != row.side * (row.entry_lot - row.exit_lot):
        view.bad_sum += 1
    # Fills may arrive in any order; what the venue holds is the truth.
    if row.exit_lot > row.entry_lot and sim.held_lot * row.side < 0:
        view.bad_side += 1
    has_moved_back = (row.stop_tick - view.stop_tick) * row.side < 0
    if row.entry_lot > 0 and view.stop_tick != 0 and has_moved_back:
        view.bad_stop += 1
    view.stop_tick = row.stop_tick if row.entry_lot > 0 else 0
    is_sent = row.exit_order_id != 0 or state.doubt_order_id != 0 or view.now_ns < state.retry_ns
    if _is_exit_due(run) and not is_sent:
        view.bad_exit += 1
    if is_sent or state.want_close != 0 or _is_exit_due(run):
        price = sim.bid if row.side > 0 else sim.ask
        if view.floor_tick == 0 or (price - view.floor_tick) * row.side < 0:
            view.floor_tick = price
    if sim.held_lot != 0 and sim.live_stop_id == 0:
        if sim.naked_ns == 0:
            sim.naked_ns = view.now_ns
        sim.naked_ns_max = max(sim.naked_ns_max, view.now_ns - sim.naked_ns)
        if view.now_ns - sim.naked_ns > NAKED_NS_MAX:
            view.bad_naked += 1
    else:
        sim.naked_ns = 0
    if guard.exposed_ns != 0 and view.now_ns - guard.exposed_ns > NAKED_NS_MAX:
        view.bad_naked += 1
    after = view.bad_sum + view.bad_side + view.bad_stop + view.bad_exit + view.bad_naked
    if after != before and view.first_bad_path < 0:
        view.first_bad_path = view.paths


@kernel
def _check_end(run: int) -> None:
    """Check what a path has come to: flat at both ends, and no more lost than is explained."""
    view = run_at(run)
    sim = sim_at(view.sim)
    row = position_at(position_address(view.context, 0))
    found = 0
    if row.quantity_lot != 0 or sim.held_lot != 0 or sim.live_stop_id != 0:
        view.bad_end += 1
        found = 1
    if row.entry_lot > 0:
        view.opened += 1
        if row.fee_e8 != sim.fee_e8 - view.start_fee_e8:
            view.bad_fee += 1
            found = 1
        # A lot leaves at the worst price since an exit was due, or at a better one. The stop that
        # rests at the venue triggers beyond risk's own, so that price has been seen by then.
        if view.floor_tick != 0:
            gained = row.side * (row.exit_value - row.exit_lot * view.floor_tick)
            if gained < 0:
                view.bad_loss += 1
                found = 1
    if found and view.first_bad_path < 0:
        view.first_bad_path = view.paths
    mix(view.sim, row.exit_value)
    mix(view.sim, row.exit_reason + 7 * row.entry_lot)


@kernel
def _is_over(run: int) -> bool:
    """Return whether the path is flat and nothing is under way. Loop bound: REPORT_COUNT."""
    view = run_at(run)
    sim = sim_at(view.sim)
    row = position_at(position_address(view.context, 0))
    guard = guard_at(guard_address(view.context, 0))
    if row.state != FLAT or guard.state != NO_GUARD or sim.held_lot != 0:
        return False
    waiting = 0
    for place in range(REPORT_COUNT):
        waiting += sim.tell_ns[place]
    return waiting == 0


@kernel
def run_path(run: int) -> None:
    """Live one path. Loop bound: STEPS_MAX."""
    view = run_at(run)
    _start(run)
    for _ in range(STEPS_MAX):
        view.now_ns += (1 + draw(view.sim, 60)) * MS
        if draw(view.sim, 100) == 0:
            view.now_ns += draw(view.sim, 2000) * MS
        take_orders(view.sim, view.now_ns)
        arrive(view.sim, view.now_ns)
        _move_price(run)
        trigger(view.sim, view.now_ns)
        _hear(run)
        _show_price(run)
        watch_all(view.context, view.now_ns)
        if draw(view.sim, 400) == 0:
            recover(view.context)
            view.recoveries += 1
        take_orders(view.sim, view.now_ns)
        view.steps += 1
        _check(run)
        if _is_over(run):
            break
    _check_end(run)
    view.paths += 1


@export(2)
def path_run(run: int, count: int) -> int:
    """Live `count` paths; return the number of violations so far. Loop bound: count."""
    view = run_at(run)
    for _ in range(count):
        run_path(run)
    sim = sim_at(view.sim)
    bad = view.bad_sum + view.bad_side + view.bad_stop + view.bad_exit + view.bad_naked
    bad += view.bad_loss + view.bad_end + view.bad_fee + sim.two_stops + sim.no_room
    return bad
