"""What an instance says about itself: the status line, the process table, the final summary.

Everything is read from shared memory and /proc; nothing here writes to either.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.quote_status import quote_counts, quote_text
from runtime.wait_layout import WaitStrategy
from shm.counters import COUNTERS
from shm.latch_table import held as latches
from shm.tables import PROCESSES, STAGES, HaltReason, ProcessState, read_symbol_name
from shm.topology import SharedMemory

E8 = 1e-8
# Stage → the histogram that is shown for it in the process table.
STAGE_HISTOGRAM = {name: name for name in STAGES}


def pss_bytes(pid: int) -> int | None:
    """Return the proportional set size of a process, None when it is gone.

    Source: proc(5), /proc/<pid>/smaps_rollup, the line "Pss:" in kB.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def pss_total(memory: SharedMemory) -> int | None:
    """Return the proportional set size of supervisor and stages, None when one is not running."""
    total = 0
    for name in (*STAGES, "supervisor"):
        size = pss_bytes(memory.process(name).pid)
        if size is None:
            return None
        total += size
    return total


def latency_ns(memory: SharedMemory, name: str) -> dict[str, int | None]:
    """Return p50, p90 and p99 of a latency histogram in nanoseconds, None when it is empty."""
    p50, p90, p99 = memory.histograms.get(name).percentiles((0.5, 0.9, 0.99))
    return {"p50": p50, "p90": p90, "p99": p99}


def status_line(memory: SharedMemory, events_before: int, interval_s: float) -> str:
    """Return one line about the run so far.

    Args:
        memory: the instance.
        events_before: `feed.events` at the previous line.
        interval_s: seconds since the previous line.
    """
    counters, control = memory.counters, memory.control
    events = counters.get("feed.events")
    rate = (events - events_before) / max(interval_s, 1e-9)
    elapsed = (time.monotonic_ns() - control.started_ns) * 1e-9
    profit = (control.realized_e8 - control.fee_e8) * E8
    tick_to_order = latency_ns(memory, "tick_to_order")["p50"]
    parts = [
        f"{elapsed:7.1f} s",
        f"events {events} ({rate:.0f}/s)",
        f"signals {counters.get('engine.signals')}",
        f"orders {counters.get('executor.sent')}",
        f"fills {counters.get('executor.fills')}",
        f"open {control.open_position_count}",
        f"round trips {counters.get('risk.round_trips')}",
        f"pnl after fees {profit:+.4f}",
        f"tick to order p50 {_microseconds(tick_to_order)}",
        f"laps {counters.get('engine.laps') + counters.get('risk.laps')}",
        f"restarts {counters.get('supervisor.restarts')}",
    ]
    waiting = counters.get("engine.quarantines") - counters.get("engine.quarantines_ended")
    if waiting:
        parts.append(f"in quarantine {waiting}")
    if quotes := quote_text(memory):
        parts.insert(5, quotes)
    halted = halt_text(memory)
    return " | ".join(parts) + (f" | entries halted: {halted}" if halted else "")


def halt_text(memory: SharedMemory) -> str:
    """Return why entries are not allowed, "" when they are."""
    control = memory.control
    reasons = []
    reasons += [
        f"latched by {held.writer}: {held.reason.name.lower()}" for held in latches(control)
    ]
    if control.halt_reason:
        reasons.append(HaltReason(control.halt_reason).name.lower())
    if not control.reconciled:
        reasons.append("venue not reconciled")
    if not control.clock_ready:
        reasons.append("clock not measured")
    reasons += [
        f"{read_symbol_name(memory.symbol(index))} differs from the venue"
        for index in range(control.symbol_count)
        if memory.trust(index).distrust
    ]
    return ", ".join(reasons)


def _microseconds(value_ns: int | None) -> str:
    return "-" if value_ns is None else f"{value_ns / 1000:.0f} µs"


