"""The bench of risk: exits per tick, limits per signal, signal to order, latch; make bench-risk.

    prices in memory ► take_event_at: marks, stops, the exit machine      (one position, twenty)
    signals in memory ► refusal_of: every limit, sizing, correlation      (3 symbols, 32)
    signals ring ► risk_run ► orders ring                   (one core; two cores, stamp to stamp)
    core A: signals as fast as they go, kill latch set ═► core B: risk_run (no order after it)

The exits' answer is checked against the trailing stop as a formula over the prices, the limits'
against the reasons that the signals were made for.
"""

from __future__ import annotations

import ctypes
import math
import random
from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
import numpy.typing as npt

from bench import harness, risk_kernels
from bench.harness import Row, answer_hash, interleaved, median, pinned, timed
from bench.pairs import beside
from bench.regions import words
from bench.risk_memory import BID, NEVER, RiskMemory, risk_memory
from risk.limit_table import Refusal
from runtime.clocks import mono_ns
from runtime.kernels import load

STAGE = "risk"
EXIT_NS_MAX = 15.0
CHECK_NS_MAX = 300.0
ORDER_NS_MAX = 500.0
LATCH_NS_MAX = 1_000_000.0
PERIOD_NS = 20_000
TRAIL = ("risk.trailing_activation_pct=0.0002", "risk.trailing_distance_pct=0.001")
MANY = 20
MASK = (1 << 31) - 1


def cases(quick: bool) -> Iterator[Row]:
    """Yield the rows of this bench.

    Raises:
        WrongAnswerError: a case computed something wrong.
    """
    repetitions = 2 if quick else 9
    kernels = load("ahead")
    cores = harness.cores()
    with pinned(cores[0]):
        for positions in (1, MANY):
            yield exits(positions, quick, repetitions)
        for symbols, positions in ((3, 2), (32, MANY)):
            yield checks(symbols, positions, quick, repetitions)
        yield refused(quick, repetitions)
        yield one_core(quick)
        yield two_cores(quick, cores)
        yield latch(kernels, quick, cores)


def _met(value: float, goal: float) -> str:
    return f"goal {goal:g} ns {'met' if value <= goal else 'MISSED'}"


