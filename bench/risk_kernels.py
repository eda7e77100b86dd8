"""The measured loops of risk: exits per tick, limits per signal, signals into orders, the latch."""

from __future__ import annotations

from risk.entries import refusal_of
from risk.loop import look, risk_run
from risk.prices import take_event_at
from risk.state import CONTEXT, ENTRY_CHECK, HEADER, SYMBOL_STATE
from risk.undo import POSITION_SIZE, SYMBOL_STATE_SIZE
from runtime.clocks import mono_ns
from shm.atomics import load_acquire, load_relaxed, pause, store_release
from shm.compiled import export, kernel
from shm.memory import copy_bytes, load_i64, store_i64
from shm.records import MARKET_EVENT, ORDER, REPORT, SIGNAL, EventKind, OrderStatus
from shm.rings import TAIL, advance, claim, peek, publish
from shm.tables import CONTROL, POSITION, PositionState
from shm.views import view_of

check_at = view_of(ENTRY_CHECK)
context_at = view_of(CONTEXT)
control_at = view_of(CONTROL)
event_at = view_of(MARKET_EVENT)
header_at = view_of(HEADER)
order_at = view_of(ORDER)
position_at = view_of(POSITION)
report_at = view_of(REPORT)
signal_at = view_of(SIGNAL)
symbol_state_at = view_of(SYMBOL_STATE)

BEST = int(EventKind.BEST)
EXPIRED = int(OrderStatus.EXPIRED)
FLAT = int(PositionState.FLAT)
SIGNAL_SIZE = SIGNAL.size
SIGNAL_PAYLOAD = SIGNAL.offset("sequence")
STATE = POSITION.offset("state")
KILL_LATCH = CONTROL.offset("kill_latch")
GIVE_UP_NS = 20_000_000_000
MASK = (1 << 31) - 1


@export(5)
def exit_ticks(context: int, event: int, bids: int, count: int, symbols: int) -> int:
    """Show `count` best prices to each of the first symbols in turn; return a fold of the stops.

    Args:
        context: CONTEXT, with a position in each of the symbols.
        event: scratch MARKET_EVENT.
        bids: i64[count], ticks.
        count: prices.
        symbols: how many.

    Loop bound: count × symbols.
    """
    view = context_at(context)
    market = event_at(event)
    market.kind = BEST
    market.flags = 0
    market.quantity_lot = 1
    market.ask_lot = 1
    fold = 0
    for index in range(count):
        # One second in a thousand prices: no time limit is reached, no stop is stale.
        now = 1_000_000_000 + index * 1_000_000
        market.origin_ns = now
        market.venue_ns = now
        bid = load_i64(bids + index * 8)
        market.price_tick = bid
        market.ask_tick = bid + 1
        for symbol in range(symbols):
            market.symbol = symbol
            take_event_at(context, event, now)
            stop = position_at(view.positions + symbol * POSITION_SIZE).stop_tick
            fold = (fold + stop) & MASK
    return fold


@export(5)
def check_signals(context: int, signals: int, kinds: int, count: int, now_ns: int) -> int:
    """Judge signals without acting on it; return a fold of reasons and quantities.

    Args:
        context: CONTEXT.
        signals: SIGNAL records.
        kinds: how many there are; they are taken in turn.
        count: judgements.
        now_ns: monotonic.

    Loop bound: count.
    """
    check = check_at(context_at(context).check)
    fold = 0
    place = 0
    for _ in range(count):
        reason = refusal_of(context, signals + place * SIGNAL_SIZE, now_ns)
        fold = (fold * 31 + reason) & MASK
        if reason == 0:
            fold = (fold + check.quantity_lot) & MASK
        place += 1
        if place == kinds:
            place = 0
    return fold


@kernel
def _write_signal(context: int, signal: int) -> int:
    """Publish a signal stamped now; return the time right after it, 0 when the ring is full."""
    ring = context_at(context).signals
    slot = claim(ring)
    if slot == 0:
        return 0
    copy_bytes(slot, signal, SIGNAL_PAYLOAD)
    signal_at(slot).origin_ns = mono_ns()
    publish(ring, slot)
    return mono_ns()


@kernel
def _answer(context: int, order: int) -> None:
    """Report an entry as expired, so that its symbol is free again."""
    ring = context_at(context).reports
    slot = claim(ring)
    if slot == 0:
        return
    placed, report = order_at(order), report_at(slot)
    report.order_id = placed.order_id
    report.position_id = placed.position_id
    report.symbol = placed.symbol
    report.side = placed.side
    report.status = EXPIRED
    report.fill_lot = 0
    report.filled_lot = 0
    report.fee_e8 = 0
    report.other_fee_e8 = 0
    report.fee_asset = 0
    report.error_code = 0
    report.flags = 0
    publish(ring, slot)


@kernel
def _forget_pace(context: int, symbol: int) -> None:
    """Forget rate and repeats: a bench enters more often than anybody may."""
    view = context_at(context)
    header_at(view.header).order_count = 0
    state = symbol_state_at(view.symbol_states + symbol * SYMBOL_STATE_SIZE)
    state.repeat_count = 0


