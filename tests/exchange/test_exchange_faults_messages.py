"""The parts that keep messages back, without an exchange around them: order, bounds, release."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from exchange.faults.arming import parse_fault
from exchange.faults.corruption import absurd
from exchange.faults.delay_line import DelayLine, Room
from exchange.faults.switches import Fault, Switches
from exchange.faults.tampering import Tamper

STREAM = "btcusdt@aggTrade"


def a_fault(number: int) -> Fault:
    row, values = parse_fault("market_latency")
    return Fault(number, row, values, 0.0)


def line_of(limit: int = 1 << 20) -> tuple[DelayLine, Room, list[bytes], list[str]]:
    told: list[bytes] = []
    empty: list[str] = []
    room = Room(limit)
    line = DelayLine(STREAM, lambda stream, data: told.append(data), room, empty.append)
    return line, room, told, empty


def test_what_one_fault_delays_goes_but_overtakes_nothing():
    async def run() -> None:
        line, room, told, empty = line_of()
        first, second = a_fault(1), a_fault(2)
        for data, fault in ((b"a", first), (b"b", second), (b"c", first), (b"d", None)):
            line.put(data, 600.0 if fault else 0.0, fault)
        line.release([first])
        assert told == [b"a"]  # b still waits for the other fault, c and d for b
        assert room.used == 3 and not empty
        line.release([second])
        assert told == [b"a", b"b", b"c", b"d"]
        assert room.used == 0 and empty == [STREAM]

    asyncio.run(run())


def test_a_full_room_lets_the_oldest_go_early():
    async def run() -> None:
        line, room, told, _ = line_of(limit=100)
        for number in range(30):
            line.put(b"%010d" % number, 600.0, a_fault(1))
            assert room.used <= 100
        assert told == [b"%010d" % number for number in range(20)]
        line.put(b"x" * 200, 600.0, a_fault(1))
        assert told[20:] == [*(b"%010d" % number for number in range(20, 30)), b"x" * 200]
        assert room.used == 0

    asyncio.run(run())


def test_messages_leave_when_they_are_due():
    async def run() -> None:
        line, _, told, empty = line_of()
        gone = asyncio.get_running_loop().create_future()
        line = DelayLine(
            STREAM,
            lambda stream, data: told.append(data),
            Room(),
            lambda stream: gone.set_result(stream),
        )
        line.put(b"slow", 0.05, None)
        line.put(b"fast", 0.0, None)
        assert told == []
        assert await asyncio.wait_for(gone, 5.0) == STREAM
        assert told == [b"slow", b"fast"]
        assert not empty

    asyncio.run(run())


@pytest.mark.parametrize("one", [True, False])
def test_disarming_ends_the_delay_of_market_data(one):
    async def run() -> None:
        told: list[tuple[str, bytes]] = []
        switches = Switches()
        tamper = Tamper(switches, lambda stream, data: told.append((stream, data)))
        fault = switches.arm(*parse_fault("market_latency:delay_ms=600000"))
        names = (STREAM, "btcusdt@depth@0ms")
        sent = [(name, b'{"e":"x","n":%d}' % n) for n in range(5) for name in names]
        for name, data in sent:
            tamper.publish(name, data)
        assert told == [] and not tamper.is_idle
        assert switches.disarm(fault.fault_id) if one else switches.disarm_all() == 1
        for name in names:
            assert [row for row in told if row[0] == name] == [r for r in sent if r[0] == name]
        assert tamper.is_idle

    asyncio.run(run())


def test_a_depth_message_that_waits_is_released_too():
    async def run() -> None:
        told: list[bytes] = []
        switches = Switches()
        tamper = Tamper(switches, lambda stream, data: told.append(data))
        switches.arm(*parse_fault("depth_reorder"))
        duplicate = switches.arm(*parse_fault("depth_duplicate"))
        tamper.publish("btcusdt@depth", b"{}")
        assert told == [] and not tamper.is_idle
        assert duplicate.taken == 0  # a message that is held is not doubled, so this is not used
        switches.disarm_all()
        assert told == [b"{}"] and tamper.is_idle

    asyncio.run(run())


def test_absurd_prices_in_a_message_of_all_symbols():
    data = orjson.dumps([{"e": "markPriceUpdate", "p": "5.00"}, {"e": "markPriceUpdate", "p": "1"}])
    assert [row["p"] for row in orjson.loads(absurd(data, "zero"))] == ["0.00", "1"]
    assert absurd(b"[]", "zero") == b"[]"
