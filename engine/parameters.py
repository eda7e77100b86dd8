"""From the settings to the record that the kernels read."""

from __future__ import annotations

import math
from typing import Any

from config.settings import Settings
from config.strategies import strategies_of
from engine.state import BOOK_LEVELS_MAX, DECAY_ROWS, FLOW_LEVELS_MAX, TAU_MS
from shm.records import Factor

# What stays when optimization.USE_ADVANCED_SIGNALS is off.
BASIC_FACTORS = (Factor.MOMENTUM, Factor.ORDER_FLOW, Factor.BOOK_IMBALANCE)


def fill_parameters(parameters: Any, settings: Settings, require_book: bool = True) -> None:
    """Write the settings into a PARAMETERS record.

    Args:
        parameters: the record, in place; changed.
        settings: checked settings.
        require_book: no signal without a valid book; the stage always wants that.
    """
    scalping, signals = settings.scalping, settings.signals
    parameters.signal_threshold = scalping.signal_threshold
    parameters.confidence_threshold = scalping.confidence_threshold
    parameters.order_flow_imbalance = scalping.order_flow_imbalance
    parameters.momentum_acceleration = scalping.momentum_acceleration_pct
    parameters.volume_spike_ratio = scalping.volume_spike_ratio
    parameters.min_confirmations = scalping.min_confirmations
    parameters.ema_fast_gain = 2.0 / (signals.ema_fast + 1)
    parameters.ema_slow_gain = 2.0 / (signals.ema_slow + 1)
    parameters.ema_slow_span = signals.ema_slow
    parameters.rsi_oversold = signals.rsi_oversold
    parameters.rsi_overbought = signals.rsi_overbought
    parameters.rsi_period = signals.rsi_period
    parameters.book_levels = min(signals.book_levels, BOOK_LEVELS_MAX)
    parameters.warmup_events = signals.warmup_events
    parameters.flow_levels = min(signals.flow_levels, FLOW_LEVELS_MAX)
    parameters.use_volume_spikes = int(signals.use_volume_spikes)
    parameters.require_book = int(require_book)
    parameters.cooldown_ms = round(settings.performance.signal_cooldown_sec * 1000)
    for factor in Factor:
        parameters.weights[int(factor)] = _weight(settings, factor)
    _fill_strategies(parameters, settings)
    _fill_decays(parameters)


def _fill_strategies(parameters: Any, settings: Settings) -> None:
    for code, known in strategies_of(settings).items():
        parameters.strategy_enabled[code] = int(known.is_on)
        parameters.exit_rule[code] = int(known.exit_rule)
        parameters.hold_ms_min[code] = known.hold_ms_min
        parameters.hold_ms_max[code] = known.hold_ms_max
        parameters.stop_pct[code] = known.stop_pct
        parameters.target_pct[code] = known.target_pct


def _weight(settings: Settings, factor: Factor) -> float:
    if factor == Factor.VOLUME_SPIKE and not settings.signals.use_volume_spikes:
        return 0.0
    if factor not in BASIC_FACTORS and not settings.optimization.USE_ADVANCED_SIGNALS:
        return 0.0
    return float(getattr(settings.signals.weights, factor.name.lower()))


def _fill_decays(parameters: Any) -> None:
    for row, tau_ms in enumerate(TAU_MS):
        for step in range(DECAY_ROWS):
            place = row * DECAY_ROWS + step
            parameters.decay_1[place] = math.exp(-step / tau_ms)
            parameters.decay_256[place] = math.exp(-step * 256 / tau_ms)
            parameters.decay_65536[place] = math.exp(-step * 65536 / tau_ms)
