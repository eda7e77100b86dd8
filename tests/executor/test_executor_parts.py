"""Clock, limits, links, procedures, timers, workers and history, each on its own."""

import contextlib
import socket
import threading
import time
from collections import deque
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from executor_venue import Behaviour
from hypothesis import given
from hypothesis import strategies as st

from executor import venue as wire
from executor.clock import VenueClock
from executor.connection import FRAME_BYTES_MAX, ConnectionLostError, open_connection
from executor.limits import Limits
from executor.procedures import Pause, Runner
from executor.rest import Call
from executor.timers import Timers
from executor.transitions import OrderEvent
from executor.venue import Reply, VenueDataError, Verdict, classify
from executor.worker import Worker
from shm.records import OrderStatus

# --- clock ----------------------------------------------------------------------------------


def sample(server_ms, sent_ns, trip_ns, status=200):
    body = {"serverTime": server_ms}
    return Reply(status=status, body=body, sent_ns=sent_ns, received_ns=sent_ns + trip_ns)


def test_clock_takes_the_fastest_sample():
    control = SimpleNamespace(clock_offset_ns=0, clock_ready=0)
    clock = VenueClock(control)
    now = time.monotonic_ns()
    true_ms = time.time_ns() // 10**6 + 90_000
    slow = sample(true_ms + 777, now, 400_000_000)
    fast = sample(true_ms, now - 1_000_000, 2_000_000)
    failed = sample(0, now, 10, status=500)
    assert clock.adopt([slow, fast, failed]) == 2_000_000
    assert control.clock_ready == 1
    assert abs(control.clock_offset_ns - 90 * 10**9) < 100_000_000
    assert abs(clock.venue_ms() - true_ms) < 100


def test_clock_without_a_usable_sample_stays():
    control = SimpleNamespace(clock_offset_ns=0, clock_ready=0)
    assert VenueClock(control).adopt([Reply(error="timeout")]) is None
    assert control.clock_ready == 0
    with pytest.raises(VenueDataError):
        VenueClock(control).adopt([Reply(status=200, body=[])])


# --- verdicts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "verdict"),
    [
        (200, 0, "", Verdict.OK),
        (503, -1000, "Unknown error, please check your request or try again later.",
         Verdict.UNKNOWN),
        (503, -1000, "Service Unavailable.", Verdict.FAILED),
        (503, -1008, "Request throttled", Verdict.FAILED),
        (400, -1006, "x", Verdict.UNKNOWN),
        (408, -1007, "x", Verdict.UNKNOWN),
        (500, 0, "x", Verdict.UNKNOWN),
        (504, 0, "x", Verdict.UNKNOWN),
        (400, -1021, "x", Verdict.CLOCK),
        (400, -4116, "x", Verdict.DUPLICATE),
        (400, -2013, "x", Verdict.NOT_FOUND),
        (400, -2011, "x", Verdict.NOT_FOUND),
        (429, -1003, "x", Verdict.LIMITED),
        (418, -1003, "x", Verdict.LIMITED),
        (400, -1015, "x", Verdict.LIMITED),
        (400, -2022, "x", Verdict.REFUSED),
        (401, -2015, "x", Verdict.REFUSED),
    ],
)  # fmt: skip
def test_verdicts(status, code, message, verdict):
    assert classify(Reply(status=status, body={"code": code, "msg": message})) == verdict


def test_verdict_without_an_answer_depends_on_whether_bytes_left():
    assert classify(Reply(error="timeout", sent_ns=5)) == Verdict.UNKNOWN
    assert classify(Reply(error="too late to send")) == Verdict.FAILED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["orderId", "status", "symbol", "id", "e", "asset"]), inner, max_size=4
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_shapes_of_the_venue_raise_only_their_own_error(body):
    for read in (wire.order_state, wire.trade_rows, wire.position_texts,
                 lambda b: wire.wallet_e8(b, "USDT")):  # fmt: skip
        with contextlib.suppress(VenueDataError):
            read(body)


# --- limits ---------------------------------------------------------------------------------


def test_limits_keep_a_reserve_for_exits():
    limits = Limits()
    row = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300}
    limits.note(Reply(status=200, rate_limits=[row | {"count": 239}]))
    assert limits.allows_entry()
    limits.note(Reply(status=200, rate_limits=[row | {"count": 240}]))
    assert not limits.allows_entry()
    assert limits.allows_exit()


WEIGHT = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}


