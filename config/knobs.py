"""The table of all knobs, from which settings, files, validation and documents come."""

from config import (
    knobs_exits,
    knobs_quoting,
    knobs_risk,
    knobs_system,
    knobs_trading,
    knobs_venue,
)
from config.knob import FILES, TYPES, Knob

_SYSTEM_SECTIONS = (
    "system", "performance", "venue", "exchange", "supervisor", "trades", "optimization",
)  # fmt: skip

KNOBS: tuple[Knob, ...] = (
    *knobs_trading.KNOBS,
    *knobs_quoting.KNOBS,
    *knobs_exits.KNOBS,
    *knobs_risk.KNOBS,
    *sorted(
        knobs_system.KNOBS + knobs_venue.KNOBS,
        key=lambda knob: _SYSTEM_SECTIONS.index(knob.section),
    ),
)
BY_PATH: dict[str, Knob] = {knob.path: knob for knob in KNOBS}
# Every path that holds keys rather than a value: trading, signals, signals.weights, …
SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(knob.section for knob in KNOBS))

# Invariant: a path names one knob, and no knob's path is the section of another.
assert len(BY_PATH) == len(KNOBS)
assert not set(SECTIONS) & set(BY_PATH)
assert all(knob.file in FILES and knob.type in TYPES for knob in KNOBS)


def of_file(file: str) -> tuple[Knob, ...]:
    """Return the knobs that live in one file, in the order they are written."""
    return tuple(knob for knob in KNOBS if knob.file == file)
