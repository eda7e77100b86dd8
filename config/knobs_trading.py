"""Knobs of trading_config.yaml: what is traded, when to enter, which signals count."""

from config.knob import Knob

_FILE = "trading"

TRADING = (
    Knob(
        _FILE, "trading.symbols", "list[str]", "", ("BTCUSDT", "ETHUSDT", "BNBUSDT"),
        pattern=r"[A-Z0-9]{5,20}", pattern_meaning="5 to 20 capital letters and digits",
        n_item_min=1, n_item_max=32, unique=True,
        meaning="Symbols to trade; each has a market-data connection of its own",
    ),
    Knob(
        _FILE, "trading.base_position_usd", "float", "USD", 100.0, 1.0, 1_000_000.0,
        "Notional of a position of size 1.0; sizing scales it between base_size and max_size",
    ),
    Knob(
        _FILE, "trading.max_position_usd", "float", "USD", 1000.0, 1.0, 10_000_000.0,
        "Largest notional of one position; MAX_POSITION_SIZE in the environment overrides it",
    ),
    Knob(
        # Venue: leverage brackets end at 125 for the deepest symbols; most symbols allow less.
        _FILE, "trading.leverage", "int", "times", 15, 1, 125,
        "Leverage set at the venue for every symbol; LEVERAGE in the environment overrides it",
    ),
    Knob(
        _FILE, "trading.max_concurrent_positions", "int", "positions", 20, 1, 256,
        "Most positions open at once over all symbols",
    ),
)  # fmt: skip

SCALPING = (
    Knob(
        _FILE, "scalping.signal_threshold", "float", "score", 0.12, 0.0, 1.0,
        "Least absolute combined score of an entry",
    ),
    Knob(
        _FILE, "scalping.confidence_threshold", "float", "fraction", 0.60, 0.0, 1.0,
        "Least confidence of an entry",
    ),
    Knob(
        _FILE, "scalping.min_confirmations", "int", "signals", 1, 0, 8,
        "Least number of further signals that agree with the strongest one",
    ),
    Knob(
        _FILE, "scalping.max_hold_time", "int", "s", 300, 1, 86_400,
        "Longest time a position is held, whatever its strategy",
    ),
    Knob(
        _FILE, "scalping.momentum_hold_min_s", "int", "s", 30, 0, 3600,
        "Time before a momentum position may leave for other reasons than stop or target",
    ),
    Knob(
        _FILE, "scalping.momentum_hold_max_s", "int", "s", 120, 1, 3600,
        "Longest time a momentum position is held",
    ),
    Knob(
        _FILE, "scalping.mean_reversion_hold_min_s", "int", "s", 60, 0, 3600,
        "Time before a mean-reversion position may leave for other reasons than stop or target",
    ),
    Knob(
        _FILE, "scalping.mean_reversion_hold_max_s", "int", "s", 300, 1, 3600,
        "Longest time a mean-reversion position is held",
    ),
    Knob(
        _FILE, "scalping.order_flow_hold_min_s", "int", "s", 10, 0, 3600,
        "Time before an order-flow position may leave for other reasons than stop or target",
    ),
    Knob(
        _FILE, "scalping.order_flow_hold_max_s", "int", "s", 60, 1, 3600,
        "Longest time an order-flow position is held",
    ),
    Knob(
        _FILE, "scalping.order_flow_imbalance", "float", "fraction", 0.30, 0.01, 1.0,
        "Least absolute book imbalance of an order-flow entry",
    ),
    Knob(
        _FILE, "scalping.momentum_acceleration_pct", "float", "fraction", 0.001, 0.00001, 0.1,
        "Least acceleration of price of a momentum entry; 0.001 is 0.1 %",
    ),
    Knob(
        _FILE, "scalping.volume_spike_ratio", "float", "times", 2.0, 1.0, 100.0,
        "Volume over its rolling mean from which on it counts as a spike",
    ),
)  # fmt: skip

