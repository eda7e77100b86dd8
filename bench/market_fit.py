"""Compare the synthetic market with recordings: the same statistics of both, side by side.

    python -m bench.market_fit --capture btc_1.gz btc_2.gz eth_1.gz --seconds 600

One table for each recorded symbol: a column for every file of it, then one for each regime of the
synthetic market at the same instrument. With two symbols or more, the correlation of their returns
follows. `docs/EXCHANGE.md` holds the figures and what they mean.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.market_tape import Tape, recorded, synthetic
from exchange.markets.regimes import RATE_DEFAULT
from runtime.kernels import load

REGIMES = ("quiet", "trending", "volatile")
CORRELATION_S = 5.0

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Tape], float]


def returns(tape: Tape, step_s: float, first_ms: float = 0.0, last_ms: float = 0.0) -> Floats:
    """Return log returns of the middle of the book on a grid of `step_s` seconds."""
    tops = np.array(sorted(tape.tops), dtype=np.float64)
    grid = np.arange(first_ms or tops[0, 0], last_ms or tape.last_ms, step_s * 1000.0)
    place = np.searchsorted(tops[:, 0], grid, side="right") - 1
    middle = (tops[np.maximum(place, 0), 1] + tops[np.maximum(place, 0), 3]) / 2.0
    change: Floats = np.diff(np.log(middle))
    return change


def autocorrelation(values: Floats, lag: int) -> float:
    """Return the autocorrelation at a lag, 0 where nothing varies."""
    centred = values - values.mean()
    square = float((centred**2).sum())
    return float((centred[lag:] * centred[:-lag]).sum()) / square if square else 0.0


def _kurtosis(values: Floats) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def _taker(tape: Tape, column: int) -> Floats:
    return np.array([row[column] for row in tape.takers], dtype=np.float64)


def _gaps_ms(tape: Tape) -> Floats:
    gaps: Floats = np.diff(np.sort(_taker(tape, 0)))
    return gaps


def _size(tape: Tape, share: float) -> float:
    instrument = tape.instrument
    unit = instrument.lot_unit / 10**instrument.quantity_decimals
    return float(np.quantile(_taker(tape, 1), share)) * unit


def _one_tick_share(tape: Tape) -> float:
    tops = np.array(sorted(tape.tops), dtype=np.float64)
    held = np.diff(tops[:, 0])
    return float(held[(tops[:-1, 3] - tops[:-1, 1]) == 1].sum() / held.sum())


def _best_lot(tape: Tape) -> float:
    return float(np.mean([lot for shape in tape.shapes for distance, lot in shape if not distance]))


def _density(tape: Tape, low_bps: float, high_bps: float) -> float:
    """Return quantity per basis point between two distances, over the quantity at the touch."""
    tick_bps = 1e4 / tape.tops[0][1]
    low, high = low_bps / tick_bps, high_bps / tick_bps
    total = sum(lot for shape in tape.shapes for distance, lot in shape if low < distance <= high)
    return total / len(tape.shapes) / (high_bps - low_bps) / _best_lot(tape)


def _levels(tape: Tape, bps: float) -> float:
    reach = bps * 1e-4 * tape.tops[0][1]
    counts = [sum(1 for distance, _ in shape if distance <= reach) for shape in tape.shapes]
    return float(np.mean(counts))


def _less_over_more(tape: Tape) -> float:
    less = sum(1 for _, gain in tape.changes if gain < 0)
    return less / max(1, len(tape.changes) - less)


def _change_share(tape: Tape, low_bps: float, high_bps: float) -> float:
    tick_bps = 1e4 / tape.tops[0][1]
    inside = sum(1 for distance, _ in tape.changes if low_bps <= distance * tick_bps < high_bps)
    return inside / len(tape.changes)


STATISTICS: dict[str, Statistic] = {
    "return sd 1 s, bps": lambda t: float(returns(t, 1.0).std()) * 1e4,
    "return sd 5 s, bps": lambda t: float(returns(t, 5.0).std()) * 1e4,
    "lag-1 autocorrelation 0.5 s": lambda t: autocorrelation(returns(t, 0.5), 1),
    "lag-1 autocorrelation 1 s": lambda t: autocorrelation(returns(t, 1.0), 1),
    "lag-1 autocorrelation 5 s": lambda t: autocorrelation(returns(t, 5.0), 1),
    "unchanged after 1 s": lambda t: float((returns(t, 1.0) == 0.0).mean()),
    "unchanged after 5 s": lambda t: float((returns(t, 5.0) == 0.0).mean()),
    "kurtosis 1 s": lambda t: _kurtosis(returns(t, 1.0)),
    "time at one tick spread": _one_tick_share,
    "takers per s": lambda t: len(t.takers) / t.span_s,
    "fills per taker": lambda t: float(_taker(t, 3).mean()),
    "between takers, median ms": lambda t: float(np.median(_gaps_ms(t))),
    "between takers, sd over mean": lambda t: float(_gaps_ms(t).std() / _gaps_ms(t).mean()),
    "taker size median": lambda t: _size(t, 0.5),
    "taker size 90 %": lambda t: _size(t, 0.9),
    "taker size 99 %": lambda t: _size(t, 0.99),
    "taker side autocorrelation 1": lambda t: autocorrelation(_taker(t, 2), 1),
    "taker side autocorrelation 10": lambda t: autocorrelation(_taker(t, 2), 10),
    "taker side autocorrelation 50": lambda t: autocorrelation(_taker(t, 2), 50),
    "touch over median taker": lambda t: _best_lot(t) / float(np.median(_taker(t, 1))),
    "density 0 to 0.3 bps, per bps": lambda t: _density(t, 0.0, 0.3),
    "density 0.3 to 1 bps": lambda t: _density(t, 0.3, 1.0),
    "density 1 to 3 bps": lambda t: _density(t, 1.0, 3.0),
    "density 3 to 6 bps": lambda t: _density(t, 3.0, 6.0),
    "bid levels within 5 bps": lambda t: _levels(t, 5.0),
    "bid levels": lambda t: float(np.mean(t.level_counts)),
    "level changes per s": lambda t: len(t.changes) / t.span_s,
    "best price changes per s": lambda t: len(t.tops) / t.span_s,
    "levels reduced over increased": _less_over_more,
    "changes at the touch": lambda t: _change_share(t, 0.0, 1e-9),
    "changes up to 1 bps": lambda t: _change_share(t, 1e-9, 1.0),
    "changes 1 to 4 bps": lambda t: _change_share(t, 1.0, 4.0),
    "changes 4 to 16 bps": lambda t: _change_share(t, 4.0, 16.0),
}


def correlation(first: Tape, second: Tape, step_s: float = CORRELATION_S) -> float:
    """Return the correlation of two markets' returns over the time that both cover."""
    begin = max(first.first_ms, second.first_ms) + 1000.0
    end = min(first.last_ms, second.last_ms)
    pair = [returns(tape, step_s, begin, end) for tape in (first, second)]
    return float(np.corrcoef(pair[0], pair[1])[0, 1])


