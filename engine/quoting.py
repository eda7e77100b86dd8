"""Market making of one symbol: trades and best prices in, decisions about two quotes out.

`on_trade` and `on_book` keep the estimates, with sound parameters only; `decide` says what is to
become of the quotes, and whenever an input is unknown that is PULL. Nothing here touches a ring or
a clock: the same calls give the same bits. Work per call does not depend on history.

Time is the venue's, in whole milliseconds and in order: an event before one that was taken is
refused, and until one in order is taken, so is every decision. Sixteen refusals in a row mean that
the time taken before was wrong: the estimates begin anew; standing quotes and budget stay.
"""

from __future__ import annotations

from engine.book_layout import PRICE_TICK_MAX, QUANTITY_LOT_MAX
from engine.quote_changes import change_quotes, fill_budget, pull
from engine.quote_flow import add_volume
from engine.quote_intensity import FIT_MS, count_arrival, fit_intensity, pass_time
from engine.quote_prices import are_parameters_sound, decision_at, market_reasons, want_quotes
from engine.quote_volatility import quote_state_at, sample_mid
from engine.quoting_state import KEPT_OFFSET, QUOTE_DECISION, BookStatus, QuoteReason
from shm.compiled import kernel
from shm.memory import zero_bytes

DECISION_SIZE = QUOTE_DECISION.size
UNKNOWN = int(BookStatus.UNKNOWN)
VALID = int(BookStatus.VALID)
CROSSED = int(BookStatus.CROSSED)
TIME = int(QuoteReason.TIME)
PARAMETERS = int(QuoteReason.PARAMETERS)
REFUSED_RUN_MAX = 16
TIME_MS_MAX = 1 << 50


@kernel
def _take_time(state: int, now_ms: int) -> bool:
    # Returns whether the event is to be taken.
    view = quote_state_at(state)
    if not 0 < now_ms <= TIME_MS_MAX:
        view.refused_run += 1
        return False
    if now_ms < view.clock_ms:
        view.refused_run += 1
        if view.refused_run < REFUSED_RUN_MAX:
            return False
        zero_bytes(state, KEPT_OFFSET)
    view.refused_run = 0
    view.clock_ms = now_ms
    return True


@kernel
def forget_quote_book(state: int) -> None:
    """Make the best prices unknown: the book was withdrawn, or the prices cannot be."""
    view = quote_state_at(state)
    view.book_status = UNKNOWN
    view.bid_tick = 0
    view.bid_lot = 0
    view.ask_tick = 0
    view.ask_lot = 0
    view.sample_mid2 = 0


@kernel
def on_trade(
    state: int, parameters: int, now_ms: int, price_tick: int, quantity_lot: int, is_sell: int
) -> int:
    """Take a trade in; return 1, or 0 when it was refused.

    Loop bound: 16 distances; (n + 1) × 64 bins when it fills n buckets of VPIN.

    Args:
        state: address of QUOTE_STATE; changed.
        parameters: address of QUOTE_PARAMETERS.
        now_ms: venue time, ms.
        price_tick: ticks.
        quantity_lot: lots.
        is_sell: 1 when the taker sold, 0 when it bought.
    """
    if not 0 < price_tick <= PRICE_TICK_MAX or not 0 < quantity_lot <= QUANTITY_LOT_MAX:
        return 0
    if not are_parameters_sound(parameters) or not _take_time(state, now_ms):
        return 0
    pass_time(state, parameters, now_ms)
    count_arrival(state, parameters, now_ms, price_tick, is_sell)
    add_volume(state, parameters, quantity_lot, is_sell)
    return 1


