"""Knobs of risk_config.yaml: rules of leaving by strategy, and the stop that rests at the venue."""

from config.knob import Knob

_FILE = "risk"

RULES = (
    Knob(
        _FILE, "risk.trail_risk_fraction", "float", "of the initial risk", 0.5, 0.05, 1.0,
        "Distance of the following stop for strategies that trail at a share of the initial risk "
        "(momentum); it begins once the gain is as large",
    ),
    Knob(
        _FILE, "risk.profit_step_risk", "float", "initial risks", 0.5, 0.0, 5.0,
        "After the partial close the stop is lifted from break-even by this much for each such "
        "step that the best price stands beyond it; 0 leaves it at break-even",
    ),
    Knob(
        _FILE, "risk.mean_profit_pct", "float", "fraction", 0.001, 0.001, 0.003,
        "Profit beyond the mean (or the entry, where that is further) at which a position that "
        "waits for the mean is closed",
    ),
    Knob(
        _FILE, "risk.imbalance_exit", "float", "fraction", 0.3, 0.05, 1.0,
        "Smoothed imbalance of the best quantities against a position entered on order flow at "
        "which it is closed",
    ),
    Knob(
        _FILE, "risk.imbalance_smoothing_ms", "int", "ms", 500, 1, 60_000,
        "Time over which that imbalance is smoothed",
    ),
)  # fmt: skip

KNOBS = RULES
