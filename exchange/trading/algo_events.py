"""Print the events of conditional orders for the user data stream."""

from __future__ import annotations

from exchange.trading.algo_orders import TRAILING, AlgoOrder, side_text


def algo_update(order: AlgoOrder, now_ms: int) -> dict[str, object]:
    """Return ALGO_UPDATE.

    # Venue: "Event: Algo Order Update"; `rm` says why a triggered order was refused and is there
    only then, `ai`, `ap`, `aq` and `act` tell of the order that it became.
    """
    instrument, child = order.instrument, order.child
    zero = instrument.average_text(0, 0)
    body: dict[str, object] = {
        "caid": order.client_algo_id,
        "aid": order.algo_id,
        "at": "CONDITIONAL",
        "o": order.kind,
        "s": instrument.symbol,
        "S": side_text(order),
        "ps": order.position_side,
        "f": order.time_in_force,
        "q": instrument.quantity_text(order.quantity_lot),
        "X": order.status,
        "ai": str(child.order_id) if child else "",
        "ap": child.average_text() if child else zero,
        "aq": instrument.quantity_text(child.executed_lot) if child else zero,
        "act": child.kind if child else "0",
        "tp": instrument.price_text(order.trigger_tick),
        "p": instrument.price_text(order.price_tick),
        "V": order.stp_mode,
        "wt": order.working_type,
        "pm": order.price_match,
        "cp": order.close_position,
        "pP": order.price_protect,
        "R": order.reduce_only,
        "tt": order.trigger_ms,
        "gtd": order.good_till_ms,
    }
    if order.kind == TRAILING:
        body["AP"] = instrument.price_text(order.activate_tick)
        body["cr"] = f"{order.callback_e4 // 100}.{order.callback_e4 // 10 % 10}"
    if order.status == "REJECTED":
        body["rm"] = order.failure
    return {"e": "ALGO_UPDATE", "T": order.updated_ms, "E": now_ms, "o": body}
