"""Log-linear latency histograms in shared memory: layout, and reading them from plain Python.

Values are non-negative integers (nanoseconds). Below 64 each value has its own bucket; above, every
octave is cut into 64 buckets, so a bucket's width is at most 1/64 of its value (1.6 %). Values of
2^40 and more (18 minutes) fall into the last bucket. The kernel that records is in histograms.py.
"""

from __future__ import annotations

import ctypes

from shm.fields import CACHE_LINE_PAIR, Field, Record

SUB_BITS = 6
SUB_COUNT = 1 << SUB_BITS
VALUE_BITS = 40
VALUE_MAX = (1 << VALUE_BITS) - 1
# Octaves above the linear part, plus the two halves of the first 2 × SUB_COUNT values.
BUCKET_COUNT = (VALUE_BITS - SUB_BITS + 1) * SUB_COUNT
assert BUCKET_COUNT == 2240

HISTOGRAM = Record(
    "histogram",
    "A log-linear histogram of nanoseconds; one writer.",
    [
        Field("count", "i64", "count", "owner", "values recorded"),
        Field("sum", "i64", "ns", "owner", "of the values, wrapping"),
        Field("max", "i64", "ns", "owner", "largest value"),
        Field("negative", "i64", "count", "owner", "negative values: clocks disagree; not counted"),
        Field("buckets", "i64", "count", "owner", "values per bucket", BUCKET_COUNT, align=64),
    ],
    align=CACHE_LINE_PAIR,
)

# Which latencies are kept: name → (owner, meaning).
HISTOGRAMS: dict[str, tuple[str, str]] = {
    "feed": ("feed", "receive stamp → last record of the message in the market ring"),
    "engine": ("engine", "receive stamp → signal in the ring"),
    "risk": ("risk", "signal or market event read → order in the ring"),
    "unprotected": (
        "risk",
        "position without a covering stop at the venue → with one, or flat",
    ),
    "executor": ("executor", "order written → bytes handed to the socket"),
    "tick_to_order": ("executor", "receive stamp of the causing event → bytes handed over"),
    "ack": ("executor", "bytes handed over → first word of the venue"),
}
HISTOGRAM_NAMES = tuple(HISTOGRAMS)
AREA_SIZE = len(HISTOGRAMS) * HISTOGRAM.size


def bucket_index(value: int) -> int:
    """Return the bucket of a value; negative values count as 0."""
    value = min(max(value, 0), VALUE_MAX)
    octave = max(value.bit_length() - 1 - SUB_BITS, 0)
    return octave * SUB_COUNT + (value >> octave)


def bucket_upper(index: int) -> int:
    """Return the largest value that falls into a bucket."""
    if index < 2 * SUB_COUNT:
        return index
    octave = index // SUB_COUNT - 1
    return ((index - octave * SUB_COUNT + 1) << octave) - 1


class Histogram:
    """One histogram at an address, read (and in cold paths written) from plain Python."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._view = HISTOGRAM.at(address)

    def record(self, value: int) -> None:
        """Record one value in nanoseconds; only the owner may."""
        view = self._view
        if value < 0:
            view.negative += 1
            return
        view.buckets[bucket_index(value)] += 1
        view.sum += value
        view.max = max(view.max, value)
        view.count += 1

    def percentiles(self, quantiles: tuple[float, ...]) -> list[int | None]:
        """Return the upper bound of the bucket of each quantile (0..1, ascending).

        None where nothing has been recorded. The writer may go on meanwhile: counts are summed
        from the buckets that are read.
        """
        counts = list(self._view.buckets)
        total = sum(counts)
        found: list[int | None] = []
        if total == 0:
            return [None] * len(quantiles)
        index, seen = 0, counts[0]
        for quantile in quantiles:
            wanted = max(1, min(total, -int(-quantile * total // 1)))
            while seen < wanted:
                index += 1
                seen += counts[index]
            found.append(min(bucket_upper(index), self._view.max))
        return found

    @property
    def count(self) -> int:
        """Return the number of values recorded."""
        return self._view.count

    def clear(self) -> None:
        """Forget everything; only when nobody records."""
        ctypes.memset(self.address, 0, HISTOGRAM.size)


class HistogramArea:
    """All latency histograms of an instance."""

    def __init__(self, address: int) -> None:
        self.address = address

    def address_of(self, name: str) -> int:
        """Return the address of a named histogram."""
        return self.address + HISTOGRAM_NAMES.index(name) * HISTOGRAM.size

    def get(self, name: str) -> Histogram:
        """Return a named histogram."""
        return Histogram(self.address_of(name))
