"""The bench of the embedded exchange: its matching book; `make bench-exchange`.

    pre-generated orders ► matching_submit / matching_cancel ► fold over every answer, one core
    pre-generated orders ► MatchingBook (Python) ► kernel ► fills and changes as Python objects

The stream mixes adds, cancels and takers around a walking price. Each run starts from an empty book
and must give the fold that a replay through the face gives, in which every lot is accounted for.
The twin is a book in C++ (bench/twins/matching.cpp), compiled in the same run.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench import harness, matching_kernels, ring_twin
from bench.harness import Row, answer_hash, interleaved, median, pinned, timed
from bench.matching_stream import (
    LEVEL_CAPACITY,
    ORDER_CAPACITY,
    Stream,
    fold_changes,
    replay,
    replay_changes,
)
from bench.regions import region
from exchange.matching.book import MatchingBook
from exchange.matching.layout import BUY, GTC, book_size, format_book
from runtime.kernels import load

STAGE = "exchange"
TWIN_SOURCE = Path(__file__).resolve().parent / "twins" / "matching.cpp"
SEED = 20_260_901
NO_COMPILER = "no C++ compiler: no twin to compare with"
Function = Callable[..., int]


def cases(quick: bool) -> Iterator[Row]:
    """Yield the rows of this bench.

    Raises:
        WrongAnswerError: a case computed something wrong.
    """
    count, repetitions = (20_000, 2) if quick else (100_000, 9)
    kernels = load("ahead")
    with tempfile.TemporaryDirectory() as folder, pinned(harness.cores()[0]):
        stream = Stream(kernels, count, SEED)
        wanted = replay(Stream.new_book(kernels), stream)
        yield _compiled(stream, wanted, repetitions, _twin(Path(folder)))
        yield from _through_python(kernels, stream, repetitions)


def _twin(folder: Path) -> Callable[[str], Function] | None:
    """Compile the twin; return a look-up of its functions, None without a compiler."""
    name = ring_twin.compiler()
    if not name:
        return None
    library = folder / "matching_twin.so"
    subprocess.run([name, *ring_twin.FLAGS, str(TWIN_SOURCE), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))

    def function(symbol: str) -> Function:
        found = getattr(loaded, symbol)
        found.argtypes = [ctypes.c_int64] * {"matching_steps": 4, "matching_delete": 1}.get(
            symbol, 2
        )
        found.restype = ctypes.c_int64
        return found

    return function


def _compiled(
    stream: Stream, wanted: int, repetitions: int, twin: Callable[[str], Function] | None
) -> Row:
    n = stream.count
    steps = region(stream.words.itemsize * len(stream.words))
    ctypes.memmove(steps, stream.words.buffer_info()[0], 8 * len(stream.words))
    slots = region(8 * stream.numbers)
    size = book_size(ORDER_CAPACITY, LEVEL_CAPACITY)
    book = region(size)

    def ours() -> float:
        ctypes.memset(book, 0, size)
        format_book(book, ORDER_CAPACITY, LEVEL_CAPACITY)
        started = perf_counter_ns()
        answer = matching_kernels.matching_steps(book, steps, n, slots)
        elapsed = perf_counter_ns() - started
        harness.check("matching", matching_kernels.matching_fold(book, answer), wanted)
        return elapsed / n

    def theirs() -> float:
        assert twin is not None
        address = twin("matching_new")(ORDER_CAPACITY, LEVEL_CAPACITY)
        run = twin("matching_steps")
        started = perf_counter_ns()
        answer = run(address, steps, n, slots)
        elapsed = perf_counter_ns() - started
        harness.check("matching twin", twin("matching_fold")(address, answer), wanted)
        twin("matching_delete")(address)
        return elapsed / n

    figures = interleaved([ours, theirs] if twin else [ours], repetitions)
    ratio = median(figures[0]) / median(figures[1]) if twin else None
    rate = 1000 / median(figures[0])
    note = f"{rate:.1f} million orders/s; "
    note += f"C++ twin {harness.spread(figures[1])}" if twin else NO_COMPILER
    return timed(
        STAGE,
        "matching, compiled, per order",
        figures[0],
        n * repetitions,
        ratio=ratio,
        hash=answer_hash(wanted),
        note=note,
    )


def _through_python(kernels: Any, stream: Stream, repetitions: int) -> Iterator[Row]:
    steps = stream.steps()[: 20_000 if repetitions > 2 else 5_000]
    wanted = replay_changes(Stream.new_book(kernels), stream, len(steps))

    def whole() -> float:
        book = Stream.new_book(kernels)
        slots = [-1] * stream.numbers
        submit, cancel = book.submit, book.cancel
        answers = []
        seen = 0
        started = perf_counter_ns()
        for kind, number, side, price_tick, lot, how in steps:
            if kind:
                matched = cancel(slots[number], number)
            else:
                matched = submit(number, number, 0, side, price_tick, lot, how)
                slots[number] = matched.slot
                for _, _, traded, _ in matched.events:
                    seen += traded
            for _, _, total in matched.changes:
                seen += total
            answers.append(matched)
        elapsed = perf_counter_ns() - started
        harness.check("matching through Python", fold_changes(answers), wanted)
        return elapsed / len(steps)

    figures = interleaved([whole, lambda: _resting(kernels)], repetitions)
    note = "fills and changed levels read as Python objects"
    n = len(steps) * repetitions
    yield timed(
        STAGE, "matching through Python, mixed", figures[0], n, hash=answer_hash(wanted), note=note
    )
    yield timed(
        STAGE,
        "matching through Python, submit",
        figures[1],
        RESTING * repetitions,
        hash=answer_hash(RESTING_TOTALS),
        note="orders that rest, a change each",
    )


RESTING = 4_000
RESTING_LEVELS = 300
# One lot more on the next level, again and again: each answer tells the level's total so far.
RESTING_TOTALS = sum(1 + number // RESTING_LEVELS for number in range(RESTING))


def _resting(kernels: Any) -> float:
    book: MatchingBook = Stream.new_book(kernels)
    submit = book.submit
    totals = 0
    started = perf_counter_ns()
    for number in range(RESTING):
        matched = submit(number, number, 0, BUY, 10_000 - number % RESTING_LEVELS, 1, GTC)
        for _, _, total in matched.changes:
            totals += total
    elapsed = perf_counter_ns() - started
    harness.check("all rest", book.order_count, RESTING)
    harness.check("totals of the levels", totals, RESTING_TOTALS)
    return elapsed / RESTING
