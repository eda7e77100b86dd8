"""The compiled half of the engine: market in → `take_event` → signals out, and waiting.

It alone touches rings and clocks. Reports are observed, not consumed: the executor is never held
back by the engine. A full `signals` ring drops the signal and counts it; the state goes on as if
it had been written, so it does not depend on whether anybody reads.
"""

from __future__ import annotations

from engine.events import (
    engine_at,
    event_at,
    fill_signal,
    signal_at,
    state_at,
    symbol_state,
    take_event,
)
from engine.inventory import note_report
from engine.quotes import confirm_quotes, feed_quotes, forget_quotes, note_quote_report, tell_quotes
from engine.restart import begin_event, end_event, join_again, start
from engine.state import ENGINE
from runtime.clocks import mono_ns
from runtime.waits import arm, block, disarm, found_work, ring_doorbell, should_block
from shm import counters
from shm.compiled import export, kernel
from shm.histograms import count, record_value
from shm.records import MARKET_EVENT, SIGNAL, USER_STRATEGY_FIRST, Strategy
from shm.ring_layout import RING
from shm.rings import EMPTY, LAPPED, claim, newest, publish, read_broadcast
from shm.views import view_of

ring_at = view_of(RING)
EVENT_OFFSET = ENGINE.offset("event")
REPORT_OFFSET = ENGINE.offset("report")
SIGNAL_OFFSET = ENGINE.offset("signal")
EVENT_SIZE = MARKET_EVENT.size
SIGNAL_SIZE = SIGNAL.size

EVENTS = counters.offset("engine.events")
SIGNALS = counters.offset("engine.signals")
# The counters of the strategies stand side by side, in the order of their codes.
SIGNALS_BUILT_IN = counters.offset("engine.signals_momentum") - 8 * int(Strategy.MOMENTUM)
SIGNALS_USER = counters.offset("engine.signals_user_1") - 8 * USER_STRATEGY_FIRST
RING_FULL = counters.offset("engine.ring_full")
REPORTS = counters.offset("engine.reports")
REPORTS_MISSED = counters.offset("engine.reports_missed")

# Events between two looks at the clock, and reports between two looks at the market.
BATCH = 256
REPORT_BATCH = 64
# The producer of a gated ring does not mark a slot before writing it, so an observer keeps clear
# of the oldest fourth of the ring.
REPORT_MARGIN_SHIFT = 2


@kernel
def _count_signal(engine: int, event: int) -> None:
    view = engine_at(engine)
    strategy = state_at(symbol_state(engine, event_at(event).symbol)).strategy
    count(view.counters, SIGNALS, 1)
    first = SIGNALS_USER if strategy >= USER_STRATEGY_FIRST else SIGNALS_BUILT_IN
    count(view.counters, first + 8 * strategy, 1)


@kernel
def _publish_signal(engine: int, event: int) -> None:
    view = engine_at(engine)
    # Invariant: ids count decisions, so they do not depend on the ring's consumer.
    view.signal_id += 1
    slot = claim(view.signals)
    if slot == 0:
        count(view.counters, RING_FULL, 1)
        return
    written_ns = mono_ns()
    fill_signal(engine, event, slot, written_ns)
    publish(view.signals, slot)
    _count_signal(engine, event)
    record_value(view.histogram, written_ns - event_at(event).origin_ns)
    if view.risk_doorbell != 0:
        ring_doorbell(view.risk_doorbell)


@kernel
def _ring_feed(engine: int) -> None:
    view = engine_at(engine)
    if view.requests_rung != view.requests_made:
        view.requests_rung = view.requests_made
        if view.feed_doorbell != 0:
            ring_doorbell(view.feed_doorbell)


@kernel
def _read_market(engine: int) -> int:
    # Loop bound: BATCH.
    view = engine_at(engine)
    event = engine + EVENT_OFFSET
    read = 0
    origin_ns = 0
    while read < BATCH:
        found = read_broadcast(view.market, view.market_position, event)
        if found == EMPTY:
            break
        read += 1
        if found == LAPPED:
            # First: killed in between, the successor is lapped again and does both.
            forget_quotes(engine)
            join_again(engine)
            origin_ns = 0
            continue
        # Invariant: killed between the two marks, the successor makes this symbol cold and does
        # not care whether the position had moved on; killed outside, the event was taken or not.
        begin_event(engine, event_at(event).symbol)
        view.market_position += 1
        count(view.counters, EVENTS, 1)
        if take_event(engine, event) != 0:
            _publish_signal(engine, event)
        if view.quoted_count != 0:
            feed_quotes(engine, event)
        end_event(engine)
        origin_ns = event_at(event).origin_ns
    if origin_ns != 0:
        view.read_origin_ns = origin_ns
    _ring_feed(engine)
    return read


