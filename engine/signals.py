"""The eight signals: each a score in [−1, 1], positive for a rise, 0 where it says nothing.

Unbounded values z become scores by z / (1 + |z|): no transcendental function, so the bits are the
same on every machine. Of a quotient z = a / b that is a / (b + |a|), one division instead of two. A
signal that has not seen enough leaves its bit in `known` cleared and scores 0. Each kernel returns
its bit, or 0; it is O(1) and reads what observations.py keeps.
"""

from __future__ import annotations

import math

from engine.book_flow import PRIOR_LOT, depth_flow
from engine.observations import TRADE_MASK, VARIANCE_TAU_S, parameters_at, state_at
from engine.rsi import is_rsi_known
from engine.venue_clock import BUCKET_MS, GRID_MASK
from shm.compiled import kernel
from shm.records import Factor

MOMENTUM = int(Factor.MOMENTUM)
ACCELERATION = int(Factor.ACCELERATION)
ORDER_FLOW = int(Factor.ORDER_FLOW)
VOLUME_SPIKE = int(Factor.VOLUME_SPIKE)
BOOK_IMBALANCE = int(Factor.BOOK_IMBALANCE)
EMA_CROSS = int(Factor.EMA_CROSS)
RSI = int(Factor.RSI)
SPREAD = int(Factor.SPREAD)

# Signals that follow from trades and the clock.
PRICE_BITS = 1 << MOMENTUM | 1 << ACCELERATION | 1 << VOLUME_SPIKE | 1 << EMA_CROSS | 1 << RSI

BALANCED_SHARE = 1e-9
VELOCITY_S = 5.0
VELOCITY_ROOT = math.sqrt(VELOCITY_S)
VELOCITY_BUCKETS = int(VELOCITY_S * 1000) // BUCKET_MS
TREND_MS_MIN = 1000
FAST_TAU_S = 1.0
SPREAD_DEVIATION_MIN = 0.5

assert 2 * VELOCITY_BUCKETS <= GRID_MASK


@kernel
def soft_ratio(value: float, scale: float) -> float:
    """Return z / (1 + |z|) of z = value / scale; scale > 0."""
    return value / (scale + abs(value))


@kernel
def sign_of(value: float) -> int:
    """Return +1, −1 or 0."""
    if value > 0.0:
        return 1
    return -1 if value < 0.0 else 0


@kernel
def _note(state: int, factor: int, score: float) -> int:
    # Returns the signal's bit: gathered in a register, they need not go through memory one by one.
    state_at(state).scores[factor] = score
    return 1 << factor


@kernel
def estimate_variance(state: int) -> None:
    """Write the variance of returns per second.

    Squared returns of trades, decayed over 60 s of venue time, divided by the share of 60 s that
    has been seen; at least one tick per second, because a price cannot move by less.
    """
    view = state_at(state)
    tick = 1.0 / max(view.last_tick, 1)
    variance = 0.0
    if view.weight_60 > 0.0:
        variance = view.variance_sum / view.weight_60
    view.variance = max(variance, tick * tick)


@kernel
def score_momentum(state: int, volatility: float) -> int:
    """Score the micro-trend of the last three trades against volatility (√variance).

    r = p₀ / p₂ − 1; z = r / √(variance × max(age of the oldest of the three, 1 s)).
    """
    view = state_at(state)
    if view.trade_count - view.break_trade < 3 or view.weight_60 <= 0.0:
        return 0
    oldest = (view.trade_count - 3) & TRADE_MASK
    before = view.trade_tick[oldest]
    moved = float(view.last_tick - before)
    view.micro_trend = moved / before
    age_ms = view.clock_ms - view.trade_ms[oldest]
    scale = volatility * before
    if age_ms > TREND_MS_MIN:
        scale *= math.sqrt(age_ms / 1000.0)
    return _note(state, MOMENTUM, soft_ratio(moved, scale))


