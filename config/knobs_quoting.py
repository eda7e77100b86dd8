"""Knobs of the section `quoting` in trading_config.yaml: market making."""

from config.knob import Knob

_FILE = "trading"

KNOBS = (
    Knob(
        _FILE, "quoting.symbols", "list[str]", "", (),
        pattern=r"[A-Z0-9]{5,20}", pattern_meaning="5 to 20 capital letters and digits",
        n_item_max=32, unique=True,
        meaning="Symbols to quote, among trading.symbols; they take no other entries. Needs "
        "optimization.USE_MARKET_MAKING and signals.use_market_making",
    ),
    Knob(
        _FILE, "quoting.lease_ms", "int", "ms", 1000, 100, 60_000,
        "Quotes that the engine has not confirmed for so long are withdrawn; it confirms them four "
        "times as often",
    ),
    Knob(
        _FILE, "quoting.model", "str", "", "glft",
        choices=("glft", "as_finite", "as_stationary"),
        meaning="Formula of the quotes: Guéant, Lehalle and Fernandez-Tapia 2013 (asymptotic), or "
        "Avellaneda and Stoikov 2008 with a horizon or stationary",
    ),
    Knob(
        _FILE, "quoting.risk_aversion", "float", "1/tick", 0.01, 0.000001, 100.0,
        "γ of all three formulas: how much a held quote's worth of inventory moves the quotes",
    ),
    Knob(
        _FILE, "quoting.horizon_s", "int", "s", 60, 1, 86_400,
        "as_finite: length T of a session; sessions follow one another without a gap",
    ),
    Knob(
        _FILE, "quoting.quote_usd", "float", "USD", 100.0, 1.0, 1_000_000.0,
        "Notional of one quote; inventory enters the formulas in units of it",
    ),
    Knob(
        _FILE, "quoting.max_inventory_usd", "float", "USD", 500.0, 0.0, 10_000_000.0,
        "Largest notional held per symbol; the side that would exceed it is not quoted",
    ),
    Knob(
        _FILE, "quoting.edge_ticks", "float", "ticks", 1.0, 0.0, 10_000.0,
        "Least spread between own quotes beyond the maker fees of buying and selling",
    ),
    Knob(
        _FILE, "quoting.hysteresis_ticks", "int", "ticks", 2, 1, 10_000,
        "Least distance from the wanted price at which a standing quote is replaced",
    ),
    Knob(
        _FILE, "quoting.rest_ms", "int", "ms", 500, 0, 60_000,
        "Least time between two changes of a side that safety does not demand",
    ),
    Knob(
        _FILE, "quoting.messages_per_s", "int", "1/s", 4, 1, 50,
        "Rate at which the message budget of a symbol's quotes fills",
    ),
    Knob(
        _FILE, "quoting.message_burst", "int", "messages", 20, 4, 1000,
        "Size of the message budget; 4 replaces both sides and can still withdraw them",
    ),
    Knob(
        _FILE, "quoting.stale_ms", "int", "ms", 1000, 10, 60_000,
        "Best prices older than this are not quoted on",
    ),
    Knob(
        _FILE, "quoting.spread_max_bps", "float", "1e-4 of price", 5.0, 0.01, 1000.0,
        "Market spread beyond which quotes are withdrawn",
    ),
    Knob(
        _FILE, "quoting.volatility_sample_ms", "int", "ms", 250, 1, 10_000,
        "Least venue time between two samples of the mid price",
    ),
    Knob(
        _FILE, "quoting.volatility_short_s", "float", "s", 5.0, 0.5, 20.0,
        "Time constant of the short volatility",
    ),
    Knob(
        _FILE, "quoting.volatility_long_s", "float", "s", 120.0, 5.0, 3600.0,
        "Time constant of the long volatility, which the formulas use",
    ),
    Knob(
        _FILE, "quoting.burst_ratio", "float", "times", 3.0, 1.0, 1000.0,
        "Short over long volatility beyond which quotes are withdrawn",
    ),
    Knob(
        _FILE, "quoting.intensity_s", "float", "s", 300.0, 2.0, 3600.0,
        "Time constant of the arrival counts that A and k are fitted to",
    ),
    Knob(
        _FILE, "quoting.intensity_step_ticks", "int", "ticks", 5, 1, 10_000,
        "Width of the sixteen distances at which arrivals are counted",
    ),
    Knob(
        _FILE, "quoting.vpin_bucket_usd", "float", "USD", 250_000.0, 100.0, 10_000_000_000.0,
        "Volume of one bucket of VPIN",
    ),
    Knob(
        _FILE, "quoting.vpin_buckets", "int", "buckets", 50, 5, 64,
        "Buckets that VPIN is the mean of",
    ),
    Knob(
        _FILE, "quoting.vpin_threshold", "str", "", "distribution",
        choices=("distribution", "fixed"),
        meaning="Withdraw quotes when VPIN is high within its own distribution, or above vpin_max",
    ),
    Knob(
        _FILE, "quoting.vpin_max", "float", "fraction", 0.6, 0.0, 1.0,
        "fixed: VPIN above which flow counts as toxic",
    ),
    Knob(
        _FILE, "quoting.vpin_quantile", "float", "fraction", 0.9, 0.5, 1.0,
        "distribution: share of past values below the present one from which on it is toxic",
    ),
    Knob(
        _FILE, "quoting.vpin_memory", "int", "buckets", 1000, 128, 100_000,
        "distribution: buckets after which a past value's weight has fallen to 37 %",
    ),
)  # fmt: skip
