"""What has to be cleared at the venue without the pipeline, and what came of it.

The work itself needs keys, so it is the executor's (`executor.emergency`); whoever wants it done
(make kill, the supervisor) states the task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from config.settings import Settings
from runtime.instance_folder import Venue
from shm.records import TERMINAL_STATUS_MIN, OrderFlag, OrderStatus
from shm.tables import ORDER_ROW
from shm.topology import SharedMemory

CONFIRM_S = 0.25
RISK_REDUCING = int(OrderFlag.EXIT) | int(OrderFlag.REDUCE_ONLY)


@dataclass(frozen=True)
class VenueTask:
    """Cancel what adds risk; with `flatten` close the positions as well.

    With `spare_protected` those stay whose stops at the venue cover them.
    """

    venue: Venue
    flatten: bool
    attempts_max: int
    timeout_s: float
    recv_window_ms: int
    # Between the two looks that have to agree: an order under way may arrive in between.
    confirm_s: float = CONFIRM_S
    spare_protected: bool = False


@dataclass
class VenueOutcome:
    """What is left at the venue. `failure` is "" when it was seen to be clear, twice."""

    failure: str = ""
    attempts: int = 0
    canceled: int = 0  # orders that were there and are gone
    closed: int = 0  # market orders sent to close positions
    left: list[str] = field(default_factory=list)  # orders that should be gone
    positions: dict[str, str] = field(default_factory=dict)  # signed quantity by symbol
    unprotected: list[str] = field(default_factory=list)  # positions that no stop covers
    others: int = 0  # open orders of symbols that are not traded here: left alone

    @property
    def is_clear(self) -> bool:
        """Return whether everything that was asked for is done."""
        return not self.failure


ClearVenue = Callable[[VenueTask, Callable[[str], None]], VenueOutcome]


def open_statuses(memory: SharedMemory) -> set[int]:
    """Return the statuses of orders that could add risk and have not ended, by the order table.

    Loop bound: the rows of the table.
    """
    rows = (
        ORDER_ROW.at(memory.order_rows + index * ORDER_ROW.size)
        for index in range(memory.order_row_count)
    )
    return {
        row.status
        for row in rows
        if row.order_id and row.status < TERMINAL_STATUS_MIN and not row.flags & RISK_REDUCING
    }


def task_of(
    settings: Settings,
    venue: Venue,
    flatten: bool,
    memory: SharedMemory | None,
    spare_protected: bool = False,
) -> VenueTask:
    """Return the task with the settings' patience.

    When the table holds an order whose fate nobody knows, the second look comes after the time in
    which the venue could still accept it.
    """
    in_doubt = {int(OrderStatus.SENDING), int(OrderStatus.UNKNOWN)}
    is_in_doubt = memory is not None and bool(open_statuses(memory) & in_doubt)
    recv_window_s = settings.venue.recv_window_ms / 1000
    return VenueTask(
        venue,
        flatten,
        settings.supervisor.kill_attempts,
        settings.venue.request_timeout_ms / 1000,
        settings.venue.recv_window_ms,
        CONFIRM_S + (recv_window_s if is_in_doubt else 0.0),
        spare_protected,
    )
