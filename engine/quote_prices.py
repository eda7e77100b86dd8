"""Which prices and quantities are wanted on the two sides, or why none.

From the state and an inventory to `target_tick`, `target_lot` and reasons of a decision. Every
rounding goes to the safe side: bids down, asks up, quantities down.
"""

from __future__ import annotations

from engine.book_layout import PRICE_TICK_MAX, QUANTITY_LOT_MAX
from engine.quote_flow import is_flow_known, is_flow_toxic
from engine.quote_formulas import AS_STATIONARY, quote_distance
from engine.quote_numbers import LARGE, ceiling_of, floor_of
from engine.quote_volatility import quote_parameters_at, quote_state_at
from engine.quoting_state import (
    FLOW_BUCKETS_MAX,
    QUOTE_DECISION,
    BookStatus,
    FlowThreshold,
    QuoteReason,
)
from shm.compiled import kernel
from shm.views import view_of

decision_at = view_of(QUOTE_DECISION)

BID = 0
ASK = 1
VALID = int(BookStatus.VALID)
CROSSED = int(BookStatus.CROSSED)
FLOW_THRESHOLD_LAST = int(FlowThreshold.FIXED)
PARAMETERS = int(QuoteReason.PARAMETERS)
BOOK_UNKNOWN = int(QuoteReason.BOOK_UNKNOWN)
BOOK_CROSSED = int(QuoteReason.BOOK_CROSSED)
STALE = int(QuoteReason.STALE)
WIDE = int(QuoteReason.WIDE)
VOLATILITY_UNKNOWN = int(QuoteReason.VOLATILITY_UNKNOWN)
VOLATILITY_BURST = int(QuoteReason.VOLATILITY_BURST)
INTENSITY_UNKNOWN = int(QuoteReason.INTENSITY_UNKNOWN)
FLOW_UNKNOWN = int(QuoteReason.FLOW_UNKNOWN)
FLOW_TOXIC = int(QuoteReason.FLOW_TOXIC)
INVENTORY = int(QuoteReason.INVENTORY)
NOT_FINITE = int(QuoteReason.NOT_FINITE)
LIMIT = int(QuoteReason.LIMIT)
TOO_SMALL = int(QuoteReason.TOO_SMALL)
OUT_OF_RANGE = int(QuoteReason.OUT_OF_RANGE)
WIDENED = int(QuoteReason.WIDENED)
POST_ONLY = int(QuoteReason.POST_ONLY)

# Distances beyond this cannot be prices; sums of those below are exact to a part of a tick.
DISTANCE_MAX = float(PRICE_TICK_MAX)
# What is smaller leaves the range in which γ/k has all its digits.
RISK_AVERSION_MIN = 1e-9
# Products of a fee and a price are rounded; a pair that is this much too close is not.
TICK_ERROR = 1e-6
COUNT_MAX = QUANTITY_LOT_MAX
MS_MAX = 1 << 40
FEE_MAX = 0.1
MESSAGES_MIN = 4
MESSAGES_MAX = 1 << 20


@kernel
def _is_positive(value: float) -> bool:
    return 0.0 < value < LARGE


@kernel
def are_parameters_sound(parameters: int) -> bool:
    """Return whether every parameter is a number within what the kernels can work with."""
    view = quote_parameters_at(parameters)
    if not (RISK_AVERSION_MIN <= view.risk_aversion < LARGE and _is_positive(view.horizon_s)):
        return False
    if not (-FEE_MAX <= view.maker_fee <= FEE_MAX and 0.0 <= view.edge_tick < DISTANCE_MAX):
        return False
    if not (0 <= view.model <= AS_STATIONARY and view.horizon_s < MS_MAX):
        return False
    if not (0 < view.quote_lot <= COUNT_MAX and 0 <= view.max_inventory_lot <= COUNT_MAX):
        return False
    if not (0 < view.lot_min <= COUNT_MAX and view.value_min >= 0):
        return False
    if not (0 < view.hysteresis_tick <= PRICE_TICK_MAX and 0 <= view.rest_ms <= MS_MAX):
        return False
    if not (0 < view.message_rate <= MESSAGES_MAX and view.message_burst <= MESSAGES_MAX):
        return False
    if not (view.message_burst >= MESSAGES_MIN and 0 < view.stale_ms <= MS_MAX):
        return False
    if not (_is_positive(view.spread_max) and 0 < view.sample_ms <= MS_MAX):
        return False
    if not (_is_positive(view.short_s) and _is_positive(view.long_s)):
        return False
    if not (_is_positive(view.burst_ratio) and _is_positive(view.intensity_s)):
        return False
    if not (0 < view.step_tick <= PRICE_TICK_MAX and 0 < view.flow_lot <= COUNT_MAX):
        return False
    if not (0 < view.flow_buckets <= FLOW_BUCKETS_MAX and 1.0 <= view.flow_memory < LARGE):
        return False
    if not (0 <= view.flow_threshold <= FLOW_THRESHOLD_LAST and 0.0 <= view.flow_max <= 1.0):
        return False
    return 0.0 < view.flow_quantile <= 1.0


@kernel
def _book_reasons(state: int, parameters: int, now_ms: int) -> int:
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    if view.book_status == CROSSED:
        return BOOK_CROSSED
    if view.book_status != VALID:
        return BOOK_UNKNOWN
    reasons = 0
    if now_ms - view.book_ms > settings.stale_ms:
        reasons |= STALE
    middle = 0.5 * (view.bid_tick + view.ask_tick)
    if not (view.ask_tick - view.bid_tick) <= settings.spread_max * middle:
        reasons |= WIDE
    return reasons


