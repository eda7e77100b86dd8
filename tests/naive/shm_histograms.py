"""A histogram as the list of its values, and buckets found by walking all of them."""

from __future__ import annotations

import math


def bucket_bounds(value_bits: int, sub_count: int) -> list[tuple[int, int]]:
    """Return (lowest, highest) value of each bucket: single values, then 64 to an octave."""
    bounds = [(v, v) for v in range(2 * sub_count)]
    while bounds[-1][1] < (1 << value_bits) - 1:
        start = bounds[-1][1] + 1
        width = (
            start // sub_count if start & (start - 1) == 0 else bounds[-1][1] - bounds[-1][0] + 1
        )
        bounds.append((start, start + width - 1))
    return bounds


def nearest_rank(values: list[int], quantile: float) -> int:
    ordered = sorted(values)
    return ordered[max(1, math.ceil(quantile * len(ordered))) - 1]
