"""The compiled half of the agent: rings in → positions, limits, exits → orders out, waiting.

A look reads reports first (what is true), then prices (what must be closed), then signals (what may
be opened) and quotes (what is to stand). A look takes at most 256 records, after which the clock is
read.
"""

from __future__ import annotations

from risk.correlation import observe_prices
from risk.entries import take_signal
from risk.fills import find_order, take_report
from risk.foreign import is_foreign_fill
from risk.parameters import MARKET_READER
from risk.positions import track_equity
from risk.prices import take_event
from risk.quote_rows import is_quoted
from risk.quotes import step_all_quotes, step_quotes, take_quote
from risk.recovery import recover
from risk.settlement import settle_orders
from risk.soundness import regain_trust
from risk.state import CONTEXT, PARAMETERS
from risk.throttle import obey_rearm
from risk.watching import forget_prices, watch_all, watch_position
from runtime.clocks import mono_ns
from runtime.waits import arm, block, disarm, found_work, ring_doorbell, should_block
from shm import counters
from shm.atomics import load_relaxed, store_relaxed
from shm.compiled import export, kernel
from shm.histograms import count
from shm.records import MARKET_EVENT, REPORT, EventKind
from shm.rings import (
    EMPTY,
    LAPPED,
    TAIL,
    advance,
    head_address,
    peek,
    read_broadcast,
    rejoin,
    sequence_address,
    slot_address,
)
from shm.tables import CONTROL
from shm.views import view_of

context_at = view_of(CONTEXT)
parameters_at = view_of(PARAMETERS)
report_at = view_of(REPORT)
event_at = view_of(MARKET_EVENT)
control_at = view_of(CONTROL)

INVALID = int(EventKind.INVALID)

EVENTS = counters.offset("risk.events")
LAPS = counters.offset("risk.laps")
REPORTS_PER_LOOK = 64
EVENTS_PER_LOOK = 128
SIGNALS_PER_LOOK = 32
QUOTES_PER_LOOK = 32
assert REPORTS_PER_LOOK + EVENTS_PER_LOOK + SIGNALS_PER_LOOK + QUOTES_PER_LOOK <= 256
# Timers of positions are looked at this often while records flow.
TIMERS_NS = 1_000_000


@kernel
def _take_reports(context: int) -> int:
    """Apply waiting reports; a position one of them opened is judged at once."""
    view = context_at(context)
    taken = 0
    for _ in range(REPORTS_PER_LOOK):
        report = peek(view.reports, 0)
        if report == 0:
            break
        now = mono_ns()
        moves = find_order(context, report) != 0 or is_foreign_fill(context, report)
        symbol = report_at(report).symbol
        take_report(context, report, now)
        if moves:
            track_equity(context, parameters_at(view.parameters).max_drawdown)
            watch_position(context, symbol, now, now)
            if is_quoted(context, symbol):
                step_quotes(context, symbol, now)
        taken += 1
    return taken


@kernel
def _withdraw_quotes(context: int) -> None:
    """Withdraw quotes at once when the event just taken made the prices of its symbol unknown."""
    view = context_at(context)
    event = event_at(view.event)
    if event.kind != INVALID or parameters_at(view.parameters).quoted_count == 0:
        return
    if event.symbol < control_at(view.control).symbol_count and is_quoted(context, event.symbol):
        step_quotes(context, event.symbol, mono_ns())


@kernel
def _take_events(context: int) -> int:
    """Read market events from this stage's own place in the ring."""
    view = context_at(context)
    head = head_address(view.market, MARKET_READER)
    taken = 0
    for _ in range(EVENTS_PER_LOOK):
        place = load_relaxed(head)
        state = read_broadcast(view.market, place, view.event)
        if state == EMPTY:
            break
        taken += 1
        if state == LAPPED:
            store_relaxed(head, rejoin(view.market, MARKET_READER))
            now = mono_ns()
            forget_prices(context, now)
            step_all_quotes(context, now)
            count(view.counters, LAPS, 1)
            break
        take_event(context, view.event)
        _withdraw_quotes(context)
        store_relaxed(head, place + 1)
        count(view.counters, EVENTS, 1)
    return taken


