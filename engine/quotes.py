"""Market making of the quoted symbols: events and fills in, wanted quotes out into the ring.

A decision says what is to stand on both sides; a QUOTE in the ring carries the whole of it, so only
the newest counts, and one that found no room is made up for by the next. It is published when what
is to stand has changed, and again every `confirm_ns` while something is to stand: risk withdraws
quotes that were not confirmed within the lease. Nothing here knows which orders stand at the venue;
that is risk's. A fill of a quote lessens what is wanted, whichever order it was.

Times are the venue's. Without events it is taken to go on from the last one at the pace of the
monotonic clock, so that best prices grow stale while nothing arrives at all.
"""

from __future__ import annotations

from engine.book_layout import BOOK, BOOK_VALID
from engine.far_table import book_at
from engine.observations import state_at
from engine.quote_prices import decision_at
from engine.quote_volatility import quote_state_at
from engine.quoting import TIME_MS_MAX, decide, forget_quote_book, note_fill, on_book, on_trade
from engine.quoting_state import DECISION_OFFSET, PARAMETERS_OFFSET, QUOTED, STATE_OFFSET
from engine.state import ENGINE, SYMBOL_STATE
from engine.venue_clock import LATE_MS_MAX
from runtime.clocks import mono_ns
from runtime.waits import ring_doorbell
from shm import counters
from shm.atomics import fence_release, store_relaxed, store_release
from shm.compiled import kernel
from shm.histograms import count
from shm.records import MARKET_EVENT, QUOTE, REPORT, EventFlag, EventKind, ReportFlag
from shm.rings import claim, publish
from shm.views import view_of

engine_at = view_of(ENGINE)
event_at = view_of(MARKET_EVENT)
report_at = view_of(REPORT)
quoted_at = view_of(QUOTED)
quote_at = view_of(QUOTE)

STATE_SIZE = SYMBOL_STATE.size
BOOK_SIZE = BOOK.size
QUOTED_SIZE = QUOTED.size
TRADE = int(EventKind.TRADE)
BEST = int(EventKind.BEST)
INVALID = int(EventKind.INVALID)
SIDE_ASK = int(EventFlag.SIDE_ASK)
OF_QUOTE = int(ReportFlag.QUOTE)
NS_PER_MS = 1_000_000
CHANGING = QUOTED.offset("changing")

QUOTES = counters.offset("engine.quotes")
QUOTES_FULL = counters.offset("engine.quotes_full")
QUOTE_CHANGES = counters.offset("engine.quote_changes")


@kernel
def quoted_address(engine: int, place: int) -> int:
    """Return the address of a QUOTED row; rows are those of the quoted symbols, in their order."""
    return engine_at(engine).quoted + place * QUOTED_SIZE


@kernel
def quoted_of(engine: int, symbol: int) -> int:
    """Return the QUOTED row of a symbol, or 0 when it is not quoted."""
    view = engine_at(engine)
    if view.quoted_count == 0 or symbol >= view.symbol_count:
        return 0
    place = view.quoted_places[symbol]
    return 0 if place == 0 else quoted_address(engine, place - 1)


@kernel
def _begin_change(quoted: int) -> None:
    # Ordering: killed before `_end_change`, the row is torn and its successor begins it anew. Only
    # the compiler must not move what comes after: a killed process has done what comes before.
    store_relaxed(quoted + CHANGING, 1)
    fence_release()


@kernel
def _end_change(quoted: int) -> None:
    store_release(quoted + CHANGING, 0)


@kernel
def _decide_at(engine: int, quoted: int, now_ms: int, origin_ns: int) -> None:
    row = quoted_at(quoted)
    _begin_change(quoted)
    view = engine_at(engine)
    state = quoted + STATE_OFFSET
    if book_at(view.books + row.symbol * BOOK_SIZE).state != BOOK_VALID:
        forget_quote_book(state)
    # A late event is no reason to distrust the clock that a timer has moved on.
    estimates = quote_state_at(state)
    latest_ms = max(estimates.clock_ms, estimates.decided_ms)
    # A time far ahead was a wrong one: `decide` forgets it after a run of times before it.
    row.now_ms = latest_ms if now_ms < latest_ms <= now_ms + LATE_MS_MAX else now_ms
    decision = quoted + DECISION_OFFSET
    inventory_lot = view.inventories[row.symbol]
    decide(state, quoted + PARAMETERS_OFFSET, decision, row.now_ms, inventory_lot)
    made = decision_at(decision)
    row.dirty = 0
    changed = 0
    for side in range(2):
        if made.tick[side] != row.tick[side] or made.lot[side] != row.lot[side]:
            changed = 1
        row.tick[side] = made.tick[side]
        row.lot[side] = made.lot[side]
    if changed != 0:
        row.pending = 1
        row.origin_ns = origin_ns
        count(view.counters, QUOTE_CHANGES, 1)
    _end_change(quoted)


