"""Where an engine goes on: after a predecessor that was killed, and after a lap of the market ring.

**Killed.** The predecessor's memory is that of its last instruction. `ENGINE.applying` names the
symbol whose event was under way: its state and book are torn, so it starts cold, with an invalid
book and nothing known, and is silent until it is warm again. The others go on, if they pass the
checks of wholeness.py, with the next event of the ring. The event under way is never taken in a
second time by a state that may have it: a decision is published once or, torn, not at all.

**Lapped.** What was missed is unknown. Books are withdrawn and asked for, and nothing from before
is compared with what comes: best prices and depth, the last three trades, exponential means by
trade, price grid and bars begin anew. Sums over time go on when at most BRIDGE_NS_MAX were missed;
the cool-down and the warm-up count with them. Otherwise all symbols start over, cold.
"""

from __future__ import annotations

from engine.book import clear
from engine.book_layout import BOOK_INVALID
from engine.events import (
    BOOK_SIZE,
    STATE_SIZE,
    engine_at,
    forget_best,
    request_book,
    state_at,
    symbol_book,
    symbol_state,
    withdraw_book,
)
from engine.far_table import book_at
from engine.inventory import undo_report
from engine.quarantine import QUARANTINES_ENDED
from engine.reasons import StartReason
from engine.state import ENGINE
from engine.wholeness import EMPTY, QUARANTINE_END, WHOLE, book_fault, state_fault
from runtime.clocks import mono_ns
from shm import counters
from shm.atomics import fence_release, store_relaxed, store_release
from shm.compiled import kernel
from shm.histograms import count
from shm.memory import zero_bytes
from shm.rings import newest, rejoin

APPLYING = ENGINE.offset("applying")
KEPT_SYMBOLS = ENGINE.offset("kept_symbols")
MARKET_POSITION = ENGINE.offset("market_position")
FIRST = int(StartReason.FIRST)
TORN = int(StartReason.TORN)

LAPS = counters.offset("engine.laps")
WARM_SYMBOLS = counters.offset("engine.warm_symbols")
COLD_SYMBOLS = counters.offset("engine.cold_symbols")

# Sums that decay over 60 s take a stretch that was missed for one in which nothing happened. Three
# seconds are 1 − exp(−3/60), 4.9 % of their weight: variance and mean volume are at most that much
# too small, less than they vary by themselves. Those over 1 s and 5 s have forgotten it sooner.
BRIDGE_NS_MAX = 3_000_000_000


@kernel
def begin_event(engine: int, symbol: int) -> None:
    """Mark a symbol as being changed: if the process is killed now, it is torn."""
    # Ordering: pairs with `_take_over` of the successor. A killed process has done what comes
    # before in the order of the program, so only the compiler must not move what comes after.
    store_relaxed(engine + APPLYING, symbol + 1)
    fence_release()


@kernel
def end_event(engine: int) -> None:
    """Mark the event as whole: state, book and ring hold all that follows from it."""
    # Ordering: as in `begin_event`; release keeps the changes before the mark.
    store_release(engine + APPLYING, 0)


@kernel
def make_cold(engine: int, symbol: int) -> None:
    """Forget all that is known of a symbol; its book is invalid, and still to be asked for.

    A quarantine stays and is counted anew: nothing sound has been seen since. One whose bits cannot
    be is over.
    """
    begin_event(engine, symbol)
    state = symbol_state(engine, symbol)
    kept = state_at(state).quarantine
    if not 0 <= kept < QUARANTINE_END:
        kept = 0
        count(engine_at(engine).counters, QUARANTINES_ENDED, 1)
    zero_bytes(state, STATE_SIZE)
    state_at(state).quarantine = kept
    book = symbol_book(engine, symbol)
    # Not only cleared: a torn book may hold quantities that its bits do not know of.
    zero_bytes(book, BOOK_SIZE)
    clear(book)
    end_event(engine)