@pytest.mark.parametrize("by_header", [False, True])
@pytest.mark.parametrize(
    ("used", "waits_s", "enters"), [(1679, 0, True), (1680, 60, True), (1920, 60, False)]
)
def test_request_weight_holds_housekeeping_then_entries_and_never_exits(
    by_header, used, waits_s, enters
):
    limits = Limits()
    stated = [WEIGHT | {"count": 1 if by_header else used}]
    limits.note(Reply(status=200, rate_limits=stated))
    if by_header:
        limits.note(Reply(status=200, headers={"x-mbx-used-weight-1m": str(used)}))
    assert (waits_s - 1) * 10**9 < limits.comparison_wait_ns() <= waits_s * 10**9
    assert limits.allows_entry() == enters and limits.allows_exit()
    limits.note(Reply(status=200, headers={"x-mbx-used-weight-1m": str(used - 1)}))
    assert limits.pause_ns() == 0, "the venue has asked for nothing"
    assert limits.allows_entry() == enters, "an answer that was overtaken says nothing"
    # A much lower count says that another window has begun.
    limits.note(Reply(status=200, headers={"x-mbx-used-weight-1m": "3"}))
    assert limits.comparison_wait_ns() == 0 and limits.allows_entry()


def test_the_weight_is_measured_by_what_exchangeinfo_stated():
    limits = Limits(2400)
    limits.note(Reply(status=200, headers={"x-mbx-used-weight-1m": "1680"}))
    assert limits.comparison_wait_ns() > 0 and limits.allows_entry()


def test_a_weight_whose_limit_nobody_stated_is_not_judged():
    limits = Limits()
    limits.note(Reply(status=200, headers={"x-mbx-used-weight-1m": "99999"}))
    assert limits.comparison_wait_ns() == 0 and limits.allows_entry()


def test_a_window_of_orders_does_not_lift_that_of_the_weight():
    limits = Limits()
    limits.note(Reply(status=200, rate_limits=[WEIGHT | {"count": 2000}]))
    for count in ("200", "1"):
        limits.note(Reply(status=200, headers={"x-mbx-order-count-1m": count}))
    assert limits.comparison_wait_ns() > 0 and not limits.allows_entry()


def test_retry_after_is_obeyed():
    limits = Limits()
    limits.note(Reply(status=429, headers={"retry-after": "2"}))
    assert not limits.allows_entry() and limits.allows_exit()
    assert 1_900_000_000 < limits.pause_ns() <= 2_000_000_000
    limits.note(Reply(status=418, retry_after_ns=60_000_000_000))
    assert not limits.allows_exit()


# --- timers, procedures, workers ------------------------------------------------------------


def test_timers_run_in_order_of_time_then_of_setting():
    timers = Timers()
    ran: list[str] = []
    for due, name in ((30, "c"), (10, "a"), (10, "b"), (99, "d")):
        timers.at(due, partial(ran.append, name))
    assert timers.next_ns(50) == 10
    assert timers.run(30) == 3
    assert ran == ["a", "b", "c"]
    assert timers.next_ns(50) == 50


def test_procedures_pass_replies_and_end_with_bad_data():
    timers = Timers()
    waiting: deque[Any] = deque()
    bad: list[VenueDataError] = []
    runner = Runner(lambda call, done: waiting.append((call, done)), timers, bad.append)

    def ask():
        reply = yield Call("GET", "/x")
        yield Pause(1)
        if reply.status != 200:
            raise VenueDataError("not good")
        return reply.body

    results: list[Any] = []
    for status in (200, 500):
        runner.start(ask(), results.append)
        waiting.popleft()[1](Reply(status=status, body="yes"))
    timers.run(time.monotonic_ns() + 10)
    assert results[0] == "yes"
    assert isinstance(results[1], VenueDataError) and bad == [results[1]]
    assert runner.active == 0


def test_worker_goes_by_priority_and_raises_where_it_is_collected():
    worker = Worker("test")
    gate = threading.Event()
    order: list[str] = []
    worker.submit(0, gate.wait, lambda result: None)
    for priority, name in ((2, "late"), (0, "first"), (1, "middle")):
        worker.submit(priority, partial(str, name), order.append)
    gate.set()
    while worker.pending:
        worker.collect()
    assert order == ["first", "middle", "late"]
    worker.submit(0, lambda: 1 // 0, order.append)
    with pytest.raises(ZeroDivisionError):
        while True:
            worker.collect()
    assert worker.close(5)


def test_a_call_that_waited_too_long_is_not_sent(rig, venue):
    rig.start()
    before = len(venue.requests)
    late = Call("GET", "/fapi/v1/time", security="NONE", not_after_ns=time.monotonic_ns() - 1)
    reply = rig.agent._rest.perform(late)
    assert classify(reply) == Verdict.FAILED
    assert len(venue.requests) == before


# --- links ----------------------------------------------------------------------------------


def raw_server(payload):
    """Shake hands with one client and send it raw bytes; returns (port, received bytes)."""
    import base64
    import hashlib

    listener = socket.create_server(("127.0.0.1", 0))
    received = []

    def serve():
        client, _ = listener.accept()
        client.settimeout(5)
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        key = next(
            line.partition(b":")[2].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        client.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + payload
        )
        with contextlib.suppress(OSError):  # the client may reset the connection
            while data := client.recv(4096):
                received.append(data)
        client.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], received, thread


