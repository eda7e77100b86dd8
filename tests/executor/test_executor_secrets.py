"""The secret and the key: in no log line, no error, no byte of shared memory."""

import gc
import pathlib

import executor_venue
import pytest
from executor_venue import Behaviour, RefusedError

import executor.agent
from config.secret import Credentials, Secret
from shm.records import OrderStatus

SECRET = "canary7secret7must7not7be7seen"
KEY = "canary7key7must7not7be7seen"


@pytest.fixture
def canary(monkeypatch):
    made = Credentials(Secret(KEY), Secret(SECRET))
    monkeypatch.setattr(executor.agent, "load_credentials", lambda mode: made)
    monkeypatch.setattr(executor_venue, "API_SECRET", SECRET)
    monkeypatch.setattr(executor_venue, "API_KEY", KEY)


def test_canary(rig, venue, canary):
    from collections import deque

    rig.start()
    venue.behaviours += [
        Behaviour(fills=(("60000.0", "0.010"),)),
        Behaviour(close=True),
        Behaviour(accept=False, error=(401, -2015, f"Invalid API-key {KEY[:3]}.")),
    ]
    venue.rest_errors["GET", "/fapi/v3/balance"] = deque([RefusedError(500, 0, "broken")])
    ids = [rig.write_order() for _ in range(2)]
    rig.pump(lambda: all(rig.status(i) in (OrderStatus.FILLED, OrderStatus.NEW) for i in ids))
    rig.pump(lambda: rig.agent._api.is_up)
    venue.drop_user_stream()
    rig.pump(lambda: rig.memory.control.reconciled == 0)
    rig.pump(lambda: rig.memory.control.reconciled == 1)
    bad = rig.write_order()
    rig.pump(lambda: rig.status(bad) == OrderStatus.REJECTED)
    shown = repr(rig.log.lines) + repr(rig.agent.__dict__) + repr(rig.agent._rest.__dict__)
    shown += repr(rig.agent._texts.__dict__.keys())
    listen_key = rig.agent._user._key
    rig.agent.on_close()
    rig.agent = None
    shown += repr(rig.log.lines)
    for secret in (SECRET, KEY):
        assert secret not in shown
        for part in rig.memory.parts.values():
            assert secret.encode() not in part.map[:]
        assert secret not in pathlib.Path("/proc/self/cmdline").read_text()
    assert listen_key not in repr(rig.log.lines)
    gc.collect()


def test_errors_do_not_hold_the_request(rig, venue, canary):
    """A refused connection ends a REST call; what is kept of it is the kind of failure."""
    rig.start()
    rig.agent._rest._base_url = "http://127.0.0.1:9"
    from executor.rest import Call

    reply = rig.agent._rest.perform(Call("GET", "/fapi/v1/order", {"symbol": "BTCUSDT"}))
    assert reply.status == 0 and reply.sent_ns == 0
    assert reply.error == "ConnectionError"
    assert SECRET not in repr(reply) and KEY not in repr(reply)
