"""The end of a run: risk closes first and is served until then, stops pass, nothing else does."""

from __future__ import annotations

import os
import time

import pytest
from executor_venue import Behaviour

from executor import venue as wire
from executor.closing import serve_risk
from shm.records import OrderAction, OrderStatus
from shm.segments import process_start_time
from shm.tables import ProcessState
from tests.executor.test_executor_countdown import LIMIT
from tests.executor.test_executor_faults import FAILED_503
from tests.executor.test_executor_stops import open_position, write_stop

FAR_NS = 20_000_000_000


def stand_in(rig, state: ProcessState = ProcessState.STOPPING):
    """Let this process be risk's."""
    row = rig.memory.process("risk")
    row.pid, row.start_time, row.state = os.getpid(), process_start_time(os.getpid()), int(state)
    return row


def test_what_reduces_risk_is_sent_while_the_executor_closes_and_an_entry_is_not(rig, venue):
    rig.start()
    open_position(rig, venue)
    rig.agent._placing.closing = True
    stop, entry, leave = write_stop(rig), rig.write_order(), rig.write_order(exit=True)
    rig.pump(lambda: rig.status(stop) == rig.status(leave) == OrderStatus.NEW)
    assert [name for name, _, _ in rig.reports_of(entry)] == ["NOT_SENT"]
    assert len(venue.algo.placed) == 1
    rig.agent._placing.closed = True
    late = write_stop(rig)
    rig.pump(lambda: rig.reports_of(late))
    codes = {r["error_code"] for r in rig.seen if r["status"] == OrderStatus.NOT_SENT}
    assert codes == {wire.CODE_CLOSING}


def close_with_risk(rig, step) -> None:
    """Close while a stand-in for risk takes its step after each slice; it closes when that is True.

    It has closed before the time for that is over, or the end tells.
    """
    row, serve = stand_in(rig), rig.agent._serve

    def serve_and_step(latest_ns: int) -> int:
        work = serve(latest_ns)
        if row.state != ProcessState.STOPPED and step():
            row.state = int(ProcessState.STOPPED)
        return work

    rig.agent._serve = serve_and_step
    rig.agent.on_close()
    rig.agent = None
    assert row.state == ProcessState.STOPPED


def test_what_rests_and_adds_risk_is_canceled_while_risk_closes(make_rig, venue):
    rig = make_rig(stop_timeout_s=60)
    rig.start()
    quote = rig.write_order(**LIMIT)
    rig.pump(lambda: rig.status(quote) == OrderStatus.NEW)
    close_with_risk(rig, lambda: rig.status(quote) == OrderStatus.CANCELED)
    assert venue.orders[0].status == "CANCELED"


def test_the_end_waits_for_risk_and_takes_its_last_stop(make_rig, venue):
    rig = make_rig(stop_timeout_s=60)
    rig.start()
    open_position(rig, venue)
    steps = iter((False, False, True))

    def last_words() -> bool:
        is_last = next(steps)
        if is_last:
            write_stop(rig)
        return is_last

    close_with_risk(rig, last_words)
    assert [order.status for order in venue.algo.orders] == ["NEW"]


def test_closed_no_stop_is_canceled_and_nothing_is_sent_again(rig, venue):
    rig.start()
    open_position(rig, venue)
    stop = write_stop(rig)
    rig.pump(lambda: rig.status(stop) == OrderStatus.NEW)
    venue.behaviours.append(Behaviour(accept=False, error=FAILED_503))
    again = rig.write_order(exit=True)
    rig.pump(lambda: rig.agent._placing._attempts.get(again) == 1)
    rig.agent._placing.closed = True
    rig.write_order(action=OrderAction.CANCEL, order_id=stop)
    rig.pump(lambda: rig.status(again) == OrderStatus.NOT_SENT)
    rig.pump_for(0.2)
    assert len(venue.placed()) == 2 and rig.status(stop) == OrderStatus.NEW


@pytest.mark.parametrize("why", ["closed", "dead", "never there", "its budget is used up"])
def test_nobody_waits_for_a_risk_that_is_gone(rig, why):
    row = stand_in(rig)
    if why == "dead":
        row.start_time += 1
    else:
        state = {"closed": "STOPPED", "never there": "ABSENT"}.get(why, "HALTED")
        row.state = int(ProcessState[state])
    worked: list[int] = []
    assert serve_risk(rig.memory, lambda until: worked.append(until) or 0, FAR_NS)
    assert worked == []


def test_a_risk_that_does_not_close_is_not_waited_for_forever(rig):
    stand_in(rig, ProcessState.RUNNING)
    latest = time.monotonic_ns() + 20_000_000
    asked: list[int] = []

    def work(until_ns: int) -> int:
        asked.append(until_ns)
        while time.monotonic_ns() < until_ns:
            pass
        return 0

    assert not serve_risk(rig.memory, work, latest)
    assert time.monotonic_ns() >= latest >= max(asked) and asked == sorted(asked)
