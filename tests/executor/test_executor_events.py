"""The private stream: duplicates, reordering, gaps, foreign orders, a full report ring."""

import copy
import json
from types import SimpleNamespace
from typing import Any

import pytest
from executor_venue import Behaviour

from executor.transfers import Transfers
from shm.records import OrderStatus, OrderType, TimeInForce

FILLS = (("60000.0", "0.003"), ("60000.1", "0.003"), ("60000.2", "0.004"))
WANTED = [("PARTIALLY_FILLED", 3, 3), ("PARTIALLY_FILLED", 3, 6), ("FILLED", 4, 10)]


def fills_of(rig, order_id):
    return [r for r in rig.reports_of(order_id) if r[1]]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("reverse", [False, True])
def test_events_in_any_order_and_number(rig, venue, first, copies, reverse):
    rig.start()
    venue.behaviours.append(
        Behaviour(fills=FILLS, events_first=first, event_copies=copies, reverse_events=reverse)
    )
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    rig.pump_for(0.1)
    assert fills_of(rig, order_id) == WANTED
    assert [r["trade_id"] for r in rig.seen if r["fill_lot"]] == [1, 2, 3]
    assert rig.memory.position(0).quantity_lot == 10
    assert rig.count("fills") == 3
    if copies == 3 and not reverse:
        assert rig.count("duplicate_events") == 6
    if not reverse:
        assert rig.count("queries") == 0


def test_missing_fill_is_fetched(rig, venue):
    rig.start()
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    order = venue.orders[0]
    venue.fill(order, "60000.0", "0.003", send=False)
    venue.fill(order, "60000.0", "0.003", send=True)
    rig.pump(lambda: rig.row(order_id).filled_lot == 6)
    assert fills_of(rig, order_id) == WANTED[:2]


def test_hint_alone_changes_nothing(rig, venue):
    rig.start()
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.send_user({"e": "TRADE_LITE", "c": rig.client_id(order_id), "l": "0.010", "t": 5})
    rig.pump_for(0.05)
    assert fills_of(rig, order_id) == []


def test_wallet_follows_account_updates(rig, venue):
    rig.start()
    balances = [{"a": "BNB", "wb": "7"}, {"a": "USDT", "wb": "9999.12345678"}]
    venue.send_user({"e": "ACCOUNT_UPDATE", "a": {"B": balances, "P": []}})
    rig.pump(lambda: rig.memory.control.wallet_e8 == 999_912_345_678)


def moved(time: int, reason: str, change: str, wallet: str) -> dict:
    balances = [
        {"a": "BNB", "wb": "7", "cw": "7", "bc": "5"},
        {"a": "USDT", "wb": wallet, "cw": wallet, "bc": change},
    ]
    return {"e": "ACCOUNT_UPDATE", "E": time, "T": time, "a": {"m": reason, "B": balances, "P": []}}


def test_transfers_are_summed_once_and_nothing_else_is_one(rig, venue):
    rig.start()
    control = rig.memory.control
    rig.pump(lambda: control.wallet_e8 > 0)
    events = [
        moved(1, "DEPOSIT", "100.5", "10100.5"),
        moved(1, "DEPOSIT", "100.5", "10100.5"),
        moved(2, "DEPOSIT", "100.5", "10201"),
        moved(3, "ORDER", "7", "10208"),
        moved(4, "FUNDING_FEE", "-7", "10201"),
        moved(5, "WITHDRAW", "-1000.00000001", "9200.99999999"),
        moved(2, "DEPOSIT", "100.5", "10201"),
        moved(6, "WITHDRAW_REJECT", "1", "9201.99999999"),
    ]
    for event in events:
        venue.send_user(event)
    rig.pump(lambda: control.wallet_e8 == 920_199_999_999)
    assert control.transfer_e8 == 10_050_000_000 * 2 - 100_000_000_001 + 100_000_000
    lines = [values["amount_e8"] for _, event, values in rig.log.lines if event == "transfer"]
    assert sum(lines) == control.transfer_e8 and len(lines) == 4


def test_what_is_paid_into_an_unknown_wallet_is_part_of_it(rig, venue):
    rig.start()
    control = rig.memory.control
    rig.pump(lambda: control.wallet_e8 > 0)
    control.wallet_e8 = 0
    venue.send_user(moved(1, "DEPOSIT", "5", "5"))
    rig.pump(lambda: control.wallet_e8 == 500_000_000)
    assert control.transfer_e8 == 0
    venue.send_user(moved(2, "WITHDRAW", "-5", "0"))
    rig.pump(lambda: control.wallet_e8 == 0)
    venue.send_user(moved(3, "DEPOSIT", "2", "2"))
    rig.pump(lambda: control.wallet_e8 == 200_000_000)
    assert control.transfer_e8 == -300_000_000, "one that is empty is known"


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_transfer_that_the_first_wallet_has_is_not_counted_again(rig, venue, is_restarted):
    """The reply overtook the event; a later life of the executor may not have told it to risk."""
    control = rig.memory.control
    if is_restarted:
        control.wallet_e8 = 990_000_000_000
    rig.start()
    rig.pump(lambda: control.wallet_e8 == 1_000_000_000_000)
    venue.send_user(moved(1, "DEPOSIT", "100", "10000"))
    venue.send_user(moved(2, "DEPOSIT", "5", "10005"))
    rig.pump(lambda: control.wallet_e8 == 1_000_500_000_000)
    assert control.transfer_e8 == (105 if is_restarted else 5) * 10**8


