"""The evaluation as aligned text, and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.evaluation_returns import LATE_S
from bench.evaluation_rows import CALIBRATION_S, RANDOM, Calibration, Mean, Row

LEGEND = (
    "n: signals with a complete horizon in the recording; out: the others, not counted.",
    "flat: share of n after which the mid was the same. hit: share of the rest whose mid moved to",
    "the signal's side, Wilson interval 95 %.",
    "gross: mean return in 1e-4 from the mid at the signal to the mid then, in its direction.",
    f"late: the same from the mid {LATE_S:g} s after the signal, when an order could be there (an",
    "assumption).",
    "maker: in at the near side (filled at once: a bound), valued at the mid then, less 2 fees.",
    "taker: in at the far side, valued at the mid then, less 2 fees; the spread of getting out is",
    "not taken off. Intervals of means: stationary bootstrap, 95 %; none for n < 5.",
    "random times: as many as the signal, same sides, uniform over the recording. Signals come in",
    "livelier times than these, so compare hits and means, not how often the mid moved.",
    "Each interval is for its row alone: of twenty, about one misses its true value by chance.",
)


def _number(value: float, form: str = "+.2f") -> str:
    return "-" if math.isnan(value) else format(value, form)


def _interval(low: float, high: float, form: str = "+.2f") -> str:
    return f"{_number(low, form)}..{_number(high, form)}" if not math.isnan(low) else "-"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _mean_cells(mean: Mean, width: int) -> str:
    return f"{_number(mean.mean):>7} {_interval(mean.low, mean.high):>{width}}"


def return_lines(rows: list[Row]) -> list[str]:
    """Return the table of forward returns."""
    head = f"{'source':<24}{'horizon':>8} {'n':>5} {'out':>4} {'flat':>5} {'hit':>5} {'95 %':>9}"
    head += f" {'gross':>7} {'95 %':>13} {'late':>7}"
    for name in ("maker", "taker"):
        head += f" {name:>7} {'95 %':>14}"
    lines = [head]
    for row in rows:
        if row.signals == 0:
            if not row.is_random and row.horizon_s == rows[0].horizon_s:
                lines += ["", f"{row.source:<24}no signal"]
            continue
        if not row.is_random and lines[-1] is not head and row.horizon_s == rows[0].horizon_s:
            lines.append("")
        name = f"  {RANDOM}" if row.is_random else row.source
        hit = _share(row.hits, row.moved)
        bounds = f"{row.hit_low:.0%}..{row.hit_high:.0%}" if row.moved else "-"
        lines.append(
            f"{name:<24}{row.horizon_s:>6g} s {row.count:>5} {row.left_out:>4} "
            f"{_share(row.count - row.moved, row.count):>5} {hit:>5} {bounds:>9} "
            f"{_mean_cells(row.gross, 13)} {_number(row.late.mean):>7} "
            f"{_mean_cells(row.maker, 14)} {_mean_cells(row.taker, 14)}"
        )
    return lines


def calibration_lines(calibrations: list[Calibration]) -> list[str]:
    """Return the reliability tables; a bin's twin stands in its own columns."""
    head = f"{'confidence':<24}{'n':>6} {'stated':>7} {'hit':>5} {'95 %':>10}"
    head += f" {'random n':>9} {'hit':>5} {'95 %':>10}"
    lines = []
    for own, twin in zip(calibrations[::2], calibrations[1::2], strict=True):
        if own.count == 0:
            continue
        lines += [f"reliability of {own.source}, {CALIBRATION_S:g} s", head]
        for bin_, other in zip(own.bins, twin.bins, strict=True):
            mine, theirs = (
                f"{_share(b.hits, b.count):>5} "
                f"{f'{b.hit_low:.0%}..{b.hit_high:.0%}' if b.count else '-':>10}"
                for b in (bin_, other)
            )
            name = f"  {bin_.low:g} to {bin_.high:g}"
            stated = _number(bin_.confidence, ".2f")
            lines.append(f"{name:<24}{bin_.count:>6} {stated:>7} {mine} {other.count:>9} {theirs}")
        for each in (own, twin):
            name = RANDOM if each.is_random else "Brier"
            lines.append(
                f"  {name:<22}{each.count:>6} Brier {_number(each.brier, '.4f')}, of the base rate "
                f"{_number(each.base_rate, '.3f')}: {_number(each.base_rate_brier, '.4f')}"
            )
        lines.append("")
    return lines


def _plain(value: Any) -> Any:
    """Return a value without nan, which JSON does not have."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value


def write_json(path: Path, head: dict[str, Any], chains: list[dict[str, Any]]) -> None:
    """Write everything that was printed; rows and calibrations are those of `evaluation_rows`.

    Raises:
        OSError: the file cannot be written.
    """
    written = [
        chain
        | {
            "rows": [asdict(row) | {"hit_rate": row.hit_rate} for row in chain["rows"]],
            "calibrations": [asdict(each) for each in chain["calibrations"]],
        }
        for chain in chains
    ]
    text = json.dumps(_plain(head | {"chains": written}), indent=1, allow_nan=False)
    path.write_text(text + "\n")