def collect(made):
    messages, end = [], time.monotonic() + 5
    while time.monotonic() < end:
        messages += made.messages()
    return messages


def test_a_frame_too_big_closes_with_1009():
    size = FRAME_BYTES_MAX + 1
    port, received, thread = raw_server(b"\x81\x02hi\x81\x7f" + size.to_bytes(8, "big") + b"x" * 99)
    made: Any = open_connection(f"ws://127.0.0.1:{port}/", 5)
    with pytest.raises(ConnectionLostError, match="too big"):
        collect(made)
    thread.join(5)
    data = b"".join(received)
    code = bytes(a ^ b for a, b in zip(data[6:8], data[2:4], strict=True))
    assert int.from_bytes(code, "big") == 1009


def test_fragments_pings_and_pieces():
    frames = b"\x01\x03abc\x89\x01p\x00\x01d\x80\x01e\x81\x02hi\x88\x02\x03\xe8"
    port, received, thread = raw_server(frames)
    made: Any = open_connection(f"ws://127.0.0.1:{port}/", 5)
    messages = []
    with pytest.raises(ConnectionLostError):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for message in made.messages():
                messages.append(message)
    assert messages == [b"abcde", b"hi"]
    made.close()
    thread.join(5)
    assert received and received[0][0] == 0x8A, "the ping was answered"


def test_connecting_to_nobody_names_the_failure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert open_connection(f"ws://127.0.0.1:{port}/", 1) == "ConnectionRefusedError"


def test_silent_connections_are_replaced(make_rig, venue):
    rig = make_rig(stale_connection_ms=500)
    rig.start()
    link = rig.agent._api_link
    made = link.connection
    made.heard_ns -= 10**9
    link._check(made)
    assert link.connection is None
    rig.pump(lambda: link.connection is not None)
    assert rig.count("reconnects") == 1
    # A ping keeps a living one alive.
    made = link.connection
    rig.pump_for(0.8)
    assert link.connection is made


# --- history --------------------------------------------------------------------------------


def test_history_pages_and_windows(rig, venue, monkeypatch):
    import executor.history

    monkeypatch.setattr(executor.history, "PAGE_SIZE", 3)
    rig.start()
    pages = []

    def page(self, symbol, parameters, priority):
        pages.append(parameters)
        orders = [
            executor.history.VenueOrder("web", i, OrderEvent.FILLED, 0)
            for i, at in enumerate(made_ms, 1)
            if parameters.get("startTime", 0) <= at <= parameters.get("endTime", 1 << 62)
            and i >= parameters.get("orderId", 0)
        ]
        return orders[:3]
        yield

    start = rig.epoch * 1000
    made_ms = [start + k * 7 for k in range(20)]
    monkeypatch.setattr(executor.history.History, "_page", page)
    history = rig.agent._reconciler._history
    for settled in (0, 4):
        history._settled_ids[0] = settled
        with pytest.raises(StopIteration) as end:
            next(history._list(0, 0))
        assert sorted(o.venue_order_id for o in end.value.value) == list(range(settled + 1, 21))
    assert len(pages) > 8


def test_rest_stands_behind_the_ws_api(rig, venue):
    rig.start()
    venue.api_open = False
    venue.drop_api()
    rig.pump(lambda: not rig.agent._api.is_up)
    venue.behaviours.append(Behaviour(fills=(("60000.0", "0.010"),)))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert rig.count("sent_rest") == 1
    venue.api_open = True
    rig.pump(lambda: rig.agent._api.is_up)
    venue.behaviours.append(Behaviour(fills=(("60000.0", "0.010"),)))
    order_id = rig.write_order()
    rig.pump(lambda: rig.status(order_id) == OrderStatus.FILLED)
    assert (rig.count("sent"), rig.count("sent_rest")) == (2, 1)
