"""Bad input makes nothing wrong in silence: it is refused, counted by reason, and the symbol waits.

While a symbol is in quarantine its signals are computed and none of its entries is decided. It ends
after `signals.quarantine_s` of venue time and at least SOUND_EVENTS_MIN evaluations without another
refusal. See `reasons.Refusal` for what is refused.

**Jumps.** A trade or a best price further than `signals.jump_max_pct` from the reference is
refused, and so is a book whose best bid lies above, or best ask below that. The reference follows:
a sound price further than half of that from it takes its place, so the last sound price is never
further away than that. The hot path compares with two bounds, half the way on each side.

A market that really moves that far at once (a halt that ends, a delisting) looks the same. It is
believed once JUMP_RUN_MAX prices in a row were refused that agree with one another within the same
share: the state then starts over, cold, at the new price. A few odd prices never are.
"""

from __future__ import annotations

from engine.book_layout import PRICE_TICK_MAX
from engine.reasons import Refusal
from engine.state import ENGINE, PARAMETERS, SYMBOL_STATE
from engine.venue_clock import start_over
from shm import counters
from shm.compiled import kernel
from shm.histograms import count
from shm.views import view_of

engine_at = view_of(ENGINE)
state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)

PRICE = int(Refusal.PRICE)
CROSSED_BEST = int(Refusal.CROSSED_BEST)
JUMP = int(Refusal.JUMP)
SOUND = -1

SOUND_EVENTS_MIN = 16
JUMP_RUN_MAX = 16

REFUSED = counters.offset("engine.refused")
BY_REASON = [counters.offset(f"engine.refused_{reason.name.lower()}") for reason in Refusal]
FIRST_REASON = BY_REASON[0]
# The counters stand side by side, in the order of the reasons.
assert [FIRST_REASON + 8 * int(reason) for reason in Refusal] == BY_REASON
QUARANTINES = counters.offset("engine.quarantines")
QUARANTINES_ENDED = counters.offset("engine.quarantines_ended")
QUARANTINED = counters.offset("engine.quarantined")


@kernel
def refuse(engine: int, state: int, reason: int) -> int:
    """Count an event that is refused and put its symbol into quarantine; return 0: no entry.

    Args:
        engine: address of ENGINE.
        state: address of its symbol's SYMBOL_STATE; 0 where there is no such symbol.
        reason: Refusal.
    """
    block = engine_at(engine).counters
    count(block, REFUSED, 1)
    count(block, FIRST_REASON + 8 * reason, 1)
    if state == 0:
        return 0
    view = state_at(state)
    if view.quarantine == 0:
        count(block, QUARANTINES, 1)
    view.quarantine |= 1 << reason
    view.sound_ms = view.clock_ms
    view.sound_events = 0
    return 0


@kernel
def stays_quarantined(engine: int, state: int, parameters: int) -> bool:
    """Note a sound evaluation of a symbol in quarantine; return whether it stays there."""
    view = state_at(state)
    block = engine_at(engine).counters
    view.sound_events += 1
    view.jump_run = 0
    if view.sound_ms == 0:
        # Nothing had been known when it began, or the state has started over since.
        view.sound_ms = view.clock_ms
    sound_ms = view.clock_ms - view.sound_ms
    if (
        view.sound_events >= SOUND_EVENTS_MIN
        and sound_ms >= parameters_at(parameters).quarantine_ms
    ):
        view.quarantine = 0
        count(block, QUARANTINES_ENDED, 1)
        return False
    count(block, QUARANTINED, 1)
    return True


@kernel
def place_reference(state: int, parameters: int, price_tick: int) -> None:
    """Measure jumps from a price from now on."""
    view = state_at(state)
    half = int(0.5 * parameters_at(parameters).jump_max * price_tick)
    view.reference_tick = price_tick
    view.low_tick = price_tick - half
    view.high_tick = price_tick + half


@kernel
def is_near(state: int, parameters: int, low_tick: int, high_tick: int) -> bool:
    """Return whether prices are no jump; without a reference none is."""
    view = state_at(state)
    reference = view.reference_tick
    reach = parameters_at(parameters).jump_max * reference
    return reference == 0 or (reference - low_tick <= reach and high_tick - reference <= reach)


@kernel
def judge_jump(state: int, parameters: int, low_tick: int, high_tick: int) -> int:
    """Return SOUND or JUMP for a price, or a pair of best prices, outside the bounds.

    Args:
        state: address of SYMBOL_STATE; its reference, or the run of jumps, changes. After
            JUMP_RUN_MAX jumps that agree it has started over and the prices are sound.
        parameters: address of PARAMETERS.
        low_tick: the price, or the best bid; a price by `is_price`.
        high_tick: the price, or the best ask.
    """
    view = state_at(state)
    middle = (low_tick + high_tick) >> 1
    if is_near(state, parameters, low_tick, high_tick):
        place_reference(state, parameters, middle)
        return SOUND
    reach = parameters_at(parameters).jump_max * view.jump_tick
    if view.jump_run == 0 or abs(middle - view.jump_tick) > reach:
        view.jump_run = 0
        view.jump_tick = middle
    view.jump_run += 1
    if view.jump_run < JUMP_RUN_MAX:
        return JUMP
    start_over(state)
    place_reference(state, parameters, middle)
    return SOUND


@kernel
def is_price(price_tick: int) -> bool:
    """Return whether a number can be a price."""
    return 0 < price_tick <= PRICE_TICK_MAX


@kernel
def judge_trade(state: int, parameters: int, price_tick: int) -> int:
    """Return SOUND or the Refusal of a trade's price."""
    view = state_at(state)
    if view.low_tick <= price_tick <= view.high_tick and price_tick > 0:
        return SOUND
    if not is_price(price_tick):
        return PRICE
    return judge_jump(state, parameters, price_tick, price_tick)


@kernel
def judge_best(state: int, parameters: int, bid_tick: int, ask_tick: int) -> int:
    """Return SOUND or the Refusal of best prices."""
    view = state_at(state)
    if 0 < bid_tick < ask_tick and view.low_tick <= bid_tick and ask_tick <= view.high_tick:
        return SOUND
    if not is_price(bid_tick) or not is_price(ask_tick):
        return PRICE
    if bid_tick >= ask_tick:
        return CROSSED_BEST
    return judge_jump(state, parameters, bid_tick, ask_tick)


@kernel
def judge_book(state: int, parameters: int, bid_tick: int, ask_tick: int) -> int:
    """Return SOUND, or JUMP when a book's bids are far above, or its asks far below the market.

    Without a reference nothing is: a sound book never makes or moves one, its best prices may lie
    far apart. Only a run of jumps that agree does.

    Args:
        state: address of SYMBOL_STATE; see `judge_jump`.
        parameters: address of PARAMETERS.
        bid_tick: best bid, 0 = none.
        ask_tick: best ask, 0 = none.
    """
    view = state_at(state)
    if bid_tick <= view.high_tick and (ask_tick >= view.low_tick or ask_tick == 0):
        return SOUND
    if view.reference_tick == 0:
        return SOUND
    odd_tick = bid_tick if bid_tick > view.high_tick else ask_tick
    if is_near(state, parameters, odd_tick, odd_tick):
        return SOUND
    return judge_jump(state, parameters, odd_tick, odd_tick)
