"""Set up the process's log: logfmt lines, UTC, to a file or to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

from exchange.errors import StartError


@contextmanager
def log_to(path: Path | None) -> Iterator[None]:
    """Point structlog at the file, or at standard error, for the run of the exchange.

    A log that this run created is removed again when the exchange could not start.
    """
    if path is None:
        _configure(sys.stderr)
        yield
        return
    is_new = not path.exists()
    try:
        stream = path.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        reason = error.strerror
        raise StartError(f"cannot write the log file: file={path} reason={reason}") from error
    with stream:
        _configure(stream)
        try:
            yield
        except StartError:
            if is_new:
                path.unlink()
            raise


def _configure(stream: TextIO) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
