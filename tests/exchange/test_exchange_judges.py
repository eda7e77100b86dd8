"""The judges of other tests can fail: each mistake in a good course of events is noticed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from protocol_shapes import Known, compare

from tests.clients.event_judge import (
    AMENDED_AND_CANCELED,
    FILLED,
    SWEPT,
    lite_complaints,
    order_complaints,
    sequence_complaints,
)

Events = list[dict]
WANTED = {1: AMENDED_AND_CANCELED, 2: FILLED, 3: SWEPT}


def told(at_ms: int, order_id: int, execution: str, status: str, z: str = "0", t: int = 0) -> dict:
    row = {"i": order_id, "x": execution, "X": status, "q": "2", "z": z, "l": "1", "L": "9", "t": t}
    return {"e": "ORDER_TRADE_UPDATE", "E": at_ms, "T": at_ms, "o": row}


def fill(at_ms: int, order_id: int, status: str, z: str, t: int) -> Events:
    times = {"E": at_ms, "T": at_ms}
    hint = {"e": "TRADE_LITE", **times, "i": order_id, "t": t, "l": "1", "L": "9"}
    account = {"e": "ACCOUNT_UPDATE", **times, "a": {"m": "ORDER", "B": [], "P": []}}
    return [hint, account, told(at_ms, order_id, "TRADE", status, z, t)]


def good() -> Events:
    return [
        told(1, 1, "NEW", "NEW"),
        told(2, 1, "AMENDMENT", "NEW"),
        told(3, 2, "NEW", "NEW"),
        *fill(4, 2, "PARTIALLY_FILLED", "1", 11),
        *fill(4, 2, "FILLED", "2", 12),
        told(5, 1, "CANCELED", "CANCELED"),
        told(6, 3, "NEW", "NEW"),
        *fill(6, 3, "PARTIALLY_FILLED", "1", 13),
        told(6, 3, "EXPIRED", "EXPIRED", "1"),
    ]


def complaints(events: Events) -> list[str]:
    return [
        *order_complaints(events, WANTED),
        *sequence_complaints(events),
        *lite_complaints(events),
    ]


def test_a_good_course_is_praised():
    assert complaints(good()) == []


def swap(a: int, b: int) -> Callable[[Events], None]:
    def change(events: Events) -> None:
        events[a], events[b] = events[b], events[a]

    return change


MISTAKES: dict[str, Callable[[Events], object]] = {
    "silence": lambda e: e.clear(),
    "an order without events": lambda e: [e.remove(row) for row in (e[0], e[1], e[9])],
    "no NEW": lambda e: e.pop(2),
    "no AMENDMENT": lambda e: e.pop(1),
    "no CANCELED": lambda e: e.pop(9),
    "no last fill": lambda e: e.__delitem__(slice(6, 9)),
    "no end of a swept order": lambda e: e.pop(),
    "a fill without its hint": lambda e: e.pop(3),
    "a fill without the account": lambda e: e.pop(4),
    "a fill twice": lambda e: e.insert(9, deepcopy(e[8])),
    "the account before the hint": swap(3, 4),
    "the order before the account": swap(4, 5),
    "the hint of another fill": swap(3, 6),
    "another transaction time": lambda e: e[4].update(T=3),
    "times that fall": lambda e: e[7].update(E=3),
    "a wrong cumulative quantity": lambda e: e[5]["o"].update(z="2"),
    "a wrong status": lambda e: e[5]["o"].update(X="FILLED"),
    "an order that goes on": lambda e: e.append(told(9, 1, "CANCELED", "CANCELED")),
    "an order of nobody": lambda e: e.append(told(9, 4, "NEW", "NEW")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_noticed(mistake):
    events = good()
    MISTAKES[mistake](events)
    assert complaints(events)


def test_nothing_placed_is_nothing_judged():
    assert order_complaints([], {}) == ["the scenario placed no order"]


def test_null_in_an_example_excuses_no_type():
    example = [("book", {"a": None, "b": None, "c": 1, "d": "1.0"})]
    found = compare({"a": None, "b": 5, "c": None, "d": 1}, example)
    assert [(row.path, row.problem) for row in found] == [
        *(("a", "null"), ("b", "null"), ("b", "type"), ("c", "type"), ("d", "type"))
    ]


@pytest.mark.parametrize("path", ["*", "result.*", "positions[].isolated*", "a?"])
def test_keys_are_excused_one_by_one(path):
    with pytest.raises(AssertionError, match="excuses any key"):
        Known("case", path, "missing", "a reason")