def process_table(
    memory: SharedMemory,
    before: dict[str, int],
    interval_s: float,
    cpu_percent: Mapping[str, float],
) -> str:
    """Return the table of `make status`.

    Args:
        memory: the instance.
        before: work counts by process, sampled `interval_s` seconds earlier.
        interval_s: seconds between the samples.
        cpu_percent: use of one core between the samples, by process.
    """
    header = ("process", "pid", "core", "node", "wait", "state", "beat ms", "work/s")
    rows: list[tuple[str, ...]] = [(*header, "p50 µs", "p99 µs", "CPU %", "PSS MiB", "restarts")]
    now = time.monotonic_ns()
    for name in PROCESSES:
        row = memory.process(name)
        if row.pid == 0:
            continue
        size = pss_bytes(row.pid)
        # A beat newer than the reading of the clock is no age.
        beat = "-" if row.heartbeat_ns == 0 else f"{max(0, now - row.heartbeat_ns) / 1e6:.0f}"
        rate = (row.work_count - before.get(name, 0)) / max(interval_s, 1e-9)
        latency = latency_ns(memory, STAGE_HISTOGRAM[name]) if name in STAGE_HISTOGRAM else {}
        rows.append(
            (
                name,
                str(row.pid),
                "-" if row.core < 0 else str(row.core),
                str(row.node) if name in STAGES else "-",
                WaitStrategy(row.wait).name.lower() if row.wait else "-",
                state_text(row, size),
                beat,
                f"{rate:.0f}" if name in STAGES else "-",
                *(_microseconds(latency.get(q)).removesuffix(" µs") for q in ("p50", "p99")),
                f"{cpu_percent[name]:.1f}" if name in cpu_percent else "-",
                "-" if size is None else f"{size / 2**20:.1f}",
                str(row.restarts),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    halted = halt_text(memory)
    lines.append("entries: " + (f"halted ({halted})" if halted else "allowed"))
    return "\n".join(lines)


def state_text(row: Any, size: int | None) -> str:
    """Return a process's state in a word: what the supervisor says, else what it says itself."""
    if size is None:
        return "gone"
    supervised = ProcessState(row.supervised_state)
    if supervised in (ProcessState.DEAD, ProcessState.HALTED, ProcessState.STARTING):
        return supervised.name.lower()
    return ProcessState(row.state or row.supervised_state).name.lower()


def summary(
    memory: SharedMemory, pss: int | None, reason: str, user_strategies: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the content of logs/summary.json.

    Args:
        memory: the instance, after its stages have closed.
        pss: proportional set size of supervisor and four stages while they ran, bytes.
        reason: why the run ended.
        user_strategies: names of the users' strategies, in the order of their codes.
    """
    counters, control = memory.counters, memory.control
    kinds = ("momentum", "mean_reversion", "order_flow")
    signals = {kind: counters.get(f"engine.signals_{kind}") for kind in kinds}
    for place, name in enumerate(user_strategies, 1):
        signals[name] = counters.get(f"engine.signals_user_{place}")
    closed = memory.process("executor").state == ProcessState.STOPPED
    exits = [
        row.label.removeprefix("exit_")
        for row in COUNTERS
        if row.owner == "risk" and row.label.startswith("exit_") and row.label != "exit_retries"
    ]
    return {
        "ended": reason,
        "duration_s": round((time.monotonic_ns() - control.started_ns) * 1e-9, 3),
        "symbol_count": control.symbol_count,
        "events": counters.get("feed.events"),
        "signals": signals,
        "orders": counters.get("executor.sent"),
        "fills": counters.get("executor.fills"),
        "round_trips": counters.get("risk.round_trips"),
        "quotes": quote_counts(memory),
        "exits": {kind: counters.get(f"risk.exit_{kind}") for kind in exits},
        "open_positions": control.open_position_count,
        "pnl_after_fees": round((control.realized_e8 - control.fee_e8) * E8, 8),
        "fees": round(control.fee_e8 * E8, 8),
        "funding": round(control.funding_e8 * E8, 8),
        # Unknown, not zero, when the executor did not get to compare.
        "orders_lost": counters.get("executor.orders_lost") if closed else None,
        "orders_duplicated": counters.get("executor.orders_duplicated") if closed else None,
        "quarantines": counters.get("engine.quarantines"),
        "market_laps": counters.get("engine.laps") + counters.get("risk.laps"),
        # A comparison counts only when the executor made it to the end of its closing.
        "venue_matches_local": closed and bool(counters.get("executor.venue_matches")),
        "tick_to_order_ns": latency_ns(memory, "tick_to_order"),
        "stage_ns": {name: latency_ns(memory, name) for name in (*STAGES, "ack")},
        "pss_bytes_total": pss,
        "restarts": counters.get("supervisor.restarts"),
        "counters": {key: value for key, value in counters.as_dict().items() if value},
    }
