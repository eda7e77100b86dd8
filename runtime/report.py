"""Print what a stage of a running instance says of itself: `python -m feed`, `python -m engine`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from shm.segments import SegmentError
from shm.topology import SharedMemory, attach_all


def print_report(instance: str, stage: str, lines: Callable[[SharedMemory], list[str]]) -> int:
    """Attach to an instance, print the lines, and return the exit status.

    Args:
        instance: which instance.
        stage: whose report it is, for the message when nothing runs.
        lines: returns the report from the instance's memory; it writes nothing.
    """
    try:
        memory = attach_all(instance)
    except SegmentError as error:
        print(f"{error}\nThe {stage} is started by the supervisor: make run", file=sys.stderr)
        return 1
    try:
        print("\n".join(lines(memory)))
    finally:
        memory.close()
    return 0
