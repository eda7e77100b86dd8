"""Funding from the income history: set, not added; asked for again until a payment is there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from executor.funding import LOOK_NS, PAGE_SIZE, SETTLED_MS, FundingBooks
from executor.procedures import Pause
from executor.rest import HOUSEKEEPING, Call
from executor.venue import Reply, VenueDataError
from shm.tables import CONTROL, FUNDING
from tests.executor.executor_venue import ScriptedVenue

START_MS = 1_700_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def payment(number: int, amount: str, symbol: str = "BTCUSDT", asset: str = "USDT") -> dict:
    return {
        "symbol": symbol, "incomeType": "FUNDING_FEE", "income": amount, "asset": asset,
        "time": START_MS + number * 60_000, "tranId": 9_000 + number, "tradeId": "",
        "info": "FUNDING_FEE",
    }  # fmt: skip


class Bench:
    """The books with a history in the test's hands; pauses pass at once and are noted."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.rows = [FUNDING.new() for _ in SYMBOLS]
        self.control = CONTROL.new()
        self.control.epoch = START_MS // 1000
        self.calls: list[dict[str, Any]] = []
        self.pauses: list[int] = []
        self.on_pause: Callable[[], None] = lambda: None
        self.warnings: list[str] = []
        self.ok = True
        self.restart()

    def restart(self) -> None:
        import ctypes

        memory = SimpleNamespace(
            control=self.control,
            funding_address=lambda index: ctypes.addressof(self.rows[index]),
        )
        log = SimpleNamespace(
            info=lambda event, **_: None, warning=lambda event, **_: self.warnings.append(event)
        )
        context = SimpleNamespace(memory=memory, symbols=SYMBOLS, log=log)
        timers = SimpleNamespace(at=lambda due_ns, call: None)
        self.books = FundingBooks(context, SimpleNamespace(start=self._run), timers)

    def _run(self, procedure: Any, done: Callable[[object], None] = lambda result: None) -> object:
        answer: Any = None
        while True:
            try:
                step = procedure.send(answer)
            except StopIteration as end:
                done(end.value)
                return end.value
            if isinstance(step, Pause):
                self.pauses.append(step.duration_ns)
                self.on_pause()
                answer = None
            else:
                answer = self._answer(step)

    def _answer(self, call: Call) -> Reply:
        assert (call.method, call.path) == ("GET", "/fapi/v1/income")
        self.calls.append(call.parameters)
        if not self.ok:
            return Reply(status=503, body={"code": -1, "msg": "Service Unavailable."})
        start, limit = call.parameters["startTime"], call.parameters["limit"]
        rows = sorted(
            (row for row in self.history if row["time"] >= start), key=lambda row: row["time"]
        )
        return Reply(status=200, body=rows[:limit])

    def fetch(self) -> object:
        return self._run(self.books.fetch(HOUSEKEEPING))

    @property
    def state(self) -> tuple[list[tuple[int, int]], int]:
        return [(row.total_e8, row.payments) for row in self.rows], self.control.funding_e8


def test_the_rows_are_sums_however_often_they_are_read():
    bench = Bench()
    bench.history = [
        payment(1, "-0.00000150"), payment(2, "0.00000020"),
        payment(2, "-1.00000000", "ETHUSDT"),
        payment(3, "-5", "BTCUSDT", "BNB"), payment(3, "-7", "XRPUSDT"),
        payment(-1, "-100"),
    ]  # fmt: skip
    wanted = [(-130, 2), (-100_000_000, 1)], -100_000_130
    for _ in range(3):
        bench.fetch()
        assert bench.state == wanted
    bench.restart()
    bench.fetch()
    assert bench.state == wanted
    assert bench.rows[0].last_ms == START_MS + 120_000


def test_long_histories_are_read_page_by_page_and_old_rows_once():
    bench = Bench()
    count = 2 * PAGE_SIZE + 5
    bench.history = [payment(number, "-0.00000001") for number in range(count)]
    bench.fetch()
    assert bench.state == ([(-count, count), (0, 0)], -count)
    assert len(bench.calls) == 3
    bench.calls.clear()
    bench.history.append(payment(count, "-0.00000001"))
    bench.fetch()
    assert bench.state == ([(-count - 1, count + 1), (0, 0)], -count - 1)
    assert [call["startTime"] for call in bench.calls] == [
        START_MS + (count - 1) * 60_000 - SETTLED_MS
    ]


def test_an_event_is_followed_until_the_history_has_its_payment():
    bench = Bench()
    bench.on_pause = lambda: len(bench.pauses) == 2 and bench.history.append(payment(1, "-0.5"))
    bench.books.noticed()
    assert bench.state == ([(-50_000_000, 1), (0, 0)], -50_000_000)
    assert bench.pauses == list(LOOK_NS[:2])
    assert bench.warnings == []


def test_a_payment_that_never_shows_up_is_a_warning():
    bench = Bench()
    bench.books.noticed()
    assert bench.pauses == list(LOOK_NS)
    assert bench.warnings == ["funding is not in the income history yet"]


def test_no_answer_changes_nothing():
    bench = Bench()
    bench.history = [payment(1, "-0.5")]
    bench.fetch()
    bench.ok = False
    assert bench.fetch() is False
    assert bench.state == ([(-50_000_000, 1), (0, 0)], -50_000_000)


@pytest.mark.parametrize("broken", [{"income": "abc"}, {"time": None}, {"symbol": 1}])
def test_a_history_that_cannot_be_read_is_said(broken: dict):
    bench = Bench()
    bench.history = [payment(1, "-0.5")]
    row = payment(2, "-0.5") | broken
    if broken == {"symbol": 1}:
        del row["tranId"]
    bench._answer = lambda call: Reply(status=200, body=[row])  # type: ignore[method-assign]
    with pytest.raises(VenueDataError):
        bench.fetch()


def test_the_streams_event_begins_a_look(rig):
    venue: ScriptedVenue = rig.venue
    rig.start()
    assert rig.memory.control.funding_e8 == 0
    venue.incomes.append({**payment(1, "-0.25"), "time": 4_000_000_000_000})
    venue.send_user({
        "e": "ACCOUNT_UPDATE", "E": 1, "T": 1,
        "a": {"m": "FUNDING_FEE", "B": [{"a": "USDT", "wb": "9", "cw": "9", "bc": "-0.25"}]},
    })  # fmt: skip
    rig.pump(lambda: rig.memory.control.funding_e8 == -25_000_000)
