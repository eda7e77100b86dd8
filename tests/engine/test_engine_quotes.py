"""Market making in the engine's loop: what is published is what the kernels alone decide."""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config.loader import load
from engine.quotes import confirm_quotes
from engine.quoting import decide, forget_quote_book, note_fill, on_book, on_trade
from engine.quoting_state import QUOTED, STATE_OFFSET, QuoteReason
from engine.state import quoted_row_address
from shm import rings
from shm.records import QUOTE, REPORT, EventFlag, EventKind, OrderStatus, ReportFlag
from shm.ring_layout import RING
from tests.compiled import exported
from tests.engine.test_engine_loop import SYMBOLS, Stage
from tests.naive.engine_quoting_bench import QuoteBench
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import best, row, snapshot, trade

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = [
    "optimization.USE_MARKET_MAKING=true",
    'trading.symbols=["AAAUSDT", "BBBUSDT"]',
    'quoting.symbols=["AAAUSDT"]',
]
# Short memories, so that a few thousand events are a long time.
SETTINGS = load(
    env_file=None,
    environ={},
    overrides=[
        *SWITCHES,
        "quoting.volatility_long_s=30",
        "quoting.intensity_s=30",
        "quoting.intensity_step_ticks=1",
        "quoting.vpin_bucket_usd=1000",
        "quoting.vpin_buckets=5",
        "quoting.vpin_threshold=fixed",
        "quoting.vpin_max=1.0",
        "quoting.burst_ratio=1000",
        "quoting.spread_max_bps=100",
        "quoting.edge_ticks=2",
        "quoting.stale_ms=5000",
    ],
)
FAR_NS = 1 << 62
FILL = {"status": int(OrderStatus.FILLED), "flags": int(ReportFlag.QUOTE | ReportFlag.MAKER)}


def walk(seed: int, count: int) -> np.ndarray:
    """Return two symbols whose mid prices wander, and trades that reach some way into the book."""
    rng = random.Random(seed)
    middle = [20_000, 29_000]
    rows = []
    for symbol, price in enumerate(middle):
        rows += snapshot(0, {price - 50: 5}, {price + 50: 5}, symbol)
    ms = 0
    while len(rows) < count:
        ms += rng.choice((1, 5, 40, 100))
        symbol = rng.randrange(2)
        if rng.random() < 0.5:
            is_sell = rng.randrange(2)
            reach = 1 + min(int(rng.expovariate(0.5)), 12)
            price = middle[symbol] - reach if is_sell else middle[symbol] + reach
            rows.append(trade(ms, price, rng.randint(1, 90), is_sell, symbol))
        else:
            middle[symbol] += rng.choice((-1, 0, 0, 1))
            price = middle[symbol]
            rows.append(best(ms, price - 1, rng.randint(1, 500), price + 1, 40, symbol))
    return as_events(rows)


class QuoteStage(Stage):
    """An engine that quotes the first of two symbols; its timer is moved by hand."""

    settings = SETTINGS

    def __init__(self, **sizes: int) -> None:
        super().__init__(**sizes)
        for index in range(len(SYMBOLS)):
            symbol = self.memory.symbol(index)
            symbol.tick_size, symbol.lot_size = 0.1, 0.001
            symbol.lot_min, symbol.notional_min, symbol.maker_fee = 1, 5.0, 0.0
        self.address = self.memory.state("engine")
        self.engine.confirm_due_ns = FAR_NS
        self.quoted_address = quoted_row_address(self.address, len(SYMBOLS), 0)
        self.quoted = QUOTED.at(self.quoted_address)

    def look(self) -> None:
        exported().engine_run(self.address, 1)
        self.agent._quoted.price()

    def take_quotes(self) -> list[Any]:
        ring, found = self.memory.ring("quotes"), []
        while slot := rings.ring_peek(ring, 0):
            raw = QUOTE.at(slot)
            names = [field.name for field in QUOTE]
            values = {name: getattr(raw, name) for name in names}
            for name in ("tick", "lot", "reasons"):
                values[name] = list(values[name])
            found.append(SimpleNamespace(**values))
            rings.ring_advance(ring, 0)
        return found

    def report(self, **values: int) -> None:
        slot = rings.ring_claim(self.memory.ring("reports"))
        record = REPORT.at(slot)
        for field in REPORT:
            if field.name != "sequence":
                setattr(record, field.name, values.get(field.name, 0))
        rings.ring_publish(self.memory.ring("reports"), slot)

    def quote_until_both_stand(self) -> Any:
        """Send a market until both sides are wanted; return the last quote."""
        events = walk(21, 4_000)
        for start in range(0, len(events), 20):
            self.send(events[start : start + 20])
            self.look()
            quotes = self.take_quotes()
            if start > 2_000 and quotes and all(quotes[-1].lot):
                return quotes[-1]
        raise AssertionError("both sides were never wanted")