def table(tapes: list[Tape]) -> list[str]:
    """Return the lines of one symbol's table, a column for each tape."""
    names = [tape.name.removeprefix(f"usdm_{tape.instrument.symbol.lower()}_") for tape in tapes]
    head = f"{tapes[0].instrument.symbol:<32}" + "".join(f"{name:>20}" for name in names)
    lines = [head]
    for name, statistic in STATISTICS.items():
        cells = "".join(f"{statistic(tape):>20.4g}" for tape in tapes)
        lines.append(f"{name:<32}{cells}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.market_fit", description=__doc__)
    parser.add_argument("--capture", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=600.0, help="of the synthetic market")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rate", type=float, default=RATE_DEFAULT)
    given = parser.parse_args(arguments)
    kernels = load()
    by_symbol: dict[str, list[Tape]] = {}
    for tape in recorded(given.capture):
        by_symbol.setdefault(tape.instrument.symbol, []).append(tape)
    print(f"# seed {given.seed}, {given.seconds:g} s of synthetic market, rate {given.rate:g}")
    for symbol, tapes in by_symbol.items():
        tapes += [
            synthetic(kernels, symbol, name, given.seconds, given.seed, given.rate)
            for name in REGIMES
        ]
        print("\n".join(table(tapes)) + "\n", flush=True)
    for one, other in itertools.combinations(by_symbol, 2):
        cells = zip(by_symbol[one], by_symbol[other], strict=False)
        row = "".join(f"{correlation(*pair):>20.4g}" for pair in cells)
        print(f"{f'correlation 5 s {one[:3]} {other[:3]}':<32}{row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
