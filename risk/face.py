"""`DynamicExitManager`: exits of positions by hand, on the kernel that trades.

    manager = DynamicExitManager()
    id = manager.add_position(symbol="BTCUSDT", side="long", entry_price=45000, quantity=1.0,
                              initial_stop=44900, initial_target=45200)
    manager.update_position(id, 45150)["action"]       # 'PARTIAL_CLOSE'

Prices and quantities become whole ticks and lots fine enough that nothing a venue quotes is lost.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from config.knobs import BY_PATH
from risk.exits import apply_decision, evaluate_exit
from risk.state import DECISION, PARAMETERS, ExitAction
from shm.records import OrderReason
from shm.tables import POSITION, PositionState

SIDES = {"long": 1, "buy": 1, "short": -1, "sell": -1}
# Ten digits of price and eight of quantity: their product stays below 2^63.
PRICE_DIGITS = 10
QUANTITY_DIGITS = 8
EXIT_KNOBS = ("partial_close_fraction", "trailing_activation_pct", "trailing_distance_pct")
PRICE_RATIO_MAX = 1000


@dataclass
class _Managed:
    """One position and its own scales."""

    symbol: str
    row: Any
    tick: Decimal
    lot: Decimal


class DynamicExitManager:
    """Decides at each price whether a position is held, partly closed, closed, or its stop moved.

    Args:
        partial_close_fraction, trailing_activation_pct, trailing_distance_pct, max_hold_s: as the
            knobs of the configuration; None takes their defaults.
        clock_ns: monotonic nanoseconds, for the time limit.
    """

    def __init__(
        self,
        partial_close_fraction: float | None = None,
        trailing_activation_pct: float | None = None,
        trailing_distance_pct: float | None = None,
        max_hold_s: float | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        given = (partial_close_fraction, trailing_activation_pct, trailing_distance_pct)
        self._parameters = PARAMETERS.new()
        for name, value in zip(EXIT_KNOBS, given, strict=True):
            setattr(self._parameters, name, _knob(f"risk.{name}", value))
        hold_s = _knob("scalping.max_hold_time", max_hold_s)
        self._hold_ns_max = int(hold_s * 1_000_000_000)
        self._clock_ns = clock_ns
        self._decision = DECISION.new()
        self._positions: dict[int, _Managed] = {}
        self._last_id = 0

    def add_position(
        self,
        *,
        symbol: str,
        side: str,
        entry_price: float,
        quantity: float,
        initial_stop: float,
        initial_target: float,
    ) -> int:
        """Take a position over; return its id.

        Raises:
            ValueError: a value that cannot be meant; the message names it.
        """
        if not isinstance(symbol, str) or not symbol:
            raise ValueError(f"symbol must be a text: symbol={symbol!r}")
        direction = SIDES.get(side.lower(), 0) if isinstance(side, str) else 0
        if direction == 0:
            raise ValueError(f"side must be one of {', '.join(SIDES)}: side={side!r}")
        entry = _positive("entry_price", entry_price)
        amount = _positive("quantity", quantity)
        stop = _positive("initial_stop", initial_stop)
        target = _positive("initial_target", initial_target)
        tick = Decimal(1).scaleb(entry.adjusted() - PRICE_DIGITS + 1)
        lot = Decimal(1).scaleb(amount.adjusted() - QUANTITY_DIGITS + 1)
        ticks = {"entry": round(entry / tick)}
        ticks |= {"stop": _scaled("initial_stop", stop, tick, ticks["entry"])}
        ticks |= {"target": _scaled("initial_target", target, tick, ticks["entry"])}
        if (ticks["entry"] - ticks["stop"]) * direction <= 0:
            raise ValueError(
                f"initial_stop must be {'below' if direction > 0 else 'above'} the entry: "
                f"initial_stop={initial_stop} entry_price={entry_price}"
            )
        if (ticks["target"] - ticks["entry"]) * direction <= 0:
            raise ValueError(
                f"initial_target must be {'above' if direction > 0 else 'below'} the entry: "
                f"initial_target={initial_target} entry_price={entry_price}"
            )
        self._last_id += 1
        row = self._new_row(direction, ticks, int(amount / lot))
        self._positions[self._last_id] = _Managed(symbol, row, tick, lot)
        return self._last_id

    def update_position(self, position_id: int, price: float) -> dict[str, Any]:
        """Take one step at a price; return the action, its reason, quantity, and the stop.

        After CLOSE the position is no longer known.

        Raises:
            ValueError: an unknown id or a price that cannot be meant.
        """
        managed = self._find(position_id)
        price_tick = _scaled(
            "price", _positive("price", price), managed.tick, managed.row.best_tick
        )
        place, decision = ctypes.addressof(managed.row), ctypes.addressof(self._decision)
        action = ExitAction(
            evaluate_exit(
                place,
                ctypes.addressof(self._parameters),
                1,
                price_tick,
                0,
                0.0,
                self._clock_ns(),
                decision,
            )
        )
        made = self._decision
        if action == ExitAction.CLOSE:
            del self._positions[position_id]
        else:
            apply_decision(place, decision)
            managed.row.exit_lot += made.quantity_lot
        left = managed.row.entry_lot - managed.row.exit_lot
        if action == ExitAction.CLOSE:
            left = 0
        return {
            "action": action.name,
            "reason": OrderReason(made.reason).name,
            "symbol": managed.symbol,
            "price": float(price),
            "quantity": float(made.quantity_lot * managed.lot),
            "remaining": float(left * managed.lot),
            "stop": float(made.stop_tick * managed.tick),
            "target": float(managed.row.target_tick * managed.tick),
        }

    def _find(self, position_id: int) -> _Managed:
        if isinstance(position_id, int) and position_id in self._positions:
            return self._positions[position_id]
        raise ValueError(f"unknown position: position_id={position_id!r}")

    def _new_row(self, side: int, ticks: dict[str, int], lots: int) -> Any:
        row = POSITION.new()
        row.state = int(PositionState.OPEN)
        row.side = side
        row.entry_lot = lots
        row.entry_value = lots * ticks["entry"]
        row.quantity_lot = side * lots
        row.stop_tick = ticks["stop"]
        row.target_tick = ticks["target"]
        row.initial_risk_tick = abs(ticks["entry"] - ticks["stop"])
        row.partial_tick = ticks["entry"] + side * row.initial_risk_tick
        row.best_tick = ticks["entry"]
        row.opened_ns = self._clock_ns()
        row.hold_ns_max = self._hold_ns_max
        return row


def _knob(path: str, value: float | None) -> float:
    knob = BY_PATH[path]
    if value is None:
        return knob.default  # type: ignore[return-value]
    assert knob.minimum is not None and knob.maximum is not None
    name = path.rpartition(".")[2]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not knob.minimum <= value <= knob.maximum:
        raise ValueError(f"{name} must be {knob.minimum} to {knob.maximum}: {name}={value!r}")
    return value


def _positive(name: str, value: Any) -> Decimal:
    """Return a number exactly as it is written; refuse everything that is not one above zero."""
    if isinstance(value, bool):
        raise ValueError(f"{name} must be a number: {name}={value!r}")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{name} must be a number: {name}={value!r}") from None
    if not number.is_finite() or number <= 0:
        raise ValueError(f"{name} must be above 0 and finite: {name}={value!r}")
    return number


def _scaled(name: str, value: Decimal, tick: Decimal, near_tick: int) -> int:
    ticks = round(value / tick)
    if not near_tick <= ticks * PRICE_RATIO_MAX or ticks > near_tick * PRICE_RATIO_MAX:
        raise ValueError(f"{name} is not a price of this position: {name}={value}")
    return ticks
