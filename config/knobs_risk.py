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

ORDER_LIMITS = (
    Knob(
        _FILE, "risk.max_order_notional_usd", "float", "USD", 500.0, 1.0, 10_000_000.0,
        "Largest notional of one order",
    ),
    Knob(
        _FILE, "risk.max_order_quantity", "float", "base asset", 0.0, 0.0, 1_000_000_000_000.0,
        "Largest quantity of one order; 0 leaves it to the venue's largest order",
    ),
    Knob(
        _FILE, "risk.price_collar_pct", "float", "fraction", 0.005, 0.0001, 0.10,
        "Distance from the mid price and from the mark price beyond which a limit price is refused",
    ),
    Knob(
        _FILE, "risk.max_slippage_pct", "float", "fraction", 0.0005, 0.0, 0.02,
        "How far beyond the best price an entry that crosses the spread may pay",
    ),
    Knob(
        # Venue: the mark price is sent once a second.
        _FILE, "risk.max_mark_age_ms", "int", "ms", 5000, 0, 600_000,
        "Age of the mark price above which there are no entries; 0 takes the mid price instead",
    ),
    Knob(
        # Venue: exchangeInfo states 300 orders in 10 s; an account's other programs share them.
        _FILE, "risk.max_orders_per_s", "int", "orders/s", 20, 1, 300,
        "Most new orders in any second over all symbols; cancels and exits are not held back",
    ),
    Knob(
        _FILE, "risk.max_repeats", "int", "orders", 10, 1, 31,
        "Entries of one strategy on one side of a symbol within repeat_window_ms; one more latches "
        "the strategy for that symbol until make rearm",
    ),
    Knob(
        _FILE, "risk.repeat_window_ms", "int", "ms", 10_000, 100, 3_600_000,
        "Time within which max_repeats counts",
    ),
    Knob(
        _FILE, "risk.order_time_to_live_ms", "int", "ms", 1000, 10, 60_000,
        "Age of an order request above which it is dropped instead of sent late",
    ),
    Knob(
        _FILE, "risk.max_stale_ms", "int", "ms", 2000, 10, 60_000,
        "Age of a symbol's last market event, or of a signal, above which there are no entries",
    ),
)  # fmt: skip

PORTFOLIO_LIMITS = (
    Knob(
        _FILE, "risk.max_symbol_orders", "int", "orders", 4, 1, 16,
        "Most orders of one symbol in flight when an entry is added",
    ),
    Knob(
        _FILE, "risk.max_strategy_notional_usd", "float", "USD", 10_000.0, 1.0, 100_000_000.0,
        "Largest sum of the absolute notionals of one strategy's positions and entries",
    ),
    Knob(
        _FILE, "risk.max_gross_notional_usd", "float", "USD", 20_000.0, 1.0, 100_000_000.0,
        "Largest sum of the absolute notionals of positions and open orders",
    ),
    Knob(
        _FILE, "risk.max_net_notional_usd", "float", "USD", 10_000.0, 1.0, 100_000_000.0,
        "Largest notional of longs less shorts, or of shorts less longs, entries included",
    ),
    Knob(
        _FILE, "risk.max_portfolio_risk", "float", "fraction", 0.02, 0.001, 0.20,
        "Most of the equity lost if every open position and entry were stopped out",
    ),
    Knob(
        _FILE, "risk.max_margin_share", "float", "fraction", 0.8, 0.01, 1.0,
        "Most of the equity that may be bound as initial margin, at the configured leverage",
    ),
    Knob(
        _FILE, "risk.correlation_grid_ms", "int", "ms", 1000, 100, 60_000,
        "Distance of the mid prices whose returns give the correlation of two symbols",
    ),
    Knob(
        _FILE, "risk.correlation_half_life_s", "int", "s", 300, 10, 86_400,
        "Age at which a return counts half in the correlation",
    ),
    Knob(
        _FILE, "risk.correlation_min_samples", "int", "returns", 60, 10, 100_000,
        "Returns two symbols must have in common before their correlation is known; until then "
        "they count as alike, and only one of the two can have a position",
    ),
)  # fmt: skip

LOSS_LIMITS = (
    Knob(
        _FILE, "risk.max_drawdown", "float", "fraction", 0.10, 0.005, 0.50,
        "Fall of equity from its peak at which the kill latch trips; make rearm begins a new peak",
    ),
    Knob(
        _FILE, "risk.max_daily_loss", "float", "fraction", 0.05, 0.001, 0.50,
        "Loss since the UTC day began, over restarts, at which the kill latch trips",
    ),
    Knob(
        _FILE, "risk.max_consecutive_losses", "int", "trades", 10, 0, 1000,
        "Closed trades in a row that lost, at which entries pause for loss_cool_off_min; 0 = never",
    ),
    Knob(
        _FILE, "risk.loss_cool_off_min", "int", "min", 15, 1, 1440,
        "Pause of entries after max_consecutive_losses",
    ),
    Knob(
        _FILE, "risk.warmup_s", "int", "s", 2, 0, 3600,
        "Time after the start of risk in which there are no entries",
    ),
)  # fmt: skip

SIZING = (
    Knob(
        _FILE, "position_sizing.method", "str", "", "volatility_adjusted",
        choices=("volatility_adjusted", "fixed", "fractional_kelly"),
        meaning="Size by volatility and signal strength, max_size of the base always, or by the "
        "win rate and payoff of the strategy's closed trades (fractional_kelly)",
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
        _FILE, "position_sizing.risk_per_trade", "float", "fraction", 0.005, 0.0001, 0.10,
        "Most of the equity that one entry may lose at its stop",
    ),
    Knob(
        _FILE, "position_sizing.kelly_fraction", "float", "fraction", 0.25, 0.01, 1.0,
        "Part of the Kelly fraction that fractional_kelly takes",
    ),
    Knob(
        _FILE, "position_sizing.kelly_min_trades", "int", "trades", 50, 2, 100_000,
        "Closed trades of a strategy before fractional_kelly trusts them; base_size until then",
    ),
    Knob(
        _FILE, "position_sizing.correlation_limit", "float", "correlation", 0.7, 0.0, 1.0,
        "Largest correlation of an entry with an open position, signed by their sides; 1 = any",
    ),
)  # fmt: skip

KNOBS = EXITS + ORDER_LIMITS + PORTFOLIO_LIMITS + LOSS_LIMITS + SIZING
