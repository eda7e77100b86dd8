"""Run a recording through the engine's kernels and keep what the engine knew after every message.

The kernels are those that trade, on private memory: no rings, no clock. `engine_process_many`
stamps a signal's `written_ns` with the `origin_ns` of its event, and `origin_ns` is the recorder's
receive stamp, so no field of a signal record depends on when or where the evaluation runs and the
hash is taken over whole records.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.evaluation_recording import Recording, RecordingError
from config.settings import Settings
from engine.parameters import configure, fill_parameters, fill_thresholds
from engine.state import (
    PARAMETERS,
    SYMBOL_STATE,
    THRESHOLDS,
    prepare,
    state_size,
    symbol_state_address,
)
from runtime import kernels as kernel_library
from runtime.user_strategies import choose
from shm import counters
from shm.records import MARKET_EVENT, SIGNAL, SIGNAL_COUNT, SYMBOL_COUNT_MAX
from shm.tables import BOOK_REQUEST

HASH_DIGITS = 16

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """Hold the engine's view after every message that it evaluated, in order of receipt.

    `time_ms`: i8[n], the engine's venue clock, never falling. `bid_tick`, `ask_tick`: i8[n], 0 =
    unknown. `scores`: f8[n, 8] by Factor. `known`: i8[n], bits by Factor. `is_warm`: b1[n].
    `signals`: SIGNAL[k], what the engine decided. `signal_places`: i8[k], their rows among the n.
    """

    time_ms: Ints
    bid_tick: Ints
    ask_tick: Ints
    scores: Floats
    known: Ints
    is_warm: npt.NDArray[np.bool_]
    signals: npt.NDArray[Any]
    signal_places: Ints

    @property
    def is_eligible(self) -> npt.NDArray[np.bool_]:
        """Return where something can be measured: the engine is warm and the mid is known."""
        mask: npt.NDArray[np.bool_] = self.is_warm & (self.bid_tick > 0)
        return mask

    @property
    def signal_hash(self) -> str:
        """Return the SHA-256 over the signal records as they lie in memory."""
        return hashlib.sha256(self.signals.tobytes()).hexdigest()


def load_process_many(mode: str, strategies: Sequence[str] = ()) -> tuple[str, Any]:
    """Return how the kernels were compiled ("ahead" or "jit") and `engine_process_many`.

    Args:
        mode: "ahead" takes the kernel library, or JIT where there is no C compiler; "jit".
        strategies: modules of users' strategies, in the order of their codes.

    Raises:
        KernelError: the library could not be built.
    """
    is_built = kernel_library.is_built(strategies=strategies)
    if mode == "ahead" and (is_built or kernel_library.compiler()):
        loaded = kernel_library.load("ahead", strategies=strategies)
        return "ahead", loaded.engine_process_many
    choose(strategies)
    from engine import loop

    return "jit", loop.engine_process_many


def parameter_lines(settings: Settings) -> list[str]:
    """Return every parameter that the engine reads as `name=value`, tables of decay apart."""
    parameters, thresholds = PARAMETERS.new(), THRESHOLDS.new()
    fill_parameters(parameters, settings)
    fill_thresholds(thresholds, settings, "")
    lines = []
    for record, layout in ((thresholds, THRESHOLDS), (parameters, PARAMETERS)):
        for entry in layout.fields:
            if entry.name.startswith(("decay_", "_")):
                continue
            value = getattr(record, entry.name)
            text = ",".join(f"{v:g}" for v in value) if entry.count > 1 else f"{value:.12g}"
            lines.append(f"{entry.name}={text}")
    own = settings.scalping.by_symbol
    return lines + [f"{symbol}.{key}={value:.12g}" for symbol, key, value in own]


def engine_weights(settings: Settings) -> Floats:
    """Return the weight of every signal as the engine has it: f8[8] by Factor."""
    record = PARAMETERS.new()
    fill_parameters(record, settings)
    return np.array(record.weights, dtype=np.float64)


def _aligned(size: int) -> tuple[Any, int]:
    memory = ctypes.create_string_buffer(size + 64)
    return memory, (ctypes.addressof(memory) + 63) & ~63


class PrivateEngine:
    """Be an engine of one symbol on memory of its own, with a valid book required as in trading."""

    def __init__(self, settings: Settings, symbol: str) -> None:
        self._memory, self.address = _aligned(state_size(settings, 1))
        record = prepare(self.address, 1, keep=False)
        self._blocks = [
            _aligned(counters.AREA_SIZE),
            _aligned(BOOK_REQUEST.size * SYMBOL_COUNT_MAX),
        ]
        record.counters, record.book_requests = (place for _, place in self._blocks)
        configure(self.address, settings, (symbol,))
        state = symbol_state_address(self.address, 0)
        raw = (ctypes.c_char * SYMBOL_STATE.size).from_address(state)
        # A view of the symbol's state: reading a field reads the engine's memory.
        self.state = np.frombuffer(memoryview(raw), dtype=SYMBOL_STATE.dtype)


def run_course(recording: Recording, settings: Settings, process_many: Any) -> Course:
    """Return what the engine showed over a recording.

    Raises:
        RecordingError: the venue's time falls back by so much that the engine starts over.
    """
    engine = PrivateEngine(settings, recording.symbol)
    events = np.ascontiguousarray(recording.events)
    count = len(recording.message_ends)
    numbers = np.zeros((count, 5), dtype=np.int64)
    scores = np.zeros((count, SIGNAL_COUNT))
    signals = np.zeros(count, SIGNAL.dtype)  # at most one for each message
    places = np.zeros(count, dtype=np.int64)
    views = [engine.state[name] for name in ("clock_ms", "bid_tick", "ask_tick", "known")]
    evaluated, score_view = engine.state["event_count"], engine.state["scores"]
    taken = found = seen = begin = 0
    for end in recording.message_ends.tolist():
        at = events.ctypes.data + begin * MARKET_EVENT.size
        slot = signals.ctypes.data + found * SIGNAL.size
        decided = process_many(engine.address, at, end - begin, slot, 1)
        begin = end
        event_count = int(evaluated[0])
        if event_count == seen:
            continue
        seen = event_count
        row = numbers[taken]
        row[0], row[1], row[2], row[3] = (view[0] for view in views)
        row[4] = event_count
        scores[taken] = score_view[0]
        places[found] = taken
        found += decided
        taken += 1
    numbers = numbers[:taken]
    if np.any(np.diff(numbers[:, 0]) < 0):
        raise RecordingError(
            f"venue time falls back by more than the engine allows: file={recording.paths[0]}"
        )
    warmup = settings.signals.warmup_events
    return Course(
        time_ms=numbers[:, 0],
        bid_tick=numbers[:, 1],
        ask_tick=numbers[:, 2],
        scores=scores[:taken],
        known=numbers[:, 3],
        is_warm=numbers[:, 4] >= warmup,
        signals=signals[:found],
        signal_places=places[:found],
    )