@kernel
def score_acceleration(state: int, volatility: float) -> int:
    """Score velocity and acceleration of price against volatility (√variance).

    velocity v = p(t) / p(t − 5 s) − 1, acceleration a = v − v(t − 5 s), on a grid of 250 ms;
    z = ½ (v + a) / √(variance × 5 s).
    """
    view = state_at(state)
    if view.grid_count <= 2 * VELOCITY_BUCKETS or view.weight_60 <= 0.0:
        return 0
    newest = view.grid_bucket
    middle = view.grid_tick[(newest - VELOCITY_BUCKETS) & GRID_MASK]
    oldest = view.grid_tick[(newest - 2 * VELOCITY_BUCKETS) & GRID_MASK]
    velocity = (view.last_tick - middle) / middle
    acceleration = velocity - (middle - oldest) / oldest
    view.velocity = velocity
    view.acceleration = acceleration
    moved = 0.5 * (velocity + acceleration)
    return _note(state, ACCELERATION, soft_ratio(moved, volatility * VELOCITY_ROOT))


@kernel
def score_order_flow(state: int, parameters: int) -> int:
    """Score buying against selling pressure: the mean of the two parts that are known.

    Trade flow (B − S) / (B + S + 1 lot) of taker volume, and order-flow imbalance Σe / (Σ|e| + 1
    lot) at the best prices (Cont, Kukanov, Stoikov 2014), both decayed over 5 s of venue time.
    With `flow_levels` above 1 the second part is that of the best levels, see book_flow.py.
    """
    view = state_at(state)
    parts = 0
    total = 0.0
    if view.trade_count > 0:
        total += (view.buy_lot - view.sell_lot) / (view.buy_lot + view.sell_lot + PRIOR_LOT)
        parts += 1
    if parameters_at(parameters).flow_levels > 1:
        if view.flow_updates > 0:
            total += depth_flow(state, parameters)
            parts += 1
    elif view.quote_count > 1:
        total += view.ofi_lot / (view.ofi_gross_lot + PRIOR_LOT)
        parts += 1
    if parts > 0:
        return _note(state, ORDER_FLOW, 0.5 * total if parts > 1 else total)
    return 0


@kernel
def score_volume_spike(state: int, parameters: int) -> int:
    """Score volume over its rolling mean, with the sign of the trade flow.

    ratio R = (volume decayed over 1 s, per second) / (volume decayed over 60 s, per second);
    below `volume_spike_ratio` r the score is 0, from there on ±(1 − r / 2R): 0.5 at r, towards 1.
    Flows that differ by less than a billionth of the volume are balanced: 0.
    """
    view = state_at(state)
    limit = parameters_at(parameters).volume_spike_ratio
    if view.weight_60 <= 0.0 or view.slow_lot <= 0.0:
        return 0
    slow_s = VARIANCE_TAU_S / FAST_TAU_S * view.weight_60
    view.volume_ratio = view.fast_lot * slow_s / view.slow_lot
    score = 0.0
    if view.volume_ratio >= limit:
        score = 1.0 - limit / (2.0 * view.volume_ratio)
        net = view.buy_lot - view.sell_lot
        # Decayed sums differ in their last digits where the flows are equal: that is no direction.
        if abs(net) <= BALANCED_SHARE * (view.buy_lot + view.sell_lot):
            score = 0.0
        elif net < 0.0:
            score = -score
    return _note(state, VOLUME_SPIKE, score)


@kernel
def score_book_imbalance(state: int) -> int:
    """Score the depth-weighted imbalance of the best levels; of the best prices without a book.

    (bid − ask) / (bid + ask) of the pressures that `observe_depth` computes, −1..1 as it is.
    """
    view = state_at(state)
    if view.has_imbalance != 0:
        return _note(state, BOOK_IMBALANCE, view.imbalance)
    both_lot = view.bid_lot + view.ask_lot
    if view.bid_tick != 0 and both_lot > 0:
        return _note(state, BOOK_IMBALANCE, (view.bid_lot - view.ask_lot) / both_lot)
    return 0


