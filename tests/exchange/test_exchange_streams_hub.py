"""The hub: one encoding an event, frames of both forms, writes in batches, faults in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine

import pytest

from exchange.instruments import INSTRUMENTS
from exchange.streams.hub import BACKLOG_BYTES_MAX, Client, Hub, frame
from exchange.streams.publisher import Publisher


class Transport:
    """Keeps what is written; stands in for a socket."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.backlog = 0
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.is_aborted

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def abort(self) -> None:
        self.is_aborted = True


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def client_of(hub: Hub, combined: bool = False) -> tuple[Client, Transport]:
    transport = Transport()
    client = Client(hub, transport, combined)  # type: ignore[arg-type]
    hub.connect(client)
    return client, transport


def payloads(transport: Transport) -> list[bytes]:
    """Split what was written into the payloads of its frames."""
    data, found = b"".join(transport.writes), []
    while data:
        length, head = data[1], 2
        if length == 126:
            length, head = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[2:10], "big"), 10
        found.append(data[head : head + length])
        data = data[head + length :]
    return found


class CountedTexts(dict):
    """Counts how often a text is looked up: once a field and encoding."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up = 0

    def __getitem__(self, key: int) -> str:
        self.looked_up += 1
        return str(key)


@pytest.mark.parametrize("n_clients", [1, 3])
def test_an_event_is_encoded_once_however_many_read_it(n_clients):
    async def scenario() -> None:
        hub = Hub()
        publisher = Publisher(hub, INSTRUMENTS["BTCUSDT"], lambda: 1_000)
        counted = publisher.texts.price = CountedTexts()  # type: ignore[assignment]
        for number in range(n_clients):
            client, _ = client_of(hub, combined=number % 2 == 1)
            hub.subscribe(client, "btcusdt@bookTicker")
        for price in range(100, 150):
            publisher.ticker((price, 1), (price + 1, 2))
        assert counted.looked_up == 50 * 2
        assert hub.encoded == 50
        assert hub.messages == 50 * n_clients

    run(scenario)


def test_nothing_is_built_without_a_reader():
    async def scenario() -> None:
        hub = Hub()
        publisher = Publisher(hub, INSTRUMENTS["BTCUSDT"], lambda: 1_000)
        counted = publisher.texts.price = CountedTexts()  # type: ignore[assignment]
        publisher.ticker((1, 1), (2, 2))
        publisher.trade(1, 1, 1, True)
        publisher.end_aggregate()
        publisher.depth_changed(1, 1, 1, 2, 2)
        publisher.flush_depth()
        assert (counted.looked_up, hub.encoded) == (0, 0)

    run(scenario)


def test_both_forms_and_the_change_of_form():
    async def scenario() -> None:
        hub = Hub()
        plain, raw = client_of(hub)
        wrapped, combined = client_of(hub, combined=True)
        for client in (plain, wrapped):
            hub.subscribe(client, "x@trade")
        for size in (1, 80, 125, 126, 65_000, 70_000):
            raw.writes.clear()
            combined.writes.clear()
            data = json.dumps({"e": "y" * size}).encode()
            hub.publish("x@trade", data)
            hub.flush()
            assert payloads(raw) == [data]
            assert payloads(combined) == [b'{"stream":"x@trade","data":%b}' % data]
        hub.set_combined(plain, True)
        raw.writes.clear()
        hub.publish("x@trade", b"{}")
        hub.flush()
        assert payloads(raw) == [b'{"stream":"x@trade","data":{}}']
        hub.disconnect(plain)
        hub.disconnect(wrapped)
        assert not hub.wanted("x@trade")

    run(scenario)


def test_market_data_waits_for_more_and_answers_do_not():
    async def scenario() -> None:
        hub = Hub()
        stream = hub.stream("x@trade")
        client, transport = client_of(hub)
        hub.subscribe(client, "x@trade")
        stream.publish(b"1")
        await asyncio.sleep(0)
        assert len(transport.writes) == 1  # the first after a pause goes at once
        stream.publish(b"2")
        await asyncio.sleep(0)
        stream.publish(b"3")
        assert len(transport.writes) == 1
        client.send(b"4")
        await asyncio.sleep(0)
        assert len(transport.writes) == 2  # an answer takes what waits with it
        assert payloads(transport) == [b"1", b"2", b"3", b"4"]

    run(scenario)


def test_a_reader_far_behind_is_cut():
    async def scenario() -> None:
        hub = Hub()
        client, transport = client_of(hub)
        transport.backlog = BACKLOG_BYTES_MAX + 1
        client.send(b"x")
        await asyncio.sleep(0)
        assert transport.is_aborted
        assert hub.backlog_bytes() == BACKLOG_BYTES_MAX + 1

    run(scenario)


def test_user_data_by_kind():
    async def scenario() -> None:
        hub = Hub()
        picky, some = client_of(hub)
        open_to_all, everything = client_of(hub)
        picky.events = frozenset({"ORDER_TRADE_UPDATE"})
        for client in (picky, open_to_all):
            hub.subscribe(client, "key")
        hub.publish("key", b'{"e":"ACCOUNT_UPDATE"}')
        hub.publish("key", b'{"e":"ORDER_TRADE_UPDATE"}')
        hub.flush()
        assert payloads(some) == [b'{"e":"ORDER_TRADE_UPDATE"}']
        assert len(payloads(everything)) == 2

    run(scenario)


def test_faults_stand_between_publisher_and_reader():
    class Twice:
        is_idle = False

        def __init__(self, hub: Hub) -> None:
            self._hub = hub

        def publish(self, stream: str, data: bytes) -> None:
            for _ in range(2):
                self._hub.deliver(stream, data)

    async def scenario() -> None:
        hub = Hub()
        hub.tamper = Twice(hub)
        client, transport = client_of(hub)
        hub.subscribe(client, "x@trade")
        hub.publish("x@trade", b"1")
        hub.flush()
        assert payloads(transport) == [b"1", b"1"]

    run(scenario)


def test_frames_of_all_sizes():
    for size in (0, 1, 125, 126, 65_535, 65_536):
        transport = Transport()
        transport.write(frame(b"a" * size))
        assert payloads(transport) == [b"a" * size]
