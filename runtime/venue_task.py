"""What has to be cleared at the venue without the pipeline, and what came of it.

The work itself needs keys, so it is the executor's (`executor.emergency`); whoever wants it done
(make kill, the supervisor) states the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from config.settings import Settings
from runtime.instance_folder import Venue


@dataclass(frozen=True)
class VenueTask:
    """Cancel what adds risk; with `flatten` close the positions as well."""

    venue: Venue
    flatten: bool
    attempts_max: int
    timeout_s: float
    recv_window_ms: int


@dataclass
class VenueOutcome:
    """What is left at the venue. `failure` is "" when it was seen to be clear, twice."""

    failure: str = ""
    attempts: int = 0
    canceled: int = 0  # orders that were there and are gone
    closed: int = 0  # market orders sent to close positions
    left: list[str] = field(default_factory=list)  # orders that should be gone
    positions: dict[str, str] = field(default_factory=dict)  # signed quantity by symbol
    unprotected: list[str] = field(default_factory=list)  # symbols without a resting stop
    others: int = 0  # open orders of symbols that are not traded here: left alone

    @property
    def is_clear(self) -> bool:
        """Return whether everything that was asked for is done."""
        return not self.failure


ClearVenue = Callable[[VenueTask, Callable[[str], None]], VenueOutcome]


def task_of(settings: Settings, venue: Venue, flatten: bool) -> VenueTask:
    """Return the task with the settings' patience."""
    return VenueTask(
        venue,
        flatten,
        settings.supervisor.kill_attempts,
        settings.venue.request_timeout_ms / 1000,
        settings.venue.recv_window_ms,
    )
