"""One market event into the state: check, apply, evaluate, decide.

`take_event` is the whole engine as a function: state and event in, state out, and whether an entry
was decided. It touches no ring and no clock, so the same events give the same bits, live, in replay
and through the Python face.
"""

from __future__ import annotations

import math

from engine.book import apply_level, begin_snapshot, best_tick, end_snapshot, withdraw
from engine.book_layout import (
    BOOK,
    BOOK_INVALID,
    BOOK_VALID,
    QUANTITY_LOT_MAX,
)
from engine.book_window import CROSSED, LOSSY, settle
from engine.far_table import book_at
from engine.observations import (
    forget_best,
    forget_depth,
    observe_best,
    observe_depth,
    observe_trade,
    parameters_at,
    state_at,
)
from engine.quarantine import (
    SOUND,
    is_price,
    judge_best,
    judge_book,
    judge_trade,
    refuse,
    stays_quarantined,
)
from engine.reasons import Refusal
from engine.signals import evaluate_signals
from engine.state import (
    ENGINE,
    PARAMETERS_OFFSET,
    SYMBOL_STATE,
    THRESHOLDS,
    THRESHOLDS_OFFSET,
)
from engine.strategies.registry import ENTRIES, first_entry
from engine.validation import combine, is_confirmed, is_cooling_down
from engine.venue_clock import TIME_REFUSED, accept_time, advance
from shm import counters
from shm.atomics import load_relaxed, store_release
from shm.compiled import kernel
from shm.histograms import count
from shm.records import (
    MARKET_EVENT,
    SIGNAL,
    SIGNAL_COUNT,
    EventFlag,
    EventKind,
    ExitRule,
    Strategy,
)
from shm.tables import BOOK_REQUEST
from shm.views import view_of

engine_at = view_of(ENGINE)
event_at = view_of(MARKET_EVENT)
signal_at = view_of(SIGNAL)

STATE_SIZE = SYMBOL_STATE.size
THRESHOLDS_SIZE = THRESHOLDS.size
BOOK_SIZE = BOOK.size
REQUEST_SIZE = BOOK_REQUEST.size
WANTED = BOOK_REQUEST.offset("wanted")

TRADE = int(EventKind.TRADE)
BEST = int(EventKind.BEST)
LEVEL = int(EventKind.LEVEL)
SNAPSHOT_BEGIN = int(EventKind.SNAPSHOT_BEGIN)
SNAPSHOT_END = int(EventKind.SNAPSHOT_END)
INVALID = int(EventKind.INVALID)
MARK = int(EventKind.MARK)
SIDE_ASK = int(EventFlag.SIDE_ASK)
LAST = int(EventFlag.LAST)
SNAPSHOT = int(EventFlag.SNAPSHOT)
DELAYED = int(EventFlag.DELAYED)
DROPPED = int(EventKind.DROPPED)
UNREAD = int(Refusal.DROPPED)
UNKNOWN_SYMBOL = int(Refusal.SYMBOL)
UNKNOWN_KIND = int(Refusal.KIND)
PRICE = int(Refusal.PRICE)
QUANTITY = int(Refusal.QUANTITY)
CROSSED_BOOK = int(Refusal.CROSSED_BOOK)
TIME = int(Refusal.TIME)
NONE = int(Strategy.NONE)
RETURN_TO_MEAN = int(ExitRule.RETURN_TO_MEAN)

EVALUATIONS = counters.offset("engine.evaluations")
CANDIDATES = counters.offset("engine.candidates")
COOLED_DOWN = counters.offset("engine.cooled_down")
UNCONFIRMED = counters.offset("engine.unconfirmed")
OUT_OF_WINDOW = counters.offset("engine.out_of_window")
RECENTRES = counters.offset("engine.recentres")
FAR_OVERFLOW = counters.offset("engine.far_overflow")
CROSSED_BOOKS = counters.offset("engine.crossed")
INVALIDATIONS = counters.offset("engine.invalidations")

# A book may be crossed for one update: the venue's own matching is not one instant for all levels.
CROSSED_RUN_MAX = 2


@kernel
def symbol_state(engine: int, symbol: int) -> int:
    """Return the address of a symbol's SYMBOL_STATE."""
    return engine_at(engine).symbol_states + symbol * STATE_SIZE


@kernel
def symbol_book(engine: int, symbol: int) -> int:
    """Return the address of a symbol's BOOK."""
    return engine_at(engine).books + symbol * BOOK_SIZE


@kernel
def withdraw_book(engine: int, symbol: int) -> None:
    """Trust a symbol's book no more, until the next snapshot."""
    if withdraw(symbol_book(engine, symbol)):
        count(engine_at(engine).counters, INVALIDATIONS, 1)
    forget_depth(symbol_state(engine, symbol))


@kernel
def request_book(engine: int, symbol: int) -> None:
    """Ask the feed for a snapshot of a symbol; its doorbell is rung by the caller of the kernel."""
    view = engine_at(engine)
    wanted = view.book_requests + symbol * REQUEST_SIZE + WANTED
    # Ordering: pairs with the feed's acquire load; it answers whenever the count has moved.
    store_release(wanted, load_relaxed(wanted) + 1)
    view.requests_made += 1


