"""The harness of all benches: pinning, repeating, rows, the machine, the hash of the answers.

    stage case n p50 p99 p99.9 max ns/op ratio hash note

`n` counts operations over all repetitions. The percentiles are of single operations where each one
was timed (latency), of the repetitions' time per operation where a loop was timed. `ratio` is time
per operation over the baseline's that was measured in the same run, interleaved: below 1 is faster.
`hash` is of the checked answer: the same program gives the same one on every machine. What a
machine cannot measure gives a row whose note says why, and no figures.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any


class WrongAnswerError(AssertionError):
    """A case computed something else than it should: its figures are worth nothing."""


@dataclass(frozen=True)
class Row:
    """One line of a bench; times in nanoseconds, None where nothing was measured."""

    stage: str
    case: str
    n: int = 0
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None
    ns_per_op: float | None = None
    ratio: float | None = None
    hash: str = "-"
    note: str = ""


_WIDTHS = (8, 34, 10, 10, 10, 10, 12, 10, 7, 10)
_TITLES = ("stage", "case", "n", "p50", "p99", "p99.9", "max", "ns/op", "ratio", "hash")


def header() -> str:
    """Return the titles of the columns."""
    return _aligned(_TITLES) + "  note"


def line(row: Row) -> str:
    """Return a row as text, in the columns of `header`."""
    times = [_number(v, 1) for v in (row.p50, row.p99, row.p999, row.max)]
    cells = (row.stage, row.case, str(row.n), *times, _number(row.ns_per_op, 2))
    return (_aligned((*cells, _number(row.ratio, 2), row.hash)) + "  " + row.note).rstrip()


def _aligned(cells: Sequence[str]) -> str:
    padded = [
        cell.ljust(width) if index < 2 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    ]
    return " ".join(padded)


def _number(value: float | None, decimals: int) -> str:
    if value is None:
        return "-"
    # Nobody reads the tenths of a millisecond's nanoseconds, and the columns have to hold.
    return f"{value:.{decimals if value < 100_000 else 0}f}"


def timed(stage: str, case: str, samples: Sequence[float], n: int, **rest: Any) -> Row:
    """Return a row over samples in nanoseconds per operation.

    Args:
        stage: whose bench it is.
        case: what was measured.
        samples: one per operation, or one per repetition.
        n: operations in all.
        rest: `ratio`, `hash`, `note`; `ns_per_op` when it is not the median of the samples.
    """
    p50, p99, p999 = (percentile(samples, q) for q in (0.5, 0.99, 0.999))
    rest.setdefault("ns_per_op", p50)
    return Row(stage, case, n, p50, p99, p999, float(max(samples)), **rest)


def percentile(samples: Sequence[float], quantile: float) -> float:
    """Return a sample such that at least `quantile` (0..1) of all are not above it."""
    ordered = sorted(samples)
    rank = max(1, math.ceil(quantile * len(ordered)))
    return float(ordered[min(rank, len(ordered)) - 1])


def median(samples: Sequence[float]) -> float:
    """Return the median sample."""
    return percentile(samples, 0.5)


def spread(samples: Sequence[float]) -> str:
    """Return median and range of repetitions as text."""
    return f"{median(samples):.1f} [{min(samples):.1f}..{max(samples):.1f}]"


def check(case: str, got: object, wanted: object) -> None:
    """Raise when a case's answer is wrong."""
    if got != wanted:
        raise WrongAnswerError(f"{case}: got={got!r} wanted={wanted!r}")


def answer_hash(*answers: object) -> str:
    """Return eight hexadecimal digits over the answers."""
    return hashlib.sha256(repr(answers).encode()).hexdigest()[:8]


def ns_per_op(work: Callable[[], object], operations: int, wanted: object, case: str) -> float:
    """Run a piece of work once, check its answer, return its time per operation."""
    started = perf_counter_ns()
    got = work()
    elapsed = perf_counter_ns() - started
    check(case, got, wanted)
    return elapsed / operations


def interleaved(
    runs: Sequence[Callable[[], float]], repetitions: int, warm: int = 1
) -> list[list[float]]:
    """Return the figures of several contestants, measured A B A B …, one list each.

    Args:
        runs: each returns one figure.
        repetitions: of each that count.
        warm: rounds before them that do not.
    """
    found: list[list[float]] = [[] for _ in runs]
    for repetition in range(-warm, repetitions):
        for index, run in enumerate(runs):
            figure = run()
            if repetition >= 0:
                found[index].append(figure)
    return found


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core, without the garbage collector."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        if collecting:
            gc.enable()


def cores() -> list[int]:
    """Return the cores this process may use, the last first: the first serves most interrupts."""
    return sorted(os.sched_getaffinity(0), reverse=True)


def machine() -> dict[str, Any]:
    """Return what figures depend on: processor, cores, load, kernel and versions."""
    text = Path("/proc/cpuinfo").read_text()
    models = [row.partition(":")[2].strip() for row in text.splitlines() if "model name" in row]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numba": importlib.metadata.version("numba"),
        "llvmlite": importlib.metadata.version("llvmlite"),
    }


def write_json(path: Path, rows: Sequence[Row], machine_facts: dict[str, Any]) -> None:
    """Write rows and machine for the comparison of later runs."""
    content = {"machine": machine_facts, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1) + "\n")
