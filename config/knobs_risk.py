"""Knobs of risk_config.yaml: exits, limits and sizing."""

from config.knob import Knob

_FILE = "risk"

EXITS = (
    Knob(
        _FILE, "risk.stop_loss_pct", "float", "fraction", 0.002, 0.0001, 0.05,
        "Distance of the initial stop from the entry price; 0.002 is 0.2 %",
    ),
    Knob(
        _FILE, "risk.take_profit_pct", "float", "fraction", 0.004, 0.0001, 0.10,
        "Distance of the target from the entry price; 0.004 is 0.4 %",
    ),
    Knob(
        _FILE, "risk.partial_close_fraction", "float", "fraction", 0.5, 0.0, 1.0,
        "Part of a position closed at the first target, one initial risk away; 0 closes none",
    ),
    Knob(
        _FILE, "risk.trailing_activation_pct", "float", "fraction", 0.001, 0.0, 0.05,
        "Gain from which on the stop follows the price",
    ),
    Knob(
        _FILE, "risk.trailing_distance_pct", "float", "fraction", 0.001, 0.0001, 0.05,
        "Distance of the following stop from the best price since entry",
    ),
    Knob(
        _FILE, "risk.flatten_on_stop", "bool", "", True,
        meaning="Close open positions when the system stops",
    ),
    Knob(
        # A position that is not ours may be somebody's own: to touch it is not ours to decide.
        _FILE, "risk.foreign_policy", "str", "", "halt",
        choices=("halt", "adopt", "reduce"),
        meaning="What becomes of a position that somebody else opened: left alone and its symbol "
        "takes no entries, managed as one of ours, or closed; with adopt and reduce open orders "
        "of others in our symbols are canceled",
    ),
    Knob(
        _FILE, "risk.close_on_reverse_signal", "bool", "", True,
        meaning="Close a position when a signal for the other side passes the entry thresholds",
    ),
)  # fmt: skip

LIMITS = (
    Knob(
        _FILE, "risk.max_portfolio_risk", "float", "fraction", 0.02, 0.001, 0.20,
        "Most of the balance lost if every open position were stopped out",
    ),
    Knob(
        _FILE, "risk.max_drawdown", "float", "fraction", 0.10, 0.005, 0.50,
        "Fall of equity from its peak at which the kill latch trips; make rearm begins a new peak",
    ),
    Knob(
        _FILE, "risk.max_stale_ms", "int", "ms", 2000, 10, 60_000,
        "Age of a symbol's last market event above which it takes no entries",
    ),
    Knob(
        _FILE, "risk.max_order_notional_usd", "float", "USD", 500.0, 1.0, 10_000_000.0,
        "Largest notional of one order",
    ),
    Knob(
        _FILE, "risk.max_gross_notional_usd", "float", "USD", 20_000.0, 1.0, 100_000_000.0,
        "Largest sum of the absolute notionals of positions and open orders",
    ),
    Knob(
        _FILE, "risk.price_collar_pct", "float", "fraction", 0.005, 0.0001, 0.10,
        "Distance from the mid price beyond which a limit price is refused",
    ),
    Knob(
        _FILE, "risk.max_slippage_pct", "float", "fraction", 0.0005, 0.0, 0.02,
        "How far beyond the best price an entry that crosses the spread may pay",
    ),
    Knob(
        # Venue: exchangeInfo states 300 orders in 10 s; an account's other programs share them.
        _FILE, "risk.max_orders_per_s", "int", "orders/s", 20, 1, 300,
        "Most new orders in any second over all symbols; cancels and exits are not held back",
    ),
    Knob(
        _FILE, "risk.order_time_to_live_ms", "int", "ms", 1000, 10, 60_000,
        "Age of an order request above which it is dropped instead of sent late",
    ),
)  # fmt: skip

SIZING = (
    Knob(
        _FILE, "position_sizing.method", "str", "", "volatility_adjusted",
        choices=("volatility_adjusted", "fixed"),
        meaning="Size by volatility and signal strength, or max_size of the base always",
    ),
    Knob(
        _FILE, "position_sizing.base_size", "float", "of base_position_usd", 0.1, 0.01, 10.0,
        "Smallest size of a position",
    ),
    Knob(
        _FILE, "position_sizing.max_size", "float", "of base_position_usd", 1.0, 0.01, 10.0,
        "Largest size of a position; not below base_size",
    ),
    Knob(
        _FILE, "position_sizing.correlation_limit", "float", "correlation", 0.7, 0.0, 1.0,
        "Largest correlation between open positions; not enforced yet, as it is not estimated",
    ),
)  # fmt: skip

KNOBS = EXITS + LIMITS + SIZING
