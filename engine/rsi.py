"""Bars of one second and the relative strength index over their closes.

A bar is a second of venue time in which something traded; its close is the second's last price,
and it is closed by the first event after the second. Seconds without a trade make no bar. After
more than a minute without one the index starts over.

Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978), section VI.
"""

from __future__ import annotations

from engine.state import BAR_RING, PARAMETERS, SYMBOL_STATE
from shm.compiled import kernel
from shm.views import view_of

state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)

BAR_MASK = BAR_RING - 1
BAR_GAP_S_MAX = 60
# Closes that divergence looks back on.
DIVERGENCE_BARS = 20
NEUTRAL = 50.0

assert DIVERGENCE_BARS < BAR_RING


@kernel
def open_bar(state: int, second: int, price_tick: int) -> None:
    """Take a trade into the open bar, opening one where there is none."""
    view = state_at(state)
    if view.bar_tick == 0:
        if second - view.bar_second > BAR_GAP_S_MAX:
            view.bar_count = 0
            view.divergence = 0
        view.bar_second = second
    view.bar_tick = price_tick


@kernel
def is_rsi_known(state: int, parameters: int) -> bool:
    """Return whether a whole period of changes has been seen."""
    return state_at(state).bar_count > parameters_at(parameters).rsi_period


@kernel
def _divergence(state: int, parameters: int, close_tick: int, rsi: float) -> int:
    # Loop bound: DIVERGENCE_BARS. The ring holds the bars before this one.
    view = state_at(state)
    count = view.bar_count
    known = min(count - parameters_at(parameters).rsi_period - 1, DIVERGENCE_BARS)
    if known < DIVERGENCE_BARS:
        return 0
    lowest = (count - 2) & BAR_MASK
    highest = lowest
    for back in range(3, known + 2):
        place = (count - back) & BAR_MASK
        if view.bar_closes[place] < view.bar_closes[lowest]:
            lowest = place
        if view.bar_closes[place] > view.bar_closes[highest]:
            highest = place
    if close_tick < view.bar_closes[lowest] and rsi > view.bar_rsis[lowest]:
        return 1
    if close_tick > view.bar_closes[highest] and rsi < view.bar_rsis[highest]:
        return -1
    return 0


@kernel
def close_bar(state: int, parameters: int) -> None:
    """Close the open bar: Wilder's means, the index, and its divergence from price.

    The first `rsi_period` changes are averaged plainly, later ones by
    mean ← (mean × (period − 1) + change) / period. RSI = 100 × gain / (gain + loss), 50 without
    movement. Divergence is +1 when the close is below the lowest of the 20 closes before and the
    index above its value at that low, −1 the other way round.

    Args:
        state: address of SYMBOL_STATE with an open bar; changed.
        parameters: address of PARAMETERS.
    """
    view = state_at(state)
    period = parameters_at(parameters).rsi_period
    close_tick = view.bar_tick
    view.bar_tick = 0
    view.bar_count += 1
    if view.bar_count == 1:
        view.gain_mean = 0.0
        view.loss_mean = 0.0
    else:
        change = close_tick - view.close_tick
        gain = float(max(change, 0))
        loss = float(max(-change, 0))
        changes = view.bar_count - 1
        if changes <= period:
            view.gain_mean += gain
            view.loss_mean += loss
            if changes == period:
                view.gain_mean /= period
                view.loss_mean /= period
        else:
            view.gain_mean = (view.gain_mean * (period - 1) + gain) / period
            view.loss_mean = (view.loss_mean * (period - 1) + loss) / period
    view.close_tick = close_tick
    view.rsi = NEUTRAL
    if is_rsi_known(state, parameters):
        moved = view.gain_mean + view.loss_mean
        if moved > 0.0:
            view.rsi = 100.0 * view.gain_mean / moved
        view.divergence = _divergence(state, parameters, close_tick, view.rsi)
    place = (view.bar_count - 1) & BAR_MASK
    view.bar_closes[place] = close_tick
    view.bar_rsis[place] = view.rsi
