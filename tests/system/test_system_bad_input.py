"""Values that cannot be, from the wire: each is counted, and the symbol enters nothing meanwhile.

The venue spoils some of BTCUSDT's messages. What the feed cannot read it drops, counts and says so
to the engine, and a depth update that it drops costs the book; what it can read the engine refuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.book_layout import BOOK, BOOK_VALID
from engine.reasons import Refusal
from engine.state import SYMBOL_STATE, book_address, symbol_state_address
from shm.topology import SharedMemory
from tests.system.own_venue import OwnVenue
from tests.system.pipeline import Pipeline, wait_until

pytestmark = pytest.mark.system
SETTINGS = (
    "signals.warmup_events=50",
    "signals.quarantine_s=1.0",
    "scalping.signal_threshold=0.02",
    "performance.signal_cooldown_sec=0.2",
)
TRADE, BEST, DEPTH = "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@0ms"
# What the venue does, which counter of the engine must say so, and why the symbol then waits.
READ: list[tuple[dict[str, Any], str, Refusal]] = [
    ({"name": "crossed_book", "stream": BEST}, "refused_crossed_best", Refusal.CROSSED_BEST),
    (
        {"name": "crossed_book", "stream": DEPTH, "count": 2, "share": 0.25},
        "refused_crossed_book",
        Refusal.CROSSED_BOOK,
    ),
]
UNREADABLE: list[dict[str, Any]] = [
    {"name": "absurd_price", "value": value, "stream": stream}
    for value in ("zero", "negative", "nan", "huge")
    for stream in (TRADE, BEST, DEPTH)
] + [{"name": "malformed", "shape": "truncated", "stream": stream} for stream in (TRADE, DEPTH)]
CASES = READ + [(fault, "refused_dropped", Refusal.DROPPED) for fault in UNREADABLE]


class Symbol:
    """What the engine of a running pipeline knows of one symbol."""

    def __init__(self, memory: SharedMemory, index: int) -> None:
        base = memory.state("engine")
        self.state = SYMBOL_STATE.at(symbol_state_address(base, index))
        self.book = BOOK.at(book_address(base, memory.control.symbol_count, index))

    @property
    def is_sound(self) -> bool:
        return self.state.quarantine == 0 and self.book.state == BOOK_VALID


def refuse_and_recover(
    memory: SharedMemory, venue: OwnVenue, fault: dict[str, Any], label: str, reason: Refusal
) -> None:
    counters, symbol = memory.counters, Symbol(memory, 0)
    state, during = symbol.state, []
    before = counters.get(f"engine.{label}")
    venue.fault(symbol="BTCUSDT", **fault)
    wait_until(lambda: counters.get(f"engine.{label}") > before, 20.0, f"{fault}: {label}")
    wait_until(lambda: state.quarantine >> reason & 1, 1.0, f"{fault}: quarantine")
    decided = state.signal_ms

    def ended() -> bool:
        during.append(state.signal_ms)
        return symbol.is_sound

    wait_until(ended, 30.0, f"{fault}: sound again")
    assert set(during[:-1]) <= {decided}, f"{fault}: an entry in quarantine"


def test_nothing_on_the_wire_is_wrong_in_silence(tmp_path: Path, start, venue: OwnVenue) -> None:
    pipeline: Pipeline = start(tmp_path, settings=(*venue.settings, *SETTINGS))
    memory = pipeline.attach()
    counters, symbol, other = memory.counters, Symbol(memory, 0), Symbol(memory, 1)
    state = symbol.state
    wait_until(lambda: symbol.is_sound and state.event_count > 50, 30.0, "BTCUSDT is warm")
    for fault, label, reason in CASES:
        refuse_and_recover(memory, venue, fault, label, reason)
        assert other.state.quarantine == 0, fault
    assert counters.get("engine.quarantines") >= len(CASES)
    assert counters.get("engine.quarantines") == counters.get("engine.quarantines_ended")
    signals = counters.get("engine.signals")
    wait_until(lambda: counters.get("engine.signals") > signals, 30.0, "signals after all of it")
    memory.close()
    pipeline.interrupt()
    assert pipeline.process.returncode == 0, pipeline.explain()
    text = (tmp_path / "engine.log").read_text()
    assert "bad input, no entries" in text and "input is sound again" in text
    assert "symbol=ETHUSDT reasons" not in text
    summary = pipeline.summary()
    assert summary["quarantines"] >= len(CASES)
    assert summary["orders_lost"] == summary["orders_duplicated"] == 0
