"""From the settings to the record that the kernels read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from config.by_symbol import thresholds_of
from config.settings import Settings
from config.strategies import strategies_of
from engine.state import (
    BOOK_LEVELS_MAX,
    DECAY_ROWS,
    FLOW_LEVELS_MAX,
    PARAMETERS,
    PARAMETERS_OFFSET,
    TAU_MS,
    THRESHOLDS,
    thresholds_address,
)
from shm.records import Factor

# What stays when optimization.USE_ADVANCED_SIGNALS is off.
BASIC_FACTORS = (Factor.MOMENTUM, Factor.ORDER_FLOW, Factor.BOOK_IMBALANCE)


def configure(
    engine_address: int, settings: Settings, symbols: Sequence[str], require_book: bool = True
) -> None:
    """Write the settings into an engine's memory: PARAMETERS, and THRESHOLDS of each symbol.

    Args:
        engine_address: address of ENGINE; changed.
        settings: checked settings.
        symbols: names by index; one that the settings do not name has the thresholds for all.
        require_book: no signal without a valid book; the stage always wants that.
    """
    fill_parameters(PARAMETERS.at(engine_address + PARAMETERS_OFFSET), settings, require_book)
    for index, symbol in enumerate(symbols):
        record = THRESHOLDS.at(thresholds_address(engine_address, index))
        fill_thresholds(record, settings, symbol)


def fill_thresholds(record: Any, settings: Settings, symbol: str) -> None:
    """Write what an entry of a symbol must reach into a THRESHOLDS record."""
    chosen = thresholds_of(settings, symbol)
    record.signal_threshold = chosen.signal_threshold
    record.confidence_threshold = chosen.confidence_threshold
    record.min_confirmations = chosen.min_confirmations
    record.cooldown_ms = round(chosen.signal_cooldown_sec * 1000)


def fill_parameters(parameters: Any, settings: Settings, require_book: bool = True) -> None:
    """Write the settings into a PARAMETERS record.

    Args:
        parameters: the record, in place; changed.
        settings: checked settings.
        require_book: no signal without a valid book; the stage always wants that.
    """
    scalping, signals = settings.scalping, settings.signals
    parameters.order_flow_imbalance = scalping.order_flow_imbalance
    parameters.momentum_acceleration = scalping.momentum_acceleration_pct
    parameters.volume_spike_ratio = scalping.volume_spike_ratio
    parameters.ema_fast_gain = 2.0 / (signals.ema_fast + 1)
    parameters.ema_slow_gain = 2.0 / (signals.ema_slow + 1)
    parameters.ema_slow_span = signals.ema_slow
    parameters.rsi_oversold = signals.rsi_oversold
    parameters.rsi_overbought = signals.rsi_overbought
    parameters.rsi_period = signals.rsi_period
    parameters.book_levels = min(signals.book_levels, BOOK_LEVELS_MAX)
    parameters.warmup_events = signals.warmup_events
    parameters.jump_max = signals.jump_max_pct
    parameters.quarantine_ms = round(signals.quarantine_s * 1000)
    parameters.flow_levels = min(signals.flow_levels, FLOW_LEVELS_MAX)
    parameters.use_volume_spikes = int(signals.use_volume_spikes)
    parameters.require_book = int(require_book)
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