@kernel
def feed_quotes(engine: int, event: int) -> None:
    """Take a market event into the estimates of its symbol and decide anew; others do nothing.

    Args:
        engine: address of ENGINE, which has taken the event already; changed.
        event: address of a MARKET_EVENT.

    Loop bound: that of `on_trade`, `on_book` and `decide`.
    """
    source = event_at(event)
    quoted = quoted_of(engine, source.symbol)
    if quoted == 0:
        return
    state = quoted + STATE_OFFSET
    kind = source.kind
    known = state_at(engine_at(engine).symbol_states + source.symbol * STATE_SIZE)
    _begin_change(quoted)
    if kind == INVALID or known.quarantine != 0:
        # What was refused does not reach the estimates, and what stands is pulled meanwhile.
        forget_quote_book(state)
    elif kind in (TRADE, BEST):
        # The symbol's clock: what is late is taken at the present time, as in the signals.
        clock_ms = known.clock_ms
        parameters = quoted + PARAMETERS_OFFSET
        row = quoted_at(quoted)
        row.clock_ms = clock_ms
        row.clock_ns = source.origin_ns
        lot = source.quantity_lot
        if kind == TRADE:
            is_sell = 1 if source.flags & SIDE_ASK else 0
            on_trade(state, parameters, clock_ms, source.price_tick, lot, is_sell)
        else:
            bid_tick = source.price_tick
            on_book(state, parameters, clock_ms, bid_tick, lot, source.ask_tick, source.ask_lot)
    else:
        row = quoted_at(quoted)
        book = engine_at(engine).books + row.symbol * BOOK_SIZE
        if book_at(book).state == BOOK_VALID or row.tick[0] + row.tick[1] == 0:
            _end_change(quoted)
            return
        # The book was withdrawn over this event: what stands is pulled now, not at the next price.
    _decide_at(engine, quoted, quoted_at(quoted).clock_ms, source.origin_ns)


@kernel
def forget_quotes(engine: int) -> None:
    """Make the best prices of all quoted symbols unknown: events were lost. Bound: quoted_count."""
    for place in range(engine_at(engine).quoted_count):
        quoted = quoted_address(engine, place)
        forget_quote_book(quoted + STATE_OFFSET)
        quoted_at(quoted).dirty = 1


@kernel
def note_quote_report(engine: int, report: int, new_lot: int) -> None:
    """Take a report about a quoted symbol: its inventory changed, and perhaps a quote was filled.

    Args:
        engine: address of ENGINE, whose inventories hold the report already; changed.
        report: address of a REPORT.
        new_lot: lots that it adds to what was known to be filled.
    """
    source = report_at(report)
    quoted = quoted_of(engine, source.symbol)
    if quoted == 0 or new_lot == 0:
        return
    if source.flags & OF_QUOTE:
        note_fill(quoted + STATE_OFFSET, 0 if source.side > 0 else 1, new_lot)
    quoted_at(quoted).dirty = 1


@kernel
def venue_ms_at(quoted: int, now_ns: int) -> int:
    """Return the venue's time of a symbol at a monotonic time, or 0 while none is known."""
    row = quoted_at(quoted)
    if row.clock_ms == 0:
        return 0
    return min(row.clock_ms + max(now_ns - row.clock_ns, 0) // NS_PER_MS, TIME_MS_MAX)


@kernel
def _publish_quote(engine: int, quoted: int) -> int:
    # Returns 1, or 0 when the ring had no room.
    view = engine_at(engine)
    row = quoted_at(quoted)
    slot = claim(view.quotes)
    if slot == 0:
        # Still pending: it is tried again at the next look, as it then stands.
        count(view.counters, QUOTES_FULL, 1)
        return 0
    view.quote_id += 1
    now_ns = mono_ns()
    made = decision_at(quoted + DECISION_OFFSET)
    quote = quote_at(slot)
    quote.origin_ns = row.origin_ns
    quote.written_ns = now_ns
    quote.venue_ns = row.now_ms * NS_PER_MS
    quote.quote_id = view.quote_id
    quote.report_position = view.report_position
    for side in range(2):
        quote.tick[side] = row.tick[side]
        quote.lot[side] = row.lot[side]
        quote.reasons[side] = made.reasons[side]
    quote.symbol = row.symbol
    publish(view.quotes, slot)
    row.pending = 0
    row.written_ns = now_ns
    count(view.counters, QUOTES, 1)
    return 1


@kernel
def tell_quotes(engine: int) -> None:
    """Decide what reports have left open, and publish what has changed. Bound: quoted_count."""
    view = engine_at(engine)
    told = 0
    for place in range(view.quoted_count):
        quoted = quoted_address(engine, place)
        row = quoted_at(quoted)
        if row.dirty != 0:
            _decide_at(engine, quoted, row.clock_ms, mono_ns())
        if row.pending != 0:
            told += _publish_quote(engine, quoted)
    if told != 0 and view.risk_doorbell != 0:
        ring_doorbell(view.risk_doorbell)


@kernel
def confirm_quotes(engine: int, now_ns: int) -> None:
    """Decide all symbols at the present time; confirm what stands. Loop bound: quoted_count.

    Args:
        engine: address of ENGINE; changed. `confirm_due_ns` says when this is to be called again.
        now_ns: monotonic.
    """
    view = engine_at(engine)
    view.confirm_due_ns = now_ns + view.confirm_ns
    for place in range(view.quoted_count):
        quoted = quoted_address(engine, place)
        row = quoted_at(quoted)
        _decide_at(engine, quoted, venue_ms_at(quoted, now_ns), now_ns)
        # Half a period of grace: a timer that comes a little early still confirms.
        is_due = 2 * (now_ns - row.written_ns) >= view.confirm_ns
        if (row.lot[0] != 0 or row.lot[1] != 0) and is_due and row.pending == 0:
            row.pending = 1
            row.origin_ns = now_ns
    tell_quotes(engine)
