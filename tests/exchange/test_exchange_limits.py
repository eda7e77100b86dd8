"""Budgets: counted, refused and banned by a clock of the test's own, and seen from outside."""

from __future__ import annotations

import json
import time

import pytest
from exchange_process import ExchangeProcess

from exchange.api.limits import BAN_MS_FIRST, BAN_MS_MAX, REFUSALS_PER_BAN, Budget, Limits
from exchange.errors import VenueError

START_MS = 1_700_000_040_000  # the beginning of a minute
assert START_MS % 60_000 == 0


class FakeClock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


def made(**budget: int) -> tuple[Limits, FakeClock]:
    clock = FakeClock()
    return Limits(clock, Budget(**budget)), clock


def refusal(limits: Limits, weight: int = 1) -> VenueError:
    with pytest.raises(VenueError) as caught:
        limits.charge(weight)
    return caught.value


def test_weight_is_counted_up_to_the_limit_and_forgotten_with_the_minute():
    limits, clock = made(weight_1m=100)
    limits.charge(60)
    limits.charge(40)
    assert limits.headers(False) == {"X-MBX-USED-WEIGHT-1M": "100"}
    clock.now_ms += 45_500
    error = refusal(limits)
    assert (error.code, error.http_status) == (-1003, 429)
    assert "current limit of IP(127.0.0.1) is 100 requests per minute" in error.message
    assert limits.retry_after_s(error) == 15
    clock.now_ms = START_MS + 60_000
    limits.charge(1)
    assert limits.headers(False) == {"X-MBX-USED-WEIGHT-1M": "1"}


def test_going_on_leads_to_bans_that_become_longer():
    limits, clock = made(weight_1m=1)
    limits.charge(1)
    lengths = []
    for _ in range(14):
        statuses = {refusal(limits).http_status for _ in range(REFUSALS_PER_BAN - 1)}
        assert statuses == {429}
        last = refusal(limits)
        assert last.http_status == 418
        assert f"IP(127.0.0.1) banned until {last.retry_at_ms}" in last.message
        lengths.append(last.retry_at_ms - clock.now_ms)
        assert limits.retry_after_s(last) * 1000 == lengths[-1]
        clock.now_ms = last.retry_at_ms
        limits.charge(1)  # a ban that is over is over
    assert lengths[0] == BAN_MS_FIRST
    assert lengths == sorted(lengths)
    assert lengths[-1] == BAN_MS_MAX
    for _ in range(REFUSALS_PER_BAN):
        error = refusal(limits)
    clock.now_ms = error.retry_at_ms - 1
    assert refusal(limits).http_status == 418


def test_orders_over_the_budget_are_not_counted():
    limits, clock = made(orders_10s=3, orders_1m=5)
    limits.charge_orders(2, 2)
    with pytest.raises(VenueError) as caught:
        limits.charge_orders(2, 2)
    assert (caught.value.code, caught.value.http_status) == (-1015, 429)
    assert caught.value.message == "Too many new orders; current limit is 3 orders per TEN_SECONDS."
    assert limits.retry_after_s(caught.value) == 10
    limits.charge_orders(1, 1)
    clock.now_ms += 10_000
    limits.charge_orders(2, 2)
    with pytest.raises(VenueError, match="5 orders per MINUTE"):
        limits.charge_orders(1, 1)
    assert limits.headers(True) == {
        "X-MBX-USED-WEIGHT-1M": "0",
        "X-MBX-ORDER-COUNT-10S": "2",
        "X-MBX-ORDER-COUNT-1M": "5",
    }
    assert [row["count"] for row in limits.used()] == [0, 2, 5]
    assert [row["limit"] for row in limits.used()] == [2_400, 3, 5]


def test_a_batch_counts_differently_in_the_two_windows():
    limits, clock = made(orders_10s=10, orders_1m=3)
    for _ in range(2):
        limits.charge_orders(5, 1)
    with pytest.raises(VenueError, match="10 orders per TEN_SECONDS"):
        limits.charge_orders(5, 1)
    assert [row["count"] for row in limits.used()] == [0, 10, 2]
    clock.now_ms += 10_000
    limits.charge_orders(5, 1)
    with pytest.raises(VenueError, match="3 orders per MINUTE"):
        limits.charge_orders(0, 1)
    assert [row["count"] for row in limits.used()] == [0, 5, 3]


ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
}


