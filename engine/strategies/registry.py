"""The strategies in their order, and the chain of kernels that asks them.

A chain, because a kernel can loop over numbers but not over kernels: each link holds one strategy
as constants, and the compiler inlines all of them into one sequence of tests.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from config.strategy_row import StrategyRow
from engine.observations import parameters_at
from engine.strategies import mean_reversion, momentum, order_flow
from runtime.user_strategies import chosen
from shm.compiled import closure_kernel
from shm.records import USER_STRATEGY_FIRST, Factor, Strategy


class Entry(NamedTuple):
    """What the chain needs of a strategy: plain constants and its kernel."""

    code: int
    trigger: int
    side: Callable[[int, int], int]


def _entry(code: int, row: StrategyRow) -> Entry:
    assert row.kernel is not None, row.name
    return Entry(code, int(Factor[row.trigger]), row.kernel)


BUILT_IN = (momentum, mean_reversion, order_flow)
ENTRIES = (
    *(_entry(int(Strategy[m.STRATEGY.name.upper()]), m.STRATEGY) for m in BUILT_IN),
    *(
        _entry(code, importlib.import_module(name).STRATEGY)
        for code, name in enumerate(chosen(), USER_STRATEGY_FIRST)
    ),
)


def first_entry(entries: Sequence[Entry], judge: Any) -> Any:
    """Return the kernel `(engine, symbol, state, parameters) -> 1 or 0` that asks them in order.

    It returns 1 at the first whose side is accepted; strategies that are switched off, or answer
    anything but +1 and −1, make no entry.

    Args:
        entries: the strategies, first to last.
        judge: kernel `(engine, symbol, parameters, code, trigger, side) -> bool`.

    Loop bound of the kernel: the strategies. Depth of this factory: the same.
    """
    if not entries:

        @closure_kernel
        def nothing(engine: int, symbol: int, state: int, parameters: int) -> int:
            return 0

        return nothing
    code, trigger, side_of = entries[0]
    following = first_entry(entries[1:], judge)

    @closure_kernel
    def ask(engine: int, symbol: int, state: int, parameters: int) -> int:
        if parameters_at(parameters).strategy_enabled[code] != 0:
            side = side_of(state, parameters)
            is_side = side == 1 or side == -1
            if is_side and judge(engine, symbol, parameters, code, trigger, side):
                return 1
        return following(engine, symbol, state, parameters)

    return ask
