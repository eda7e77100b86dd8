"""Evaluate the engine's signals on recordings: hit rates, forward returns, calibration.

    python -m bench.evaluate btc_1.gz btc_2.gz eth_1.gz [--json FILE] [--plots FOLDER]

The parameters are those of the configuration; nothing is fitted and no row is chosen. Files of one
symbol are joined by time, every symbol is evaluated by itself. What a signal, a hit and a return
are is defined in evaluation_occasions.py and evaluation_returns.py, and printed below the head.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.evaluation_course import (
    HASH_DIGITS,
    Course,
    engine_weights,
    load_process_many,
    parameter_lines,
    run_course,
)
from bench.evaluation_occasions import COOLDOWN_S, occasions_of
from bench.evaluation_recording import Recording, RecordingError, read_recordings
from bench.evaluation_report import LEGEND, calibration_lines, return_lines, write_json
from bench.evaluation_returns import Fees
from bench.evaluation_rows import Evaluation
from bench.evaluation_statistics import RESAMPLES
from config.by_symbol import thresholds_of
from config.errors import ConfigError
from config.loader import load
from config.settings import Settings
from config.strategies import strategies_of
from runtime.kernels import KernelError

SEED = 1


def _head(settings: Settings, seed: int, mode: str) -> dict[str, Any]:
    fees = {"maker_fee": settings.exchange.maker_fee, "taker_fee": settings.exchange.taker_fee}
    parameters = [*parameter_lines(settings), *(f"{k}={v:.12g}" for k, v in fees.items())]
    digest = hashlib.sha256("\n".join(parameters).encode()).hexdigest()
    return {
        "kernels": mode,
        "seed": seed,
        "resamples": RESAMPLES,
        "cooldown_s": COOLDOWN_S,
        "parameters": parameters,
        "parameters_sha256": digest,
    }


def _head_lines(head: dict[str, Any]) -> list[str]:
    lines = [f"# parameters, hash {head['parameters_sha256'][:HASH_DIGITS]}:"]
    row = "#  "
    for text in head["parameters"]:
        if len(row) + len(text) > 98:
            lines.append(row)
            row = "#  "
        row += f" {text}"
    lines += [row, f"# kernels {head['kernels']}, seed {head['seed']}, resamples {RESAMPLES}"]
    lines.append(f"# one signal rests for {COOLDOWN_S:g} s after it fired")
    return lines + [f"# {text}" for text in LEGEND]


def _span_s(course: Course) -> float:
    return float(np.ptp(course.time_ms)) / 1000 if len(course.time_ms) else 0.0


def _chain_lines(recording: Recording, course: Course) -> list[str]:
    lines = [
        f"## {recording.symbol}: {', '.join(path.name for path in recording.paths)}",
        f"# {len(recording.events)} events in {len(recording.message_ends)} messages, "
        f"{len(course.time_ms)} evaluated, {_span_s(course):.0f} s of venue time",
        f"# {len(course.signals)} signals of the engine, SHA-256 of their records "
        f"{course.signal_hash}",
    ]
    if not recording.has_snapshot:
        lines.append("# no depth snapshot in it: no valid book, so the strategies stay silent")
    if recording.gaps:
        lines.append(f"# gaps in the ids of depth updates: {recording.gaps}; no book after one")
    return lines


def _evaluate(
    recording: Recording, settings: Settings, process_many: Any, seed: int, plots: Path | None
) -> dict[str, Any]:
    """Print one symbol's evaluation and return it."""
    course = run_course(recording, settings, process_many)
    weights = engine_weights(settings)
    print("\n".join(_chain_lines(recording, course)), flush=True)
    fees = Fees(settings.exchange.maker_fee, settings.exchange.taker_fee)
    evaluation = Evaluation(course, fees, recording.symbol, seed)
    threshold = thresholds_of(settings, recording.symbol).signal_threshold
    labels = {code: known.label for code, known in strategies_of(settings).items()}
    sources = occasions_of(course, weights, threshold, labels)
    pairs = evaluation.with_random(sources)
    rows, calibrations = evaluation.rows(pairs), evaluation.calibrations(pairs)
    print("\n".join([*return_lines(rows), "", *calibration_lines(calibrations)]), flush=True)
    if plots is not None:
        # Imported here: the tables need no matplotlib.
        from bench.evaluation_plots import CURVE_S, plot_reliability, plot_returns

        name = recording.symbol.lower()
        curves = evaluation.rows(pairs, CURVE_S)
        plot_returns(curves, recording.symbol, plots / f"{name}_returns.png")
        plot_reliability(calibrations, recording.symbol, plots / f"{name}_reliability.png")
    return {
        "symbol": recording.symbol,
        "files": [path.name for path in recording.paths],
        "venue_s": _span_s(course),
        "events": len(recording.events),
        "messages": len(recording.message_ends),
        "gaps": recording.gaps,
        "has_snapshot": recording.has_snapshot,
        "signals": len(course.signals),
        "signals_sha256": course.signal_hash,
        "rows": rows,
        "calibrations": calibrations,
    }


def _run(given: argparse.Namespace) -> None:
    settings = load()
    if given.plots is not None:
        given.plots.mkdir(parents=True, exist_ok=True)
    recordings = read_recordings(given.files)
    mode, process_many = load_process_many(given.kernels, settings.signals.user_strategies)
    head = _head(settings, given.seed, mode)
    print("\n".join(_head_lines(head)), flush=True)
    chains = [
        _evaluate(recording, settings, process_many, given.seed, given.plots)
        for recording in recordings
    ]
    if given.json is not None:
        write_json(given.json, head, chains)


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"a seed is not negative: {seed}")
    return seed


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code, 2 after one line about what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluate", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="recordings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables to it")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write PNG plots into it")
    parser.add_argument("--seed", type=_seed, default=SEED, help="of random times and bootstrap")
    parser.add_argument("--kernels", choices=("ahead", "jit"), default="ahead")
    given = parser.parse_args(arguments)
    try:
        _run(given)
    except (RecordingError, ConfigError, KernelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
