"""Recording into a latency histogram from kernels. The layout is in histogram_layout.py."""

from __future__ import annotations

from shm.compiled import export, kernel
from shm.histogram_layout import HISTOGRAM, SUB_BITS, SUB_COUNT, VALUE_MAX
from shm.memory import count_leading_zeros, load_i64, store_i64
from shm.views import address_of, view_of

histogram_at = view_of(HISTOGRAM)


@kernel
def record_value(histogram: int, value: int) -> None:
    """Record one value in nanoseconds; negative values are counted apart."""
    view = histogram_at(histogram)
    if value < 0:
        view.negative += 1
        return
    clipped = min(value, VALUE_MAX)
    octave = max(63 - count_leading_zeros(clipped) - SUB_BITS, 0)
    place = address_of(view.buckets) + 8 * (octave * SUB_COUNT + (clipped >> octave))
    store_i64(place, load_i64(place) + 1)
    view.sum += value
    view.max = max(view.max, value)
    view.count += 1


@kernel
def count(block: int, offset: int, amount: int) -> None:
    """Add to a counter of the block; offsets come from `shm.counters.offset`."""
    store_i64(block + offset, load_i64(block + offset) + amount)


@export(2)
def histogram_record(histogram: int, value: int) -> int:
    """Exported `record_value`; returns 0."""
    record_value(histogram, value)
    return 0
