"""The settings as types. Generated from `config.knobs` by `python -m config --write`."""

from typing import NamedTuple


class SignalsWeights(NamedTuple):
    """Section `signals.weights`."""

    momentum: float
    acceleration: float
    order_flow: float
    volume_spike: float
    book_imbalance: float
    ema_cross: float
    rsi: float
    spread: float


class Trading(NamedTuple):
    """Section `trading`."""

    symbols: tuple[str, ...]
    base_position_usd: float
    max_position_usd: float
    leverage: int
    max_concurrent_positions: int


class Scalping(NamedTuple):
    """Section `scalping`."""

    signal_threshold: float
    confidence_threshold: float
    min_confirmations: int
    max_hold_time: int
    momentum_hold_min_s: int
    momentum_hold_max_s: int
    mean_reversion_hold_min_s: int
    mean_reversion_hold_max_s: int
    order_flow_hold_min_s: int
    order_flow_hold_max_s: int
    order_flow_imbalance: float
    momentum_acceleration_pct: float
    volume_spike_ratio: float
    by_symbol: tuple[tuple[str, str, float], ...]


class Signals(NamedTuple):
    """Section `signals`."""

    use_momentum: bool
    use_mean_reversion: bool
    use_order_flow: bool
    use_volume_spikes: bool
    use_market_making: bool
    user_strategies: tuple[str, ...]
    ema_fast: int
    ema_slow: int
    rsi_period: int
    rsi_oversold: float
    rsi_overbought: float
    book_levels: int
    flow_levels: int
    warmup_events: int
    jump_max_pct: float
    quarantine_s: float
    weights: SignalsWeights


class Quoting(NamedTuple):
    """Section `quoting`."""

    symbols: tuple[str, ...]
    lease_ms: int
    model: str
    risk_aversion: float
    horizon_s: int
    quote_usd: float
    max_inventory_usd: float
    edge_ticks: float
    hysteresis_ticks: int
    rest_ms: int
    messages_per_s: int
    message_burst: int
    stale_ms: int
    spread_max_bps: float
    volatility_sample_ms: int
    volatility_short_s: float
    volatility_long_s: float
    burst_ratio: float
    intensity_s: float
    intensity_step_ticks: int
    vpin_bucket_usd: float
    vpin_buckets: int
    vpin_threshold: str
    vpin_max: float
    vpin_quantile: float
    vpin_memory: int


class Risk(NamedTuple):
    """Section `risk`."""

    trail_risk_fraction: float
    profit_step_risk: float
    mean_profit_pct: float
    imbalance_exit: float
    imbalance_smoothing_ms: int
    close_on_halt: tuple[str, ...]
    close_on_drawdown: bool
    stale_exit_ms: int
    exit_doubt_ms: int
    venue_stop: bool
    venue_stop_offset_pct: float
    venue_stop_move_pct: float
    venue_stop_move_ms: int
    unprotected_close_ms: int
    stop_loss_pct: float
    take_profit_pct: float
    partial_close_fraction: float
    trailing_activation_pct: float
    trailing_distance_pct: float
    flatten_on_stop: bool
    foreign_policy: str
    close_on_reverse_signal: bool
    max_order_notional_usd: float
    max_order_quantity: float
    price_collar_pct: float
    max_slippage_pct: float
    max_mark_age_ms: int
    max_orders_per_s: int
    max_repeats: int
    repeat_window_ms: int
    order_time_to_live_ms: int
    max_stale_ms: int
    max_symbol_orders: int
    max_strategy_notional_usd: float
    max_gross_notional_usd: float
    max_net_notional_usd: float
    max_portfolio_risk: float
    max_margin_share: float
    correlation_grid_ms: int
    correlation_half_life_s: int
    correlation_min_samples: int
    max_drawdown: float
    max_daily_loss: float
    max_consecutive_losses: int
    loss_cool_off_min: int
    warmup_s: int


class PositionSizing(NamedTuple):
    """Section `position_sizing`."""

    method: str
    base_size: float
    max_size: float
    risk_per_trade: float
    kelly_fraction: float
    kelly_min_trades: int
    correlation_limit: float


class System(NamedTuple):
    """Section `system`."""

    instance: str
    state_folder: str
    cpu_cores: tuple[int, ...]
    memory_pools: bool
    cache_alignment: int
    numa_optimization: bool
    wait_strategy: str
    idle_before_block_us: int
    lock_memory: bool
    kernels: str


class Performance(NamedTuple):
    """Section `performance`."""

    processing_cycle_ms: int
    signal_cooldown_sec: float
    cache_size: int
    queue_size: int
    market_queue_size: int
    status_interval_s: int


class Venue(NamedTuple):
    """Section `venue`."""

    mode: str
    rest_url: str
    stream_url: str
    private_stream_url: str
    ws_api_url: str
    recv_window_ms: int
    request_timeout_ms: int
    countdown_s: float
    countdown_beat_s: float
    stop_working_type: str
    depth_stream: str
    trade_stream: str
    snapshot_limit: int
    stale_connection_ms: int


class Exchange(NamedTuple):
    """Section `exchange`."""

    market: str
    seed: int
    port: int
    capture: tuple[str, ...]
    speed: str
    balance_usd: float
    maker_fee: float
    taker_fee: float
    rate: float
    regime: str
    faults: tuple[str, ...]


class Supervisor(NamedTuple):
    """Section `supervisor`."""

    heartbeat_timeout_ms: int
    restart_budget: int
    restart_window_s: int
    restart_backoff_ms: int
    ready_timeout_s: int
    stop_timeout_s: int
    kill_takeover_ms: int
    kill_attempts: int
    emergency_flatten: bool


class Trades(NamedTuple):
    """Section `trades`."""

    ledger: bool
    folder: str
    write_interval_ms: int
    halt_when_unwritable: bool


class Optimization(NamedTuple):
    """Section `optimization`."""

    USE_ULTRA_LOW_LATENCY: bool
    CPU_OPTIMIZATION: bool
    MEMORY_OPTIMIZATION: bool
    USE_ZERO_ALLOCATION: bool
    USE_ADVANCED_SIGNALS: bool
    CPU_AFFINITY: bool
    MEMORY_POOLS: bool
    USE_HARDWARE_ACCELERATION: bool
    USE_MARKET_MAKING: bool
    NUMA_OPTIMIZATION: bool
    KERNEL_BYPASS: bool


class Settings(NamedTuple):
    """All settings."""

    trading: Trading
    scalping: Scalping
    signals: Signals
    quoting: Quoting
    risk: Risk
    position_sizing: PositionSizing
    system: System
    performance: Performance
    venue: Venue
    exchange: Exchange
    supervisor: Supervisor
    trades: Trades
    optimization: Optimization

    def flat(self) -> dict[str, object]:
        """Return the settings as one dictionary of dotted path to value."""
        return dict(_walk(self, ""))


def _walk(section: object, prefix: str) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for name in getattr(section, "_fields", ()):
        value = getattr(section, name)
        nested = hasattr(value, "_fields")
        path = f"{prefix}{name}"
        pairs += _walk(value, f"{path}.") if nested else [(path, value)]
    return pairs
