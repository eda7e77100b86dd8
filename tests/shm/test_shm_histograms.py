"""Histograms: kernel against plain Python, buckets against a walk, percentiles against hdrh."""

from __future__ import annotations

import bisect
import math
import random

import pytest
from hdrh.histogram import HdrHistogram

from shm.compiled import kernel
from shm.histogram_layout import (
    AREA_SIZE,
    BUCKET_COUNT,
    HISTOGRAM,
    HISTOGRAM_NAMES,
    SUB_COUNT,
    VALUE_BITS,
    VALUE_MAX,
    Histogram,
    HistogramArea,
    bucket_index,
    bucket_upper,
)
from shm.histograms import histogram_record, record_value
from shm.memory import load_i64, store_i64
from tests.naive.shm_histograms import bucket_bounds, nearest_rank

SEED = 4_711
BOUNDS = bucket_bounds(VALUE_BITS, SUB_COUNT)
QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0)


@kernel
def record_all(histogram: int, values: int, n: int) -> int:
    for k in range(n):
        record_value(histogram, load_i64(values + 8 * k))
    return n


def samples(kind: str, n: int = 5_000) -> list[int]:
    print("seed", SEED)
    rng = random.Random(SEED)
    if kind == "small":
        return [rng.randint(0, 200) for _ in range(n)]
    if kind == "heavy":
        return [int(rng.paretovariate(0.6) * 100) for _ in range(n)]
    if kind == "uniform":
        return [rng.randint(0, 10_000_000) for _ in range(n)]
    return [1_000_000] * n


def test_buckets_are_those_of_a_walk_over_all_octaves():
    assert len(BOUNDS) == BUCKET_COUNT
    assert BOUNDS[-1][1] == VALUE_MAX
    for index, (low, high) in enumerate(BOUNDS):
        assert bucket_index(low) == bucket_index(high) == index
        assert bucket_upper(index) == high
        assert high - low <= low / SUB_COUNT, "wider than 1/64 of its value"


@pytest.mark.parametrize("value", [0, -1, 1, 63, 64, 127, 128, VALUE_MAX, VALUE_MAX + 1, 1 << 62])
def test_kernel_and_python_record_alike(region, value: int):
    one, two = region(HISTOGRAM.size), region(HISTOGRAM.size)
    histogram_record(one, value)
    Histogram(two).record(value)
    left, right = HISTOGRAM.at(one), HISTOGRAM.at(two)
    for name in ("count", "sum", "max", "negative"):
        assert getattr(left, name) == getattr(right, name), name
    assert list(left.buckets) == list(right.buckets)
    assert (left.count, left.negative) == ((0, 1) if value < 0 else (1, 0))
    if value >= 0:
        wanted = bisect.bisect([low for low, _ in BOUNDS], min(value, VALUE_MAX)) - 1
        assert left.buckets[wanted] == 1


@pytest.mark.parametrize("kind", ["small", "heavy", "uniform", "constant"])
def test_percentiles_are_within_a_bucket_of_the_values(region, kind: str):
    values = samples(kind)
    address, place = region(HISTOGRAM.size), region(8 * len(values))
    for k, value in enumerate(values):
        store_i64(place + 8 * k, value)
    record_all(address, place, len(values))
    histogram = Histogram(address)
    assert histogram.count == len(values)
    assert HISTOGRAM.at(address).sum == sum(values)
    for quantile, got in zip(QUANTILES, histogram.percentiles(QUANTILES), strict=True):
        exact = nearest_rank(values, quantile)
        assert got is not None
        assert exact <= got <= exact + exact / SUB_COUNT + 1, quantile
    assert histogram.percentiles((1.0,)) == [max(values)]


@pytest.mark.parametrize("kind", ["small", "heavy", "uniform", "constant"])
def test_percentiles_agree_with_hdrhistogram(region, kind: str):
    values = [value for value in samples(kind) if value < VALUE_MAX]
    theirs = HdrHistogram(1, VALUE_MAX, 3)
    address = region(HISTOGRAM.size)
    ours = Histogram(address)
    for value in values:
        theirs.record_value(value)
        ours.record(value)
    for quantile in (0.5, 0.9, 0.99, 0.999):
        wanted = theirs.get_value_at_percentile(100 * quantile)
        (got,) = ours.percentiles((quantile,))
        # Their buckets are at most 1/1000 wide, ours 1/64; both name a bound of the bucket.
        assert math.isclose(got or 0, wanted, rel_tol=1 / SUB_COUNT + 1 / 1000, abs_tol=1)


def test_empty_histogram_has_no_percentiles(region):
    histogram = Histogram(region(HISTOGRAM.size))
    assert histogram.percentiles((0.5, 0.99)) == [None, None]
    histogram.record(-5)
    assert histogram.percentiles((0.5,)) == [None]
    histogram.record(5)
    assert histogram.percentiles((0.0, 1.0)) == [5, 5]
    histogram.clear()
    assert histogram.percentiles((0.5,)) == [None]


def test_area_keeps_histograms_apart(region):
    area = HistogramArea(region(AREA_SIZE))
    for number, name in enumerate(HISTOGRAM_NAMES, 1):
        for _ in range(number):
            histogram_record(area.address_of(name), 1_000 * number)
    for number, name in enumerate(HISTOGRAM_NAMES, 1):
        assert area.get(name).count == number
        assert area.get(name).percentiles((0.5,)) == [1_000 * number]
