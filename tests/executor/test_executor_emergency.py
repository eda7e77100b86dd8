"""The venue cleared by REST alone, against a small venue in memory that misbehaves as told."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from config.secret import Credentials, Secret
from executor import emergency
from executor.emergency import Emergency
from executor.venue import Reply
from runtime.instance_folder import Venue
from runtime.kill_command import outcome_lines
from runtime.venue_task import VenueTask

SYMBOLS = ("BTCUSDT", "ETHUSDT")
LARGEST = {"BTCUSDT": "120", "ETHUSDT": "2000"}


class MemoryVenue:
    """Does what `Rest.perform` asks for; `trouble` maps a path to its next replies."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.stops: dict[int, dict[str, Any]] = {}
        self.positions: dict[str, Decimal] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.sent: list[dict[str, Any]] = []
        self.trouble: dict[str, list[Reply]] = {}
        self.keep = 0  # orders that a cancel-all leaves
        self.stubborn = False  # no cancel does anything
        self.arrives: list[dict[str, Any]] = []  # orders that appear after the first clear look
        self.fills = True
        self._next = 1

    def add(
        self,
        symbol: str,
        reduces: bool = False,
        stop: bool = False,
        quantity: str = "1",
        **more: Any,
    ) -> int:
        number, self._next = self._next, self._next + 1
        row = {"symbol": symbol, "side": "SELL", "reduceOnly": reduces, "closePosition": False}
        if stop:
            kind = {"algoId": number, "orderType": "STOP_MARKET", "quantity": quantity}
            self.stops[number] = row | kind | more
        else:
            self.orders[number] = row | {"orderId": number, "type": "LIMIT", "origQty": quantity}
        return number

    def perform(self, call: Any) -> Reply:
        path = call.path
        self.calls[call.method, path] += 1
        queue = self.trouble.get(path)
        if queue:
            return queue.pop(0)
        return Reply(200, self._answer(call.method, path.rpartition("/")[2], call.parameters))

    def _answer(self, method: str, name: str, p: dict[str, Any]) -> Any:
        if name == "time":
            return {"serverTime": 1_700_000_000_000}
        if name == "exchangeInfo":
            rules = {
                s: [{"filterType": "MARKET_LOT_SIZE", "maxQty": q}] for s, q in LARGEST.items()
            }
            return {"symbols": [{"symbol": s, "filters": f} for s, f in rules.items()]}
        if name == "openOrders":
            rows = list(self.orders.values())
            if not rows and self.arrives:
                self.add(**self.arrives.pop())
            return rows
        if name == "openAlgoOrders":
            return list(self.stops.values())
        if name == "positionRisk":
            return [
                {"symbol": s, "positionSide": "BOTH", "positionAmt": str(q)}
                for s, q in self.positions.items()
            ]
        if method == "DELETE":
            self._cancel(name, p)
        elif method == "POST":
            self._place(p)
        return {}

    def _cancel(self, name: str, p: dict[str, Any]) -> None:
        if self.stubborn:
            return
        table = self.stops if "lgo" in name else self.orders
        if "orderId" in p or "algoId" in p:
            table.pop(p.get("orderId", p.get("algoId")), None)
            return
        mine = [number for number, row in table.items() if row["symbol"] == p["symbol"]]
        for number in mine[: len(mine) - self.keep]:
            del table[number]

    def _place(self, p: dict[str, Any]) -> None:
        self.sent.append(p)
        if self.fills:
            signed = Decimal(p["quantity"]) * (1 if p["side"] == "BUY" else -1)
            self.positions[p["symbol"]] += signed

    def close(self) -> None:
        """As a session does."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(emergency, "wait", waited.append)
    return waited


@pytest.fixture
def venue():
    return MemoryVenue()


def clear(venue: MemoryVenue, flatten: bool = False, attempts: int = 6, spare: bool = False):
    task = VenueTask(
        Venue("sim", "http://127.0.0.1:9", SYMBOLS), flatten, attempts, 1.0, 5000,
        spare_protected=spare,
    )  # fmt: skip
    told: list[str] = []
    made = Emergency(task, Credentials(Secret("key"), Secret("secret")), told.append)
    made._rest = venue
    outcome = made.run()
    return outcome, told


def test_the_second_look_waits_as_long_as_the_task_says(venue, no_pauses):
    task = VenueTask(Venue("sim", "http://127.0.0.1:9", SYMBOLS), False, 3, 1.0, 5000, 5.25)
    made = Emergency(task, Credentials(Secret("key"), Secret("secret")), print)
    made._rest = venue
    assert made.run().is_clear and no_pauses == [5.25]


def test_nothing_open_takes_two_looks_and_no_cancel(venue):
    outcome, told = clear(venue)
    assert outcome.is_clear and told == []
    assert venue.calls["GET", "/fapi/v1/openOrders"] == 2
    assert not [call for call in venue.calls if call[0] != "GET"]


@pytest.mark.parametrize(
    ("stops", "stays"),
    [
        ([{"quantity": "0.5"}], True),
        ([{"quantity": "0.3"}, {"quantity": "0.2"}], True),
        ([{"quantity": "0.4"}], False),
        ([{"quantity": "0.5", "side": "BUY"}], False),
        ([{"quantity": "0", "closePosition": True}], True),
        ([], False),
    ],
)
def test_a_position_is_spared_where_its_stops_cover_it(venue, stops, stays):
    venue.positions["BTCUSDT"] = Decimal("0.5")
    venue.positions["ETHUSDT"] = Decimal("-2")
    for stop in stops:
        venue.add("BTCUSDT", reduces=True, stop=True, **stop)
    outcome, _ = clear(venue, flatten=True, spare=True)
    assert outcome.is_clear
    closed = {order["symbol"] for order in venue.sent}
    assert closed == ({"ETHUSDT"} if stays else {"BTCUSDT", "ETHUSDT"})
    assert len(venue.stops) == (len(stops) if stays else 0)
    assert outcome.unprotected == []


def test_without_closing_what_is_bare_is_told(venue):
    venue.positions["BTCUSDT"] = Decimal("0.5")
    venue.positions["ETHUSDT"] = Decimal("2")
    venue.add("ETHUSDT", reduces=True, stop=True, quantity="2")
    outcome, _ = clear(venue, spare=True)
    assert outcome.is_clear and outcome.unprotected == ["BTCUSDT"] and venue.sent == []


def test_what_adds_risk_goes_and_what_protects_stays(venue):
    for symbol in SYMBOLS:
        venue.add(symbol)
        venue.add(symbol, stop=True)
    venue.positions["BTCUSDT"] = Decimal("0.5")
    target = venue.add("BTCUSDT", reduces=True)
    stop = venue.add("BTCUSDT", reduces=True, stop=True)
    venue.add("ETHUSDT", reduces=True, stop=True)  # its position is gone
    other = venue.add("DOGEUSDT")
    outcome, _ = clear(venue)
    assert outcome.is_clear
    assert set(venue.orders) == {target, other} and set(venue.stops) == {stop}
    assert outcome.positions == {"BTCUSDT": "0.5"} and outcome.unprotected == []
    assert outcome.others == 1 and outcome.canceled == 5
    lines = list(outcome_lines(outcome, flatten=False))
    assert any("left alone: 1 orders" in line for line in lines)
    assert any("positions stay: BTCUSDT 0.5" in line for line in lines)


def test_a_position_without_a_stop_is_named(venue):
    venue.positions["ETHUSDT"] = Decimal("-2")
    outcome, _ = clear(venue)
    assert outcome.unprotected == ["ETHUSDT"]
    assert any("no stop rests" in line for line in outcome_lines(outcome, flatten=False))


def test_flatten_closes_in_parts_and_takes_the_stop_away_last(venue):
    venue.positions |= {"BTCUSDT": Decimal("300.5"), "ETHUSDT": Decimal("-7")}
    stop = venue.add("BTCUSDT", reduces=True, stop=True)
    venue.add("BTCUSDT", reduces=True)
    seen: list[bool] = []
    perform = venue.perform

    def watch(call):
        if call.method == "DELETE" and call.parameters.get("algoId") == stop:
            seen.append(venue.positions["BTCUSDT"] == 0)
        return perform(call)

    venue.perform = watch
    outcome, _ = clear(venue, flatten=True)
    assert outcome.is_clear and outcome.positions == {}
    assert [p["quantity"] for p in venue.sent if p["symbol"] == "BTCUSDT"] == ["120", "120", "60.5"]
    assert all(p["reduceOnly"] == "true" and p["type"] == "MARKET" for p in venue.sent)
    assert len({p["newClientOrderId"] for p in venue.sent}) == 4
    assert {p["side"] for p in venue.sent if p["symbol"] == "ETHUSDT"} == {"BUY"}
    assert seen == [True] and not venue.stops and not venue.orders


def test_fault_40_a_partial_cancel_all_is_repeated_until_nothing_is_open(venue):
    venue.keep = 2
    for _ in range(4):
        venue.add("BTCUSDT")
        venue.add("ETHUSDT", stop=True)
    outcome, _ = clear(venue)
    assert outcome.is_clear and outcome.canceled == 8 and not venue.orders and not venue.stops


def test_fault_40_what_stays_open_is_escalated_with_its_name(venue):
    venue.stubborn = True
    number = venue.add("BTCUSDT")
    outcome, _ = clear(venue, attempts=3)
    assert not outcome.is_clear and outcome.attempts == 3
    assert f"BTCUSDT SELL LIMIT orderId={number}" in outcome.failure
    assert venue.calls["DELETE", "/fapi/v1/order"] == 3


def test_an_order_that_arrives_after_the_first_clear_look_is_found(venue):
    venue.arrives = [{"symbol": "BTCUSDT"}]
    outcome, _ = clear(venue)
    assert outcome.is_clear and outcome.canceled == 1 and not venue.orders


def test_positions_that_do_not_close_are_escalated(venue):
    venue.positions["BTCUSDT"] = Decimal("1")
    venue.fills = False
    outcome, _ = clear(venue, flatten=True, attempts=3)
    assert "positions: BTCUSDT 1" in outcome.failure and outcome.closed == 3


@pytest.mark.parametrize(
    ("path", "reply", "words"),
    [
        ("/fapi/v1/openOrders", Reply(error="ConnectionError"), "ConnectionError"),
        ("/fapi/v1/openAlgoOrders", Reply(503, {"code": -1006}), "code=-1006"),
        ("/fapi/v1/openOrders", Reply(200, [{"orderId": "x"}]), "open orders:"),
        ("/fapi/v1/openOrders", Reply(200, {"a": 1}), "open orders:"),
        ("/fapi/v1/openOrders", Reply(401, {"code": -2015, "msg": "no key"}), "code=-2015 no key"),
    ],
)
def test_a_venue_that_does_not_say_is_asked_again_and_never_taken_for_clear(
    venue, path, reply, words
):
    venue.add("BTCUSDT")
    venue.trouble[path] = [reply] * 2
    outcome, _ = clear(venue)
    assert outcome.is_clear and not venue.orders
    venue.add("BTCUSDT")
    venue.trouble[path] = [reply] * 100
    outcome, _ = clear(venue, attempts=3)
    assert words in outcome.failure and venue.orders


def test_unknown_positions_keep_what_protects_and_flatten_is_not_claimed(venue):
    stop = venue.add("BTCUSDT", reduces=True, stop=True)
    venue.trouble["/fapi/v3/positionRisk"] = [
        Reply(200, [{"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "1"}])
    ] * 100
    assert clear(venue)[0].is_clear and set(venue.stops) == {stop}
    outcome, _ = clear(venue, flatten=True, attempts=2)
    assert "hedge mode" in outcome.failure and set(venue.stops) == {stop}


def test_a_pause_that_the_venue_asks_for_is_kept_and_a_long_ban_is_told(venue, no_pauses):
    venue.add("BTCUSDT")
    slow = Reply(429, {"code": -1003, "msg": "slow"}, headers={"retry-after": "7"})
    venue.trouble["/fapi/v1/openOrders"] = [slow]
    assert clear(venue)[0].is_clear
    assert 7.0 in no_pauses
    venue.trouble["/fapi/v1/openOrders"] = [
        Reply(418, {"code": -1003, "msg": "ban"}, headers={"retry-after": "4000"})
    ]
    outcome, _ = clear(venue)
    assert "banned this address for 4000 s" in outcome.failure


def test_a_wrong_clock_is_measured_again(venue):
    venue.add("BTCUSDT")
    venue.trouble["/fapi/v1/openOrders"] = [Reply(400, {"code": -1021, "msg": "clock"})]
    assert clear(venue)[0].is_clear
    assert venue.calls["GET", "/fapi/v1/time"] == 6


def test_no_line_holds_a_secret(venue):
    venue.stubborn = True
    venue.add("BTCUSDT")
    venue.trouble["/fapi/v1/openOrders"] = [Reply(400, {"code": -1022, "msg": "bad\nsignature"})]
    outcome, told = clear(venue, attempts=3)
    text = json.dumps(told) + outcome.failure
    assert "secret" not in text and "\n" not in "".join(told)
