"""Send what is sent periodically: one timer per cadence and subject, only while it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Beat:
    """Call `act` at whole multiples of the interval until it returns False.

    `act` tells by its answer whether anybody still listens.
    """

    __slots__ = ("_act", "_clock_ms", "_timer", "interval_ms")

    def __init__(
        self, interval_ms: int, clock_ms: Callable[[], int], act: Callable[[], bool]
    ) -> None:
        self.interval_ms = interval_ms
        self._clock_ms = clock_ms
        self._act = act
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """Tell whether the timer runs."""
        return self._timer is not None

    def start(self) -> None:
        """Start the timer unless it runs."""
        if self._timer is None:
            self._set()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        wait_ms = self.interval_ms - self._clock_ms() % self.interval_ms
        # One more: a timer that fires just before the boundary would miss what ends there.
        delay_s = (wait_ms + 1) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._act():
            self._set()
