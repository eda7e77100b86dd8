"""The agent: fresh start, restart, logging of latches, an end that opens nothing."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from risk.parameters import parameters_of
from risk.settled import unsettled
from risk.state import GuardState
from shm.records import OrderAction, OrderStatus, Strategy
from shm.tables import PositionState
from tests.risk.desk import kinds, settings_with
from tests.risk.runs import agent_of


@pytest.fixture
def stage(desk):
    usual = desk

    def make(desk=usual, restarted: bool = False) -> SimpleNamespace:
        agent = agent_of(desk, restarted=restarted)
        return SimpleNamespace(agent=agent, log=agent._context.log)

    return make


def test_a_fresh_start_forgets_and_a_restart_remembers(desk, stage):
    desk.open()
    restarted = stage(restarted=True)
    restarted.agent.on_start()
    assert desk.position().state == PositionState.OPEN
    (line,) = restarted.log.lines
    assert line[:2] == ("info", "recovered")
    assert (line[2]["open_positions"], line[2]["last_order_id"]) == (1, 1)
    fresh = stage()
    fresh.agent.on_start()
    assert desk.position().state == PositionState.FLAT
    assert desk.header.last_order_id == 0
    assert desk.control.open_position_count == desk.control.unrealized_e8 == 0


def test_a_cycle_works_waits_and_logs_the_drawdown_once(desk, stage):
    made = stage()
    made.agent.on_start()
    desk.best(450_000, 450_001)
    desk.signal()
    assert made.agent.do_work() == 2
    (order,) = desk.orders()
    desk.fill(order, 450_001)
    desk.control.wallet_e8 = 10**8
    desk.header.wallet_start_e8 = desk.header.peak_e8 = 10**8
    desk.best(440_000, 440_001)
    made.agent.do_work()
    made.agent.do_work()
    assert made.log.events().count("kill latch tripped, no new entries") == 1


def test_closing_opens_nothing_but_takes_reports(desk, stage):
    made = stage()
    made.agent.on_start()
    desk.best(450_000, 450_001)
    desk.signal()
    made.agent.do_work()
    (order,) = desk.orders()
    desk.fill(order, 450_001)
    desk.best(450_000, 450_001, 1)
    desk.signal(1, 1)
    made.agent.on_close()
    assert desk.position().quantity_lot == order.quantity_lot
    assert desk.orders() == [] and desk.count("rejected_halted") == 1
    (left,) = [values for _, event, values in made.log.lines if event == "position left open"]
    assert left["symbol"] == "SYM0USDT" and left["stop_tick"] == desk.position().stop_tick


@pytest.fixture
def patient(make_desk):
    """A desk with stops at the venue, and a stop time that no slow moment uses up."""
    return make_desk(
        trading__base_position_usd=1000.0, risk__max_order_notional_usd=5000.0,
        risk__venue_stop=True, supervisor__stop_timeout_s=120,
    )  # fmt: skip


class Venue:
    """Answers risk's orders from a thread while risk closes, as the executor does."""

    def __init__(self, desk, answers: list[OrderStatus]) -> None:
        self._desk, self._answers = desk, answers
        self.seen: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        until, pause = time.monotonic() + 10.0, threading.Event()
        while self._answers and time.monotonic() < until:
            for order in self._desk.orders():
                self.seen += kinds([order])
                self._desk.report(order, self._answers.pop(0))
            pause.wait(0.001)

    def join(self) -> list[tuple[str, str]]:
        self._thread.join()
        return self.seen


def test_a_stop_on_the_move_rests_again_before_risk_has_closed(patient, stage):
    made = stage(patient)
    entry = patient.enter()
    patient.fill(entry, 450_000)
    patient.look()
    (stop,) = patient.orders()
    patient.rest(stop)
    patient.release_move()
    patient.best(450_880, 450_881)
    patient.look()
    (cancel,) = patient.orders()
    assert cancel.action == OrderAction.CANCEL
    patient.control.stop_requested = 1
    patient.report(stop, OrderStatus.CANCELED)
    venue = Venue(patient, [OrderStatus.NEW])
    made.agent.on_close()
    assert venue.join() == [("PLACE", "PROTECTION")]
    assert patient.guard().state == GuardState.RESTING
    assert "order or stop still under way at the end" not in made.log.events()


def test_an_entry_that_is_filled_while_risk_closes_gets_its_stop(patient, stage):
    made = stage(patient)
    entry = patient.enter()
    patient.control.stop_requested = 1
    fill = threading.Timer(0.05, lambda: patient.fill(entry, 450_000))
    fill.start()
    venue = Venue(patient, [OrderStatus.NEW])
    made.agent.on_close()
    fill.join()
    assert venue.join() == [("PLACE", "PROTECTION")]
    assert patient.guard().state == GuardState.RESTING


def test_quotes_have_ended_before_risk_has_closed(make_quote_desk, stage):
    quote_desk = make_quote_desk(supervisor__stop_timeout_s=120)
    quote_desk.stand()
    made = stage(quote_desk)
    quote_desk.control.stop_requested = 1
    venue = Venue(quote_desk, [OrderStatus.CANCELED] * 2)
    made.agent.on_close()
    assert [action for action, _ in venue.join()] == ["CANCEL", "CANCEL"]
    assert unsettled(quote_desk.memory) == []


def test_an_end_without_an_answer_is_told(make_desk, stage):
    desk = make_desk(
        trading__base_position_usd=1000.0, risk__max_order_notional_usd=5000.0,
        risk__venue_stop=True, supervisor__stop_timeout_s=1,
    )  # fmt: skip
    made = stage(desk)
    desk.open()
    began = time.monotonic()
    made.agent.on_close()
    assert 0.1 < time.monotonic() - began < 5.0
    assert "order or stop still under way at the end" in made.log.events()


def test_hold_windows_and_switches_come_from_the_settings():
    made = parameters_of(
        settings_with(
            signals__use_momentum=False,
            scalping__max_hold_time=40,
            scalping__momentum_hold_max_s=30,
            risk__max_orders_per_s=1,
        )
    )
    assert list(made.strategy_enabled)[:5] == [0, 0, 1, 1, 0]
    assert not any(list(made.strategy_enabled)[5:])
    assert made.hold_ns_max[Strategy.MOMENTUM] == 30 * 10**9
    assert made.hold_ns_max[Strategy.MEAN_REVERSION] == 40 * 10**9
    assert made.hold_ns_min[Strategy.MEAN_REVERSION] == 40 * 10**9
    assert made.hold_ns_max[Strategy.ORDER_FLOW] == 40 * 10**9
    assert made.entries_per_s == 1
    default = parameters_of(settings_with())
    assert default.entries_per_s == 15
    assert default.hold_ns_min[Strategy.MEAN_REVERSION] == 60 * 10**9
    mine = parameters_of(settings_with(signals__user_strategies=["examples.advanced_strategies"]))
    assert list(mine.strategy_enabled)[:7] == [0, 1, 1, 1, 0, 1, 0]
    assert (mine.hold_ns_min[5], mine.hold_ns_max[5]) == (5 * 10**9, 90 * 10**9)
