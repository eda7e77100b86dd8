"""`DynamicExitManager`: exits of positions by hand, on the kernel that trades.

    manager = DynamicExitManager()
    id = manager.add_position(symbol="BTCUSDT", side="long", entry_price=45000, quantity=1.0,
                              initial_stop=44900, initial_target=45200)
    manager.update_position(id, 45150)["action"]       # 'PARTIAL_CLOSE'

Prices and quantities become whole ticks and lots fine enough that nothing a venue quotes is lost.

Each position is left by a rule, as positions of strategies are: `plain` trails as configured,
`trail_risk` at half of the initial risk, `return_to_mean` closes beyond `mean_price`, `imbalance`
when the imbalance given with the prices has turned, `stop_only` has nothing but its stop.
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
from risk.levels import return_tick
from risk.state import DECISION, PARAMETERS, ExitAction
from shm.records import ExitRule, OrderReason
from shm.tables import POSITION, PositionState

SIDES = {"long": 1, "buy": 1, "short": -1, "sell": -1}
# Ten digits of price and eight of quantity: their product stays below 2^63.
PRICE_DIGITS = 10
QUANTITY_DIGITS = 8
# Options by the names of PARAMETERS, and the knob that bounds each and is its default.
EXIT_KNOBS = {
    "partial_close_fraction": "risk.partial_close_fraction",
    "trailing_activation_pct": "risk.trailing_activation_pct",
    "trailing_distance_pct": "risk.trailing_distance_pct",
    "trail_risk_fraction": "risk.trail_risk_fraction",
    "profit_step": "risk.profit_step_risk",
    "mean_profit_pct": "risk.mean_profit_pct",
    "imbalance_limit": "risk.imbalance_exit",
}
RULES = {rule.name.lower(): int(rule) for rule in ExitRule}
PRICE_RATIO_MAX = 1000
HOLD_S_MAX = 86_400


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
        partial_close_fraction, trailing_activation_pct, trailing_distance_pct, max_hold_s,
            trail_risk_fraction, profit_step, mean_profit_pct, imbalance_limit: as the knobs of the
            configuration (`risk.profit_step_risk`, `risk.imbalance_exit` for the two whose names
            differ); None takes their defaults.
        clock_ns: monotonic nanoseconds, for the time limit.
    """

    def __init__(
        self,
        partial_close_fraction: float | None = None,
        trailing_activation_pct: float | None = None,
        trailing_distance_pct: float | None = None,
        max_hold_s: float | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        trail_risk_fraction: float | None = None,
        profit_step: float | None = None,
        mean_profit_pct: float | None = None,
        imbalance_limit: float | None = None,
    ) -> None:
        given = {
            "partial_close_fraction": partial_close_fraction,
            "trailing_activation_pct": trailing_activation_pct,
            "trailing_distance_pct": trailing_distance_pct,
            "trail_risk_fraction": trail_risk_fraction,
            "profit_step": profit_step,
            "mean_profit_pct": mean_profit_pct,
            "imbalance_limit": imbalance_limit,
        }
        self._parameters = PARAMETERS.new()
        for name, path in EXIT_KNOBS.items():
            setattr(self._parameters, name, _knob(path, given[name]))
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
        exit_rule: str = "plain",
        mean_price: float | None = None,
        min_hold_s: float = 0.0,
    ) -> int:
        """Take a position over; return its id.

        Args:
            symbol: any text.
            side: long, buy, short or sell.
            entry_price: the average of its fills.
            quantity: what is held, above 0.
            initial_stop: on the losing side of the entry.
            initial_target: on the winning side; `stop_only` ignores it.
            exit_rule: one of RULES.
            mean_price: where `return_to_mean` expects the price to return.
            min_hold_s: seconds before a rule may close it; stop, target and trailing do not wait.

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
        _check_rule(exit_rule, mean_price, min_hold_s)
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
        if mean_price is not None:
            mean = _positive("mean_price", mean_price)
            ticks |= {"mean": _scaled("mean_price", mean, tick, ticks["entry"])}
        self._last_id += 1
        row = self._new_row(direction, ticks, int(amount / lot), RULES[exit_rule])
        row.hold_ns_min = int(min_hold_s * 1_000_000_000)
        self._positions[self._last_id] = _Managed(symbol, row, tick, lot)
        return self._last_id

    def update_position(
        self,
        position_id: int,
        price: float,
        *,
        trade_price: float | None = None,
        imbalance: float = 0.0,
    ) -> dict[str, Any]:
        """Take one step at a price; return the action, its reason, quantity, and the stop.

        After CLOSE the position is no longer known.

        Args:
            position_id: as `add_position` returned it.
            price: the one the position would leave at: best bid of a long, best ask of a short.
            trade_price: of a trade; one at or beyond the stop closes as the price does.
            imbalance: (bid − ask) / (bid + ask) of the best quantities, smoothed; for `imbalance`.

        Raises:
            ValueError: an unknown id or a price that cannot be meant.
        """
        managed = self._find(position_id)
        price_tick = _scaled(
            "price", _positive("price", price), managed.tick, managed.row.best_tick
        )
        trade_tick = 0
        if trade_price is not None:
            trade = _positive("trade_price", trade_price)
            trade_tick = _scaled("trade_price", trade, managed.tick, managed.row.best_tick)
        if not -1.0 <= imbalance <= 1.0:
            raise ValueError(f"imbalance must be -1 to 1: imbalance={imbalance!r}")
        place, decision = ctypes.addressof(managed.row), ctypes.addressof(self._decision)
        action = ExitAction(
            evaluate_exit(
                place,
                ctypes.addressof(self._parameters),
                1,
                price_tick,
                trade_tick,
                float(imbalance),
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

    def _new_row(self, side: int, ticks: dict[str, int], lots: int, rule: int) -> Any:
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
        row.exit_rule = rule
        if rule == ExitRule.STOP_ONLY:
            row.target_tick = row.partial_tick = row.hold_ns_max = 0
        if "mean" in ticks:
            row.mean_tick = ticks["mean"]
            profit = self._parameters.mean_profit_pct
            row.rule_tick = return_tick(side, ticks["entry"], row.mean_tick, profit)
        return row


def _check_rule(exit_rule: object, mean_price: object, min_hold_s: object) -> None:
    if exit_rule not in RULES:
        raise ValueError(f"exit_rule must be one of {', '.join(RULES)}: exit_rule={exit_rule!r}")
    if (mean_price is None) == (exit_rule == "return_to_mean"):
        raise ValueError(f"mean_price goes with return_to_mean: mean_price={mean_price!r}")
    if not isinstance(min_hold_s, (int, float)) or not 0 <= min_hold_s <= HOLD_S_MAX:
        raise ValueError(f"min_hold_s must be 0 to {HOLD_S_MAX}: min_hold_s={min_hold_s!r}")


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