@kernel
def break_off(state: int) -> None:
    """Compare what comes with nothing from before, but let sums over time go on.

    Args:
        state: address of SYMBOL_STATE; changed. Its depth is forgotten by `withdraw_book`.
    """
    view = state_at(state)
    forget_best(state)
    view.break_trade = view.trade_count
    view.grid_count = 0
    view.bar_tick = 0
    view.bar_count = 0
    view.divergence = 0
    # The scores of prices are computed anew with the next evaluation.
    view.scored_trades = -1


@kernel
def join_again(engine: int) -> None:
    """Go on after a lap, at the newest record. Loop bound: symbols."""
    view = engine_at(engine)
    now_ns = mono_ns()
    missed_ns = now_ns - view.read_origin_ns
    position = rejoin(view.market, view.market_cursor)
    count(view.counters, LAPS, 1)
    for symbol in range(view.symbol_count):
        withdraw_book(engine, symbol)
        request_book(engine, symbol)
        if 0 <= missed_ns <= BRIDGE_NS_MAX:
            break_off(symbol_state(engine, symbol))
        else:
            make_cold(engine, symbol)
    view.read_origin_ns = now_ns
    # Ordering: killed before, the successor is lapped again and does all of it once more.
    store_release(engine + MARKET_POSITION, position)


@kernel
def symbol_fault(engine: int, symbol: int) -> int:
    """Return WHOLE, EMPTY, or the StartReason of what is wrong with a symbol's state or book.

    Loop bound: as `book_fault`.
    """
    reason = state_fault(symbol_state(engine, symbol))
    fault = WHOLE
    if reason in (WHOLE, EMPTY):
        fault = book_fault(symbol_book(engine, symbol))
    return reason if fault == WHOLE else fault


@kernel
def _take_over(engine: int) -> None:
    # Loop bound: symbols, their books and states.
    view = engine_at(engine)
    undo_report(engine)
    torn = view.applying - 1
    if 0 <= torn < view.symbol_count:
        make_cold(engine, torn)
        view.start_reasons[torn] = TORN
    # Of an event whose symbol is unknown nothing was applied.
    end_event(engine)
    for symbol in range(view.symbol_count):
        reason = view.start_reasons[symbol]
        if reason != TORN:
            reason = symbol_fault(engine, symbol)
            view.start_reasons[symbol] = reason
        if reason not in (WHOLE, TORN, EMPTY):
            make_cold(engine, symbol)
        count(view.counters, WARM_SYMBOLS if reason == WHOLE else COLD_SYMBOLS, 1)


@kernel
def _begin(engine: int) -> None:
    # Loop bound: symbols.
    view = engine_at(engine)
    view.market_position = newest(view.market)
    view.report_position = newest(view.reports)
    view.read_origin_ns = mono_ns()
    for symbol in range(view.symbol_count):
        make_cold(engine, symbol)
        view.start_reasons[symbol] = FIRST


@kernel
def start(engine: int, has_predecessor: int) -> None:
    """Begin cold at the newest event, or take over what a predecessor knew and go on at its next.

    Args:
        engine: address of ENGINE; `start_reasons` says afterwards how each symbol began.
        has_predecessor: 1 when another process of this epoch used the memory.

    Books that are not valid are asked for; that some are, the caller tells the feed. Loop bound:
    symbols, their books and states.
    """
    view = engine_at(engine)
    # A predecessor that died before it had started left nothing to go on with.
    if has_predecessor != 0 and view.kept_symbols == view.symbol_count:
        _take_over(engine)
    else:
        _begin(engine)
    for symbol in range(view.symbol_count):
        if book_at(symbol_book(engine, symbol)).state == BOOK_INVALID:
            request_book(engine, symbol)
    # Also for what the predecessor asked and did not come to ring for.
    view.requests_made += 1
    # Ordering: last, so that a kill before it makes the next start begin anew.
    store_release(engine + KEPT_SYMBOLS, view.symbol_count)