@kernel
def _judge(
    engine: int, symbol: int, parameters: int, strategy: int, trigger: int, side: int
) -> bool:
    # What becomes of a side that a strategy proposes.
    block = engine_at(engine).counters
    state = symbol_state(engine, symbol)
    thresholds = engine + THRESHOLDS_OFFSET + symbol * THRESHOLDS_SIZE
    count(block, CANDIDATES, 1)
    if is_cooling_down(state, thresholds):
        count(block, COOLED_DOWN, 1)
        return False
    combine(state, parameters, side, trigger)
    if not is_confirmed(state, thresholds, side):
        count(block, UNCONFIRMED, 1)
        return False
    view = state_at(state)
    view.side = side
    view.strategy = strategy
    view.signal_ms = view.clock_ms
    return True


# Every strategy in the order of the registry; the first that is confirmed wins.
_decide = first_entry(ENTRIES, _judge)


@kernel
def evaluate(engine: int, symbol: int) -> int:
    """Compute the eight signals of a symbol and return whether an entry was decided.

    Nothing is decided while the state is cold or in quarantine or, where books are required, while
    the book or the best prices are not to be trusted.
    """
    state = symbol_state(engine, symbol)
    parameters = engine + PARAMETERS_OFFSET
    view = state_at(state)
    settings = parameters_at(parameters)
    view.strategy = NONE
    view.side = 0
    view.event_count += 1
    count(engine_at(engine).counters, EVALUATIONS, 1)
    evaluate_signals(state, parameters)
    if view.quarantine != 0 and stays_quarantined(engine, state, parameters):
        return 0
    if view.event_count < settings.warmup_events:
        return 0
    if settings.require_book != 0:
        book = book_at(symbol_book(engine, symbol))
        if book.state != BOOK_VALID or book.crossed_run != 0 or view.bid_tick == 0:
            return 0
    return _decide(engine, symbol, state, parameters)


@kernel
def _take_trade(engine: int, event: int, symbol: int) -> int:
    source = event_at(event)
    state = symbol_state(engine, symbol)
    parameters = engine + PARAMETERS_OFFSET
    judged = judge_trade(state, parameters, source.price_tick)
    if judged != SOUND:
        return refuse(engine, state, judged)
    if not 0 < source.quantity_lot <= QUANTITY_LOT_MAX:
        return refuse(engine, state, QUANTITY)
    time_ms = accept_time(state, source.venue_ns)
    if time_ms == TIME_REFUSED:
        return refuse(engine, state, TIME)
    advance(state, parameters, time_ms)
    is_sell = source.flags & SIDE_ASK
    observe_trade(state, parameters, source.price_tick, source.quantity_lot, is_sell)
    return 0 if source.flags & DELAYED else evaluate(engine, symbol)


@kernel
def _take_best(engine: int, event: int, symbol: int) -> int:
    source = event_at(event)
    state = symbol_state(engine, symbol)
    parameters = engine + PARAMETERS_OFFSET
    judged = judge_best(state, parameters, source.price_tick, source.ask_tick)
    if judged == SOUND:
        bid_ok = 0 < source.quantity_lot <= QUANTITY_LOT_MAX
        if not bid_ok or not 0 < source.ask_lot <= QUANTITY_LOT_MAX:
            judged = QUANTITY
    if judged != SOUND:
        forget_best(state)
        return refuse(engine, state, judged)
    time_ms = accept_time(state, source.venue_ns)
    if time_ms == TIME_REFUSED:
        return refuse(engine, state, TIME)
    advance(state, parameters, time_ms)
    observe_best(state, source.price_tick, source.quantity_lot, source.ask_tick, source.ask_lot)
    state_at(state).quote_ms = time_ms
    return 0 if source.flags & DELAYED else evaluate(engine, symbol)


@kernel
def _give_back(engine: int, symbol: int) -> None:
    # The book cannot be right: trust it no more and ask for another.
    withdraw_book(engine, symbol)
    request_book(engine, symbol)


@kernel
def _settle_book(engine: int, symbol: int) -> bool:
    # Returns whether the book is whole, uncrossed and where the market is.
    book = symbol_book(engine, symbol)
    block = engine_at(engine).counters
    moved = book_at(book).recentres
    result = settle(book)
    count(block, RECENTRES, book_at(book).recentres - moved)
    if result == CROSSED:
        count(block, CROSSED_BOOKS, 1)
    if result == LOSSY:
        _give_back(engine, symbol)
        return False
    state = symbol_state(engine, symbol)
    if book_at(book).crossed_run >= CROSSED_RUN_MAX:
        refuse(engine, state, CROSSED_BOOK)
        _give_back(engine, symbol)
        return False
    if result == CROSSED:
        return False
    judged = judge_book(state, engine + PARAMETERS_OFFSET, best_tick(book, 0), best_tick(book, 1))
    if judged != SOUND:
        refuse(engine, state, judged)
        _give_back(engine, symbol)
        return False
    return True


