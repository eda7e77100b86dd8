"""Most of the request weight is used: comparisons and entries wait, what protects does not."""

from __future__ import annotations

import time

import pytest
from executor_venue import Behaviour

from executor import reconcile
from executor.venue import Reply
from shm.records import OrderStatus
from tests.executor.test_executor_countdown import beats, rest_order
from tests.executor.test_executor_faults import FAILED_503
from tests.executor.test_executor_stops import write_stop

WEIGHT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
SOON_S = 2.0


def use(rig, count: int) -> None:
    """Let the venue state that so much of the weight is used."""
    rig.agent._limits.note(Reply(status=200, rate_limits=[WEIGHT | {"count": count}]))


@pytest.mark.parametrize("what", ["exit", "stop"])
def test_what_protects_is_sent_again_as_ever(rig, venue, what):
    rig.start()
    use(rig, 1900)
    venue.behaviours.append(Behaviour(accept=False, error=FAILED_503))
    began = time.monotonic()
    order_id = rig.write_order(exit=True) if what == "exit" else write_stop(rig)
    rig.pump(lambda: rig.status(order_id) == OrderStatus.NEW)
    assert time.monotonic() - began < SOON_S


def test_countdowns_are_renewed_as_ever(make_rig, venue):
    rig = make_rig(countdown_s=1.5, countdown_beat_s=0.3)
    rig.start()
    use(rig, 1900)
    rest_order(rig)
    rig.pump(lambda: len(beats(venue)) >= 4)
    assert rig.memory.trust(0).distrust == 0


def test_a_stream_that_comes_back_is_reconciled_while_comparisons_wait(rig, venue, monkeypatch):
    monkeypatch.setattr(reconcile, "PERIOD_NS", 50_000_000)
    rig.start()
    use(rig, 1900)
    before = rig.count("reconciliations")
    rig.pump_for(0.3)
    assert rig.count("reconciliations") == before, "none is begun"
    venue.drop_user_stream()
    rig.pump(lambda: not rig.memory.control.reconciled)
    began = time.monotonic()
    rig.pump(lambda: rig.memory.control.reconciled)
    assert time.monotonic() - began < SOON_S


def test_comparisons_go_on_in_the_next_window(rig, monkeypatch):
    monkeypatch.setattr(reconcile, "PERIOD_NS", 50_000_000)
    rig.start()
    use(rig, 1900)
    rig.pump_for(0.2)
    before = rig.count("reconciliations")
    use(rig, 5)
    rig.pump(lambda: rig.count("reconciliations") > before)
