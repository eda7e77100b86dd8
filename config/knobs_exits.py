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

CLOSING = (
    Knob(
        # Halts that end by themselves (a restart, the venue's stream) are no reason to sell; a
        # limit on losses that lets positions go on losing would be none.
        _FILE, "risk.close_on_halt", "list[str]", "", ("daily_loss",),
        pattern="not_ready|restart_budget|venue|operator|daily_loss|supervisor",
        pattern_meaning="a reason of a halt or of the kill latch", unique=True,
        meaning="Halts and latches that close open positions; the others leave them to their exits",
    ),
    Knob(
        _FILE, "risk.close_on_drawdown", "bool", "", True,
        meaning="Close open positions when max_drawdown trips, not only refuse entries",
    ),
    Knob(
        # Longer than a restart of the feed takes: closing on a price nobody knows is the last
        # resort, as the stop that rests at the venue needs no price of ours.
        _FILE, "risk.stale_exit_ms", "int", "ms", 15_000, 0, 600_000,
        "Age of a symbol's prices above which its position is closed at the market; 0 leaves it to "
        "the stop that rests at the venue",
    ),
    Knob(
        _FILE, "risk.exit_doubt_ms", "int", "ms", 1000, 50, 60_000,
        "Time after which a second close is sent beside one of unknown outcome; both reduce only",
    ),
)  # fmt: skip

VENUE_STOP = (
    Knob(
        _FILE, "risk.venue_stop", "bool", "", True,
        meaning="Keep a reduce-only stop resting at the venue for every position",
    ),
    Knob(
        # A quarter of the default stop: wide enough for risk's own exit to be filled first at a
        # round trip of some ten milliseconds, narrow enough to bound the loss while risk is dead.
        _FILE, "risk.venue_stop_offset_pct", "float", "fraction", 0.0005, 0.0, 0.02,
        "Distance of its trigger beyond the position's stop, one tick at least, so that the exit "
        "of this program comes first while it runs",
    ),
    Knob(
        _FILE, "risk.venue_stop_move_pct", "float", "fraction", 0.0003, 0.0, 0.02,
        "Least change of the trigger that is worth a cancel and a new order",
    ),
    Knob(
        # Two messages per move: 20 positions that all trail use half of the venue's 300 orders
        # in 10 s at most.
        _FILE, "risk.venue_stop_move_ms", "int", "ms", 2000, 50, 600_000,
        "Least time between two placings of a position's stop for moving it; one that covers too "
        "little is replaced at once",
    ),
    Knob(
        # Longer than an order in doubt takes to be decided: the receive window and a second.
        _FILE, "risk.unprotected_close_ms", "int", "ms", 15_000, 0, 600_000,
        "Time without a stop at the venue that covers the position after which it is closed at the "
        "market; 0 never closes it for that",
    ),
)  # fmt: skip

KNOBS = RULES + CLOSING + VENUE_STOP