def course(count: int) -> npt.NDArray[np.int64]:
    """Return bids that climb by 600 ticks with noise: the stop follows, nothing else is reached."""
    generator = random.Random(5)
    noise = [generator.randint(-20, 20) for _ in range(count)]
    return np.array([BID + 100 + 600 * k // count + n for k, n in enumerate(noise)], np.int64)


def trailing_fold(bids: npt.NDArray[np.int64], symbols: int) -> int:
    """Return the fold of the stops that a trailing stop of 0.1 % from the best price has."""
    stop, best, fold = BID - 900, BID, 0
    for bid in bids.tolist():
        best = max(best, bid)
        if best - BID >= 0.0002 * BID:
            stop = max(stop, best - max(1, math.floor(best * 0.001)))
        fold = (fold + symbols * stop) & MASK
    return fold


def exits(positions: int, quick: bool, repetitions: int) -> Row:
    """Return the row of exit updates, per position and tick."""
    count = 2_000 if quick else 200_000 // positions
    case = f"exit update, {positions} position{'s' if positions > 1 else ''}"
    bids = course(count)
    wanted = trailing_fold(bids, positions)
    with risk_memory(positions, *TRAIL) as memory:
        event = memory.wiring.context.event

        def run() -> float:
            for symbol in range(positions):
                memory.open(symbol)
                state = memory.symbol_state(symbol)
                state.bid_tick, state.ask_tick = BID, BID + 1
            address, prices = memory.address, bids.ctypes.data
            started = perf_counter_ns()
            got = risk_kernels.exit_ticks(address, event, prices, count, positions)
            elapsed = perf_counter_ns() - started
            harness.check(case, got, wanted)
            return elapsed / (count * positions)

        figures = interleaved([run], repetitions)[0]
        harness.check(f"{case}: exits", memory.count("exits"), 0)
    note = (
        f"{harness.spread(figures)}; stop against its formula; {_met(median(figures), EXIT_NS_MAX)}"
    )
    total = count * positions * repetitions
    return timed(STAGE, case, figures, total, hash=answer_hash(wanted), note=note)


def _judged(
    memory: RiskMemory,
    case: str,
    signals: Any,
    reasons: Sequence[Refusal],
    count: int,
    repetitions: int,
) -> tuple[list[float], str]:
    """Return times per check and the answer's hash; each signal must have its reason."""
    now = 10**12
    address, kinds = ctypes.addressof(signals), len(reasons)
    lots = []
    for place, reason in enumerate(reasons):
        signal = address + place * risk_kernels.SIGNAL_SIZE
        got = risk_kernels.refusal_of(memory.address, signal, now)
        harness.check(f"{case}: reason {place}", Refusal(got), reason)
        check = memory.wiring.scratch[1]
        lots.append(check.quantity_lot if reason is Refusal.NONE else 0)
        harness.check(f"{case}: has lots", lots[-1] > 0, reason is Refusal.NONE)
    wanted = 0
    for index in range(count):
        wanted = (wanted * 31 + int(reasons[index % kinds])) & MASK
        wanted = (wanted + lots[index % kinds]) & MASK

    def run() -> float:
        started = perf_counter_ns()
        got = risk_kernels.check_signals(memory.address, address, kinds, count, now)
        elapsed = perf_counter_ns() - started
        harness.check(case, got, wanted)
        return elapsed / count

    return interleaved([run], repetitions)[0], answer_hash(wanted)


def checks(symbols: int, positions: int, quick: bool, repetitions: int) -> Row:
    """Return the row of signals that pass every limit."""
    count = 1_000 if quick else 100_000
    case = f"all limits, {symbols} symbols, {positions} open"
    with risk_memory(symbols, "trading.max_concurrent_positions=25") as memory:
        for symbol in range(positions):
            memory.open(symbol, 1 if symbol % 2 else -1)
        memory.know_equity()
        free = list(range(positions, symbols))
        signals = memory.signals(free)
        reasons = [Refusal.NONE] * len(free)
        figures, digest = _judged(memory, case, signals, reasons, count, repetitions)
    note = f"{harness.spread(figures)}; every signal passes; {_met(median(figures), CHECK_NS_MAX)}"
    return timed(STAGE, case, figures, count * repetitions, hash=digest, note=note)


def refused(quick: bool, repetitions: int) -> Row:
    """Return the row of signals that are refused for reasons of the symbol's state."""
    count = 1_000 if quick else 100_000
    case = "refused: a position is there"
    with risk_memory(3) as memory:
        for symbol in range(3):
            memory.open(symbol)
        memory.know_equity()
        signals = memory.signals([0, 1, 2])
        reasons = [Refusal.DUPLICATE] * 3
        figures, digest = _judged(memory, case, signals, reasons, count, repetitions)
    note = f"{harness.spread(figures)}; no size is worked out for them"
    return timed(STAGE, case, figures, count * repetitions, hash=digest, note=note)


def _order_row(
    case: str, samples: Sequence[float], seen: int, memory: RiskMemory, more: str = ""
) -> Row:
    harness.check(f"{case}: accepted", memory.count("accepted"), seen)
    harness.check(f"{case}: signals", memory.count("signals"), seen)
    digest = answer_hash(seen, memory.count("rejected"))
    note = f"{seen} orders; {_met(median(samples), ORDER_NS_MAX)} p50{more}"
    return timed(STAGE, case, samples, len(samples), hash=digest, note=note)


def one_core(quick: bool) -> Row:
    """Return the row where the same core writes the signal and then lets risk look."""
    count = 200 if quick else 20_000
    case = "signal to order, one core"
    address, array = words(count)
    with risk_memory(3) as memory:
        signal = memory.signals([0])
        place = ctypes.addressof(signal)
        warm = risk_kernels.signals_to_orders(memory.address, place, 20, address)
        harness.check(f"{case}: warm", warm, 20)
        seen = risk_kernels.signals_to_orders(memory.address, place, count, address)
        harness.check(f"{case}: orders", seen, count)
        return _order_row(case, [float(v) for v in array], seen + warm, memory)


def _run_until(memory: RiskMemory, kernels: Any, done: Any, case: str) -> int:
    """Let risk run until the other process says that it is done; return the looks' records."""
    taken, given_up_ns = 0, mono_ns() + risk_kernels.GIVE_UP_NS
    while done[0] == 0:
        taken += kernels.risk_run(memory.address, mono_ns() + 2_000_000)
        if mono_ns() > given_up_ns:
            raise harness.WrongAnswerError(f"{case}: the other process does not come to an end")
    return taken


def two_cores(quick: bool, cores: Sequence[int]) -> Row:
    """Return the row where another core writes signals at fixed times: ring to ring.

    From the stamp of the writer to that of risk's core after the look that wrote the order.
    """
    case = "signal to order, two cores"
    if len(cores) < 2:
        return Row(STAGE, case, note="needs two cores")
    count = 200 if quick else 20_000
    address, times = words(2 * count)
    stamps_address, stamps = words(count)
    done_address, done = words(1)
    with risk_memory(3) as memory:
        # Pace is not what is measured, and nothing of it may depend on when risk had its core.
        memory.wiring.parameters.entries_per_s = NEVER
        place = ctypes.addressof(signal := memory.signals([0]))
        done[0] = 1
        risk_kernels.stamp_orders(memory.address, stamps_address, count, done_address)  # compiles
        done[0] = 0
        risk_kernels.produce_signals(memory.address, place, 0, PERIOD_NS, address)  # compiles

        def write() -> int:
            try:
                return risk_kernels.produce_signals(
                    memory.address, place, count, PERIOD_NS, address
                )
            finally:
                done[0] = 1

        def look() -> int:
            return int(
                risk_kernels.stamp_orders(memory.address, stamps_address, count, done_address)
            )

        written = beside(cores[1], write, count, look)
        del signal
        harness.check(f"{case}: orders", written, count)
        samples = [float(b - a) for a, b in zip(times[:count], stamps, strict=True)]
        there = [float(b - a) for a, b in zip(times[:count], times[count:], strict=True)]
        more = f"; seen from the other core p50 {median(there):.0f} ns"
        return _order_row(case, samples, count, memory, more)


def latch(kernels: Any, quick: bool, cores: Sequence[int]) -> Row:
    """Return the row of the time from the kill latch to the last order seen, under a flood."""
    case = "kill latch to last order, flooded"
    if len(cores) < 2:
        return Row(STAGE, case, note="needs two cores")
    rounds, span_ns = (3, 5_000_000) if quick else (200, 20_000_000)
    samples_address, samples = words(2 * rounds)
    _, done = words(2)
    with risk_memory(3) as memory:
        place = ctypes.addressof(signals := memory.signals([0, 1, 2]))
        over_ns = -risk_kernels.GIVE_UP_NS  # compiles it, and is over at once
        risk_kernels.flood_and_latch(memory.address, place, 3, over_ns, samples_address)
        samples[0] = samples[1] = 0

        def flood() -> int:
            try:
                for index in range(rounds):
                    late = samples_address + 16 * index
                    done[1] += risk_kernels.flood_and_latch(memory.address, place, 3, span_ns, late)
                return 0
            finally:
                done[0] = 1

        beside(cores[1], flood, 0, lambda: _run_until(memory, kernels, done, case))
        del signals
        harness.check(f"{case}: orders judged after it", sum(samples[1::2]), 0)
        harness.check(f"{case}: orders before it", done[1] >= rounds, True)
        halted = memory.count("rejected_halted")
        harness.check(f"{case}: refused after it", halted > 0, True)
        answered = memory.count("signals") == memory.count("accepted") + memory.count("rejected")
        harness.check(f"{case}: every signal answered", answered, True)
    times = [float(value) for value in samples[0::2]]
    digest = answer_hash("no order after the latch")
    note = (
        f"{done[1]} orders before, {halted} signals refused; max {_met(max(times), LATCH_NS_MAX)}"
    )
    return timed(STAGE, case, times, rounds, hash=digest, note=note)
