"""Threads for calls that block (REST, handshakes); results wake the loop through an eventfd."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

Job = Callable[[], Any]


class Worker:
    """One thread that runs jobs in order; each job returns a result and handles its own errors.

    Args:
        name: of the thread.
        results: where results go.
        event_fd: eventfd that is written after each result.
    """

    def __init__(self, name: str, results: queue.SimpleQueue[Any], event_fd: int) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._results = results
        self._event_fd = event_fd
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._jobs.put(job)

    def close(self, timeout_s: float) -> bool:
        """Let the thread end after its current job; return whether it did within the time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                result = job()
            except Exception as error:
                result = error  # raised again in the loop's thread: a programming error
            self._results.put(result)
            os.eventfd_write(self._event_fd, 1)
