"""Field tables: offsets, overlays, closing fields, errors, hashes; ctypes and numpy agree."""

from __future__ import annotations

import pytest

from runtime.wait_layout import WAIT
from shm.counters import COUNTER_TABLE
from shm.fields import SCALAR_CTYPES, Field, LayoutError, Record, combined_hash
from shm.histogram_layout import HISTOGRAM
from shm.pool_layout import POOL
from shm.records import RING_RECORDS
from shm.ring_layout import RING
from shm.tables import TABLE_RECORDS
from shm.window_layout import TICK_DESK, TICK_WINDOW

ALL = (
    *RING_RECORDS,
    *TABLE_RECORDS,
    RING,
    POOL,
    HISTOGRAM,
    WAIT,
    TICK_DESK,
    TICK_WINDOW,
    COUNTER_TABLE,
)


def f(name: str, kind: str = "i64", **rest) -> Field:
    return Field(name, kind, "unit", "writer", "meaning", **rest)


def test_fields_are_aligned_to_their_size_in_order():
    record = Record("r", "m", [f("a", "u8"), f("b", "i64"), f("c", "u16"), f("d", "f32", count=3)])
    assert record.offsets == {"a": 0, "b": 8, "c": 16, "d": 20}
    assert record.size == 64


def test_align_and_closing_place_a_field():
    record = Record("r", "m", [f("a"), f("b", align=128), f("end", closing=True)])
    assert record.offsets == {"a": 0, "b": 128, "end": 184}
    assert record.size == 192


@pytest.mark.parametrize("filled", range(9))
def test_closing_field_is_always_the_last_word(filled: int):
    fields = [f(f"w{k}") for k in range(filled)] + [f("sequence", closing=True)]
    record = Record("r", "m", fields)
    assert record.offset("sequence") == record.size - 8
    assert record.size == (64 if filled < 8 else 128)


def test_overlay_shares_bytes_under_both_names():
    record = Record("r", "m", [f("a"), f("b", overlay="a"), f("c")])
    assert record.offsets == {"a": 0, "b": 0, "c": 8}
    view = record.new()
    view.b = 7
    assert (view.a, view.b, view.c) == (7, 7, 0)


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)
def test_ctypes_and_numpy_have_the_tables_offsets(record: Record):
    structure, dtype = record.structure, record.dtype
    assert dtype.itemsize == record.size
    assert dtype.fields is not None
    for field in record:
        offset = record.offset(field.name)
        assert dtype.fields[field.name][1] == offset, field.name
        assert dtype.fields[field.name][0].itemsize == field.size, field.name
        name = field.overlay or field.name
        assert getattr(structure, name).offset == offset, field.name
        assert getattr(structure, name).size == field.size, field.name
        assert offset % field.item_size == 0, field.name
    names = {entry[0] for entry in structure._fields_ if not entry[0].startswith("_pad_")}
    assert names == {field.name for field in record if not field.overlay}


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)
def test_fields_do_not_overlap_but_by_overlay(record: Record):
    taken: dict[int, str] = {}
    for field in record:
        if field.overlay:
            continue
        for byte in range(record.offset(field.name), record.offset(field.name) + field.size):
            assert byte not in taken, f"{field.name} over {taken.get(byte)}"
            taken[byte] = field.name
    assert max(taken) < record.size


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([f("a", "u64")], "unknown field type: r.a type=u64"),
        ([f("a"), f("a")], "duplicate field: r.a"),
        ([f("a", overlay="b")], "overlay of an unknown field"),
        ([f("a"), f("b", "i32", overlay="a")], "overlay differs from its field"),
        ([f("a"), f("b", count=2, overlay="a")], "overlay differs from its field"),
        ([f("a", align=24)], "alignment must be a power of two"),
        ([f("a", count=0)], "count must be at least 1"),
        ([f("a", closing=True), f("b")], "field after the closing one: r.b"),
    ],
)
def test_bad_tables_are_refused_with_their_values(fields: list[Field], words: str):
    with pytest.raises(LayoutError, match=words.replace(".", r"\.")):
        Record("r", "m", fields)


def test_wrong_stated_size_is_refused():
    with pytest.raises(LayoutError, match="is=64 stated=128"):
        Record("r", "m", [f("a")], size=128)


BASE = [f("a"), f("b", "u8"), f("c", "f64", count=2)]


@pytest.mark.parametrize(
    "changed",
    [
        [f("x"), *BASE[1:]],
        [f("a", "f64"), *BASE[1:]],
        [*BASE[:2], f("c", "f64", count=3)],
        [*BASE[:2], f("c", "f64", count=2, align=32)],
        [BASE[0], BASE[2], BASE[1]],
        BASE[:2],
        [*BASE, f("d", "u8")],
    ],
)
def test_layout_hash_changes_with_any_change(changed: list[Field]):
    assert Record("r", "m", changed).layout_hash != Record("r", "m", BASE).layout_hash


def test_layout_hash_covers_name_and_size_and_nothing_else():
    base = Record("r", "m", BASE)
    assert Record("s", "m", BASE).layout_hash != base.layout_hash
    assert Record("r", "m", BASE, align=128).layout_hash != base.layout_hash
    reworded = [Field(x.name, x.type, "u", "w", "else", x.count) for x in BASE]
    assert Record("r", "other", reworded).layout_hash == base.layout_hash
    assert 0 <= base.layout_hash < 1 << 63


def test_combined_hash_depends_on_order():
    one, two = Record("a", "m", [f("a")]), Record("b", "m", [f("a")])
    assert combined_hash([one, two]) != combined_hash([two, one])


def test_there_is_no_unsigned_64_bit_type():
    assert "u64" not in SCALAR_CTYPES


def test_structure_over_an_address_copies_nothing(region):
    address = region(4096)
    one, two = RING.at(address), RING.at(address)
    one.tail = 5
    assert two.tail == 5