@kernel
def on_book(
    state: int,
    parameters: int,
    now_ms: int,
    bid_tick: int,
    bid_lot: int,
    ask_tick: int,
    ask_lot: int,
) -> int:
    """Take best prices in; return 1, or 0 when they were refused or cannot be.

    Prices or quantities that cannot be make the best prices unknown. Loop bound: 16 distances, once
    a second their fit.

    Args:
        state: address of QUOTE_STATE; changed.
        parameters: address of QUOTE_PARAMETERS.
        now_ms: venue time, ms.
        bid_tick: ticks.
        bid_lot: lots.
        ask_tick: ticks.
        ask_lot: lots.
    """
    if not are_parameters_sound(parameters) or not _take_time(state, now_ms):
        return 0
    pass_time(state, parameters, now_ms)
    view = quote_state_at(state)
    if now_ms - view.fit_ms >= FIT_MS:
        fit_intensity(state, parameters)
    prices_ok = 0 < bid_tick <= PRICE_TICK_MAX and 0 < ask_tick <= PRICE_TICK_MAX
    lots_ok = 0 < bid_lot <= QUANTITY_LOT_MAX and 0 < ask_lot <= QUANTITY_LOT_MAX
    if not (prices_ok and lots_ok) or bid_tick >= ask_tick:
        forget_quote_book(state)
        if prices_ok and lots_ok:
            view.book_status = CROSSED
        return 0
    view.book_status = VALID
    view.book_ms = now_ms
    view.bid_tick = bid_tick
    view.bid_lot = bid_lot
    view.ask_tick = ask_tick
    view.ask_lot = ask_lot
    sample_mid(state, parameters, now_ms, bid_tick + ask_tick)
    return 1


@kernel
def _time_reasons(state: int, now_ms: int) -> int:
    view = quote_state_at(state)
    if not 0 < now_ms <= TIME_MS_MAX or now_ms < view.clock_ms:
        return TIME
    if now_ms >= view.decided_ms:
        view.late_run = 0
        view.decided_ms = now_ms
        return TIME if view.refused_run != 0 else 0
    view.late_run += 1
    if view.late_run >= REFUSED_RUN_MAX:
        view.late_run = 0
        view.decided_ms = now_ms
        view.budget_ms = now_ms
        view.changed_ms[0] = 0
        view.changed_ms[1] = 0
    return TIME


@kernel
def decide(state: int, parameters: int, decision: int, now_ms: int, inventory_lot: int) -> int:
    """Decide about both quotes; return the number of messages that go to the venue.

    The state notes the quotes as decided: the caller sends them, or says with `note_gone` that a
    quote does not stand.

    Args:
        state: address of QUOTE_STATE; standing quotes and budget are changed.
        parameters: address of QUOTE_PARAMETERS.
        decision: address of QUOTE_DECISION; overwritten.
        now_ms: venue time, ms, not before the last event.
        inventory_lot: signed lots held, fills of quotes that were noted included.

    Loop bound: a few words for each of the two sides.
    """
    zero_bytes(decision, DECISION_SIZE)
    result = decision_at(decision)
    result.now_ms = now_ms
    reasons = _time_reasons(state, now_ms)
    reasons |= market_reasons(state, parameters, now_ms, inventory_lot)
    if reasons & (TIME | PARAMETERS) == 0:
        fill_budget(state, parameters, now_ms)
    if reasons == 0:
        reasons = want_quotes(state, parameters, decision, inventory_lot)
    if reasons == 0:
        change_quotes(state, parameters, decision, inventory_lot)
    else:
        for side in range(2):
            result.target_tick[side] = 0
            result.target_lot[side] = 0
            result.reasons[side] = 0
            pull(state, decision, side, reasons)
    return result.messages[0] + result.messages[1]


@kernel
def note_fill(state: int, side: int, filled_lot: int) -> None:
    """Note that so many lots of a side's standing quote were filled.

    Args:
        state: address of QUOTE_STATE; changed.
        side: 0 bid, 1 ask.
        filled_lot: lots of this fill.
    """
    view = quote_state_at(state)
    view.lot[side] = max(view.lot[side] - filled_lot, 0)
    if view.lot[side] == 0:
        view.tick[side] = 0


@kernel
def note_gone(state: int, side: int) -> None:
    """Note that nothing stands on a side: the venue refused, expired or withdrew it."""
    view = quote_state_at(state)
    view.tick[side] = 0
    view.lot[side] = 0