@kernel
def _observe_reports(engine: int) -> int:
    # Loop bound: REPORT_BATCH.
    view = engine_at(engine)
    report = engine + REPORT_OFFSET
    read = 0
    while read < REPORT_BATCH:
        position = view.report_position
        found = read_broadcast(view.reports, position, report)
        if found == EMPTY:
            break
        read += 1
        # Ordering: the record was copied before the tail is loaded (acquire fence in
        # `read_broadcast`), so a tail short of a whole lap proves that it was not being rewritten.
        behind = newest(view.reports) - position
        capacity = ring_at(view.reports).mask + 1
        if found == LAPPED or behind > capacity - (capacity >> REPORT_MARGIN_SHIFT):
            view.reports_missed += 1
            count(view.counters, REPORTS_MISSED, 1)
            view.report_position = newest(view.reports)
            continue
        note_quote_report(engine, report, note_report(engine, report))
        view.report_position = position + 1
        count(view.counters, REPORTS, 1)
    return read


@kernel
def _look(engine: int) -> int:
    found = _read_market(engine) + _observe_reports(engine)
    if engine_at(engine).quoted_count != 0:
        tell_quotes(engine)
    return found


@kernel
def _wake_by(engine: int, now_ns: int, deadline_ns: int) -> int:
    """Confirm quotes if that is due; return until when to block."""
    view = engine_at(engine)
    if view.quoted_count == 0:
        return deadline_ns
    if now_ns >= view.confirm_due_ns:
        confirm_quotes(engine, now_ns)
    return min(deadline_ns, view.confirm_due_ns)


@export(2)
def engine_run(engine: int, deadline_ns: int) -> int:
    """Work off what arrives until the deadline; return the items worked off.

    Args:
        engine: address of ENGINE.
        deadline_ns: monotonic, ns. The clock is read at least once per BATCH events.

    Returns early, with what was done, when the stage was woken without finding work.
    """
    wait = engine_at(engine).wait
    worked = 0
    while True:
        found = _look(engine)
        now_ns = mono_ns()
        wake_ns = _wake_by(engine, now_ns, deadline_ns)
        worked += found
        if now_ns >= deadline_ns:
            return worked
        if found != 0:
            found_work(wait)
            continue
        if not should_block(wait, now_ns):
            continue
        arm(wait)
        found = _look(engine)
        if found == 0:
            block(wait, now_ns, wake_ns)
        disarm(wait)
        if found == 0:
            found = _look(engine)
            if found == 0:
                return worked
        worked += found
        found_work(wait)


@export(2)
def engine_process(engine: int, event_address: int) -> int:
    """Take one event in, without rings; return 1 when a signal was written into `signal`.

    Args:
        engine: address of ENGINE; its `signal` holds the result.
        event_address: address of a MARKET_EVENT.

    The signal's written_ns is the event's origin_ns: no clock is read.
    """
    return engine_process_many(engine, event_address, 1, engine + SIGNAL_OFFSET, 1)


@export(5)
def engine_process_many(
    engine: int, events_address: int, event_count: int, signals_address: int, capacity: int
) -> int:
    """Take events in, without rings; return how many signals there were.

    Args:
        engine: address of ENGINE.
        events_address: MARKET_EVENT[event_count].
        event_count: events.
        signals_address: SIGNAL[capacity]; changed. Signals beyond the capacity are only counted.
        capacity: signals that fit.

    Loop bound: event_count.
    """
    view = engine_at(engine)
    written = 0
    for index in range(event_count):
        event = events_address + index * EVENT_SIZE
        begin_event(engine, event_at(event).symbol)
        count(view.counters, EVENTS, 1)
        if take_event(engine, event) != 0:
            view.signal_id += 1
            _count_signal(engine, event)
            if written < capacity:
                slot = signals_address + written * SIGNAL_SIZE
                fill_signal(engine, event, slot, event_at(event).origin_ns)
                signal_at(slot).sequence = view.signal_id
            written += 1
        end_event(engine)
    return written


@export(2)
def engine_start(engine: int, has_predecessor: int) -> int:
    """Begin cold, or go on where a predecessor was killed; return the position in the market ring.

    Args:
        engine: address of ENGINE, its rings named; see restart.py.
        has_predecessor: 1 when another process of this epoch used the memory.

    Loop bound: symbols, their books and states.
    """
    view = engine_at(engine)
    start(engine, has_predecessor)
    _ring_feed(engine)
    # The predecessor may have published a signal and not come to wake its reader.
    if has_predecessor != 0 and view.risk_doorbell != 0:
        ring_doorbell(view.risk_doorbell)
    return view.market_position
