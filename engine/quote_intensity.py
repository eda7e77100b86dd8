"""Arrival of trades by distance from the mid: A and k of λ(δ) = A exp(−k δ).

An arrival is a run of trades of one side at one millisecond: one taker order that walked the book.
It reaches a distance δ when one of its trades was at least δ beyond the mid that stood before it,
so it would have filled a quote there. Sixteen distances δ_j = ½ + j × step ticks are counted, both
sides together, with exponential forgetting; so is the time during which best prices were known and
fresh, the only time in which arrivals can be placed. λ(δ_j) = N_j / (2 × time) for one side.

Once a second ln λ(δ_j) = ln A − k δ_j is fitted by least squares weighted with N_j (the variance of
ln N is about 1/N), over the distances with at least five decayed arrivals. With fewer than three
such distances, with less than half the time constant seen, or with counts that do not fall off, A
and k are unknown: 0.

Source of the law: Avellaneda, Stoikov 2008, section 2.5.
"""

from __future__ import annotations

from engine.quote_numbers import exp_of, log_of
from engine.quote_volatility import KNOWN_SHARE, quote_parameters_at, quote_state_at
from engine.quoting_state import INTENSITY_BUCKETS, BookStatus
from shm.compiled import kernel

VALID = int(BookStatus.VALID)
FIT_MS = 1_000
COUNT_MIN = 5.0
POINTS_MIN = 3
# Beyond these there is no market, and the formulas' quotients lose their digits.
DECAY_MIN = 1e-9
DECAY_MAX = 1e3
INTENSITY_MIN = 1e-9
INTENSITY_MAX = 1e12


@kernel
def pass_time(state: int, parameters: int, now_ms: int) -> None:
    """Let the counts decay up to now and add the time with known, fresh best prices.

    To be called before the best prices change. Loop bound: INTENSITY_BUCKETS.

    Args:
        state: address of QUOTE_STATE; changed.
        parameters: address of QUOTE_PARAMETERS.
        now_ms: venue time, not before the last call's.
    """
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    begin_ms = view.intensity_ms
    view.intensity_ms = now_ms
    if begin_ms == 0 or begin_ms >= now_ms:
        return
    tau_s = settings.intensity_s
    kept = exp_of((begin_ms - now_ms) / 1000.0 / tau_s)
    for bucket in range(INTENSITY_BUCKETS):
        view.reached[bucket] = view.reached[bucket] * kept
    view.exposure *= kept
    end_ms = min(now_ms, view.book_ms + settings.stale_ms)
    if view.book_status == VALID and end_ms > begin_ms:
        last = exp_of((end_ms - now_ms) / 1000.0 / tau_s)
        view.exposure += tau_s * (last - kept)


@kernel
def count_arrival(state: int, parameters: int, now_ms: int, price_tick: int, is_sell: int) -> None:
    """Count a trade in the distances it reached; `pass_time` has been called.

    Loop bound: INTENSITY_BUCKETS.

    Args:
        state: address of QUOTE_STATE; changed.
        parameters: address of QUOTE_PARAMETERS.
        now_ms: venue time of the trade.
        price_tick: ticks.
        is_sell: 1 when the taker sold.
    """
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    if view.arrival_ms != now_ms or view.arrival_side != is_sell:
        view.arrival_ms = now_ms
        view.arrival_side = is_sell
        view.arrival_reach = 0
        view.arrival_mid2 = 0
        if view.book_status == VALID and now_ms - view.book_ms <= settings.stale_ms:
            view.arrival_mid2 = view.bid_tick + view.ask_tick
    if view.arrival_mid2 == 0:
        return
    beyond2 = 2 * price_tick - view.arrival_mid2
    if is_sell != 0:
        beyond2 = -beyond2
    reach = 0
    if beyond2 >= 1:
        reach = min((beyond2 - 1) // (2 * settings.step_tick) + 1, INTENSITY_BUCKETS)
    for bucket in range(view.arrival_reach, reach):
        view.reached[bucket] = view.reached[bucket] + 1.0
    view.arrival_reach = max(view.arrival_reach, reach)


@kernel
def fit_intensity(state: int, parameters: int) -> None:
    """Write A and k, or 0 and 0; the counts have been decayed. Loop bound: INTENSITY_BUCKETS."""
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    view.fit_ms = view.intensity_ms
    view.intensity = 0.0
    view.decay = 0.0
    if not view.exposure >= KNOWN_SHARE * settings.intensity_s:
        return
    points = 0
    weights = 0.0
    sum_x = 0.0
    sum_y = 0.0
    sum_xx = 0.0
    sum_xy = 0.0
    # Distances are measured from their middle: less is lost in the differences below.
    middle = 0.5 * INTENSITY_BUCKETS * settings.step_tick
    for bucket in range(INTENSITY_BUCKETS):
        weight = view.reached[bucket]
        if weight >= COUNT_MIN:
            x = 0.5 + bucket * settings.step_tick - middle
            y = log_of(weight / (2.0 * view.exposure))
            points += 1
            weights += weight
            sum_x += weight * x
            sum_y += weight * y
            sum_xx += weight * x * x
            sum_xy += weight * x * y
    spread = weights * sum_xx - sum_x * sum_x
    if points < POINTS_MIN or not spread > 0.0:
        return
    slope = (weights * sum_xy - sum_x * sum_y) / spread
    level = (sum_y - slope * sum_x) / weights
    intensity = exp_of(level - slope * middle)
    if -DECAY_MAX <= slope <= -DECAY_MIN and INTENSITY_MIN <= intensity <= INTENSITY_MAX:
        view.intensity = intensity
        view.decay = -slope
