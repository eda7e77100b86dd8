"""The evaluation as pictures: forward returns over the horizon, and reliability diagrams."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from bench.evaluation_rows import CALIBRATION_S, RANDOM, Calibration, Row

CURVE_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
COLUMNS = 3
PANEL_INCHES = (4.2, 3.0)
OWN, TWIN = "tab:blue", "tab:gray"


def _draw_curve(axes: Axes, rows: list[Row], colour: str, label: str) -> None:
    seconds = [row.horizon_s for row in rows]
    axes.plot(seconds, [row.gross.mean for row in rows], color=colour, marker=".", label=label)
    lows, highs = ([getattr(row.gross, end) for row in rows] for end in ("low", "high"))
    axes.fill_between(seconds, lows, highs, color=colour, alpha=0.2, linewidth=0)


def plot_returns(rows: list[Row], symbol: str, path: Path) -> None:
    """Draw mean forward returns before fees with their intervals, a panel for every source.

    Args:
        rows: over `CURVE_S`, of all sources, random twins included; those that never fired are
            left out.
        symbol: for the title.
        path: PNG file to write.
    """
    sources = list(dict.fromkeys(row.source for row in rows if row.count))
    height = max(1, math.ceil(len(sources) / COLUMNS))
    size = (PANEL_INCHES[0] * COLUMNS, PANEL_INCHES[1] * height)
    figure, grid = pyplot.subplots(
        height, COLUMNS, figsize=size, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(sources) :]:
        axes.set_axis_off()
    for axes, source in zip(grid.flat, sources, strict=False):
        own = [row for row in rows if row.source == source and not row.is_random]
        twin = [row for row in rows if row.source == source and row.is_random]
        _draw_curve(axes, twin, TWIN, RANDOM)
        _draw_curve(axes, own, OWN, "signal")
        axes.axhline(0.0, color="black", linewidth=0.6)
        axes.set_xscale("log")
        # Without limits an axis of logarithms has none where a panel holds no finite value.
        axes.set_xlim(CURVE_S[0] / 1.2, CURVE_S[-1] * 1.2)
        axes.set_title(f"{source}, {own[0].signals} signals", fontsize=9)
        axes.set_xlabel("seconds after the signal", fontsize=8)
        axes.set_ylabel("mean return, 1e-4, before fees", fontsize=8)
        axes.tick_params(labelsize=7)
    if sources:
        grid.flat[0].legend(fontsize=7)
    figure.suptitle(f"{symbol}: forward returns, intervals 95 %", fontsize=11)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_reliability(calibrations: list[Calibration], symbol: str, path: Path) -> None:
    """Draw stated confidence against hit rate with Wilson intervals, a panel for every source.

    Args:
        calibrations: each source followed by its random twin; sources without one are left out.
        symbol: for the title.
        path: PNG file to write.
    """
    calibrations = [
        each
        for own, twin in zip(calibrations[::2], calibrations[1::2], strict=True)
        if own.count
        for each in (own, twin)
    ]
    count = max(1, len(calibrations) // 2)
    size = (PANEL_INCHES[0] * count, PANEL_INCHES[0])
    figure, grid = pyplot.subplots(1, count, figsize=size, squeeze=False, layout="constrained")
    if not calibrations:
        grid.flat[0].set_title("no signal with a confidence", fontsize=9)
    for place, axes in enumerate(grid.flat[: len(calibrations) // 2]):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle="--")
        for each, colour in (
            (calibrations[2 * place + 1], TWIN),
            (calibrations[2 * place], OWN),
        ):
            bins = [b for b in each.bins if b.count]
            rates = [b.hit_rate for b in bins]
            below = [rate - b.hit_low for rate, b in zip(rates, bins, strict=True)]
            above = [b.hit_high - rate for rate, b in zip(rates, bins, strict=True)]
            axes.errorbar(
                [b.confidence for b in bins], rates, yerr=[below, above], color=colour,
                marker="o", markersize=4, linewidth=1, capsize=2,
                label=RANDOM if each.is_random else "signal",
            )  # fmt: skip
        own = calibrations[2 * place]
        axes.set_xlim(0.0, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_title(f"{own.source}, n {own.count}", fontsize=9)
        axes.set_xlabel("stated confidence", fontsize=8)
        axes.set_ylabel(f"hit rate after {CALIBRATION_S:g} s", fontsize=8)
        axes.tick_params(labelsize=7)
    if calibrations:
        grid.flat[0].legend(fontsize=7)
    figure.suptitle(f"{symbol}: reliability of confidence, intervals 95 %", fontsize=11)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