@export(4)
def signals_to_orders(context: int, signal: int, count: int, samples: int) -> int:
    """Write a signal, let risk look, take the order, `count` times; return the orders seen.

    `samples`: i64[count], ns from the signal in its ring to the return of the look.
    """
    view = context_at(context)
    seen = 0
    for index in range(count):
        written_ns = _write_signal(context, signal)
        risk_run(context, 1)
        store_i64(samples + index * 8, mono_ns() - written_ns)
        order = peek(view.orders, 0)
        if order != 0:
            seen += 1
            _answer(context, order)
            advance(view.orders, 0)
        risk_run(context, 1)
        _forget_pace(context, signal_at(signal).symbol)
    return seen


@export(5)
def produce_signals(context: int, signal: int, count: int, period_ns: int, samples: int) -> int:
    """Write signals at fixed times from another core and wait for each one's order.

    `samples`: i64[2][count]: the time right after each signal was in its ring, and the time at
    which its order was seen from here; monotonic, ns. Returns the orders seen. Of what is risk's
    only the state of the position is looked at, late: lines that are held here have to come back
    for the next signal. Loop bound: count, and the time until each is due and done.
    """
    view = context_at(context)
    first = mono_ns() + period_ns
    state = view.positions + signal_at(signal).symbol * POSITION_SIZE + STATE
    seen = 0
    free_ns = first
    for index in range(count):
        due_ns = max(first + index * period_ns, free_ns)
        while mono_ns() < due_ns or load_acquire(state) != FLAT:
            pause()
            if mono_ns() - due_ns > GIVE_UP_NS:
                return seen
        written_ns = _write_signal(context, signal)
        order = 0
        while order == 0 and mono_ns() - written_ns < GIVE_UP_NS:
            order = peek(view.orders, 0)
        store_i64(samples + index * 8, written_ns)
        seen_ns = mono_ns()
        free_ns = seen_ns + period_ns // 2
        store_i64(samples + (count + index) * 8, seen_ns)
        if order == 0:
            return seen
        seen += 1
        _answer(context, order)
        advance(view.orders, 0)
    return seen


@export(4)
def stamp_orders(context: int, stamps: int, capacity: int, done: int) -> int:
    """Let risk look again and again, and stamp each order after the look that wrote it.

    As `risk_run` does between its timers, which run once before.

    Args:
        context: CONTEXT.
        stamps: i64[capacity], monotonic, ns.
        capacity: orders at most.
        done: address of an i64 that ends it when it is not 0.

    Returns the orders written. Loop bound: done, and GIVE_UP_NS.
    """
    risk_run(context, 1)
    tail = context_at(context).orders + TAIL
    before = load_relaxed(tail)
    given_up_ns = mono_ns() + GIVE_UP_NS
    written = 0
    while load_acquire(done) == 0:
        look(context)
        now = load_relaxed(tail)
        if now == before:
            continue
        before = now
        stamped_ns = mono_ns()
        if written < capacity:
            store_i64(stamps + written * 8, stamped_ns)
        written += 1
        if stamped_ns > given_up_ns:
            break
    return written


@kernel
def _flood(context: int, signals: int, kinds: int, span_ns: int, since_ns: int, late: int) -> int:
    """Write signals as fast as the ring takes them, answer every order; return the orders seen.

    `late`: i64[2]: ns from since_ns to the last order seen, and the orders judged after it by more
    than their own stamp can be off. Without since_ns it goes on until there was an order: risk may
    not have had its core. Loop bound: the time.
    """
    view = context_at(context)
    seen = 0
    place = 0
    until_ns = mono_ns() + span_ns
    give_up_ns = until_ns + GIVE_UP_NS if since_ns == 0 else until_ns
    while mono_ns() < until_ns or (seen == 0 and mono_ns() < give_up_ns):
        if _write_signal(context, signals + place * SIGNAL_SIZE) != 0:
            place = place + 1 if place + 1 < kinds else 0
        order = peek(view.orders, 0)
        if order == 0:
            continue
        seen += 1
        if since_ns > 0:
            store_i64(late, mono_ns() - since_ns)
            if order_at(order).written_ns > since_ns + 10_000:
                store_i64(late + 8, load_i64(late + 8) + 1)
        symbol = order_at(order).symbol
        _answer(context, order)
        advance(view.orders, 0)
        _forget_pace(context, symbol)
    return seen


@export(5)
def flood_and_latch(context: int, signals: int, kinds: int, span_ns: int, late: int) -> int:
    """Flood risk, set the kill latch in the middle of it, flood on; return the orders before it.

    Args:
        context: CONTEXT.
        signals: SIGNAL records, of different symbols.
        kinds: how many.
        span_ns: time before the latch, and after it.
        late: i64[2], see `_flood`; of the time after the latch.
    """
    control = control_at(context_at(context).control)
    before = _flood(context, signals, kinds, span_ns, 0, late)
    now = mono_ns()
    control.kill_latch_ns = now
    store_release(context_at(context).control + KILL_LATCH, 1)
    now = mono_ns()
    _flood(context, signals, kinds, span_ns, now, late)
    store_release(context_at(context).control + KILL_LATCH, 0)
    return before
