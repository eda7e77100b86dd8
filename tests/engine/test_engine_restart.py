"""A killed engine goes on: what is torn starts cold, everything else as if nothing had been."""

from __future__ import annotations

import ctypes
import random
import time
from typing import Any

import numpy as np
import pytest

from engine.book_layout import (
    BOOK,
    BOOK_INVALID,
    BOOK_SIDE,
    BOOK_VALID,
    SIDE_SIZE,
    SIDES_OFFSET,
)
from engine.reasons import StartReason
from engine.restart import BRIDGE_NS_MAX, symbol_fault
from engine.state import symbol_state_address
from engine.wholeness import book_fault, state_fault
from shm import rings
from shm.records import SIGNAL, Factor
from shm.ring_layout import RING
from tests.compiled import exported
from tests.engine.cuts import SETTINGS
from tests.engine.plant import Plant
from tests.naive.engine_inventory import Fill, naive_inventories
from tests.naive.engine_recording import as_events
from tests.naive.engine_stream import best, level, market, snapshot, trade
from tests.naive.engine_wholeness import naive_book_fault, naive_state_fault
from tests.uncompiled import run_uncompiled


def stamped(events: np.ndarray, first_ns: int = 0) -> np.ndarray:
    """Give events receive stamps of this machine's clock, so that gaps can be measured."""
    events["origin_ns"] = (first_ns or time.monotonic_ns()) + np.arange(len(events))
    return events


def warm(count: int = 700, capacity: int = 1024) -> Plant:
    plant = Plant(SETTINGS, 2, capacity)
    events = stamped(market(24, count))
    for start in range(0, len(events), 200):
        plant.send(events[start : start + 200])
        plant.look()
    return plant


def reasons(plant: Plant) -> list[StartReason]:
    return [StartReason(plant.engine.start_reasons[n]) for n in range(plant.symbol_count)]


def test_cuts_at_chosen_lines_leave_no_trace() -> None:
    found = run_uncompiled("tests.engine.cuts", "23")
    assert found["wrong"] == []
    assert found["cuts"] > 250 and found["twice"] > 50 and found["signals"] > 5


def test_a_whole_state_goes_on_warm_and_keeps_its_books() -> None:
    plant, other = warm(), warm()
    events = stamped(market(31, 1_000)[200:500])
    wanted = [BOOK.at(plant.book(n)).state for n in range(2)]
    assert wanted == [BOOK_VALID] * 2
    position = plant.engine.market_position
    plant.send(events[:100])
    plant.start(restarted=True)
    assert reasons(plant) == [StartReason.WARM] * 2
    assert (plant.counter("warm_symbols"), plant.counter("cold_symbols")) == (2, 0)
    assert plant.engine.market_position == position, "what came meanwhile is read"
    plant.send(events[100:])
    other.send(events)
    for _ in range(3):
        plant.look()
        other.look()
    assert len(plant.signals()) > 20
    assert plant.end()["states"] == other.end()["states"]


def test_the_first_start_is_cold_and_so_is_one_after_a_predecessor_that_never_started() -> None:
    plant = warm()
    assert reasons(plant) == [StartReason.FIRST] * 2
    plant.engine.kept_symbols = 0
    plant.start(restarted=True)
    assert reasons(plant) == [StartReason.FIRST] * 2
    assert plant.state().trade_count == 0
    assert plant.engine.market_position == RING.at(plant.rings["market"]).tail
    assert BOOK.at(plant.book()).state == BOOK_INVALID


@pytest.mark.parametrize("symbol", [0, 1])
def test_the_torn_symbol_alone_is_silent_until_it_is_warm(symbol: int) -> None:
    plant = warm()
    plant.engine.applying = symbol + 1
    plant.start(restarted=True)
    assert reasons(plant)[symbol] == StartReason.TORN
    assert reasons(plant)[1 - symbol] == StartReason.WARM
    before = len(plant.signals())
    plant.send(stamped(market(24, 1_000)[700:820]))
    plant.look()
    found = plant.signals()[before:]
    assert found
    # One stamp of eight bytes is left out before it.
    place = SIGNAL.offset("symbol") - 8
    symbols = {int.from_bytes(record[place:][:2], "little") for record in found}
    assert symbols == {1 - symbol}, "its book is invalid, it is cold"


def test_an_event_of_an_unknown_symbol_tears_nothing() -> None:
    plant = warm()
    plant.engine.applying = 78
    plant.start(restarted=True)
    assert reasons(plant) == [StartReason.WARM] * 2
    assert plant.engine.applying == 0


def test_a_report_under_way_is_undone_and_read_again() -> None:
    plant = warm()
    plant.report(order_id=5, symbol=1, side=-1, fill_lot=3, filled_lot=3)
    plant.look()
    assert plant.engine.inventories[1] == -3
    plant.report(order_id=5, symbol=1, side=-1, fill_lot=4, filled_lot=7)
    # Killed when the row knew of the fill and the inventory did not.
    engine = plant.engine
    engine.undo_inventory, engine.undo_foreign_id, engine.undo_row = -3, 0, 5
    engine.undo_order_id, engine.undo_lot, engine.undo_symbol = 5, 3, 2
    engine.fill_lots[5] = 7
    plant.start(restarted=True)
    plant.look()
    assert plant.engine.inventories[1] == -7


