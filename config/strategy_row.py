"""The shape of a strategy's row: what stands beside its kernel in its file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class StrategyRow(NamedTuple):
    """One strategy. Written with keywords only; all but `kernel` are literals.

    `kernel(state, parameters)` takes the addresses of SYMBOL_STATE and PARAMETERS (engine/state.py)
    and returns +1 to buy, −1 to sell, 0 for no entry. `name` identifies it in logs and summaries.
    `trigger` names the Factor that leads to the entry: it does not count as its own confirmation.
    `hold_s_min` and `hold_s_max` are seconds, or the path of the setting that holds them: before
    the first no position of the strategy leaves by rule or reversal, at the second its time is up.
    `exit_rule` names an ExitRule. `stop_pct` and `target_pct` are fractions of the entry price; 0
    takes the configured ones. `switch` is the path of a setting that turns it off; "" = always on.
    """

    name: str
    kernel: Callable[[int, int], int] | None
    trigger: str
    hold_s_min: int | str
    hold_s_max: int | str
    exit_rule: str = "PLAIN"
    stop_pct: float = 0.0
    target_pct: float = 0.0
    switch: str = ""
