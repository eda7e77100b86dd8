"""What was taken over from the venue is not booked again when its event comes after all."""

from decimal import Decimal

import pytest
from executor_venue import VenueOrder
from hypothesis import given
from hypothesis import strategies as st

from executor import resolve
from executor.ledger import Ledger
from executor.unexplained import (
    EXPLAINED_NS_MAX,
    correction_id,
    explained_lot,
    note_unexplained,
    use_up,
)
from shm.records import OrderStatus, OrderType, TimeInForce
from shm.tables import SYMBOL_TRUST, Distrust

LIMIT = {"type": OrderType.LIMIT, "price_tick": 600_000, "time_in_force": TimeInForce.GTC}


@pytest.mark.parametrize(
    ("side", "lots", "venue_ns", "explained"),
    [
        (1, 4, 99, 4),
        (1, 9, 99, 7),
        (1, 4, 100, 4),
        (1, 4, 101, 0),
        (1, 4, 0, 0),
        (-1, 4, 99, 0),
    ],
)
def test_what_a_correction_explains(side, lots, venue_ns, explained):
    trust = SYMBOL_TRUST.new()
    note_unexplained(trust, 1, 7, 100)
    assert explained_lot(trust, side, lots, venue_ns, 100 + EXPLAINED_NS_MAX) == explained
    assert explained_lot(trust, side, lots, venue_ns, 101 + EXPLAINED_NS_MAX) == 0


@pytest.mark.parametrize(("later_ns", "left"), [(0, (9, 3)), (1, (2, 0))])
def test_a_correction_drops_what_is_left_of_one_a_minute_ago(later_ns, left):
    trust = SYMBOL_TRUST.new()
    note_unexplained(trust, 1, 7, 100)
    note_unexplained(trust, -1, 3, 100)
    note_unexplained(trust, 1, 2, 100 + EXPLAINED_NS_MAX + later_ns)
    assert (trust.unexplained_buy_lot, trust.unexplained_sell_lot) == left


@given(st.lists(st.tuples(st.sampled_from((1, -1)), st.integers(1, 9)), min_size=1), st.randoms())
def test_events_in_any_order_explain_the_whole_and_no_more(fills, chance):
    """Missed fills are taken over in one sum per side; told later, they leave nothing to book."""
    trust = SYMBOL_TRUST.new()
    for side, lots in fills:
        note_unexplained(trust, side, lots, 100)
    told = [*fills, (1, 5), (-1, 3)]
    chance.shuffle(told)
    booked = {1: 0, -1: 0}
    for side, lots in told:
        made = explained_lot(trust, side, lots, 50, 100)
        use_up(trust, side, made)
        booked[side] += lots - made
    assert booked == {1: 5, -1: 3}
    assert (trust.unexplained_buy_lot, trust.unexplained_sell_lot) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0, 300)), max_size=20))
def test_ids_of_corrections_count_up_and_differ_between_symbols(steps):
    last: dict[int, int] = {}
    used = set()
    for symbol, fills in steps:
        before = last.get(symbol, 0) + fills
        made = correction_id(before, symbol)
        assert before < made <= before + 128
        assert (made, symbol) not in used and made not in {i for i, s in used if s != symbol}
        used.add((made, symbol))
        last[symbol] = made


# --- on the venue ----------------------------------------------------------------------------


def missed_fill(venue, quantity, side="BUY", venue_id=77):
    """Return an order of somebody that is filled and of which nothing is told."""
    params = {"symbol": "BTCUSDT", "newClientOrderId": "web_1", "quantity": quantity,
              "side": side, "type": "LIMIT"}  # fmt: skip
    order = VenueOrder(venue_id, params)
    venue.fill(order, "59000.0", quantity, send=False)
    return order


def tell(venue, order):
    """Send the events of an order's fills, with the time at which they were made."""
    made = [t for t in venue.trades if t["orderId"] == order.venue_id]
    for event, trade in zip(venue.events_of(order), made, strict=True):
        event["T"] = trade["time"]
        venue.send_user(event)


def held(rig):
    return rig.memory.position(0).quantity_lot


def take_over(rig, lots):
    rig.agent._reconciler.foreign(0)
    rig.pump(lambda: held(rig) == lots, seconds=10.0)


def test_an_event_that_comes_after_all_is_not_booked_again(rig, venue):
    rig.start()
    order = missed_fill(venue, "0.007")
    take_over(rig, 7)
    tell(venue, order)
    tell(venue, order)
    rig.pump(lambda: rig.count("duplicate_events") == 1)
    assert (held(rig), rig.count("explained"), rig.count("foreign_fills")) == (7, 1, 0)
    (values,) = [v for _, e, v in rig.log.lines if "had been taken over" in e]
    assert (values["explained_lot"], values["price_tick"], values["trade_id"]) == (7, 590_000, 1)
    # The next one counts on, whatever ids the corrections had.
    other = missed_fill(venue, "0.002", venue_id=78)
    tell(venue, other)
    rig.pump(lambda: held(rig) == 9)
    assert [r["trade_id"] for r in rig.seen if r["order_id"] == 0] == [128, 129]
    assert rig.count("corrections") == 1