def test_no_wallet_is_known_while_a_transfer_is_counted():
    """What risk reads of the two between them would be wrong by the amount."""
    seen = []

    class Watched(SimpleNamespace):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            seen.append((self.wallet_e8, self.transfer_e8))

    log = SimpleNamespace(warning=lambda *_, **__: None)
    control = Watched(wallet_e8=7, transfer_e8=0)
    transfers = Transfers(SimpleNamespace(memory=SimpleNamespace(control=control), log=log))
    event = moved(1, "WITHDRAW", "-5", "2")
    transfers.take(event, event["a"]["B"][1])
    assert seen == [(0, 0), (0, -500_000_000)]


def test_a_transfer_without_its_amount_leads_to_reconciliation(rig, venue):
    rig.start()
    event = moved(1, "DEPOSIT", "5", "5")
    del event["a"]["B"][1]["bc"]
    venue.send_user(event)
    rig.pump(lambda: rig.count("malformed") == 1)
    assert rig.memory.control.transfer_e8 == 0


def test_foreign_orders_are_counted_and_logged_printably(rig, venue):
    rig.start()
    event: dict[str, Any] = {
        "e": "ORDER_TRADE_UPDATE", "T": 1,
        "o": {"s": "BTCUSDT", "c": "evil\n\x1b[2J", "x": "NEW", "X": "NEW", "i": 1, "z": "0"},
    }  # fmt: skip
    venue.send_user(event)
    other_epoch = copy.deepcopy(event)
    other_epoch["o"]["c"] = "sc-1-1"
    venue.send_user(other_epoch)
    rig.pump(lambda: rig.count("foreign_events") == 2)
    shown = [v["client_id"] for _, _, v in rig.log.lines if "client_id" in v]
    assert shown == ["evil\\n\\x1b[2J", "sc-1-1"]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", "{}", '{"e":"ORDER_TRADE_UPDATE"}', "[" * 100_000,
     '{"e":"ACCOUNT_UPDATE","a":{"B":[{"a":"USDT","wb":"NaN"}]}}'],
)  # fmt: skip
def test_malformed_events_lead_to_reconciliation(rig, venue, text):
    rig.start()
    done = rig.count("reconciliations")
    venue.send_user(text)
    rig.pump(lambda: rig.count("malformed") == 1)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    assert rig.count("reconciliations") == done + 1


def test_malformed_fill_of_ours_is_recovered(rig, venue):
    rig.start()
    order_id = rig.write_order(
        type=OrderType.LIMIT, price_tick=600_000, time_in_force=TimeInForce.GTC
    )
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.fill(venue.orders[0], "60000.0", "0.010", send=False)
    (event,) = venue.events_of(venue.orders[0])
    event["o"]["L"] = "a lot"
    venue.send_user(json.dumps(event))
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert fills_of(rig, order_id) == [("FILLED", 10, 10)]


def test_full_report_ring_loses_nothing(make_rig, venue):
    rig = make_rig(queue=4)
    rig.start()
    rig.fake_risk = False
    many = tuple(("60000.0", "0.001") for _ in range(10))
    venue.behaviours.append(Behaviour(fills=many))
    order_id = rig.write_order()
    rig.pump(lambda: rig.count("ring_full") > 0)
    assert rig.row(order_id).filled_lot < 10
    rig.pump_for(0.05)
    assert rig.row(order_id).filled_lot < 10
    rig.fake_risk = True
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert [f for _, _, f in fills_of(rig, order_id)] == list(range(1, 11))
    rig.pump_for(0.1)
    assert rig.memory.position(0).quantity_lot == 10


def test_orders_wait_while_the_report_ring_is_full(make_rig, venue):
    rig = make_rig(queue=4)
    rig.start()
    rig.fake_risk = False
    stale = [rig.write_order(expires_ns=1) for _ in range(4)]
    rig.pump(lambda: rig.count("not_sent") == 4)
    last = rig.write_order(expires_ns=1)
    rig.pump(lambda: rig.count("ring_full") > 0)
    assert rig.count("orders") == 4
    rig.fake_risk = True
    rig.pump(lambda: rig.reports_of(last))
    assert [rig.reports_of(i) for i in [*stale, last]] == [[("NOT_SENT", 0, 0)]] * 5


def test_expired_listen_key_is_replaced(rig, venue):
    rig.start()
    venue._key_number = 2
    venue.send_user({"e": "listenKeyExpired", "E": 1})
    rig.pump(lambda: rig.agent._user._key == "key2" and rig.agent._user.is_up)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    rig.pump(lambda: rig.agent._user_link.connection is not None)


def test_listen_key_is_kept_alive(rig, venue):
    rig.start()
    rig.agent._user.keep_alive()
    rig.pump(lambda: ("PUT", "/fapi/v1/listenKey", {}) in venue.requests)
