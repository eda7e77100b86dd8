"""The bench of shared memory: rings, pools, histograms, doorbells; `make bench-shm`.

                 gated ring, 64-byte records, all words written, all words read and summed
    same thread:   push ► pop
    two cores:     core A: push ═════ ring ═════► core B: pop          (throughput, scheduled)
                   core A: push ═════ ring ═════► core B: pop, push    (round trip / 2)
                           pop  ◄════ ring ═════

Each case runs against the C++ twin of the same algorithm (bench/twins/ring.cpp), compiled in the
same run, or against queues that others offer with messages of the same size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench import harness, message_queues, ring_kernels, ring_twin
from bench.harness import Row, answer_hash, interleaved, median, ns_per_op, pinned, timed
from bench.pairs import beside
from bench.regions import new_pool, new_ring, region, words
from shm.histogram_layout import HISTOGRAM
from shm.pool_layout import free_indices
from shm.tables import DOORBELL

STAGE = "shm"
CAPACITY = 1024
SPINS_MAX = 1 << 28
NO_COMPILER = "no C++ compiler: no twin to compare with"
NEEDS_CORES = "needs two cores"
Function = Callable[..., int]


@dataclass(frozen=True)
class Amounts:
    """How much of everything is done."""

    repetitions: int
    same_thread: int
    round_trips: int
    records: int
    scheduled: int
    messages_latency: int
    messages_throughput: int


FULL = Amounts(9, 2_000_000, 100_000, 5_000_000, 20_000, 5_000, 50_000)
QUICK = Amounts(2, 50_000, 2_000, 50_000, 1_000, 200, 2_000)
SCHEDULE_PERIOD_NS = 10_000


def sum_of_words(n: int) -> int:
    """Return the sum of the seven words (i, i + 1 … i + 6) over records 0 … n - 1."""
    return 7 * (n * (n - 1) // 2) + 21 * n


def cases(quick: bool) -> Iterator[Row]:
    """Yield the rows of this bench.

    Raises:
        WrongAnswerError: a case computed something wrong.
    """
    amounts = QUICK if quick else FULL
    free = harness.cores()
    with tempfile.TemporaryDirectory() as folder, pinned(free[0]):
        twin = ring_twin.build(Path(folder))
        yield from _same_thread(amounts, twin)
        yield from _single(amounts)
        if len(free) < 2:
            for case in ("one way", "scheduled", "throughput", "queues of others"):
                yield Row(STAGE, case, note=NEEDS_CORES)
            return
        ticks_per_ns = _ticks_per_ns(0.02 if quick else 0.2)
        ours = yield from _one_way(amounts, twin, free[1], ticks_per_ns)
        yield from _scheduled(amounts, twin, free[1], ticks_per_ns)
        rate = yield from _throughput(amounts, twin, free[1])
        yield from _others(amounts, free[1], ours, rate)


def _jit(name: str) -> Function:
    return getattr(ring_kernels, name)


def _ticks_per_ns(seconds: float) -> float:
    """Measure the time stamp counter against the clock; it is constant on what we run on."""
    ring_kernels.bench_ticks()  # compiles
    started, ticks = perf_counter_ns(), ring_kernels.bench_ticks()
    while perf_counter_ns() - started < seconds * 1e9:
        pass
    return float(ring_kernels.bench_ticks() - ticks) / (perf_counter_ns() - started)


def _compared(
    case: str, runs: list[Callable[[], float]], repetitions: int, n: int, answer: object
) -> Row:
    """Return the row of our run (the first), against the twin (the second) when there is one."""
    figures = interleaved(runs, repetitions)
    note = NO_COMPILER
    ratio = None
    if len(runs) > 1:
        ratio = median(figures[0]) / median(figures[1])
        note = f"ours {harness.spread(figures[0])}, C++ twin {harness.spread(figures[1])}"
    return timed(
        STAGE, case, figures[0], n * repetitions, ratio=ratio, hash=answer_hash(answer), note=note
    )


def _same_thread(amounts: Amounts, twin: Any) -> Iterator[Row]:
    n = amounts.same_thread
    for name, cursors in (("gated_same_thread", 1), ("broadcast_same_thread", 0)):
        rest = () if cursors else (region(64),)
        _jit(name)(new_ring(2, cursors), 0, *rest)  # compiles
        contestants = [_jit(name)] + ([twin(name)] if twin else [])
        runs: list[Callable[[], float]] = []
        for function in contestants:
            work = partial(function, new_ring(CAPACITY, cursors), n, *rest)
            runs.append(partial(ns_per_op, work, n, sum_of_words(n), name))
        case = "gated push+pop" if cursors else "broadcast push+read"
        yield _compared(case, runs, amounts.repetitions, n, sum_of_words(n))


def _single(amounts: Amounts) -> Iterator[Row]:
    n = amounts.same_thread
    pool = new_pool(1024, 64)
    histogram = region(HISTOGRAM.size)
    doorbell = region(DOORBELL.size)
    DOORBELL.at(doorbell).event_fd = -1
    rows: list[tuple[str, Function, int, int, int]] = [
        ("pool take or give", ring_kernels.pool_pairs, pool, 2, n * (n - 1) // 2),
        ("histogram record", ring_kernels.histogram_values, histogram, 1, n),
        ("doorbell, nobody sleeps", ring_kernels.doorbell_rings, doorbell, 1, n),
    ]
    for case, function, address, operations, wanted in rows:
        function(address, 0)
        run = partial(ns_per_op, partial(function, address, n), n * operations, wanted, case)
        figures = interleaved([run], amounts.repetitions)[0]
        total = n * operations * amounts.repetitions
        yield timed(STAGE, case, figures, total, hash=answer_hash(wanted))
    harness.check("pool: all objects are back", len(free_indices(pool)), 1024)
    recorded = HISTOGRAM.at(histogram)
    harness.check("histogram", recorded.count, n * (amounts.repetitions + 1))
    harness.check("histogram buckets", sum(recorded.buckets), recorded.count)
    harness.check("doorbell: system calls", DOORBELL.at(doorbell).wakes, 0)


def _contestants(twin: Any) -> list[Callable[[str], Function]]:
    return [_jit] + ([twin] if twin else [])


def _one_way(amounts: Amounts, twin: Any, core: int, ticks_per_ns: float) -> Any:
    n = amounts.round_trips
    address, samples = words(n)
    tiny = (new_ring(2, 1), new_ring(2, 1))
    ring_kernels.ping(*tiny, 0, address, 1)
    ring_kernels.pong(*tiny, 0, 1)
    wanted = sum_of_words(n)
    collected: list[list[float]] = []
    runs: list[Callable[[], float]] = []
    for look_up in _contestants(twin):
        kept: list[float] = []
        collected.append(kept)

        def run(look_up: Callable[[str], Function] = look_up, kept: list[float] = kept) -> float:
            out, back = new_ring(CAPACITY, 1), new_ring(CAPACITY, 1)
            echo = partial(look_up("pong"), out, back, n, SPINS_MAX)
            ask = partial(look_up("ping"), out, back, n, address, SPINS_MAX)
            harness.check("one way", beside(core, echo, wanted, ask), wanted)
            times = [ticks / ticks_per_ns / 2 for ticks in samples]
            kept.extend(times)
            return median(times)

        runs.append(run)
    figures = interleaved(runs, amounts.repetitions, warm=0)
    for name, kept, medians in zip(("ring", "C++ twin"), collected, figures, strict=False):
        yield timed(
            STAGE,
            f"one way between cores, {name}",
            kept,
            len(kept),
            ratio=median(medians) / median(figures[1]) if len(figures) > 1 else None,
            hash=answer_hash(wanted),
            note=f"round trip / 2; medians {harness.spread(medians)}"
            + ("" if twin else f"; {NO_COMPILER}"),
        )
    return median(figures[0])


def _scheduled(amounts: Amounts, twin: Any, core: int, ticks_per_ns: float) -> Iterator[Row]:
    n = amounts.scheduled
    address, samples = words(n)
    period = int(SCHEDULE_PERIOD_NS * ticks_per_ns)
    tiny = new_ring(2, 1)
    ring_kernels.send_scheduled(tiny, 0, period, 1)
    ring_kernels.receive_scheduled(tiny, 0, address, 1)
    wanted = sum_of_words(n) - sum(i + 1 for i in range(n))  # word 1 carries the time instead
    runs: list[Callable[[], float]] = []
    collected: list[list[float]] = []
    for look_up in _contestants(twin):
        kept: list[float] = []
        collected.append(kept)

        def run(look_up: Callable[[str], Function] = look_up, kept: list[float] = kept) -> float:
            ring = new_ring(CAPACITY, 1)
            send = partial(look_up("send_scheduled"), ring, n, period, SPINS_MAX)
            receive = partial(look_up("receive_scheduled"), ring, n, address, SPINS_MAX)
            harness.check("scheduled", beside(core, send, 0, receive), wanted)
            kept.extend(ticks / ticks_per_ns for ticks in samples)
            return 0.0

        runs.append(run)
    interleaved(runs, max(1, amounts.repetitions // 3), warm=0)
    for name, kept in zip(("ring", "C++ twin"), collected, strict=False):
        yield timed(
            STAGE,
            f"one way, from schedule, {name}",
            kept,
            len(kept),
            hash=answer_hash(wanted),
            note=f"sent every {SCHEDULE_PERIOD_NS // 1000} µs",
        )


def _throughput(amounts: Amounts, twin: Any, core: int) -> Any:
    n = amounts.records
    address, elapsed = words(1)
    tiny = new_ring(2, 1)
    ring_kernels.produce(tiny, 0, 1)
    ring_kernels.consume(tiny, 0, address, 1)
    wanted = sum_of_words(n)
    runs: list[Callable[[], float]] = []
    for look_up in _contestants(twin):

        def run(look_up: Callable[[str], Function] = look_up) -> float:
            ring = new_ring(8 * CAPACITY, 1)
            push = partial(look_up("produce"), ring, n, SPINS_MAX)
            pop = partial(look_up("consume"), ring, n, address, SPINS_MAX)
            harness.check("throughput", beside(core, push, 0, pop), wanted)
            return float(elapsed[0]) / n

        runs.append(run)
    row = _compared("throughput between cores", runs, amounts.repetitions, n, wanted)
    yield row
    return row.ns_per_op


def _others(amounts: Amounts, core: int, ours: float, rate: float) -> Iterator[Row]:
    makers = (
        ("multiprocessing.Queue", message_queues.multiprocessing_pair),
        ("faster-fifo", message_queues.faster_fifo_pair),
    )
    for name, make in makers:
        pair = make()
        if pair is None:
            yield Row(STAGE, f"one way, {name}", note="not installed")
            continue
        n = amounts.messages_latency
        samples = message_queues.one_way_ns(name, pair, core, n)
        ratio = median(samples) / ours
        digest = answer_hash(n, message_queues.message(n - 1))
        note = "round trip / 2; ratio is over our ring"
        yield timed(STAGE, f"one way, {name}", samples, n, ratio=ratio, hash=digest, note=note)
        n, repetitions = amounts.messages_throughput, max(1, amounts.repetitions // 3)
        figures = [message_queues.throughput_ns(name, pair, core, n) for _ in range(repetitions)]
        yield timed(
            STAGE,
            f"throughput, {name}",
            figures,
            n * repetitions,
            ratio=median(figures) / rate,
            hash=answer_hash(n * (n - 1) // 2),
            note="ratio is over our ring",
        )
