"""Fault switches as such: reading, filters, seeds, windows, requests; and that all are tested."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from exchange_process import TIMEOUT_S, ExchangeProcess, run_to_end
from fault_tools import arm, disarm, now_ms, taken

from config.loader import load
from exchange.faults.arming import FaultError, parse_fault, read_fault
from exchange.faults.corruption import raised
from exchange.faults.rows import SELECTORS
from exchange.faults.switches import ARMED_MAX, Switches
from exchange.faults.table import ROWS, TABLE
from runtime.embedded import command_line

HERE = Path(__file__).parent


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def armed(*texts: str) -> tuple[Switches, FakeClock]:
    clock = FakeClock()
    switches = Switches(clock)
    for text in texts:
        switches.arm(*parse_fault(text))
    return switches, clock


def test_every_fault_has_a_test():
    tested: set[str] = set()
    for file in HERE.glob("test_exchange_faults_*.py"):
        module = importlib.import_module(file.stem)
        for name, value in vars(module).items():
            if name.startswith("test_"):
                tested.update(getattr(value, "strikes", ()))
    assert tested == set(ROWS)


def test_every_row_can_be_armed_with_its_defaults_and_is_complete():
    for row in TABLE:
        _, values = read_fault(row.name, {})
        assert row.meaning.endswith(".")
        assert set(values) == {p.name for p in (*row.parameters, *SELECTORS)}
        for parameter in row.parameters:
            assert parameter.meaning
            assert not parameter.choices or parameter.default in parameter.choices
            if not isinstance(parameter.default, str):
                assert parameter.minimum <= parameter.default <= parameter.maximum


WRONG = [
    ("depth_gapp", "unknown fault: fault=depth_gapp nearest=depth_gap"),
    ("", "unknown fault: fault="),
    ("depth_gap:cuont=1", "unknown parameter: fault=depth_gap parameter=cuont nearest=count"),
    ("depth_gap:count", "key=value"),
    ("depth_gap:count=x", "must be a whole number"),
    ("depth_gap:count=1.5", "must be a whole number"),
    ("depth_gap:count=-1", "must be 0 to 1e+12"),
    ("depth_gap:count=1,count=2", "given twice"),
    ("depth_gap:probability=2", "must be 0 to 1"),
    ("depth_gap:probability=nan", "must be 0 to 1"),
    ("depth_gap:from_ms=5,until_ms=5", "until_ms must be above from_ms"),
    ("unknown_503:outcome=maybe", "must be one of live,filled,absent"),
    ("depth_gap:count=" + "9" * 400, "must be 0 to 1e+12"),
    ("depth_gap:count=" + "9" * 5_000, "must be a whole number"),
    ("depth_gap:from_ms=" + "9" * 400, "must be 0 to 1e+12"),
    ("crossed_book:share=1e999", "must be 0 to 1e+12"),
]

NEVER = [  # selectors and values with which a fault could never strike
    ("connection_reset:kind=rest,at=connect", "no such occasion"),
    ("connection_drop:kind=market,at=request", "no such occasion"),
    ("connection_drop:kind=private,at=answer", "no such occasion"),
    ("connection_drop:kind=market,count=2", "does not go by"),
    ("connection_drop:at=connect,path=/ws", "does not go by"),
    ("connection_drop:at=answer,stream=x", "does not go by"),
    ("stale_snapshot:method=GET", "parameter=method takes=seed,from_ms,count"),
    ("stale_snapshot:path=/fapi/v1/time", "must be one of /fapi/v1/depth,depth"),
    ("cancel_all_partial:method=DELETE", "does not go by"),
    ("clock_offset:probability=0", "does not go by"),
    ("clock_offset:symbol=BTCUSDT", "does not go by"),
    ("listen_key_expire:count=3", "does not go by"),
    ("foreign_order:until_ms=5", "does not go by"),
    ("depth_gap:path=/fapi/v1/depth", "does not go by"),
    ("depth_gap:stream=btcusdt@aggTrade", "no stream that it strikes"),
    ("fill_lost:stream=MARGIN_CALL", "no stream that it strikes"),
    ("market_latency:stream=ORDER_TRADE_UPDATE", "no stream that it strikes"),
    ("fill_before_cancel:path=/fapi/v1/ping", "must be one of"),
    ("unknown_503:outcome=filled,path=/fapi/v1/openOrders", "must be one of"),
    ("unknown_503:stream=x", "does not go by"),
]


@pytest.mark.parametrize(("text", "words"), WRONG + NEVER)
def test_what_is_refused_is_refused_in_one_line(text, words):
    with pytest.raises(FaultError) as caught:
        parse_fault(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_row_takes_selectors_that_there_are():
    known = {selector.name for selector in SELECTORS}
    for row in TABLE:
        assert set(row.takes) <= known, row.name
        assert row.is_action or not row.count or "count" in row.takes, row.name
        assert not row.paths or "path" in row.takes, row.name
        assert bool(row.streams) is ("stream" in row.takes), row.name


def test_the_command_line_refuses_too():
    done = run_to_end("--fault", "depth_gap:count=" + "9" * 400)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run_to_end("--fault", "depth_gapp")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = run_to_end("--fault", "filters_change:symbol=FOOUSDT")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown symbol" in done.stderr


def test_a_count_runs_out_and_the_point_is_free_again():
    switches, _ = armed("depth_gap:count=2")
    assert switches.on_streams and not switches.on_requests
    assert [switches.take("depth_gap") is not None for _ in range(4)] == [True, True, False, False]
    assert not switches.on_streams
    assert switches.armed_json()[0]["taken"] == 2


def test_a_count_of_zero_never_runs_out():
    switches, _ = armed("depth_gap:count=0")
    assert all(switches.take("depth_gap") for _ in range(50))
    assert switches.disarm_all() == 1
    assert not switches.on_streams and switches.take("depth_gap") is None


def test_the_same_seed_and_occasions_give_the_same_faults():
    def drawn(seed: int) -> list[bool]:
        switches, _ = armed(f"depth_gap:count=0,probability=0.3,seed={seed}")
        return [switches.take("depth_gap") is not None for _ in range(200)]

    def delays(seed: int) -> list[float]:
        switches, _ = armed(f"ack_latency:delay_ms=10,jitter_ms=20,seed={seed}")
        faults = [switches.take("ack_latency") for _ in range(50)]
        return [fault.delay_s() for fault in faults if fault is not None]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90
    assert delays(1) == delays(1) != delays(2)
    assert all(0.010 <= delay <= 0.030 for delay in delays(1))


def test_other_occasions_do_not_change_what_is_drawn():
    plain, _ = armed("depth_gap:count=0,probability=0.5,seed=4,symbol=BTCUSDT")
    mixed, _ = armed(
        "depth_duplicate:count=0,probability=0.5,seed=9",
        "depth_gap:count=0,probability=0.5,seed=4,symbol=btcusdt",
    )
    first, second = [], []
    for _ in range(100):
        first.append(plain.take("depth_gap", symbol="BTCUSDT") is None)
        mixed.take("depth_duplicate", symbol="BTCUSDT")
        mixed.take("depth_gap", symbol="ETHUSDT")
        second.append(mixed.take("depth_gap", symbol="BTCUSDT") is None)
    assert first == second


def test_filters():
    switches, _ = armed("request_latency:path=/fapi/v1/order,method=delete,symbol=ETHUSDT")
    occasion = {"path": "/fapi/v1/order", "method": "DELETE", "symbol": "ETHUSDT"}
    for name in occasion:
        assert switches.take("request_latency", **{**occasion, name: "other"}) is None
    assert switches.take("request_latency", symbol="ETHUSDT") is None
    assert switches.take("request_latency", **occasion, orders="no") is not None


def test_order_faults_strike_new_orders_unless_told_otherwise():
    order = {"path": "/fapi/v1/order", "method": "POST", "symbol": "BTCUSDT", "orders": "yes"}
    query = {**order, "method": "GET", "orders": "no"}
    switches, _ = armed("unknown_503:count=0,symbol=BTCUSDT")
    assert switches.take("unknown_503", **query) is None
    assert switches.take("unknown_503", **{**order, "symbol": "ETHUSDT"}) is None
    assert switches.take("unknown_503", **order) is not None
    switches, _ = armed("unknown_503:count=0,method=GET")
    assert switches.take("unknown_503", **query) is not None
    assert switches.take("unknown_503", **order) is None


def test_a_window_of_time():
    switches, clock = armed("depth_gap:count=0,from_ms=1000,until_ms=2000")
    for now_s, expected in ((100.0, False), (101.0, True), (101.9, True), (102.0, False)):
        clock.now_s = now_s
        assert (switches.take("depth_gap") is not None) is expected


def test_too_many_faults_are_refused():
    switches, _ = armed()
    for _ in range(ARMED_MAX):
        switches.arm(*parse_fault("depth_gap"))
    with pytest.raises(FaultError, match="too many"):
        switches.arm(*parse_fault("depth_gap"))


def test_used_up_faults_make_room():
    switches, _ = armed()
    for _ in range(2 * ARMED_MAX + 5):
        switches.arm(*parse_fault("depth_gap"))
        assert switches.take("depth_gap") is not None
    rows = switches.armed_json()
    assert len(rows) <= ARMED_MAX + 1
    assert rows[-1]["id"] == 2 * ARMED_MAX + 5  # the oldest have gone
    for _ in range(ARMED_MAX):
        switches.arm(*parse_fault("depth_gap"))
    with pytest.raises(FaultError, match="too many"):
        switches.arm(*parse_fault("depth_gap"))


def test_a_window_that_has_ended_frees_its_point():
    switches, clock = armed("depth_gap:count=0,until_ms=2000")
    assert switches.take("depth_gap") and switches.on_streams
    clock.now_s += 3
    assert switches.take("depth_gap") is None and not switches.on_streams
    timers = []
    switches.later = lambda delay_s, work: timers.append((delay_s, work))
    switches.arm(*parse_fault("depth_gap:count=0,until_ms=2000"))
    assert switches.on_streams
    [(delay_s, work)] = timers
    assert delay_s == pytest.approx(2.0, abs=0.01)
    clock.now_s += delay_s
    work()
    assert not switches.on_streams


def test_a_count_can_be_given_back():
    switches, _ = armed("unknown_503:outcome=filled")
    order = {"path": "/fapi/v1/order", "method": "POST", "symbol": "BTCUSDT", "orders": "yes"}
    assert switches.take("unknown_503", lambda fault: False, **order) is None
    fault = switches.take("unknown_503", **order)
    assert fault is not None and not switches.on_requests
    switches.give_back(fault)
    assert switches.on_requests and switches.armed_json()[0]["taken"] == 0
    assert switches.take("unknown_503", **order) is fault


def test_raised_prices_keep_their_digits():
    assert raised("64000.10", 0.25) == "80010.00"
    assert raised("0.1234", 0.25) == "0.1543"
    assert raised("5", 0.25) == "7"


def test_the_pipeline_hands_its_faults_on():
    settings = load(env_file=None, environ={})
    assert "--fault" not in command_line(settings, Path("x.log"), 3)
    texts = ("depth_gap:count=2", "banned:retry_after_s=9")
    settings = settings._replace(exchange=settings.exchange._replace(faults=texts))
    command = command_line(settings, Path("x.log"), 3)
    given = [after for word, after in pairwise(command) if word == "--fault"]
    assert given == list(texts)


@pytest.mark.system
def test_faults_are_shown_armed_and_disarmed_by_requests(synthetic):
    url = f"{synthetic.rest}/local/faults"
    shown = requests.get(url, timeout=TIMEOUT_S).json()
    assert [row["name"] for row in shown["table"]] == list(ROWS)
    first = arm(synthetic, "depth_gap", symbol="ETHUSDT", from_ms=60_000)
    second = arm(synthetic, "depth_gap", symbol="BNBUSDT", from_ms=60_000)
    assert taken(synthetic, first) == 0
    unknown = '{"name":"depth_gap","symbol":"FOOUSDT"}'
    for body in ('{"name":"depth_gap","cuont":1}', '{"name":7}', "[]", "{", "", unknown):
        answer = requests.post(url, data=body, timeout=TIMEOUT_S)
        assert (answer.status_code, answer.json()["code"]) == (400, -1130)
    gone = requests.delete(url, params={"id": first}, timeout=TIMEOUT_S)
    assert gone.json() == {"disarmed": 1}
    for wrong in (first, "x", 10**30, ""):
        answer = requests.delete(url, params={"id": wrong}, timeout=TIMEOUT_S)
        assert answer.status_code == 404
    assert requests.delete(url, params={"ID": 1}, timeout=TIMEOUT_S).status_code == 400
    left = requests.get(url, timeout=TIMEOUT_S).json()["armed"]
    assert [row["id"] for row in left] == [second]
    disarm(synthetic)
    assert requests.get(url, timeout=TIMEOUT_S).json()["armed"] == []


@pytest.mark.system
def test_faults_of_the_command_line_are_armed_at_the_start():
    exchange = ExchangeProcess(
        *("--fault", "clock_offset:offset_ms=-90000", "--fault", "depth_gap:count=3,seed=8")
    )
    served = exchange.get("/fapi/v1/time").json()["serverTime"]
    assert -91_000 < served - now_ms() < -89_000
    rows = exchange.get("/local/faults").json()["armed"]
    assert [(row["name"], row["seed"], row["left"]) for row in rows] == [
        ("clock_offset", 0, None),
        ("depth_gap", 8, 3),
    ]
    assert exchange.close() == 0
