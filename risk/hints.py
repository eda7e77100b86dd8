"""What a signal knows about leaving, taken over into the position it opens. Pure. Loops: none.

A hint of 0, or one that is no number, leaves what is configured. A stop may only be nearer than the
configured one and a time limit only earlier than the longest one: hints never add risk.
"""

from __future__ import annotations

from risk.state import PARAMETERS
from shm.compiled import kernel
from shm.records import SIGNAL, ExitRule
from shm.tables import POSITION
from shm.views import view_of

position_at = view_of(POSITION)
parameters_at = view_of(PARAMETERS)
signal_at = view_of(SIGNAL)

PLAIN = int(ExitRule.PLAIN)
RETURN_TO_MEAN = int(ExitRule.RETURN_TO_MEAN)
IMBALANCE = int(ExitRule.IMBALANCE)
MS_NS = 1_000_000


@kernel
def take_hints(position: int, signal: int, parameters: int) -> None:
    """Set a fresh position's rule, hold window and shares from its signal.

    Args:
        position: POSITION row, zeroed, with its strategy.
        signal: SIGNAL.
        parameters: PARAMETERS; its table by strategy serves where the signal says 0.
    """
    row = position_at(position)
    hint = signal_at(signal)
    settings = parameters_at(parameters)
    rule = hint.exit_rule
    # A signal cannot ask for less than all of the configured exits.
    if rule > IMBALANCE or (rule == RETURN_TO_MEAN and hint.mean_tick <= 0):
        rule = PLAIN
    row.exit_rule = rule
    row.mean_tick = max(0, hint.mean_tick)
    longest = settings.hold_ns_max[hint.strategy]
    if hint.hold_ms_max > 0:
        longest = min(hint.hold_ms_max * MS_NS, settings.longest_hold_ns)
    least = settings.hold_ns_min[hint.strategy]
    if hint.hold_ms_min > 0:
        least = hint.hold_ms_min * MS_NS
    row.hold_ns_max = longest
    row.hold_ns_min = min(least, longest)
    # Written so that a share that is no number is none: every comparison with it is false.
    if hint.stop_pct > 0.0 and hint.stop_pct < settings.stop_loss_pct:
        row.stop_pct = hint.stop_pct
    if hint.target_pct > 0.0 and hint.target_pct < 1.0:
        row.target_pct = hint.target_pct
