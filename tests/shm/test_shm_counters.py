"""Counters: rows, places, and counting from both sides."""

from __future__ import annotations

import pytest

from shm.counters import (
    AREA_SIZE,
    BLOCK_SIZE,
    COUNTER_TABLE,
    COUNTERS,
    OFFSETS,
    OWNERS,
    CounterArea,
    block_offset,
    offset,
)
from shm.histograms import count


def test_every_row_is_unique_and_says_something():
    keys = [(counter.owner, counter.label) for counter in COUNTERS]
    assert len(set(keys)) == len(keys) == len(OFFSETS)
    for counter in COUNTERS:
        assert counter.owner in OWNERS
        assert counter.label == counter.label.lower()
        assert counter.meaning and not counter.meaning.endswith(".")


def test_no_two_counters_share_a_word():
    places = {block_offset(key.partition(".")[0]) + place for key, place in OFFSETS.items()}
    assert len(places) == len(OFFSETS)
    assert max(places) + 8 <= AREA_SIZE == len(OWNERS) * BLOCK_SIZE
    assert BLOCK_SIZE % 128 == 0


def test_table_record_states_the_same_places():
    for key, place in OFFSETS.items():
        owner = key.partition(".")[0]
        assert COUNTER_TABLE.offset(key.replace(".", "_")) == block_offset(owner) + place
    assert COUNTER_TABLE.size == AREA_SIZE


def test_counting_from_python_and_from_kernels_meets(region):
    area = CounterArea(region(AREA_SIZE))
    for number, key in enumerate(OFFSETS):
        area.add(key, number)
        count(area.block(key.partition(".")[0]), offset(key), 1000)
    assert area.as_dict() == {key: number + 1000 for number, key in enumerate(OFFSETS)}
    feed = area.as_dict("feed")
    assert set(feed) == {key for key in OFFSETS if key.startswith("feed.")}
    area.set("executor.venue_matches", 1)
    assert area.get("executor.venue_matches") == 1


def test_unknown_counter_is_an_error(region):
    with pytest.raises(KeyError, match=r"feed\.nonsense"):
        CounterArea(region(AREA_SIZE)).get("feed.nonsense")
