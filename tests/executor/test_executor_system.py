"""Against the embedded exchange, in processes of their own, with SIGKILL at seeded moments."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback

import pytest

from shm.records import OrderStatus

pytestmark = pytest.mark.system


@pytest.fixture
def rig(exchange_rig):
    return exchange_rig


def test_a_run_from_start_to_close(rig, exchange):
    rig.start()
    assert rig.memory.control.reconciled == 1
    for number in range(20):
        order_id = rig.write_order(side=1 if number % 2 == 0 else -1, exit=number % 2 == 1)
        rig.pump(lambda order_id=order_id: rig.status(order_id) >= OrderStatus.FILLED)
    rig.agent.on_close()
    rig.agent = None
    rig.read_reports()
    assert rig.count("venue_matches") == 1
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0
    listed = exchange.orders()
    assert len(listed["orders"]) == 20
    assert listed["duplicate_client_ids"] == 0


def child_of(rig, restarted):
    """Fork a process that runs an executor until it is killed; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        rig.start(restarted=restarted)
        while True:
            rig.agent.do_work()
    except BaseException:  # the child must not go on as a second pytest
        traceback.print_exc()
    os._exit(1)


def read_for(rig, until, seconds=10.0):
    end = time.monotonic() + seconds
    while not until():
        rig.read_reports()
        assert time.monotonic() < end, "not in time"


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again(rig, exchange, seed):
    """No order is lost and none is placed twice, wherever SIGKILL strikes."""
    print(f"seed={seed}")
    chance = random.Random(seed)
    rig.fake_risk = False
    ids: list[int] = []
    for life in range(5):
        pid = child_of(rig, restarted=life > 0)
        try:
            read_for(rig, lambda: rig.memory.control.reconciled == 1)
            end = time.monotonic() + chance.uniform(0.02, 0.2)
            while time.monotonic() < end:
                if len(ids) < 120:
                    side = 1 if len(ids) % 2 == 0 else -1
                    ids.append(rig.write_order(side=side, symbol=len(ids) // 2 % 2, exit=side < 0))
                pause = time.monotonic() + chance.uniform(0.0, 0.004)
                read_for(rig, lambda pause=pause: time.monotonic() >= pause)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        rig.memory.control.reconciled = 0
    rig.start(restarted=True)
    rig.fake_risk = True
    rig.pump(lambda: not rig.agent._ledger.table.open_ids, seconds=10)
    rig.agent.on_close()
    rig.agent = None
    rig.read_reports()
    listed = exchange.orders()
    assert listed["duplicate_client_ids"] == 0
    assert rig.count("orders_lost") == rig.count("orders_duplicated") == 0
    assert rig.count("venue_matches") == 1, rig.log.lines[-4:]
    # Every order has an end that was reported, and what was filled is what the venue says.
    ends = {r["order_id"]: r["status"] for r in rig.seen if r["status"] >= OrderStatus.FILLED}
    assert sorted(ends) == ids
    filled = sum(1 for status in ends.values() if status == OrderStatus.FILLED)
    assert sum(1 for o in listed["orders"] if o["status"] == "FILLED") == filled
    assert filled > 0
