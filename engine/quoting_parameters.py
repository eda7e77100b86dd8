"""From the settings and a symbol's filters to the record that the quoting kernels read."""

from __future__ import annotations

import math
from typing import Any

from config.settings import Settings
from engine.quoting_state import FlowThreshold, QuoteModel


def fill_quote_parameters(parameters: Any, settings: Settings, symbol: Any, price: float) -> None:
    """Write a symbol's QUOTE_PARAMETERS record.

    Quantities given in USD become lots once, at a reference price: a limit that moved with the
    price would make quotes move without a cause.

    Args:
        parameters: the record, in place; changed.
        settings: checked settings.
        symbol: a SYMBOL record: tick_size, lot_size, lot_min, notional_min, maker_fee.
        price: reference price in the quote asset, > 0.

    Raises:
        ValueError: the reference price is not positive.
    """
    if not price > 0.0:
        raise ValueError(f"reference price must be positive: price={price}")
    quoting = settings.quoting
    lot_value = price * symbol.lot_size
    parameters.model = int(QuoteModel[quoting.model.upper()])
    parameters.risk_aversion = quoting.risk_aversion
    parameters.horizon_s = float(quoting.horizon_s)
    parameters.maker_fee = symbol.maker_fee
    parameters.edge_tick = quoting.edge_ticks
    parameters.quote_lot = int(quoting.quote_usd / lot_value)
    parameters.max_inventory_lot = int(quoting.max_inventory_usd / lot_value)
    parameters.lot_min = max(symbol.lot_min, 1)
    parameters.value_min = math.ceil(symbol.notional_min / (symbol.tick_size * symbol.lot_size))
    parameters.hysteresis_tick = quoting.hysteresis_ticks
    parameters.rest_ms = quoting.rest_ms
    parameters.message_rate = quoting.messages_per_s
    parameters.message_burst = quoting.message_burst
    parameters.stale_ms = quoting.stale_ms
    parameters.spread_max = quoting.spread_max_bps / 10_000.0
    parameters.sample_ms = quoting.volatility_sample_ms
    parameters.short_s = quoting.volatility_short_s
    parameters.long_s = quoting.volatility_long_s
    parameters.burst_ratio = quoting.burst_ratio
    parameters.intensity_s = quoting.intensity_s
    parameters.step_tick = quoting.intensity_step_ticks
    parameters.flow_lot = max(int(quoting.vpin_bucket_usd / lot_value), 1)
    parameters.flow_buckets = quoting.vpin_buckets
    parameters.flow_threshold = int(FlowThreshold[quoting.vpin_threshold.upper()])
    parameters.flow_max = quoting.vpin_max
    parameters.flow_quantile = quoting.vpin_quantile
    parameters.flow_memory = float(quoting.vpin_memory)
