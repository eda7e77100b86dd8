"""A thread that does blocking work, one piece at a time, and tells the main thread by eventfd."""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]
Done = Callable[[Any], None]

_STOP_PRIORITY = -1


class Worker:
    """Take pieces of work by priority; hand the results to callbacks on the collecting thread.

    Lower numbers go first, equal ones in their order. An exception of the work is raised where the
    results are collected.
    """

    def __init__(self, name: str) -> None:
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.pending = 0
        self._queue: queue.PriorityQueue[tuple[int, int, Work | None, Done | None]] = (
            queue.PriorityQueue()
        )
        self._number = itertools.count()
        self._finished: deque[tuple[Done, Any, Exception | None]] = deque()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, priority: int, work: Work, done: Done) -> None:
        """Queue a piece of work; `done(result)` runs inside `collect`."""
        self.pending += 1
        self._queue.put((priority, next(self._number), work, done))

    def collect(self) -> int:
        """Run the callbacks of all finished work; return how many there were."""
        try:
            os.eventfd_read(self.event_fd)
        except BlockingIOError:
            return 0  # nothing has finished since the last time
        count = 0
        while self._finished:
            done, result, error = self._finished.popleft()
            self.pending -= 1
            count += 1
            if error is not None:
                raise error
            done(result)
        return count

    def close(self, timeout_s: float) -> bool:
        """End the thread after the piece it is at; return whether it ended in time."""
        self._queue.put((_STOP_PRIORITY, next(self._number), None, None))
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        os.close(self.event_fd)
        return True

    def _run(self) -> None:
        while True:
            _, _, work, done = self._queue.get()
            if work is None or done is None:
                return
            try:
                finished = (done, work(), None)
            except Exception as error:  # raised again by `collect`, on the main thread
                self._finished.append((done, None, error))
            else:
                self._finished.append(finished)
            os.eventfd_write(self.event_fd, 1)
