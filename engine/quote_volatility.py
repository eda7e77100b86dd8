"""Volatility of the mid price, in ticks per square root of a second of the venue's time.

The mid is sampled at the first best prices that arrive `sample_ms` or more after the last sample.
With changes d and the times t they took, σ² = Σ w d² / Σ w t, w = exp(−age/τ): for a Brownian
motion without bias however uneven the samples are. A gap longer than `stale_ms`, or best prices
that were unknown in between, add nothing to either sum, but age them. Known from the moment on at
which half the time constant has been seen.
"""

from __future__ import annotations

import math

from engine.quote_numbers import exp_of
from engine.quoting_state import QUOTE_PARAMETERS, QUOTE_STATE
from shm.compiled import kernel
from shm.views import view_of

quote_state_at = view_of(QUOTE_STATE)
quote_parameters_at = view_of(QUOTE_PARAMETERS)

KNOWN_SHARE = 0.5
UNKNOWN = -1.0


@kernel
def _estimate(square: float, time_s: float, tau_s: float) -> float:
    if not time_s >= KNOWN_SHARE * tau_s:
        return UNKNOWN
    return math.sqrt(square / time_s)


@kernel
def sample_mid(state: int, parameters: int, now_ms: int, mid2: int) -> None:
    """Take a mid price in; it becomes a sample when the last one is old enough.

    Args:
        state: address of QUOTE_STATE; changed.
        parameters: address of QUOTE_PARAMETERS.
        now_ms: venue time, not before the last sample.
        mid2: best bid plus best ask, half ticks.
    """
    view = quote_state_at(state)
    settings = quote_parameters_at(parameters)
    elapsed_ms = now_ms - view.sample_ms
    if view.sample_mid2 != 0 and elapsed_ms < settings.sample_ms:
        return
    if view.sample_ms != 0 and elapsed_ms > 0:
        elapsed_s = elapsed_ms / 1000.0
        short = exp_of(-elapsed_s / settings.short_s)
        long = exp_of(-elapsed_s / settings.long_s)
        view.short_square *= short
        view.short_time *= short
        view.long_square *= long
        view.long_time *= long
        if view.sample_mid2 != 0 and elapsed_ms <= settings.stale_ms:
            change = 0.5 * (mid2 - view.sample_mid2)
            view.short_square += change * change
            view.short_time += elapsed_s
            view.long_square += change * change
            view.long_time += elapsed_s
    view.sample_ms = now_ms
    view.sample_mid2 = mid2
    view.volatility_short = _estimate(view.short_square, view.short_time, settings.short_s)
    view.volatility_long = _estimate(view.long_square, view.long_time, settings.long_s)
