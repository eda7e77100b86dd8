"""What the feed of a running instance has counted, and how its symbols stand."""

from __future__ import annotations

import time

from feed.state import SYNC, SyncState
from runtime.report import print_report
from shm.tables import read_symbol_name
from shm.topology import SharedMemory


def report(instance: str) -> int:
    """Print a live instance's feed; return the exit status."""
    return print_report(instance, "feed", lines)


def lines(memory: SharedMemory) -> list[str]:
    """Return the report as lines."""
    process = memory.process("feed")
    age_ms = (time.monotonic_ns() - process.heartbeat_ns) // 1_000_000
    found = [f"feed pid={process.pid} heartbeat_ms={age_ms}"]
    found += [f"{key} {value}" for key, value in memory.counters.as_dict("feed").items()]
    p50, p99 = memory.histograms.get("feed").percentiles((0.5, 0.99))
    found.append(f"feed.latency_ns p50={p50} p99={p99}")
    for index in range(memory.control.symbol_count):
        row = SYNC.at(memory.state("feed") + index * SYNC.size)
        found.append(
            f"{read_symbol_name(row)} state={SyncState(row.state).name.lower()} "
            f"valid={row.is_valid} last_id={row.last_id} snapshot_id={row.snapshot_id}"
        )
    return found