@kernel
def score_ema_cross(state: int, parameters: int, volatility: float) -> int:
    """Score the fast exponential mean against the slow one, against volatility (√variance).

    EMA ← EMA + 2 / (span + 1) × (price − EMA) per trade, begun at the first price;
    z = (fast / slow − 1) / √(variance × 1 s).
    """
    view = state_at(state)
    seen = view.trade_count - view.break_trade
    if seen < parameters_at(parameters).ema_slow_span or view.weight_60 <= 0.0:
        return 0
    distance = view.ema_fast - view.ema_slow
    return _note(state, EMA_CROSS, soft_ratio(distance, volatility * view.ema_slow))


@kernel
def score_rsi(state: int, parameters: int) -> int:
    """Score extremes of the index as a turn to come, and its divergence from price.

    Below `rsi_oversold` o: 0.5 + 0.5 × (o − RSI) / o; above `rsi_overbought` b: the same with
    minus over 100 − b; between: 0. Divergence adds ±0.5. Limited to −1..1.
    """
    view = state_at(state)
    settings = parameters_at(parameters)
    if not is_rsi_known(state, parameters):
        return 0
    score = 0.5 * view.divergence
    if view.rsi < settings.rsi_oversold:
        score += 0.5 + 0.5 * (settings.rsi_oversold - view.rsi) / settings.rsi_oversold
    elif view.rsi > settings.rsi_overbought:
        above = view.rsi - settings.rsi_overbought
        score -= 0.5 + 0.5 * above / (100.0 - settings.rsi_overbought)
    return _note(state, RSI, min(max(score, -1.0), 1.0))


@kernel
def score_spread(state: int) -> int:
    """Score the spread against its own distribution, with the sign of the order flow.

    deviation = (spread − mean) / max(√variance, ½ tick), mean and variance over 60 s of venue
    time. A spread tighter than usual speaks for the flow's direction, a wider one against it:
    score = −z / (1 + |z|) × sign(order flow), z the deviation.
    """
    view = state_at(state)
    if view.spread_weight <= 0.0 or view.bid_tick == 0:
        return 0
    deviation = max(math.sqrt(view.spread_variance), SPREAD_DEVIATION_MIN)
    wider = (view.ask_tick - view.bid_tick) - view.spread_mean
    view.spread_deviation = wider / deviation
    flow = view.scores[ORDER_FLOW]
    score = 0.0
    if flow > 0.0:
        score = -soft_ratio(wider, deviation)
    elif flow < 0.0:
        score = soft_ratio(wider, deviation)
    return _note(state, SPREAD, score)


@kernel
def _score_prices(state: int, parameters: int) -> int:
    # Loop bound: the eight signals.
    view = state_at(state)
    for factor in range(SPREAD + 1):
        view.scores[factor] = 0.0
    estimate_variance(state)
    volatility = math.sqrt(view.variance)
    known = score_momentum(state, volatility)
    known |= score_acceleration(state, volatility)
    known |= score_volume_spike(state, parameters)
    known |= score_ema_cross(state, parameters, volatility)
    known |= score_rsi(state, parameters)
    return known


@kernel
def evaluate_signals(state: int, parameters: int) -> None:
    """Write all eight scores.

    Momentum, acceleration, volume spike, EMA cross and RSI follow from the trades and the clock
    alone: while neither has moved, they stand as they are.
    """
    view = state_at(state)
    known = view.known & PRICE_BITS
    if view.scored_ms != view.clock_ms or view.scored_trades != view.trade_count:
        view.scored_ms = view.clock_ms
        view.scored_trades = view.trade_count
        known = _score_prices(state, parameters)
    view.scores[ORDER_FLOW] = 0.0
    view.scores[BOOK_IMBALANCE] = 0.0
    view.scores[SPREAD] = 0.0
    known |= score_order_flow(state, parameters)
    known |= score_book_imbalance(state)
    known |= score_spread(state)
    view.known = known
