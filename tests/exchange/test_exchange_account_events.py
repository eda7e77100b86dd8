"""What the account tells: listen keys on a clock of our own, forced orders, event shapes."""

from __future__ import annotations

import json

import pytest
from exchange_process import SHARED

from exchange.errors import VenueError
from exchange.instruments import E8, INSTRUMENTS
from exchange.matching.layout import BUY, SELL
from exchange.orders import ClientOrder, Trade
from exchange.streams.hub import Hub
from exchange.trading.account import Account
from exchange.trading.account_events import account_update, leverage_update, margin_call
from exchange.trading.liquidation import ForcedOrder, ForcedOrderStream
from exchange.trading.user_events import LISTEN_KEY_MS, UserEvents

BTC = INSTRUMENTS["BTCUSDT"]


class RecordingHub(Hub):
    """Keep what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, dict]] = []

    def wanted(self, name: str) -> bool:
        return True

    def publish(self, name: str, data: bytes) -> None:
        self.said.append((name, json.loads(data)))


class Clock:
    """Be a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def test_listen_key_lives_an_hour_from_its_last_extension():
    hub, clock = RecordingHub(), Clock()
    events = UserEvents(hub, clock)
    with pytest.raises(VenueError) as caught:
        events.extend_key()
    assert caught.value.code == -1125
    key = events.create_key()
    clock.now_ms += LISTEN_KEY_MS - 1
    assert events.create_key() == key
    clock.now_ms += LISTEN_KEY_MS - 1
    assert events.extend_key() == key
    clock.now_ms += LISTEN_KEY_MS - 1
    events.expire_key()
    assert hub.said == []
    clock.now_ms += 1
    events.expire_key()
    events.expire_key()
    said = {"e": "listenKeyExpired", "E": clock.now_ms, "listenKey": key}
    assert hub.said == [(key, said)]
    with pytest.raises(VenueError):
        events.extend_key()
    assert events.create_key() != key


def test_deleted_key_says_nothing_more():
    hub, clock = RecordingHub(), Clock()
    events = UserEvents(hub, clock)
    events.create_key()
    events.delete_key()
    events.leverage_changed("BTCUSDT", 5)
    clock.now_ms += LISTEN_KEY_MS
    events.expire_key()
    assert hub.said == []


def forced_order() -> ForcedOrder:
    order = ForcedOrder(
        BTC, 7, "autoclose-1", SELL, "LIMIT", "IOC", 606_992, 30, False, 500, position_side="BOTH"
    )
    order.executed_lot, order.cost, order.status, order.updated_ms = 30, 30 * 609_395, "FILLED", 600
    return order


def test_forced_order_goes_to_both_streams():
    hub = RecordingHub()
    ForcedOrderStream(hub, Clock())(forced_order())
    assert [name for name, _ in hub.said] == ["btcusdt@forceOrder", "!forceOrder@arr"]
    (_, event), (_, same) = hub.said
    assert event == same
    assert (event["e"], event["o"]["S"], event["o"]["X"]) == ("forceOrder", "SELL", "FILLED")
    assert (event["o"]["p"], event["o"]["ap"]) == ("60699.20", "60939.50000")


def held_account() -> Account:
    held = Account([BTC], 10_000 * E8, 20_000, 50_000, lambda symbol: 640_000)
    order = ClientOrder(BTC, 1, "c", BUY, "LIMIT", "GTC", 640_000, 10, False, 0)
    held.apply(Trade(order, 1, 640_000, 10, False, 0))
    return held


def example(name: str) -> dict:
    path = SHARED / "protocol" / "binance-net" / "Subscriptions" / f"{name}.txt"
    if not path.is_file():
        pytest.skip("the recordings in ../shared are absent")
    return json.loads(path.read_text().partition("= \n")[2])["data"]


def shape(value: object) -> object:
    """Return the keys and JSON types of a value, of a list those of its first element."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


@pytest.mark.recordings
def test_events_have_the_shape_of_the_examples():
    held = held_account()
    position = held.position("BTCUSDT")
    update = shape(account_update(held, "ORDER", [position], 0, 5, 5))
    del update["a"]["P"][0]["ma"]
    assert update == shape(example("AccountUpdate"))
    assert shape(leverage_update("BTCUSDT", 5, 5)) == shape(example("Leverage"))
    assert shape(margin_call(held, 5)) == shape(example("MarginUpdate"))
    hub = RecordingHub()
    ForcedOrderStream(hub, Clock())(forced_order())
    ours = shape(hub.said[0][1])
    for name in ("ps", "st"):
        del ours[name]
    assert ours == shape(example("Liquidations"))