@kernel
def _take_level(engine: int, event: int, symbol: int) -> int:
    source = event_at(event)
    book = symbol_book(engine, symbol)
    control = book_at(book)
    if control.state == BOOK_INVALID:
        return 0
    price_ok = is_price(source.price_tick)
    if not price_ok or not 0 <= source.quantity_lot <= QUANTITY_LOT_MAX:
        _give_back(engine, symbol)
        return refuse(engine, symbol_state(engine, symbol), QUANTITY if price_ok else PRICE)
    lost = control.far_lost
    is_far = apply_level(book, source.flags & SIDE_ASK, source.price_tick, source.quantity_lot)
    if is_far:
        count(engine_at(engine).counters, OUT_OF_WINDOW, 1)
        count(engine_at(engine).counters, FAR_OVERFLOW, control.far_lost - lost)
    if not source.flags & LAST or control.state != BOOK_VALID:
        return 0
    if not _settle_book(engine, symbol):
        return 0
    state = symbol_state(engine, symbol)
    parameters = engine + PARAMETERS_OFFSET
    if source.flags & DELAYED:
        observe_depth(state, parameters, book)
        return 0
    # A level counts for the book whatever its time; only the evaluation asks for it.
    time_ms = accept_time(state, source.venue_ns)
    if time_ms == TIME_REFUSED:
        return refuse(engine, state, TIME)
    advance(state, parameters, time_ms)
    observe_depth(state, parameters, book)
    return evaluate(engine, symbol)


@kernel
def _end_snapshot(engine: int, symbol: int) -> int:
    book = symbol_book(engine, symbol)
    end_snapshot(book)
    if book_at(book).state == BOOK_VALID and _settle_book(engine, symbol):
        observe_depth(symbol_state(engine, symbol), engine + PARAMETERS_OFFSET, book)
    return 0


@kernel
def take_event(engine: int, event: int) -> int:
    """Take one market event in; return 1 when an entry of its symbol was decided, else 0.

    Args:
        engine: address of ENGINE; it and what it points to are changed.
        event: address of a MARKET_EVENT.

    Loop bound: a few words; when a window moves, its levels and its far tables.
    """
    source = event_at(event)
    symbol = source.symbol
    if symbol >= engine_at(engine).symbol_count:
        return refuse(engine, 0, UNKNOWN_SYMBOL)
    kind = source.kind
    if kind == LEVEL:
        return _take_level(engine, event, symbol)
    if kind == BEST:
        return _take_best(engine, event, symbol)
    if kind == TRADE:
        return _take_trade(engine, event, symbol)
    if kind == SNAPSHOT_BEGIN:
        begin_snapshot(symbol_book(engine, symbol))
        forget_depth(symbol_state(engine, symbol))
        return 0
    if kind == SNAPSHOT_END:
        return _end_snapshot(engine, symbol)
    if kind == INVALID:
        withdraw_book(engine, symbol)
        forget_best(symbol_state(engine, symbol))
        return 0
    if kind == MARK:
        return 0
    state = symbol_state(engine, symbol)
    return refuse(engine, state, UNREAD if kind == DROPPED else UNKNOWN_KIND)


@kernel
def fill_signal(engine: int, event: int, slot: int, written_ns: int) -> None:
    """Write the decision of the event's symbol as a SIGNAL into a slot.

    Args:
        engine: address of ENGINE; it counts the id up.
        event: address of the MARKET_EVENT that caused it.
        slot: address of a SIGNAL; changed, its sequence left alone.
        written_ns: monotonic stamp, ns.
    """
    source = event_at(event)
    view = state_at(symbol_state(engine, source.symbol))
    signal = signal_at(slot)
    signal.origin_ns = source.origin_ns
    signal.written_ns = written_ns
    signal.venue_ns = source.venue_ns
    signal.signal_id = engine_at(engine).signal_id
    signal.bid_tick = view.bid_tick
    signal.ask_tick = view.ask_tick
    signal.strength = abs(view.score)
    signal.confidence = view.confidence
    signal.volatility = math.sqrt(view.variance)
    for factor in range(SIGNAL_COUNT):
        signal.scores[factor] = view.scores[factor]
    signal.symbol = source.symbol
    signal.agreeing = view.agreeing
    signal.opposing = view.opposing
    signal.strategy = view.strategy
    signal.confirmations = view.confirmations
    signal.side = view.side
    settings = parameters_at(engine + PARAMETERS_OFFSET)
    rule = settings.exit_rule[view.strategy]
    signal.exit_rule = rule
    # The mean that prices are expected to return to: the slow exponential mean of trade prices.
    signal.mean_tick = math.floor(view.ema_slow + 0.5) if rule == RETURN_TO_MEAN else 0
    signal.hold_ms_min = settings.hold_ms_min[view.strategy]
    signal.hold_ms_max = settings.hold_ms_max[view.strategy]
    signal.stop_pct = settings.stop_pct[view.strategy]
    signal.target_pct = settings.target_pct[view.strategy]
