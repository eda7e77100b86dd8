"""No input makes the engine wrong in silence: refused, counted by reason, the symbol waits."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from config.loader import load
from engine.book_layout import BOOK, BOOK_INVALID, BOOK_VALID
from engine.quarantine import JUMP_RUN_MAX, SOUND_EVENTS_MIN
from engine.reasons import Refusal, refusal_names
from engine.state import SYMBOL_STATE
from shm.records import EventKind
from tests.compiled import exported
from tests.engine.test_engine_face import KERNELS, TICK
from tests.engine.test_engine_face import SETTINGS as FACE_SETTINGS
from tests.engine.test_engine_loop import SYMBOLS, Stage
from tests.naive.engine_bench import Bench
from tests.naive.engine_recording import Row, as_events
from tests.naive.engine_stream import LAST, START_MS, best, level, market, row, snapshot, trade

ROOT = Path(__file__).resolve().parents[2]
MILLION = 1_000_000
SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        "signals.warmup_events=20",
        "signals.quarantine_s=5.0",
        "scalping.signal_threshold=0.005",
        "scalping.confidence_threshold=0.2",
        "performance.signal_cooldown_sec=0.0",
    ],
)
# What a bad event may change: the quarantine, the runs of refusals, and what is known no more.
TRACES = {"quarantine", "sound_ms", "sound_events", "jump_run", "jump_tick", "refused_run"}
BEST_TRACES = TRACES | {"bid_tick", "bid_lot", "ask_tick", "ask_lot"}

BEFORE = [
    *snapshot(0, {49_990: 5, 49_980: 2}, {50_010: 3, 50_020: 4}),
    *(trade(100 * n, 50_000 + n % 3, 5, n & 1) for n in range(200)),
    best(20_000, 49_990, 5, 50_010, 3),
]
BAD: dict[str, tuple[list[Row], Refusal]] = {
    "no price": ([trade(20_000, 0)], Refusal.PRICE),
    "negative price": ([trade(20_000, -50_000)], Refusal.PRICE),
    "price beyond all": ([trade(20_000, 1 << 62)], Refusal.PRICE),
    "a tick beyond all": ([trade(20_000, (1 << 40) + 1)], Refusal.PRICE),
    "no quantity": ([trade(20_000, 50_000, 0)], Refusal.QUANTITY),
    "negative quantity": ([trade(20_000, 50_000, -1)], Refusal.QUANTITY),
    "quantity beyond all": ([trade(20_000, 50_000, 1 << 49)], Refusal.QUANTITY),
    "no time": ([(1, 0, 50_000, 1, 0, 0, 0, int(EventKind.TRADE), LAST)], Refusal.TIME),
    "negative time": ([(1, -5, 50_000, 1, 0, 0, 0, int(EventKind.TRADE), LAST)], Refusal.TIME),
    "time far back": ([trade(9_999, 50_000)], Refusal.TIME),
    "a million ticks up": ([trade(20_000, 50_000 + MILLION)], Refusal.JUMP),
    "a jump down": ([trade(20_000, 1)], Refusal.JUMP),
    "unknown kind": ([(*trade(20_000, 50_000)[:7], 9, LAST)], Refusal.KIND),
    "a message not read": ([row(EventKind.DROPPED, 20_000)], Refusal.DROPPED),
    "best of no price": ([best(20_000, 0, 1, 50_010, 1)], Refusal.PRICE),
    "best without quantity": ([best(20_000, 49_990, 0, 50_010, 1)], Refusal.QUANTITY),
    "locked best": ([best(20_000, 50_000, 1, 50_000, 1)], Refusal.CROSSED_BEST),
    "crossed best": ([best(20_000, 50_010, 1, 49_990, 1)], Refusal.CROSSED_BEST),
    "best ask jumps": ([best(20_000, 49_990, 1, 50_010 + MILLION, 1)], Refusal.JUMP),
    "best of time far back": ([best(9_000, 49_990, 1, 50_010, 1)], Refusal.TIME),
}


def fields(state: Any) -> dict[str, Any]:
    found = {}
    for field in SYMBOL_STATE:
        value = getattr(state, field.name)
        found[field.name] = list(value) if field.count > 1 else value
    return found


def take(bench: Bench, rows: list[Row]) -> np.ndarray:
    return bench.run(exported().engine_process_many, as_events(rows))


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_refused_counted_and_leaves_no_trace(name: str) -> None:
    rows, reason = BAD[name]
    bench, other = Bench(SETTINGS, 1), Bench(SETTINGS, 1)
    take(bench, BEFORE)
    take(other, BEFORE)
    assert bench.counter("refused") == 0
    take(bench, rows)
    assert bench.counter("refused") == bench.counter(f"refused_{reason.name.lower()}") == 1
    assert bench.counter("quarantines") == 1
    assert bench.state().quarantine == 1 << reason
    is_best = int(rows[0][7]) == EventKind.BEST and reason != Refusal.TIME
    traces = BEST_TRACES if is_best else TRACES
    changed = {k for k, v in fields(bench.state()).items() if v != fields(other.state())[k]}
    assert changed <= traces
    assert ("bid_tick" in changed) == (traces is BEST_TRACES), "unknown after nonsense"


def test_an_unknown_symbol_puts_none_into_quarantine() -> None:
    bench = Bench(SETTINGS, 2)
    take(bench, [trade(0, 100, symbol=2), trade(0, 100, symbol=65_535)])
    assert bench.counter("refused_symbol") == bench.counter("refused") == 2
    assert bench.counter("quarantines") == 0


BOOKS: dict[str, tuple[list[Row], Refusal]] = {
    "bad price": ([level(20_000, 0, 0, 5, LAST)], Refusal.PRICE),
    "bad quantity": ([level(20_000, 0, 49_970, -1, LAST)], Refusal.QUANTITY),
    "crossed and stays so": (
        [level(20_000, 0, 50_015, 5, LAST), level(20_000, 0, 49_970, 5, LAST)],
        Refusal.CROSSED_BOOK,
    ),
    "bids a million ticks up": (
        [level(20_000, 1, 50_010, 0), level(20_000, 1, 50_020, 0),
         level(20_000, 0, 50_000 + MILLION, 5, LAST)],
        Refusal.JUMP,
    ),
    "asks where nobody trades": (
        [level(20_000, 0, 49_990, 0), level(20_000, 0, 49_980, 0), level(20_000, 1, 7, 5, LAST)],
        Refusal.JUMP,
    ),
    "a snapshot of another market": (
        snapshot(20_000, {50_000 + MILLION: 5}, {50_001 + MILLION: 5}), Refusal.JUMP
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOOKS)
def test_a_book_that_cannot_be_is_withdrawn_and_asked_for(name: str) -> None:
    rows, reason = BOOKS[name]
    bench = Bench(SETTINGS, 1)
    take(bench, BEFORE)
    assert BOOK.at(bench.book()).state == BOOK_VALID
    take(bench, rows)
    assert BOOK.at(bench.book()).state == BOOK_INVALID
    assert bench.wanted(0) == 1
    assert bench.state().quarantine == 1 << reason
    assert bench.counter(f"refused_{reason.name.lower()}") == bench.counter("refused") == 1
    take(bench, snapshot(20_100, {49_990: 5}, {50_010: 3}))
    assert BOOK.at(bench.book()).state == BOOK_VALID
    assert bench.state().quarantine == 1 << reason, "a new book alone does not end it"


def test_one_crossed_update_is_counted_and_no_quarantine() -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, [*BEFORE, level(20_000, 0, 50_015, 5, LAST), level(20_001, 0, 50_015, 0, LAST)])
    assert bench.counter("crossed") == 1
    assert bench.state().quarantine == bench.counter("refused") == 0


def test_no_entry_is_decided_in_quarantine_and_other_symbols_do_not_notice() -> None:
    events = market(51, 9_000, 2)
    calm = Bench(SETTINGS).run(exported().engine_process_many, events)
    at = 4_000
    bad = as_events([trade(0, 0, symbol=0)])
    bad["venue_ns"] = events["venue_ns"][at]
    bench = Bench(SETTINGS)
    first = bench.run(exported().engine_process_many, events[:at])
    bench.run(exported().engine_process_many, bad)
    rest = bench.run(exported().engine_process_many, events[at:])
    names = [n for n in calm.dtype.names if n not in ("signal_id", "sequence", "scores")]
    found = np.concatenate([first[names], rest[names]])
    assert found[found["symbol"] == 1].tolist() == calm[calm["symbol"] == 1][names].tolist()
    start = int(events["venue_ns"][:at][events["symbol"][:at] == 0].max())
    in_calm = calm[(calm["symbol"] == 0) & (calm["venue_ns"] > start)]["venue_ns"]
    ours = rest[rest["symbol"] == 0]["venue_ns"]
    assert np.any(in_calm < start + 5_000_000_000), "there was something to hold back"
    assert ours.min() >= start + 5_000_000_000
    assert ours.tolist() == in_calm[in_calm >= ours.min()].tolist(), "then all is as it was"
    assert bench.counter("quarantines") == bench.counter("quarantines_ended") == 1
    assert bench.counter("quarantined") > 0


def test_a_quarantine_wants_time_and_events_and_each_refusal_begins_it_anew() -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, [*BEFORE, trade(20_000, 0)])
    state = bench.state()
    take(bench, [trade(20_000 + 10 * n, 50_000) for n in range(1, 30)])
    assert state.quarantine, "events without time"
    take(bench, [trade(21_000, -1)])
    take(bench, [trade(25_900, 50_000)])
    assert state.quarantine
    take(bench, [trade(26_000 + n, 50_000) for n in range(SOUND_EVENTS_MIN - 2)])
    assert state.quarantine, "time without events"
    take(bench, [trade(26_100, 50_000)])
    assert state.quarantine == 0
    assert bench.counter("quarantines") == bench.counter("quarantines_ended") == 1


def test_a_market_that_moved_is_believed_after_a_run_and_starts_cold() -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, BEFORE)
    state, count = bench.state(), bench.state().trade_count
    moved = [trade(20_100 + n, 30_000 + n) for n in range(JUMP_RUN_MAX - 1)]
    take(bench, moved)
    assert (state.trade_count, state.last_tick) == (count, 50_001)
    assert bench.counter("refused_jump") == JUMP_RUN_MAX - 1
    take(bench, [trade(20_200, 30_050)])
    assert (state.trade_count, state.last_tick, state.reference_tick) == (1, 30_050, 30_050)
    assert state.event_count == 1, "cold: it warms up anew"
    assert state.quarantine == 1 << Refusal.JUMP
    take(bench, [trade(20_200 + 300 * n, 30_050) for n in range(1, 18)])
    assert state.quarantine == 0
    assert bench.counter("refused_jump") == JUMP_RUN_MAX - 1


@pytest.mark.parametrize("between", [[trade(20_100, 50_000)], [best(20_100, 49_990, 5, 50_010, 3)]])
def test_odd_prices_among_sound_ones_are_never_believed(between: list[Row]) -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, BEFORE)
    for _ in range(60):
        take(bench, [*between, trade(20_100, 30_000)])
    assert bench.counter("refused_jump") == 60
    assert bench.state().reference_tick == 50_000
    assert bench.state().quarantine == 1 << Refusal.JUMP


def test_odd_prices_that_disagree_are_never_believed() -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, [*BEFORE, *(trade(20_100, 10_000 * (7 + n % 2 * 5)) for n in range(90))])
    assert bench.counter("refused_jump") == 90


def test_the_reference_follows_a_market_that_moves_step_by_step() -> None:
    bench, price, ms = Bench(SETTINGS, 1), 50_000.0, 0
    for step in range(400):
        price *= 1.02 if step < 200 else 1 / 1.02
        ms += 50
        take(bench, [trade(ms, round(price))])
        assert abs(bench.state().reference_tick / price - 1) <= 0.06
    assert bench.counter("refused") == 0
    assert price == pytest.approx(50_000)


def test_a_clock_that_was_wrong_is_believed_after_a_run_with_the_quarantine_kept() -> None:
    bench = Bench(SETTINGS, 1)
    take(bench, [*BEFORE, trade(86_400_000, 50_000)])
    take(bench, [trade(20_100 + n, 50_000) for n in range(30)])
    state = bench.state()
    assert bench.counter("refused_time") == 15
    assert state.clock_ms == START_MS + 20_129
    assert state.quarantine == 1 << Refusal.TIME
    take(bench, [trade(25_200, 50_000), trade(25_201, 50_000)])
    assert state.quarantine == 0


def outcome(process_many: Any) -> str:
    """Return what a stream with bad events in it leads to; see the test of the builds."""
    bench, events = Bench(SETTINGS), market(52, 900)
    rows = [r for rows, _ in (*BAD.values(), *BOOKS.values()) for r in rows]
    bad = as_events([(1, *r[1:]) for r in rows])
    found = [bench.run(process_many, events[:400])]
    for index in range(len(bad)):
        found.append(bench.run(process_many, bad[index : index + 1]))
        found.append(bench.run(process_many, events[400 + 10 * index :][:10]))
    signals = b"".join(part.tobytes() for part in found)
    counts = [bench.counter(f"refused_{reason.name.lower()}") for reason in Refusal]
    state = hashlib.sha256(bench.state_bytes() + signals).hexdigest()[:16]
    return f"{counts} {state}"


def test_plain_python_equals_compiled() -> None:
    code = (
        "from tests.compiled import exported\n"
        "from tests.engine.test_engine_quarantine import outcome\n"
        "print(outcome(exported().engine_process_many))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == outcome(exported().engine_process_many)


def test_the_agent_logs_both_ends_and_the_report_shows_the_reason() -> None:
    from engine.report import lines

    stage = Stage()
    try:
        stage.memory.control.symbol_count = len(SYMBOLS)
        stage.send(as_events([*BEFORE, trade(20_000, 0, symbol=0)]))
        stage.agent.do_work()
        bad = {"symbol": SYMBOLS[0], "reasons": "price"}
        assert ("warning", "bad input, no entries", bad) in stage.log.lines
        assert any("quarantine=price" in line for line in lines(stage.memory))
        stage.send(as_events([trade(20_000 + 400 * n, 50_000) for n in range(1, 20)]))
        stage.agent.do_work()
        assert ("info", "input is sound again", {"symbol": SYMBOLS[0]}) in stage.log.lines
        assert len([text for _, text, _ in stage.log.lines if "input" in text]) == 2
    finally:
        stage.close()


def test_the_face_says_that_a_symbol_waits() -> None:
    face = engine.UltraScalpingEngine(
        ["BTCUSDT", "ETHUSDT"], settings=FACE_SETTINGS, kernels=KERNELS
    )
    second = 1_700_000_000_000_000_000
    face.process_tick(**TICK, time_ns=second)
    assert face.quarantined("BTCUSDT") == ()
    assert face.process_tick(**TICK | {"price": 164_000.0}, time_ns=second) is None
    assert face.quarantined("BTCUSDT") == ("jump",)
    assert face.process_tick(**TICK, time_ns=second - 60 * 10**9) is None
    assert face.quarantined("BTCUSDT") == ("time", "jump")
    assert (face.counter("refused_jump"), face.counter("refused_time")) == (1, 1)
    assert face.quarantined("ETHUSDT") == ()
    for number in range(1, 40):
        face.process_tick(**TICK, time_ns=second + number * 10**9)
    assert face.quarantined("BTCUSDT") == ()
    with pytest.raises(ValueError, match="XRPUSDT"):
        face.quarantined("XRPUSDT")


def test_reasons_have_words_and_counters() -> None:
    assert refusal_names(0) == []
    assert refusal_names((1 << len(Refusal)) - 1) == [r.name.lower() for r in Refusal]
    assert ctypes.sizeof(ctypes.c_int64) * 8 > len(Refusal)