LAPS = {"bridged": (BRIDGE_NS_MAX // 2, True), "too long": (BRIDGE_NS_MAX * 2, False)}


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("name", LAPS)
def test_a_lap_keeps_sums_over_time_where_the_gap_is_short(name: str, restarted: bool) -> None:
    missed_ns, bridged = LAPS[name]
    plant = warm(capacity=256)
    state = plant.state()
    plant.engine.read_origin_ns = time.monotonic_ns() - missed_ns
    before = (state.variance_sum, state.slow_lot, state.event_count, state.signal_ms)
    assert before[0] > 0 and before[2] > 20
    plant.send(stamped(market(24, 1_000)[700:1_000]))
    if restarted:
        plant.start(restarted=True)
        assert reasons(plant) == [StartReason.WARM] * 2
    plant.look()
    assert plant.counter("laps") == 1
    assert [BOOK.at(plant.book(n)).state for n in range(2)] == [BOOK_INVALID] * 2
    after = (state.variance_sum, state.slow_lot, state.event_count, state.signal_ms)
    assert after == (before if bridged else (0.0, 0.0, 0, 0))
    assert state.bid_tick == state.bar_count == state.grid_count == state.bar_tick == 0


def test_windows_by_count_begin_anew_after_a_lap() -> None:
    plant = Plant(SETTINGS, 1, 256)
    rows = [trade(100 * n, 50_000 + n, 5) for n in range(200)]
    plant.send(stamped(as_events(rows)))
    plant.look()
    state = plant.state()
    assert state.known & 1 << Factor.MOMENTUM and state.known & 1 << Factor.EMA_CROSS
    plant.send(stamped(as_events([trade(20_000, 50_000)] * 300)))
    plant.look()
    assert plant.counter("laps") == 1
    variance = state.variance_sum
    known = []
    for number in range(1, 14):
        # Another price: a return over the gap would be seen in the variance.
        plant.send(stamped(as_events([trade(22_000 + number, 53_000, 5)])))
        plant.look()
        known.append({factor for factor in Factor if state.known >> factor & 1})
    assert state.variance_sum < variance
    assert all(Factor.MOMENTUM not in seen for seen in known[:2])
    assert all(Factor.MOMENTUM in seen for seen in known[2:])
    assert all(Factor.EMA_CROSS not in seen for seen in known[:12])
    assert Factor.EMA_CROSS in known[12], "the slow span anew"
    assert Factor.ACCELERATION not in known[-1]
    assert state.ema_fast == 53_000.0
    assert state.grid_count == 1


def test_no_grid_is_invented_between_a_lap_and_the_next_trade() -> None:
    plant = warm(capacity=256)
    plant.send(stamped(market(24, 1_000)[700:1_000]))
    plant.look()
    state, ms = plant.state(), plant.state().clock_ms
    for step in range(1, 60):
        row = list(best(0, 19_990, 3, 20_010, 4))
        row[1] = (ms + 250 * step) * 1_000_000
        plant.send(stamped(as_events([tuple(row)])))
        plant.look()
    assert state.bid_tick == 19_990
    assert state.grid_count == 0
    assert not state.known >> Factor.ACCELERATION & 1


SPOILT = """
    clock_ms event_count refused_run quarantine low_tick reference_tick trade_count break_trade
    weight_60 variance_sum buy_lot slow_lot ema_fast ema_slow grid_count bar_count rsi gain_mean
    bar_tick divergence bid_tick bid_lot ask_tick ask_lot ofi_lot ofi_gross_lot spread_weight
    spread_variance imbalance score last_tick spread_mean signal_ms
"""


def spoilt_state(rng: random.Random, state: Any) -> None:
    name = rng.choice(SPOILT.split())
    if isinstance(getattr(state, name), float):
        setattr(state, name, rng.choice((float("nan"), float("inf"), -1.0, 0.0, 0.5, 2.0, 1e9)))
    else:
        setattr(state, name, rng.choice((-5, 0, 1, 2, 40, 1 << 41, 1 << 50)))
    if rng.random() < 0.3:
        state.grid_tick[rng.randrange(64)] = rng.choice((0, -1, 5))
    if rng.random() < 0.3:
        state.trade_tick[rng.randrange(4)] = rng.choice((0, 7))
    if rng.random() < 0.1:
        state.flow_lot[rng.randrange(10)] = float("nan")
    if rng.random() < 0.1:
        state.flow_gross_lot[rng.randrange(10)] = rng.choice((float("inf"), -1.0, 3.0))
    if rng.random() < 0.3:
        state.bar_rsis[rng.randrange(32)] = rng.choice((101.0, 50.0))


def test_faults_of_states_are_those_of_the_twin() -> None:
    print("seed 5")
    rng, plant = random.Random(5), warm(500)
    whole, state, place = plant.image(), plant.state(), symbol_state_address(plant.address, 0)
    found = set()
    for _ in range(1_500):
        plant.put_back(whole)
        spoilt_state(rng, state)
        wanted = naive_state_fault(state)
        assert state_fault(place) == wanted
        found.add(wanted)
    assert found == {
        StartReason.WARM, StartReason.EMPTY, StartReason.CLOCK, StartReason.TRADES,
        StartReason.BARS, StartReason.QUOTES,
    }  # fmt: skip


def spoilt_book(rng: random.Random, book: Any, side: Any) -> None:
    kind = rng.randrange(12)
    used = [n for n in range(len(side.far_ticks)) if side.far_ticks[n]]
    if kind == 0:
        book.state = rng.choice((0, 1, 3, -1))
    elif kind == 1:
        book.base_tick += rng.choice((0, 1, 70))
    elif kind == 2:
        side.level_count += rng.choice((0, 1))
    elif kind == 3:
        side.words[rng.randrange(256)] ^= 1 << rng.randrange(62)
    elif kind == 4:
        side.summary[rng.randrange(4)] ^= 1 << rng.randrange(62)
    elif kind == 5:
        side.lots[rng.randrange(16384)] += rng.choice((1, -1))
    elif kind == 6:
        side.far_ticks[rng.choice(used)] += rng.choice((1, -1, 0))
    elif kind == 7:
        side.far_count += 1
    elif kind == 8:
        side.better_count += 1
    elif kind == 9:
        side.best_tick += rng.choice((0, 1, -1))
    elif kind == 10:
        side.first_index = rng.choice((side.first_index, 0, 16384, 70000))
    else:
        side.direction = -side.direction


def test_faults_of_books_are_those_of_the_twin() -> None:
    print("seed 6")
    rng, plant = random.Random(6), Plant(SETTINGS, 1)
    far = range(0, 1_860, 31)
    bids = {20_000 - k: 5 + k for k in range(1, 90)} | {11_000 - k: 7 for k in far}
    asks = {20_000 + k: 5 + k for k in range(1, 90)} | {29_000 + k: 7 for k in far}
    rows = [*snapshot(0, bids, asks), level(1, 0, 19_999, 3, 2), level(1, 1, 60_000, 3, 2)]
    plant.send(stamped(as_events(rows)))
    for _ in range(3):
        plant.look()
    whole, place = plant.image(), plant.book()
    book, found = BOOK.at(place), set()
    assert book_fault(place) == StartReason.WARM
    for _ in range(400):
        plant.put_back(whole)
        side = BOOK_SIDE.at(place + SIDES_OFFSET + rng.randrange(2) * SIDE_SIZE)
        spoilt_book(rng, book, side)
        before = ctypes.string_at(place, BOOK.size)
        wanted = naive_book_fault(before, book)
        assert book_fault(place) == wanted
        assert ctypes.string_at(place, BOOK.size) == before
        found.add(wanted)
    assert found == {
        StartReason.WARM, StartReason.BOOK, StartReason.BOOK_LEVELS, StartReason.BOOK_FAR,
        StartReason.BOOK_BEST,
    }  # fmt: skip


def test_a_symbol_that_is_not_whole_starts_cold_with_its_reason() -> None:
    plant = warm()
    plant.state(0).variance_sum = float("nan")
    BOOK_SIDE.at(plant.book(1) + SIDES_OFFSET).lots[3] = 9
    assert symbol_fault(plant.address, 0) == StartReason.TRADES
    plant.start(restarted=True)
    assert reasons(plant) == [StartReason.TRADES, StartReason.BOOK_LEVELS]
    assert (plant.counter("warm_symbols"), plant.counter("cold_symbols")) == (0, 2)
    assert [plant.state(n).trade_count for n in range(2)] == [0, 0]
    assert [book_fault(plant.book(n)) for n in range(2)] == [0, 0]
    plant.start(restarted=True)
    assert reasons(plant) == [StartReason.EMPTY] * 2


def test_marks_are_cleared_by_whoever_takes_events_in() -> None:
    plant = warm()
    assert plant.engine.applying == plant.engine.undo_symbol == 0
    events = market(3, 50)
    exported().engine_process_many(plant.address, events.ctypes.data, 50, 0, 0)
    assert plant.engine.applying == 0


def test_inventories_equal_their_twin_with_kills_in_between() -> None:
    print("seed 8")
    rng, plant, told = random.Random(8), Plant(SETTINGS, 2), []
    filled: dict[int, int] = {}
    for _ in range(300):
        order_id = rng.choice((0, *range(1, 30)))
        symbol, side = order_id % 2, 1 if order_id % 3 else -1
        lot = rng.randint(1, 9)
        filled[order_id] = filled.get(order_id, 0) + lot
        # Reports come twice and out of order.
        seen = max(filled[order_id] - rng.choice((0, 0, 0, lot)), 0)
        told.append(Fill(order_id, symbol, side, lot, seen, rng.randint(1, 400)))
        plant.report(**told[-1]._asdict())
        plant.look()
        rings.ring_advance(plant.rings["reports"], 0)
        if rng.random() < 0.1:
            plant.start(restarted=True)
    assert list(plant.engine.inventories)[:2] == naive_inventories(told, 2)
    assert plant.engine.reports_missed == 0