@pytest.mark.system
def test_rest_and_ws_api_share_the_budgets():
    # The venue's clock stands at the start of a minute, so that no window ends inside the test.
    offset_ms = 60_000 - time.time_ns() // 1_000_000 % 60_000
    exchange = ExchangeProcess(
        *("--seed", "5", "--weight-limit", "300", "--orders-10s", "1000", "--orders-1m", "4"),
        *("--fault", f"clock_offset:offset_ms={offset_ms}"),
    )

    def order() -> dict[str, object]:
        return {**ORDER, "price": price, "timestamp": time.time_ns() // 1_000_000 + offset_ms}

    price = f"{float(exchange.depth('BTCUSDT', 5)['bids'][0][0]) * 0.97:.1f}"
    first = exchange.signed("POST", "/fapi/v1/order", **order())
    assert first.status_code == 200, first.text
    assert first.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert first.headers["X-MBX-ORDER-COUNT-1M"] == "1"
    second = exchange.call("order.place", **order())
    assert [row["count"] for row in second["rateLimits"]][1:] == [2, 2]
    rows = json.dumps([{**ORDER, "price": price}])
    timestamp = time.time_ns() // 1_000_000 + offset_ms
    path = "/fapi/v1/batchOrders"
    batch = exchange.signed("POST", path, batchOrders=rows, timestamp=timestamp)
    assert batch.json()[0]["status"] == "NEW", batch.text
    assert batch.headers["X-MBX-ORDER-COUNT-10S"] == "7"
    assert batch.headers["X-MBX-ORDER-COUNT-1M"] == "3"
    assert exchange.call("order.place", **order())["status"] == 200
    refused = exchange.call("order.place", **order())
    assert (refused["status"], refused["error"]["code"]) == (429, -1015)
    assert refused["error"]["data"]["retryAfter"] > refused["error"]["data"]["serverTime"]
    over = exchange.signed("POST", "/fapi/v1/order", **order())
    assert (over.status_code, over.json()["code"]) == (429, -1015)
    assert 1 <= int(over.headers["Retry-After"]) <= 60
    counts = exchange.get("/local/orders").json()
    assert len(counts["orders"]) == 4
    assert counts["requests"]["place"] == 4 + sum(counts["rejections"].values())
    assert counts["rejections"] == {"-1015": 2}
    info = exchange.get("/fapi/v1/exchangeInfo").json()
    assert [row["limit"] for row in info["rateLimits"]] == [300, 1000, 4]

    statuses = [exchange.get("/fapi/v1/ping").status_code for _ in range(304)]
    assert set(statuses) == {200, 429, 418}
    assert statuses == sorted(statuses, key=[200, 429, 418].index)
    ws_refused = exchange.call("ping", sign=False)
    assert (ws_refused["status"], ws_refused["error"]["code"]) == (418, -1003)
    assert "banned until" in ws_refused["error"]["msg"]
    banned = exchange.get("/no/such/path")
    assert banned.status_code == 418
    assert 1 <= int(banned.headers["Retry-After"]) <= 120
    assert exchange.get("/local/status").status_code == 200
    assert exchange.close() == 0


@pytest.mark.system
def test_answers_tell_what_is_used(synthetic):
    used = int(synthetic.get("/fapi/v1/ping").headers["X-MBX-USED-WEIGHT-1M"])
    assert used >= 1
    socket = synthetic.connect("/ws-fapi/v1")
    for params, has_limits in (({}, True), ({"returnRateLimits": False}, False)):
        socket.send(json.dumps({"id": 7, "method": "time", "params": params}))
        assert ("rateLimits" in json.loads(socket.recv())) is has_limits
    quiet = synthetic.connect("/ws-fapi/v1?returnRateLimits=false")
    quiet.send(json.dumps({"id": 7, "method": "time"}))
    assert "rateLimits" not in json.loads(quiet.recv())
