"""The bench of the engine: book, eight signals, validation, rings; `make bench-engine`.

    events in memory ► take_event: book, signals, strategies, validation ► signals in memory
    level updates in memory ► apply_level ► best levels of the side ► fold
    core A: market ring ═════► core B: engine_run ► signals ring        (stamp to stamp)

The stream is a recording where there is one beside the project, else an invented market; the note
says which. The twin does the same work in C++ (bench/twins/engine*.cpp), compiled in the same run;
its signals must be equal byte for byte. Books and indicators of others: engine_others.py.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from bench import engine_kernels, engine_others, engine_twin, harness
from bench.engine_memory import EAGER, SIGNALS_MAX, EngineMemory, run, settings_of
from bench.engine_rings import across_cores, one_core
from bench.engine_stream import Events, Stream, as_contiguous, level_steps, read_stream
from bench.harness import Row, answer_hash, interleaved, median, pinned, timed
from bench.regions import region
from engine.book import begin_snapshot
from engine.book_layout import BOOK
from runtime.kernels import load
from shm.records import SIGNAL, EventKind

STAGE = "engine"
NO_COMPILER = "no C++ compiler: no twin to compare with"
LEVELS = 5
SYMBOLS = 100
TICK_NS_MAX = 60.0
TWIN_RATIO_MAX = 1.5
LEVEL_NS_MAX = 20.0
SYMBOLS_RATIO_MAX = 2.0
Twin = Callable[[str], Callable[..., int]] | None


def cases(quick: bool) -> Iterator[Row]:
    """Yield the rows of this bench.

    Raises:
        WrongAnswerError: a case computed something wrong.
    """
    repetitions = 2 if quick else 9
    kernels = load("ahead")
    stream = read_stream(quick)
    cores = harness.cores()
    with tempfile.TemporaryDirectory() as folder, pinned(cores[0]):
        twin = engine_twin.build(Path(folder))
        yield _events(kernels, stream, stream.events, True, "all events", repetitions, twin)
        ticks = stream.of_kinds(EventKind.TRADE, EventKind.BEST)
        yield _events(kernels, stream, ticks, False, "ticks, eight signals each", repetitions, twin)
        for levels in (LEVELS, 0):
            yield _levels(stream, levels, repetitions, twin)
        yield one_core(kernels, ticks, quick)
        yield across_cores(kernels, ticks, quick, cores)
        yield _symbols(kernels, stream, quick, repetitions)
        yield from engine_others.rows(kernels, stream, quick)


def _goal(*checks: bool) -> str:
    return "met" if all(checks) else "MISSED"


def _compared(ours: list[float], theirs: list[float] | None) -> tuple[float | None, str]:
    if theirs is None:
        return None, NO_COMPILER
    note = f"ours {harness.spread(ours)}, C++ twin {harness.spread(theirs)}"
    return median(ours) / median(theirs), note


def _events(
    kernels: Any,
    stream: Stream,
    events: Events,
    require_book: bool,
    case: str,
    repetitions: int,
    twin: Twin,
) -> Row:
    memory = EngineMemory(settings_of(), stream.symbol_count, require_book)
    wanted = run(kernels, memory, events)
    count = len(events)

    def ours() -> float:
        memory.clear()
        started = perf_counter_ns()
        found = kernels.engine_process_many(
            memory.address, events.ctypes.data, count, memory.signals, SIGNALS_MAX
        )
        elapsed = perf_counter_ns() - started
        harness.check(case, ctypes.string_at(memory.signals, found * SIGNAL.size), wanted)
        return elapsed / count

    def theirs() -> float:
        assert twin is not None
        memory.clear()
        engine = twin("twin_new")(memory.parameters, stream.symbol_count, memory.thresholds)
        process = twin("twin_process_many")
        started = perf_counter_ns()
        found = process(engine, events.ctypes.data, count, memory.signals, SIGNALS_MAX)
        elapsed = perf_counter_ns() - started
        got = ctypes.string_at(memory.signals, found * SIGNAL.size)
        harness.check(f"{case}, twin", got, wanted)
        harness.check(f"{case}, evaluations", twin("twin_evaluations")(engine), evaluations)
        twin("twin_delete")(engine)
        return elapsed / count

    evaluations = memory.counter("evaluations")
    figures = interleaved([ours, theirs] if twin else [ours], repetitions)
    ratio, note = _compared(figures[0], figures[1] if twin else None)
    met = _goal(median(figures[0]) <= TICK_NS_MAX, ratio is None or ratio <= TWIN_RATIO_MAX)
    note = (
        f"{note}; {stream.name}, {evaluations / count:.0%} of {count} evaluated, "
        f"{len(wanted) // SIGNAL.size} signals; "
        f"goal {TICK_NS_MAX:.0f} ns and {TWIN_RATIO_MAX} twins {met}"
    )
    digest = answer_hash(wanted, evaluations)
    return timed(STAGE, case, figures[0], count * repetitions, ratio=ratio, hash=digest, note=note)


def _levels(stream: Stream, levels: int, repetitions: int, twin: Twin) -> Row:
    book, out = region(BOOK.size), region(2 * 16 * 20)
    before, steps = level_steps(stream.of_symbol(0))
    count = len(steps)
    case = f"level update, best {levels}" if levels else "level update"
    answers: list[int] = []

    def ours() -> float:
        begin_snapshot(book)
        engine_kernels.book_steps(book, before.ctypes.data, len(before), 0, out)
        started = perf_counter_ns()
        answers.append(engine_kernels.book_steps(book, steps.ctypes.data, count, levels, out))
        return (perf_counter_ns() - started) / count

    def theirs() -> float:
        assert twin is not None
        address, apply = twin("twin_book_new")(), twin("twin_book_steps")
        apply(address, before.ctypes.data, len(before), 0)
        started = perf_counter_ns()
        answers.append(apply(address, steps.ctypes.data, count, levels))
        elapsed = perf_counter_ns() - started
        twin("twin_book_delete")(address)
        return elapsed / count

    figures = interleaved([ours, theirs] if twin else [ours], repetitions)
    harness.check(f"{case}: one fold", len(set(answers)), 1)
    ratio, note = _compared(figures[0], figures[1] if twin else None)
    met = _goal(median(figures[0]) <= LEVEL_NS_MAX)
    note = f"{note}; {stream.name}; goal {LEVEL_NS_MAX:.0f} ns {met}"
    digest = answer_hash(answers[0])
    return timed(STAGE, case, figures[0], count * repetitions, ratio=ratio, hash=digest, note=note)


def _symbols(kernels: Any, stream: Stream, quick: bool, repetitions: int) -> Row:
    """Return the row of the same events for many symbols in turn, against one after another."""
    count = 200 if quick else 5_000
    own = stream.of_symbol(0)
    ends = np.flatnonzero(own["kind"] == int(EventKind.SNAPSHOT_END))
    book, events = as_contiguous(own[: ends[0] + 1]), as_contiguous(own[ends[0] + 1 :][:count])
    in_turn = as_contiguous(np.repeat(events, SYMBOLS))
    in_turn["symbol"] = np.tile(np.arange(SYMBOLS, dtype=np.uint16), len(events))
    many = EngineMemory(settings_of(*EAGER), SYMBOLS)
    one = EngineMemory(settings_of(*EAGER), 1)
    total = len(in_turn)

    def together() -> float:
        many.clear()
        for symbol in range(SYMBOLS):
            book["symbol"] = symbol
            run(kernels, many, book)
        started = perf_counter_ns()
        got = run(kernels, many, in_turn)
        elapsed = perf_counter_ns() - started
        answers.append(_sides(got, SYMBOLS))
        return elapsed / total

    def alone() -> float:
        book["symbol"] = 0
        elapsed = 0
        for _ in range(SYMBOLS):
            one.clear()
            run(kernels, one, book)
            started = perf_counter_ns()
            got = run(kernels, one, events)
            elapsed += perf_counter_ns() - started
        answers.append(_sides(got, 1))
        return elapsed / total

    answers: list[list[bytes]] = []
    figures = interleaved([together, alone], repetitions)
    case = f"{SYMBOLS} symbols in turn"
    harness.check(
        f"{case}: each like the one", {row for a in answers for row in a}, {answers[1][0]}
    )
    ratio = median(figures[0]) / median(figures[1])
    note = (
        f"in turn {harness.spread(figures[0])}, one symbol after another "
        f"{harness.spread(figures[1])}; {len(answers[1][0]) // 8} signals each; "
        f"goal {SYMBOLS_RATIO_MAX} {_goal(ratio <= SYMBOLS_RATIO_MAX)}"
    )
    digest = answer_hash(answers[1])
    return timed(STAGE, case, figures[0], total * repetitions, ratio=ratio, hash=digest, note=note)


def _sides(signals: bytes, symbol_count: int) -> list[bytes]:
    """Return, for each symbol, the strengths of its signals with their sides."""
    found = np.frombuffer(signals, SIGNAL.dtype)
    strengths = found["strength"] * found["side"]
    return [strengths[found["symbol"] == symbol].tobytes() for symbol in range(symbol_count)]
