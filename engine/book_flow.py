"""Order flow of the best levels of a book: what each complete depth update added and took away.

For each level m from the best on, with P, q its price and quantity before (') and after an update:

    e_m = W_m − V_m,   W_m = q if P rises, q − q' if it stays, −q' if it falls (bids)
                       V_m = q if P falls, q − q' if it stays, −q' if it rises (asks)

A level that a side does not have counts as one of the worst price without a quantity. Updates are
those of the depth stream, so several events of the venue between two of them are one change. Sums
of e_m and of |e_m| decay over 5 s of venue time; they are decayed when they are used.

Source: Xu, Gould, Howison, Multi-Level Order-Flow Imbalance in a Limit Order Book (2018), Market
Microstructure and Liquidity 4(3–4), section 3. The paper regresses price changes on the vector;
here one score is wanted, and all levels count the same: Σ_m Σ e_m / (Σ_m Σ |e_m| + 1 lot).
"""

from __future__ import annotations

from engine.book import PAIR_SIZE, best_levels
from engine.state import FLOW_LEVELS_MAX, PARAMETERS, SYMBOL_STATE
from engine.venue_clock import TAU_5_S, decay
from shm.compiled import kernel
from shm.memory import load_i64, zero_bytes
from shm.views import address_of, view_of

state_at = view_of(SYMBOL_STATE)
parameters_at = view_of(PARAMETERS)

# Keeps ratios of decayed volumes from speaking up once nothing but rests of a lot is left.
PRIOR_LOT = 1.0
SIDE_SIZE = FLOW_LEVELS_MAX * PAIR_SIZE
HALF_SIZE = 2 * SIDE_SIZE


@kernel
def _change(direction: int, before: int, after: int) -> int:
    # What a level's side gained; a price of 0 says that there is no such level.
    tick_before = load_i64(before)
    tick_after = load_i64(after)
    if tick_after == tick_before:
        return load_i64(after + 8) - load_i64(before + 8)
    gone = tick_after == 0
    if tick_before == 0 or (not gone and (tick_after - tick_before) * direction < 0):
        return load_i64(after + 8)
    return -load_i64(before + 8)


@kernel
def _decay_flow(state: int, parameters: int) -> None:
    # Loop bound: flow_levels ≤ FLOW_LEVELS_MAX.
    view = state_at(state)
    settings = parameters_at(parameters)
    elapsed_ms = view.clock_ms - view.flow_ms
    if elapsed_ms <= 0:
        return
    factor = decay(parameters, TAU_5_S, elapsed_ms)
    for level in range(settings.flow_levels):
        view.flow_lot[level] = view.flow_lot[level] * factor
        view.flow_gross_lot[level] = view.flow_gross_lot[level] * factor
    view.flow_ms = view.clock_ms


@kernel
def observe_depth_flow(state: int, parameters: int, book: int) -> None:
    """Take a complete, uncrossed book in and add what changed since the one before.

    Loop bound: 2 × flow_levels.

    Args:
        state: address of SYMBOL_STATE; changed.
        parameters: address of PARAMETERS; its `flow_levels` is 2..FLOW_LEVELS_MAX.
        book: address of BOOK.
    """
    view = state_at(state)
    levels = parameters_at(parameters).flow_levels
    pairs = address_of(view.flow_pairs)
    before = pairs + view.flow_half * HALF_SIZE
    view.flow_half = 1 - view.flow_half
    after = pairs + view.flow_half * HALF_SIZE
    for is_ask in range(2):
        place = after + is_ask * SIDE_SIZE
        found = best_levels(book, is_ask, levels, place)
        if found < levels:
            zero_bytes(place + found * PAIR_SIZE, (levels - found) * PAIR_SIZE)
    if view.flow_known == 0:
        view.flow_known = 1
        return
    _decay_flow(state, parameters)
    for level in range(levels):
        bid = level * PAIR_SIZE
        ask = SIDE_SIZE + bid
        flow = _change(-1, before + bid, after + bid) - _change(1, before + ask, after + ask)
        view.flow_lot[level] = view.flow_lot[level] + flow
        view.flow_gross_lot[level] = view.flow_gross_lot[level] + abs(flow)
    view.flow_updates += 1


@kernel
def forget_depth_flow(state: int) -> None:
    """Compare the next book with none: what was before it is unknown."""
    state_at(state).flow_known = 0


@kernel
def depth_flow(state: int, parameters: int) -> float:
    """Return the order-flow imbalance of all levels now, in −1..1.

    Args:
        state: address of SYMBOL_STATE; its sums are decayed to the symbol's clock.
        parameters: address of PARAMETERS.

    Loop bound: flow_levels.
    """
    view = state_at(state)
    _decay_flow(state, parameters)
    total = 0.0
    gross = 0.0
    for level in range(parameters_at(parameters).flow_levels):
        total += view.flow_lot[level]
        gross += view.flow_gross_lot[level]
    return total / (gross + PRIOR_LOT)