BY_SYMBOL = (
    Knob(
        _FILE, "scalping.by_symbol", "by symbol", "", (),
        keys=(
            "scalping.signal_threshold",
            "scalping.confidence_threshold",
            "scalping.min_confirmations",
            "performance.signal_cooldown_sec",
        ),
        meaning="Thresholds and cool-down of single symbols of trading.symbols in place of the "
        "ones for all, as in {BTCUSDT: {signal_threshold: 0.2}}",
    ),
)  # fmt: skip

SIGNALS = (
    Knob(
        _FILE, "signals.use_momentum", "bool", "", True,
        meaning="Enter on momentum",
    ),
    Knob(
        _FILE, "signals.use_mean_reversion", "bool", "", True,
        meaning="Enter on mean reversion",
    ),
    Knob(
        _FILE, "signals.use_order_flow", "bool", "", True,
        meaning="Enter on order flow",
    ),
    Knob(
        _FILE, "signals.use_volume_spikes", "bool", "", True,
        meaning="Let volume spikes confirm entries",
    ),
    Knob(
        _FILE, "signals.use_market_making", "bool", "", True,
        meaning="Quote both sides of quoting.symbols; needs optimization.USE_MARKET_MAKING",
    ),
    Knob(
        _FILE, "signals.user_strategies", "list[str]", "", (),
        pattern=r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", pattern_meaning="the name of a module",
        n_item_max=11, unique=True,
        meaning="Modules of the project's folder that hold a strategy each, such as "
        "examples.advanced_strategies; asked after the built-in ones, in this order",
    ),
    Knob(
        _FILE, "signals.ema_fast", "int", "trades", 12, 2, 1000,
        "Span of the fast exponential mean",
    ),
    Knob(
        _FILE, "signals.ema_slow", "int", "trades", 26, 3, 5000,
        "Span of the slow exponential mean; above ema_fast",
    ),
    Knob(
        _FILE, "signals.rsi_period", "int", "trades", 14, 2, 1000,
        "Period of the relative strength index (Wilder)",
    ),
    Knob(
        _FILE, "signals.rsi_oversold", "float", "index points", 25.0, 1.0, 50.0,
        "Index below which a symbol counts as oversold",
    ),
    Knob(
        _FILE, "signals.rsi_overbought", "float", "index points", 75.0, 50.0, 99.0,
        "Index above which a symbol counts as overbought",
    ),
    Knob(
        _FILE, "signals.book_levels", "int", "levels", 5, 1, 20,
        "Levels on each side that book imbalance reads",
    ),
    Knob(
        _FILE, "signals.flow_levels", "int", "levels", 1, 1, 10,
        "Levels on each side whose changes count as order flow; 1 takes the best-price stream",
    ),
    Knob(
        _FILE, "signals.warmup_events", "int", "events", 200, 1, 1_000_000,
        "Events of a symbol before its first signal, so that none comes from a cold state",
    ),
    Knob(
        _FILE, "signals.jump_max_pct", "float", "fraction", 0.10, 0.001, 1.0,
        "A price further than this from the last sound ones is refused; 0.10 is 10 %",
    ),
    Knob(
        _FILE, "signals.quarantine_s", "float", "s", 5.0, 0.0, 3600.0,
        "Time without another bad event before a symbol that had one may enter again",
    ),
)  # fmt: skip

_WEIGHED = {
    "momentum": "the micro-trend over the last trades",
    "acceleration": "velocity and acceleration of price",
    "order_flow": "buying against selling pressure",
    "volume_spike": "volume against its rolling mean",
    "book_imbalance": "the depth-weighted imbalance of the book",
    "ema_cross": "the crossing of the exponential means",
    "rsi": "extremes and divergence of the relative strength index",
    "spread": "compression and expansion of the spread",
}

WEIGHTS = tuple(
    Knob(
        _FILE, f"signals.weights.{name}", "float", "weight", 1.0, 0.0, 10.0,
        f"Weight of {what} in the combined score; 0 leaves it out",
    )
    for name, what in _WEIGHED.items()
)  # fmt: skip

KNOBS = TRADING + SCALPING + BY_SYMBOL + SIGNALS + WEIGHTS