def test_a_fill_that_came_after_the_correction_is_booked(rig, venue):
    """It has a lower trade id than the correction took, and the same side and size."""
    rig.start()
    venue.positions["BTCUSDT"] = Decimal("0.007")
    take_over(rig, 7)
    tell(venue, missed_fill(venue, "0.007"))
    rig.pump(lambda: held(rig) == 14)
    assert (rig.count("explained"), rig.count("foreign_fills")) == (0, 1)
    assert [r["trade_id"] for r in rig.seen if r["order_id"] == 0] == [128, 129]


def test_only_the_part_that_was_not_taken_over_is_booked(rig, venue):
    rig.start()
    bought = missed_fill(venue, "0.007")
    sold = missed_fill(venue, "0.003", "SELL", 78)
    take_over(rig, 4)
    # Of the two only the difference is known: 3 lots of the purchase are news, and the sale is.
    tell(venue, bought)
    tell(venue, sold)
    rig.pump(lambda: rig.count("foreign_fills") == 2)
    assert held(rig) == 4
    assert [(r["side"], r["fill_lot"]) for r in rig.seen if r["order_id"] == 0] == [
        (1, 4), (1, 3), (-1, 3),
    ]  # fmt: skip
    rig.pump(lambda: rig.count("reconciliations") >= 5 and rig.memory.trust(0).distrust == 0, 10)
    assert rig.count("corrections") == 1


def test_a_restart_remembers_what_is_unexplained(rig, venue):
    rig.start()
    order = missed_fill(venue, "0.007")
    take_over(rig, 7)
    rig.kill()
    rig.start(restarted=True)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    tell(venue, order)
    rig.pump(lambda: rig.count("explained") == 1)
    rig.pump_for(0.3)
    assert held(rig) == 7
    assert rig.memory.trust(0).distrust == 0


@pytest.mark.parametrize("reported", [True, False])
def test_a_correction_during_which_the_executor_died_is_made_once(
    rig, venue, monkeypatch, reported
):
    rig.start()
    publish = Ledger._publish

    class Killed(BaseException):
        pass

    def publish_and_die(self, *args):
        assert not reported or publish(self, *args)
        raise Killed

    order = missed_fill(venue, "0.007")
    monkeypatch.setattr(Ledger, "_publish", publish_and_die)
    rig.agent._reconciler.foreign(0)
    with pytest.raises(Killed):
        rig.pump(lambda: False, seconds=10.0)
    rig.kill()
    monkeypatch.undo()
    rig.start(restarted=True)
    rig.pump(lambda: held(rig) == 7, 10.0)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    # Its event comes after all; the next one has an id of its own.
    tell(venue, order)
    rig.pump(lambda: rig.count("explained") == 1)
    tell(venue, missed_fill(venue, "0.002", venue_id=78))
    rig.pump(lambda: held(rig) == 9)


def test_fills_of_an_open_order_that_nobody_told_are_asked_for(rig, venue):
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.fill(venue.orders[0], "59999.9", "0.004", send=False)
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.PARTIALLY_FILLED)
    assert rig.reports_of(order_id)[-1] == ("PARTIALLY_FILLED", 4, 4)
    assert rig.row(order_id).filled_value == 4 * 599_999
    rig.pump_for(0.5)
    assert rig.count("corrections") == 0
    assert rig.memory.trust(0).distrust & Distrust.POSITION == 0


@pytest.mark.parametrize("filled", ["0.010", "0.004"])
def test_an_own_fill_that_is_asked_for_is_not_taken_over(rig, venue, filled, monkeypatch):
    """The venue's list of fills may lag seconds behind the position and the order."""
    monkeypatch.setattr(resolve, "FILL_LOOKS_MAX", 1000)
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    handle, listed = venue._handle, []

    def hide_fills(method, path, params):
        made = handle(method, path, params)
        return made if listed or not path.endswith("userTrades") else []

    venue._handle = hide_fills
    venue.fill(venue.orders[0], "59999.9", filled, send=False)
    rig.agent._reconciler.periodic()
    rig.pump(lambda: rig.memory.trust(0).distrust & Distrust.POSITION)
    done = rig.count("reconciliations")
    rig.pump(lambda: rig.count("reconciliations") >= done + 3, 10.0)
    assert held(rig) == 0 and rig.memory.trust(0).distrust & Distrust.POSITION
    listed.append(True)
    lots = int(Decimal(filled) * 1000)
    rig.pump(lambda: held(rig) == lots)
    assert rig.reports_of(order_id)[-1][1:] == (lots, lots)
    rig.pump(lambda: rig.memory.trust(0).distrust == 0)
    assert (held(rig), rig.count("corrections")) == (lots, 0)


def test_an_order_that_has_vanished_keeps_no_position_from_being_taken_over(
    rig, venue, monkeypatch
):
    monkeypatch.setattr(resolve, "VANISHED_LOOKS_MAX", 2)
    rig.start()
    order_id = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    venue.orders.clear()
    missed_fill(venue, "0.007")
    take_over(rig, 7)
    assert "an accepted order is not found any more" in rig.log.events("error")
    assert rig.status(order_id) == OrderStatus.NEW
