"""However many orders turn up that were taken for absent: each is canceled, none is forgotten."""

from __future__ import annotations

import pytest

from shm.records import OrderAction, OrderStatus
from tests.risk.stray_story import COUNT, QuoteSide, Stops, tell
from tests.uncompiled import run_uncompiled


@pytest.mark.parametrize("kind", [QuoteSide, Stops])
def test_strays_are_those_of_the_twin(kernels, kind) -> None:
    most = 0
    for seed in range(12):
        print(f"seed={seed}")
        story = kind(kernels, seed)
        try:
            most = max(most, tell(story, lambda look: look()))
        finally:
            story.desk.close()
    assert 2 < most < COUNT


def test_strays_of_one_side_are_not_those_of_the_other(quote_desk) -> None:
    desk = quote_desk
    rejected: dict[int, list] = {1: [], -1: []}
    for _ in range(3):
        desk.quotes().retry_ns[0] = desk.quotes().retry_ns[1] = 0
        for order in desk.want(449_990, 4, 450_020, 4):
            rejected[order.side].append(order)
            desk.say(order, OrderStatus.REJECTED)
        desk.look()
    for orders in rejected.values():
        for order in orders:
            desk.say(order, OrderStatus.NEW)
    desk.look()
    stray = [orders[1] for orders in rejected.values()]
    assert list(desk.quotes().stray_order_id) == [order.order_id for order in stray]
    desk.orders()
    desk.say(stray[0], OrderStatus.CANCELED)
    desk.look()
    assert list(desk.quotes().stray_order_id) == [rejected[1][2].order_id, stray[1].order_id]
    cancels = [o.order_id for o in desk.orders() if o.action == OrderAction.CANCEL]
    assert rejected[1][2].order_id in cancels


def test_a_crash_at_any_line_forgets_none() -> None:
    """Uncompiled, in a process of its own: see stray_story.py."""
    found = run_uncompiled("tests.risk.stray_story", "12")
    assert found["crashes"] > 30 and found["taken_back"] > 3