@kernel
def market_reasons(state: int, parameters: int, now_ms: int, inventory_lot: int) -> int:
    """Return why neither side is to be quoted; 0 = nothing speaks against it."""
    if not are_parameters_sound(parameters):
        return PARAMETERS
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    reasons = _book_reasons(state, parameters, now_ms)
    long = view.volatility_long
    short = view.volatility_short
    if not (_is_positive(long) and 0.0 <= short < LARGE):
        reasons |= VOLATILITY_UNKNOWN
    elif short > settings.burst_ratio * long:
        reasons |= VOLATILITY_BURST
    if not (_is_positive(view.intensity) and _is_positive(view.decay)):
        reasons |= INTENSITY_UNKNOWN
    if not is_flow_known(state, parameters):
        reasons |= FLOW_UNKNOWN
    elif is_flow_toxic(state, parameters):
        reasons |= FLOW_TOXIC
    if not -COUNT_MAX <= inventory_lot <= COUNT_MAX:
        reasons |= INVENTORY
    return reasons


@kernel
def _measure(state: int, parameters: int, decision: int, inventory_lot: int) -> None:
    # Inventory beyond its limit counts as at the limit: the stationary formula ends there.
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    result = decision_at(decision)
    limit = settings.max_inventory_lot
    held = min(max(inventory_lot, -limit), limit)
    quote_lot = float(settings.quote_lot)
    result.inventory = held / quote_lot
    horizon_ms = max(int(settings.horizon_s * 1000.0), 1)
    left_s = (horizon_ms - result.now_ms % horizon_ms) / 1000.0
    for side in range(2):
        result.offset[side] = quote_distance(
            settings.model,
            side,
            result.inventory,
            limit / quote_lot,
            settings.risk_aversion,
            view.volatility_long,
            view.decay,
            view.intensity,
            left_s,
        )


@kernel
def _price(state: int, parameters: int, decision: int) -> int:
    # Returns NOT_FINITE or 0; writes target_tick, and what shaped it into the sides' reasons.
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    result = decision_at(decision)
    below = result.offset[BID]
    above = result.offset[ASK]
    if not (-DISTANCE_MAX < below < DISTANCE_MAX and -DISTANCE_MAX < above < DISTANCE_MAX):
        return NOT_FINITE
    middle = 0.5 * (view.bid_tick + view.ask_tick)
    centre = middle + 0.5 * (above - below)
    # A bid and an ask that are both filled pay the fee on both prices: on twice the centre.
    spread_min = max(2.0 * settings.maker_fee * centre + settings.edge_tick, 1.0)
    half = 0.5 * (below + above)
    shaped = 0
    bid = floor_of(middle - below)
    ask = ceiling_of(middle + above)
    if half < 0.5 * spread_min:
        half = 0.5 * spread_min
        shaped = WIDENED
        bid = floor_of(centre - half)
        ask = ceiling_of(centre + half)
    result.spread_min_tick = ceiling_of(spread_min)
    result.reservation = centre
    result.half_spread = half
    result.target_tick[BID] = min(bid, view.ask_tick - 1)
    result.target_tick[ASK] = max(ask, view.bid_tick + 1)
    result.reasons[BID] = shaped | (POST_ONLY if bid >= view.ask_tick else 0)
    result.reasons[ASK] = shaped | (POST_ONLY if ask <= view.bid_tick else 0)
    return 0


@kernel
def is_wide_enough(parameters: int, bid_tick: int, ask_tick: int) -> bool:
    """Return whether two quotes that are both filled leave the edge after maker fees."""
    settings = quote_parameters_at(parameters)
    needed = settings.maker_fee * (bid_tick + ask_tick) + settings.edge_tick
    return ask_tick - bid_tick + TICK_ERROR >= max(needed, 1.0)


@kernel
def room_of(parameters: int, side: int, inventory_lot: int) -> int:
    """Return the lots a side may still trade until the inventory limit; ≤ 0 = none."""
    limit = quote_parameters_at(parameters).max_inventory_lot
    return limit + inventory_lot if side == ASK else limit - inventory_lot


@kernel
def _size(parameters: int, decision: int, side: int, inventory_lot: int) -> int:
    # Returns why the side has no quote, or 0.
    settings = quote_parameters_at(parameters)
    result = decision_at(decision)
    tick = result.target_tick[side]
    room = room_of(parameters, side, inventory_lot)
    if room <= 0:
        return LIMIT
    if not 0 < tick <= PRICE_TICK_MAX:
        return OUT_OF_RANGE
    lot = min(settings.quote_lot, room)
    if lot < settings.lot_min or float(tick) * float(lot) < float(settings.value_min):
        return TOO_SMALL if room >= settings.quote_lot else TOO_SMALL | LIMIT
    result.target_lot[side] = lot
    return 0


@kernel
def want_quotes(state: int, parameters: int, decision: int, inventory_lot: int) -> int:
    """Write the wanted quotes of both sides; return why there can be none at all, or 0.

    Args:
        state: address of QUOTE_STATE.
        parameters: address of QUOTE_PARAMETERS, sound.
        decision: address of QUOTE_DECISION with `now_ms`; its targets, reasons and the values they
            come from are changed. A side without a quote has target 0.
        inventory_lot: signed lots held.
    """
    result = decision_at(decision)
    _measure(state, parameters, decision, inventory_lot)
    failed = _price(state, parameters, decision)
    if failed != 0:
        return failed
    for side in range(2):
        refused = _size(parameters, decision, side, inventory_lot)
        if refused != 0:
            result.target_tick[side] = 0
            result.reasons[side] = refused
    return 0
