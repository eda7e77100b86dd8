"""The dead man's switch: per symbol, renewed by every call, off at 0, orders only."""

from __future__ import annotations

import asyncio

import pytest
from scripted_desk import SYMBOL, Bench

from exchange.faults.arming import read_fault
from exchange.trading.timers import LoopTimers

OTHER = "ETHUSDT"


@pytest.fixture
def bench() -> Bench:
    bench = Bench((SYMBOL, OTHER))
    bench.market.quote(1, 340_000, 10, OTHER)
    return bench


def test_it_cancels_the_symbols_orders_and_nothing_else(bench):
    bench.place("BUY", "MARKET", "0.010")
    order = bench.place("BUY", "LIMIT", "0.010", "63000")
    other, _ = bench.desk.place(
        {"symbol": OTHER, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
        | {"price": "3399"}
    )
    bench.desk.countdown.set(SYMBOL, 1_000)
    bench.time.advance(999)
    assert order.status == "NEW"
    bench.time.advance(1)
    assert (order.status, other.status, bench.held()) == ("CANCELED", "NEW", 10)
    assert not bench.desk.countdown.is_armed(SYMBOL)
    late = bench.place("BUY", "LIMIT", "0.010", "63000")
    bench.time.advance(10_000)
    assert late.status == "NEW"


def test_a_call_replaces_the_running_countdown(bench):
    order = bench.place("BUY", "LIMIT", "0.010", "63000")
    for _ in range(5):
        bench.desk.countdown.set(SYMBOL, 1_000)
        bench.time.advance(600)
    assert (order.status, bench.time.armed()) == ("NEW", 1)
    bench.time.advance(400)
    assert order.status == "CANCELED"


def test_it_is_no_request_and_uses_no_fault_of_one_up(bench):
    switches = bench.desk.switches
    switches.arm(*read_fault("cancel_all_partial", {"keep": 1}))
    switches.on_desk = True
    order = bench.place("BUY", "LIMIT", "0.010", "63000")
    bench.desk.countdown.set(SYMBOL, 1_000)
    bench.time.advance(1_000)
    assert order.status == "CANCELED"
    assert dict(bench.register.requests) == {"place": 1, "countdown": 1}
    kept = bench.place("BUY", "LIMIT", "0.010", "63000")
    assert (bench.desk.cancel_all(SYMBOL), kept.status) == (0, "NEW")
    assert (bench.desk.cancel_all(SYMBOL), kept.status) == (1, "CANCELED")


def test_zero_stops_it(bench):
    order = bench.place("BUY", "LIMIT", "0.010", "63000")
    bench.desk.countdown.set(SYMBOL, 1_000)
    bench.desk.countdown.set(OTHER, 1_000)
    bench.desk.countdown.set(SYMBOL, 0)
    assert not bench.desk.countdown.is_armed(SYMBOL)
    bench.time.advance(2_000)
    assert (order.status, bench.time.armed()) == ("NEW", 0)


def test_timers_of_the_loop_obey_the_venues_clock():
    """A clock that is behind what the loop waited for makes the timer wait again."""
    now_ms = [0]
    rang: list[int] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def clock_ms() -> int:
            now_ms[0] += 2  # every look at the clock takes two ms of its time
            return now_ms[0]

        def ring() -> None:
            rang.append(now_ms[0])
            done.set_result(None)

        timers = LoopTimers(clock_ms)
        cancelled = timers.call_at(6, lambda: rang.append(-1))
        cancelled.cancel()
        timers.call_at(10, ring)
        await asyncio.wait_for(done, 5)

    asyncio.run(run())
    assert len(rang) == 1
    assert rang[0] >= 10
