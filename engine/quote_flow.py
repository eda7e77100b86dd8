"""Toxicity of the order flow: VPIN over buckets of equal volume.

VPIN = Σ |V_buy − V_sell| / (n V) over the last n buckets of V lots each; it changes when a bucket
closes. A trade that is larger than what is left of its bucket is divided among buckets. Source:
Easley, López de Prado, O'Hara: Flow toxicity and liquidity in a high-frequency world (2012), Review
of Financial Studies 25(5), equation 9.

The paper estimates the taker's side from price changes of time bars (bulk classification, equation
7), because its data lack it and the tick rule errs. Here the venue states who was the maker of
every trade, so volume is classified by that.

What counts as high is a matter of the value's own distribution rather than of its level (section
3.1, where CDF(VPIN) = 0.9 is the threshold): the share of past values below the present one, from a
histogram of 64 bins over 0..1 in which a value's weight falls by 1/memory with every bucket that
closes. Values in the same bin are not below: a value that never changes is not toxic. Or VPIN is
compared with a fixed limit.
"""

from __future__ import annotations

from engine.quote_volatility import UNKNOWN, quote_parameters_at, quote_state_at
from engine.quoting_state import FLOW_BINS, FLOW_BUCKETS_MAX, QUOTE_STATE, FlowThreshold
from shm.compiled import kernel
from shm.memory import zero_bytes

FIXED = int(FlowThreshold.FIXED)
FLOW_OFFSET = QUOTE_STATE.offset("flow_size")
FLOW_SIZE = QUOTE_STATE.offset("vpin") + 8 - FLOW_OFFSET
RING_MASK = FLOW_BUCKETS_MAX - 1

assert FLOW_BUCKETS_MAX & RING_MASK == 0


@kernel
def _remember(state: int, parameters: int) -> None:
    # Loop bound: FLOW_BINS. The present value is compared with those before it, then becomes one.
    view = quote_state_at(state)
    place = min(int(view.vpin * FLOW_BINS), FLOW_BINS - 1)
    below = 0.0
    kept = 1.0 - 1.0 / quote_parameters_at(parameters).flow_memory
    total = 0.0
    for bin_ in range(FLOW_BINS):
        weight = view.flow_bins[bin_]
        if bin_ < place:
            below += weight
        total += weight
        view.flow_bins[bin_] = weight * kept
    view.flow_share = 0.0
    if total > 0.0:
        view.flow_share = below / total
    view.flow_bins[place] = view.flow_bins[place] + 1.0
    view.flow_weight = total * kept + 1.0
    view.flow_values += 1


@kernel
def _close_bucket(state: int, parameters: int, imbalance_lot: int) -> None:
    view = quote_state_at(state)
    newest = view.flow_count & RING_MASK
    if view.flow_count >= view.flow_length:
        view.flow_sum -= view.flow_ring[(view.flow_count - view.flow_length) & RING_MASK]
    view.flow_ring[newest] = imbalance_lot
    view.flow_sum += imbalance_lot
    view.flow_count += 1
    if view.flow_count >= view.flow_length:
        view.vpin = view.flow_sum / float(view.flow_length * view.flow_size)
        _remember(state, parameters)


@kernel
def add_volume(state: int, parameters: int, quantity_lot: int, is_sell: int) -> None:
    """Add a trade's volume to the open bucket and close what it fills.

    A trade that fills more than n whole buckets fills n: more would change nothing but the weights
    of past values. Loop bound: (n + 1) × FLOW_BINS; one addition for most trades.

    Args:
        state: address of QUOTE_STATE; changed. Begun anew when bucket volume or count changed.
        parameters: address of QUOTE_PARAMETERS.
        quantity_lot: lots, > 0.
        is_sell: 1 when the taker sold.
    """
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    size = settings.flow_lot
    length = settings.flow_buckets
    if view.flow_size != size or view.flow_length != length:
        zero_bytes(state + FLOW_OFFSET, FLOW_SIZE)
        view.flow_size = size
        view.flow_length = length
        view.vpin = UNKNOWN
    if size < 1 or not 1 <= length <= FLOW_BUCKETS_MAX:
        return
    room = size - view.flow_buy - view.flow_sell
    first = min(quantity_lot, room)
    if is_sell != 0:
        view.flow_sell += first
    else:
        view.flow_buy += first
    if first < room:
        return
    _close_bucket(state, parameters, abs(view.flow_buy - view.flow_sell))
    rest = quantity_lot - first
    whole = rest // size
    for _ in range(min(whole, length)):
        _close_bucket(state, parameters, size)
    rest -= whole * size
    view.flow_buy = 0 if is_sell != 0 else rest
    view.flow_sell = rest if is_sell != 0 else 0


@kernel
def is_flow_known(state: int, parameters: int) -> bool:
    """Return whether VPIN can be judged: n buckets, and for its distribution n values of it."""
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    if view.flow_size != settings.flow_lot or view.flow_length != settings.flow_buckets:
        return False
    if not view.vpin >= 0.0:
        return False
    return settings.flow_threshold == FIXED or view.flow_values > view.flow_length


@kernel
def is_flow_toxic(state: int, parameters: int) -> bool:
    """Return whether VPIN is high, by the threshold in use."""
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    if settings.flow_threshold == FIXED:
        return view.vpin > settings.flow_max
    return view.flow_share >= settings.flow_quantile