@kernel
def _take_signals(context: int) -> int:
    """Judge waiting signals."""
    view = context_at(context)
    taken = 0
    for _ in range(SIGNALS_PER_LOOK):
        signal = peek(view.signals, 0)
        if signal == 0:
            break
        take_signal(context, signal, mono_ns())
        advance(view.signals, 0)
        taken += 1
    return taken


@kernel
def _take_quotes(context: int) -> int:
    """Take over the quotes that the engine wants."""
    view = context_at(context)
    taken = 0
    for _ in range(QUOTES_PER_LOOK):
        quote = peek(view.quotes, 0)
        if quote == 0:
            break
        take_quote(context, quote, mono_ns())
        advance(view.quotes, 0)
        taken += 1
    return taken


@kernel
def look(context: int) -> int:
    """Take one batch of each ring and wake the executor once; return the records taken."""
    view = context_at(context)
    before = load_relaxed(view.orders + TAIL)
    taken = _take_reports(context)
    taken += _take_events(context)
    taken += _take_signals(context)
    taken += _take_quotes(context)
    if load_relaxed(view.orders + TAIL) != before:
        ring_doorbell(view.executor_doorbell)
    return taken


@kernel
def _run_timers(context: int, now_ns: int) -> int:
    """Look at time limits, retries, flattening and re-arming, sample prices on their grid.

    Returns when the next is due, 0 = never: without an event no price changes, so the grid of the
    correlations wakes nobody.
    """
    view = context_at(context)
    before = load_relaxed(view.orders + TAIL)
    obey_rearm(context)
    regain_trust(context, now_ns)
    observe_prices(context, now_ns)
    due = watch_all(context, now_ns)
    quotes_due = step_all_quotes(context, now_ns)
    if due == 0 or (quotes_due != 0 and quotes_due < due):
        due = quotes_due
    if load_relaxed(view.orders + TAIL) != before:
        ring_doorbell(view.executor_doorbell)
    return due


@kernel
def _nothing_waits(context: int) -> bool:
    """Return whether all four rings are empty for this stage."""
    view = context_at(context)
    if peek(view.reports, 0) != 0 or peek(view.signals, 0) != 0 or peek(view.quotes, 0) != 0:
        return False
    place = load_relaxed(head_address(view.market, MARKET_READER))
    slot = slot_address(view.market, place)
    # A sequence at or beyond the wanted one means a record, or a lap.
    return load_relaxed(sequence_address(view.market, slot)) - (place + 1) < 0


@kernel
def _sleep(context: int, deadline_ns: int) -> bool:
    """Block until a record, a timer or the deadline; return whether the doorbell ended it."""
    view = context_at(context)
    woken = False
    arm(view.wait)
    now = mono_ns()
    due = _run_timers(context, now)
    until = deadline_ns if due == 0 else min(deadline_ns, max(due, now + 1))
    if _nothing_waits(context):
        block(view.wait, now, until)
        woken = mono_ns() < until
    disarm(view.wait)
    return woken


@export(2)
def risk_run(context: int, deadline_ns: int) -> int:
    """Work until the deadline, waiting where nothing is there; return the records taken.

    Args:
        context: CONTEXT.
        deadline_ns: monotonic; one in the past makes one look.

    It returns early when it was woken and found nothing: a command may be waiting.
    """
    view = context_at(context)
    total = 0
    now = mono_ns()
    settle_orders(context, now)
    _run_timers(context, now)
    timers_ns = now
    woken = False
    while True:
        taken = look(context)
        total += taken
        now = mono_ns()
        if taken > 0:
            found_work(view.wait)
        if now >= deadline_ns or (woken and taken == 0):
            return total
        woken = False
        if now - timers_ns >= TIMERS_NS:
            _run_timers(context, now)
            timers_ns = now
        if taken == 0 and should_block(view.wait, now):
            woken = _sleep(context, deadline_ns)


@export(1)
def risk_recover(context: int) -> int:
    """Exported `recover`."""
    return recover(context)
