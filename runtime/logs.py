"""Per-process logs: structlog, logfmt, UTC, one file each under the log folder.

The hot path counts, the cold path logs. A line that repeats is written once and then summed up, so
that a fault that happens a thousand times a second cannot fill the disk; and a full disk is counted
and otherwise ignored, because trading does not depend on its log.
"""

from __future__ import annotations

import os
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

REPEAT_WINDOW_S = 5.0
REPEAT_COUNT_MAX = 20  # lines of one event within the window
EVENT_NAME_MAX = 256  # events that are told apart; names are words of the code, so few


class LogFile:
    """A log file that never raises while trading; lines are written whole."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending.

        Raises:
            OSError: it cannot be opened; the caller reports it before trading starts.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lost_lines = 0
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)

    def msg(self, line: str) -> None:
        """Append one line."""
        try:
            os.write(self._fd, line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            self.lost_lines += 1  # a full disk must not stop trading; the count is reported

    debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class CollapseRepeats:
    """Drops lines of an event beyond a number per window; the next one says how many were lost."""

    def __init__(
        self, window_s: float = REPEAT_WINDOW_S, count_max: int = REPEAT_COUNT_MAX
    ) -> None:
        self._window_s = window_s
        self._count_max = count_max
        self._seen: dict[str, tuple[float, int]] = {}

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Pass, annotate or drop one event."""
        key = f"{method}|{event.get('event')}"
        now = time.monotonic()
        started, count = self._seen.get(key, (float("-inf"), 0))
        if now - started < self._window_s:
            self._seen[key] = (started, count + 1)
            if count >= self._count_max:
                raise structlog.DropEvent
            return event
        if len(self._seen) >= EVENT_NAME_MAX:
            self._seen.clear()
        self._seen[key] = (now, 1)
        if count > self._count_max:
            event["repeated"] = count - self._count_max
        return event


def _escape_control(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape control characters: ids and messages come from outside."""
    for key, value in event.items():
        if isinstance(value, (int, float)):
            continue
        text = str(value)  # exceptions and containers hold foreign texts too
        if not text.isprintable():
            event[key] = text.encode("unicode_escape").decode("ascii")
    return event


def make_logger(name: str, folder: Path) -> Any:
    """Return a logger that writes `<folder>/<name>.log`.

    Raises:
        OSError: the file cannot be opened.
    """
    processors: list[Any] = [
        structlog.processors.add_log_level,
        CollapseRepeats(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _escape_control,
        structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], drop_missing=True, bool_as_flag=False
        ),
    ]
    return structlog.wrap_logger(LogFile(folder / f"{name}.log"), processors=processors, stage=name)
