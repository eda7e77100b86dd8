"""The judge of the time without a stop, on histories written by hand."""

from __future__ import annotations

import pytest

from tests.system.venue_gaps import find_gaps, quantile


def fill(time_ms: int, side: str, quantity: str) -> dict[str, object]:
    return {"time": time_ms, "side": side, "qty": quantity}


def stop(algo_id: int, made: int, ended: int = 0, triggered: int = 0, **changes: object) -> dict:
    status = "FINISHED" if triggered else "CANCELED" if ended else "NEW"
    row = {"algoId": algo_id, "createTime": made, "updateTime": ended, "triggerTime": triggered}
    return row | {"side": "SELL", "quantity": "2", "algoStatus": status} | changes


NOW = 1000
OPENED = fill(100, "BUY", "2")
CLOSED = fill(900, "SELL", "2")


@pytest.mark.parametrize(
    ("fills", "stops", "wanted"),
    [
        ([OPENED, CLOSED], [], [800]),
        ([OPENED, CLOSED], [stop(1, 103, 905)], [3]),
        ([OPENED, CLOSED], [stop(1, 100, 905)], [0]),
        ([OPENED, CLOSED], [stop(1, 103, 400), stop(2, 412, 905)], [3, 12]),
        ([OPENED, CLOSED], [stop(1, 103, 400), stop(2, 400, 905)], [3, 0]),
        ([OPENED, fill(500, "SELL", "2")], [stop(1, 103, 501, triggered=500)], [3]),
        ([fill(100, "BUY", "1"), fill(200, "BUY", "1"), CLOSED], [stop(1, 103, 905)], [3]),
        ([OPENED, fill(200, "BUY", "1"), fill(250, "SELL", "3")], [stop(1, 101)], [1, 50]),
        ([OPENED, CLOSED], [stop(1, 103, 905, side="BUY")], [800]),
        ([fill(100, "SELL", "2"), fill(900, "BUY", "2")], [stop(1, 107, 905, side="BUY")], [7]),
        ([OPENED], [], [900]),
        ([OPENED], [stop(1, 103, 400)], [3, 600]),
        ([OPENED, fill(200, "BUY", "1")], [stop(1, 103)], [3, 800]),
        ([OPENED], [stop(1, 103)], [3]),
        ([OPENED, CLOSED], [stop(1, 103, 103), stop(2, 110, 905)], [10]),
    ],
)  # fmt: skip
def test_gaps_are_found(fills, stops, wanted):
    assert [gap.length_ms for gap in find_gaps("X", fills, stops, NOW)] == wanted


def test_two_stops_at_once_are_refused():
    with pytest.raises(AssertionError, match="two stops at once"):
        find_gaps("X", [OPENED], [stop(1, 103, 500), stop(2, 400, 900)], NOW)


def test_quantiles_are_values_that_occurred():
    assert quantile([], 0.99) == 0
    assert quantile([5], 0.5) == 5
    assert quantile(list(range(1, 101)), 0.99) == 100
    assert quantile(list(range(1, 101)), 0.5) == 51