@pytest.fixture
def stage() -> Iterator[QuoteStage]:
    made = QuoteStage()
    yield made
    made.close()


def twin_of(stage: QuoteStage) -> QuoteBench:
    """Return the kernels on private memory, with the parameters that the agent filled in."""
    bench = QuoteBench()
    source = stage.agent._quoted.parameters(0)
    ctypes.memmove(ctypes.addressof(bench.p), ctypes.addressof(source), ctypes.sizeof(source))
    return bench


def follow(stage: QuoteStage, events: np.ndarray, check: bool = True) -> tuple[int, str]:
    """Send events one by one and compare each decision; return how many quotes, and their hash."""
    digest, count = hashlib.sha256(), 0
    bench: QuoteBench | None = None
    ms, told = 0, ([0, 0], [0, 0])
    for index, event in enumerate(events):
        stage.send(events[index : index + 1])
        stage.look()
        kind, of_quoted = int(event["kind"]), int(event["symbol"]) == 0
        if bench is None and stage.agent._quoted.parameters(0).quote_lot:
            bench = twin_of(stage)
            ms = int(event["venue_ns"]) // 1_000_000
            continue
        if bench is None or not of_quoted or kind not in (EventKind.TRADE, EventKind.BEST):
            assert stage.take_quotes() == []
            continue
        ms = max(ms, int(event["venue_ns"]) // 1_000_000)
        tick, lot = int(event["price_tick"]), int(event["quantity_lot"])
        if kind == EventKind.TRADE:
            is_sell = int(event["flags"]) & int(EventFlag.SIDE_ASK)
            on_trade(*bench.at[:2], ms, tick, lot, is_sell)
        else:
            ask, ask_lot = int(event["ask_tick"]), int(event["ask_lot"])
            on_book(*bench.at[:2], ms, tick, lot, ask, ask_lot)
        if stage.quoted.state and stage_book_is_invalid(stage):
            forget_quote_book(bench.at[0])
        decide(*bench.at, ms, 0)
        wanted = (list(bench.result.tick), list(bench.result.lot))
        quotes = stage.take_quotes()
        if check:
            assert len(quotes) == (wanted != told)
        for quote in quotes:
            count += 1
            assert (quote.tick, quote.lot) == wanted
            assert quote.reasons == list(bench.result.reasons)
            assert (quote.symbol, quote.quote_id) == (0, count)
            assert quote.venue_ns == ms * 1_000_000
            digest.update(repr((quote.tick, quote.lot, quote.reasons)).encode())
        told = wanted
    return count, digest.hexdigest()[:16]


def stage_book_is_invalid(stage: QuoteStage) -> bool:
    from engine.book_layout import BOOK, BOOK_VALID
    from engine.state import book_address

    return BOOK.at(book_address(stage.address, len(SYMBOLS), 0)).state != BOOK_VALID


def outcome(count: int) -> str:
    """Return what an engine publishes over an invented market, in one line."""
    stage = QuoteStage()
    try:
        return " ".join(map(str, follow(stage, walk(21, count))))
    finally:
        stage.close()


def test_what_is_published_is_what_the_kernels_decide(stage: QuoteStage) -> None:
    found, _ = follow(stage, walk(21, 4_000))
    assert found > 20
    assert stage.counter("quotes") == stage.counter("quote_changes") == found


def test_plain_python_equals_compiled() -> None:
    code = "from tests.engine.test_engine_quotes import outcome\nprint(outcome(2500))"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == outcome(2_500)
    assert int(done.stdout.split()[0]) > 5


def test_full_ring_keeps_the_newest_state_and_publishes_it_later() -> None:
    stage = QuoteStage(queue=2)
    try:
        for start in range(0, 4_000, 20):
            stage.send(walk(21, 4_000)[start : start + 20])
            stage.look()
        assert stage.counter("quotes") == 2
        assert stage.counter("quotes_full") > 0
        assert stage.quoted.pending == 1
        stage.take_quotes()
        stage.look()
        (newest,) = stage.take_quotes()
        assert (newest.tick, newest.lot) == (list(stage.quoted.tick), list(stage.quoted.lot))
        assert stage.quoted.pending == 0 and newest.quote_id == 3
    finally:
        stage.close()


@pytest.mark.parametrize("side", [0, 1])
def test_a_fill_of_a_quote_is_known_before_the_next_decision(stage: QuoteStage, side: int) -> None:
    before = stage.quote_until_both_stand()
    sign = 1 - 2 * side
    fill = {"order_id": 5, "side": sign, "fill_lot": 1, "filled_lot": 1, **FILL}
    state = stage.quoted_address + STATE_OFFSET
    expected = int(before.lot[side]) - 1
    stage.report(**fill)
    stage.look()
    assert stage.engine.inventories[0] == sign
    (quote,) = stage.take_quotes()
    assert quote.report_position == before.report_position + 1
    assert quote.lot[side] == expected
    # The same report once more changes nothing.
    stage.report(**fill)
    stage.look()
    assert stage.take_quotes() == [] and stage.engine.inventories[0] == sign
    note_fill(state, side, 0)


def test_a_fill_of_an_exit_moves_the_inventory_alone(stage: QuoteStage) -> None:
    before = stage.quote_until_both_stand()
    fill = {"order_id": 5, "side": -1, "fill_lot": 1, "filled_lot": 1}
    stage.report(status=int(OrderStatus.FILLED), **fill)
    stage.look()
    assert stage.engine.inventories[0] == -1
    for quote in stage.take_quotes():
        assert quote.lot[0] >= before.lot[0]


def test_bad_input_withdraws_both_quotes_and_does_not_reach_the_estimates(
    stage: QuoteStage,
) -> None:
    stage.quote_until_both_stand()
    clock = stage.quoted.clock_ms
    stage.send(as_events([best(400_000, 20_001, 5, 19_999, 5)]))
    stage.look()
    (quote,) = stage.take_quotes()
    assert quote.lot == quote.tick == [0, 0]
    assert all(reasons & QuoteReason.BOOK_UNKNOWN for reasons in quote.reasons)
    stage.send(as_events([best(400_001 + n, 19_999, 5, 20_001, 5) for n in range(5)]))
    stage.look()
    assert stage.take_quotes() == [], "in quarantine"
    assert stage.quoted.clock_ms == clock


def test_withdrawn_book_and_lap_withdraw_both_quotes() -> None:
    for lose in ("invalid", "lap"):
        stage = QuoteStage(market_queue=256)
        try:
            stage.quote_until_both_stand()
            events = [row(EventKind.INVALID, 400_000)]
            if lose == "lap":
                events = [best(400_000, 100, 1, 102, 1, symbol=1)] * 400
            stage.send(as_events(events))
            stage.look()
            (quote,) = stage.take_quotes()
            assert quote.lot == quote.tick == [0, 0]
            assert all(reasons & QuoteReason.BOOK_UNKNOWN for reasons in quote.reasons)
            # Best prices alone do not bring them back: the depth is not known either.
            stage.send(as_events([best(400_100, 19_999, 5, 20_001, 5)]))
            stage.look()
            assert stage.take_quotes() == []
            sides = ({19_999: 5}, {20_001: 5})
            stage.send(as_events([*snapshot(400_200, *sides), best(400_300, 19_999, 5, 20_001, 5)]))
            stage.look()
            assert stage.quoted.now_ms > 0
        finally:
            stage.close()


def test_timer_confirms_what_stands_and_pulls_what_is_stale(stage: QuoteStage) -> None:
    before = stage.quote_until_both_stand()
    now = time.monotonic_ns()
    # The invented receive stamps lie in the future: time goes on from here.
    stage.quoted.clock_ns = now
    period = stage.engine.confirm_ns
    assert period == 250_000_000
    confirm_quotes(stage.address, now + period)
    assert stage.engine.confirm_due_ns == now + 2 * period
    (again,) = stage.take_quotes()
    assert (again.tick, again.lot) == (before.tick, before.lot)
    assert again.quote_id == before.quote_id + 1 and again.origin_ns == now + period
    confirm_quotes(stage.address, now + 6_000_000_000)
    (pulled,) = stage.take_quotes()
    assert pulled.lot == [0, 0] and all(r & QuoteReason.STALE for r in pulled.reasons)
    # Nothing stands: nothing is confirmed.
    confirm_quotes(stage.address, now + 7_000_000_000)
    assert stage.take_quotes() == []


def test_engine_wakes_for_its_timer(stage: QuoteStage) -> None:
    stage.quote_until_both_stand()
    stage.quoted.clock_ns = time.monotonic_ns()
    stage.engine.confirm_due_ns = due_ns = time.monotonic_ns() + 5_000_000
    stage.engine.confirm_ns = 60_000_000_000
    stage.quoted.written_ns = due_ns - 60_000_000_000
    # It blocks until the timer, returns for having found nothing, and confirms when it runs again.
    for _ in range(2):
        exported().engine_run(stage.address, time.monotonic_ns() + 100_000_000)
    assert stage.engine.confirm_due_ns > due_ns
    assert len(stage.take_quotes()) == 1


def test_inventory_of_lost_reports_is_taken_from_risk_once_both_have_read_all(
    stage: QuoteStage,
) -> None:
    ring = RING.at(stage.memory.ring("reports"))
    stage.memory.position(0).quantity_lot = 7
    stage.engine.reports_missed += 1
    stage.report(order_id=5, side=1, fill_lot=2, filled_lot=2, status=int(OrderStatus.FILLED))
    stage.look()
    # Risk has not read it yet: its row says nothing.
    assert not stage.agent._mender.look() and stage.engine.inventories[0] == 2
    ring.head_0 = ring.tail
    assert stage.agent._mender.look() and stage.engine.inventories[0] == 7
    assert ("warning", "inventory mended", {"symbol": 0, "was": 2, "lots": 7}) in stage.log.lines
    stage.memory.position(0).quantity_lot = 9
    assert not stage.agent._mender.look()


@pytest.mark.parametrize("is_torn", [False, True])
def test_restarted_engine_goes_on_with_quotes_that_are_whole(
    stage: QuoteStage, is_torn: bool
) -> None:
    last = stage.quote_until_both_stand()
    parameters = bytes(stage.agent._quoted.parameters(0))
    stage.quoted.changing = int(is_torn)
    stage.start(restarted=True)
    assert stage.engine.quote_id == last.quote_id
    # The timer is due at once, so that risk hears of the successor.
    stage.quoted.clock_ns = time.monotonic_ns()
    stage.look()
    quotes = stage.take_quotes()
    if is_torn:
        # What the predecessor had wanted is withdrawn.
        assert stage.quoted.changing == 0
        assert [quote.lot for quote in quotes] == [[0, 0]]
        cold = [values for _, text, values in stage.log.lines if text == "quoting starts cold"]
        assert cold == [{"symbol": "AAAUSDT"}]
    else:
        assert bytes(stage.agent._quoted.parameters(0)) == parameters
        assert [(quote.tick, quote.lot) for quote in quotes] == [(last.tick, last.lot)]
