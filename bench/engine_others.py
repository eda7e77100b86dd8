"""Our book and index against those of others, on the same stream and with the same answers.

The others live in an environment of their own below .build, made once and kept: they are no
dependency of this project and stand in no lock file. They run in a process of their own, right
after ours, on the same core. Where they cannot be installed the rows say why.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import engine_kernels, harness
from bench.engine_memory import EngineMemory, run, settings_of
from bench.engine_stream import START_NS, Events, Stream, level_steps
from bench.harness import Row, answer_hash, median, timed
from bench.regions import region
from engine.book import begin_snapshot, best_levels
from engine.book_layout import BOOK
from engine.state import SYMBOL_STATE, symbol_state_address
from shm.records import MARKET_EVENT, EventFlag, EventKind

STAGE = "engine"
# Versions whose answers were compared with ours.
PACKAGES = {"nautilus_trader": "1.221.0", "hftbacktest": "2.4.4", "talipp": "2.7.0"}
SCRIPT = Path(__file__).resolve().parent / "engine_others_run.py"
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".build" / "bench-others"
DONE = ENVIRONMENT / "installed.json"
INSTALL_S_MAX = 600
RUN_S_MAX = 300
STEPS_MAX = 100_000
CLOSES = 20_000
REPETITIONS = 5
LEVELS = 5
DOES = {
    "nautilus_trader": ("level update", "apply_delta from Python, objects made before"),
    "hftbacktest": (
        "level update",
        "its whole loop over depth events, compiled, two books",
    ),
    "talipp": ("RSI", "RSI.add from Python; ours: a trade a second with all eight signals"),
}


def rows(kernels: Any, stream: Stream, quick: bool) -> Iterator[Row]:
    """Yield a row for each package of others.

    Raises:
        WrongAnswerError: a package gives another book or index than we do.
    """
    reason = "not in the quick version" if quick else _install()
    if reason:
        for name in PACKAGES:
            yield Row(STAGE, f"{DOES[name][0]}, {name}", note=reason)
        return
    before, steps = level_steps(stream.of_symbol(0))
    steps = np.ascontiguousarray(steps[:STEPS_MAX])
    closes = np.cumsum(np.random.default_rng(14).integers(-40, 41, CLOSES)) + 500_000
    ours = {"level update": _book(before, steps), "RSI": _index(kernels, closes)}
    counts = {"level update": len(steps), "RSI": len(closes)}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, array in (("steps", steps), ("before", before), ("closes", closes)):
            paths.append(str(Path(folder) / f"{name}.npy"))
            np.save(paths[-1], array)
        for name in PACKAGES:
            what, how = DOES[name]
            yield _row(name, what, how, ours[what], _theirs(name, paths), counts[what])


def _install() -> str:
    """Make the environment unless it is there; return why that cannot be, "" when it is there."""
    wanted = json.dumps(PACKAGES)
    if DONE.exists() and DONE.read_text() == wanted:
        return ""
    python = ENVIRONMENT / "bin" / "python"
    pins = [f"{name}=={version}" for name, version in PACKAGES.items()]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        command = [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S_MAX)
        command = [*pip, "--only-binary", ":all:", *pins]
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S_MAX)
    except subprocess.TimeoutExpired:
        return f"not installed within {INSTALL_S_MAX} s: {' '.join(pins)}"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        return f"cannot be installed from wheels: {lines[-1]}"
    DONE.write_text(wanted)
    return ""


def _theirs(name: str, paths: list[str]) -> dict[str, Any]:
    command = [str(ENVIRONMENT / "bin" / "python"), str(SCRIPT), name, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    if done.returncode != 0:
        raise harness.WrongAnswerError(f"{name} failed: {done.stderr.strip()[-400:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _row(
    name: str, what: str, how: str, ours: tuple[list[float], Any], theirs: dict[str, Any], n: int
) -> Row:
    figures, answer = ours
    case = f"{what}, {name}"
    if what == "RSI":
        difference = abs(theirs["answer"] - answer)
        harness.check(f"{case}: index within 1e-9", difference <= 1e-9, True)
    else:
        # Not every package gives five levels: as many as it gives are compared.
        got = [[tuple(level) for level in side] for side in theirs["answer"]]
        shown = [side[: len(found)] for side, found in zip(answer, got, strict=True)]
        harness.check(f"{case}: best levels", got, shown)
    note = (
        f"ours {harness.spread(figures)}, {name} {theirs['version']} "
        f"{harness.spread(theirs['figures'])}: {how}"
    )
    ratio = median(figures) / median(theirs["figures"])
    digest = answer_hash(answer)
    return timed(STAGE, case, figures, n * len(figures), ratio=ratio, hash=digest, note=note)


def _book(before: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> tuple[list[float], Any]:
    book, out = region(BOOK.size), region(2 * 16 * LEVELS)
    figures = []
    for _ in range(REPETITIONS):
        begin_snapshot(book)
        engine_kernels.book_steps(book, before.ctypes.data, len(before), 0, out)
        started = perf_counter_ns()
        engine_kernels.book_steps(book, steps.ctypes.data, len(steps), 0, out)
        figures.append((perf_counter_ns() - started) / len(steps))
    found = []
    for is_ask in range(2):
        count = best_levels(book, is_ask, LEVELS, out)
        pairs = (ctypes.c_int64 * (2 * count)).from_address(out)
        found.append([(pairs[2 * k], pairs[2 * k + 1]) for k in range(count)])
    return figures, found


def _index(kernels: Any, closes: npt.NDArray[np.int64]) -> tuple[list[float], float]:
    """Return figures and the last index over one trade a second; the last bar is closed by time."""
    events: Events = np.zeros(len(closes) + 1, MARKET_EVENT.dtype)
    events["price_tick"][:-1] = closes
    events["price_tick"][-1] = closes[-1]
    events["venue_ns"] = START_NS + np.arange(len(events)) * 1_000_000_000
    events["quantity_lot"], events["kind"] = 1, int(EventKind.TRADE)
    events["flags"] = int(EventFlag.LAST)
    memory = EngineMemory(settings_of(), 1, require_book=False)
    figures = []
    for _ in range(REPETITIONS):
        memory.clear()
        started = perf_counter_ns()
        run(kernels, memory, events)
        figures.append((perf_counter_ns() - started) / len(events))
    return figures, SYMBOL_STATE.at(symbol_state_address(memory.address, 0)).rsi
