"""Views and memory functions: compiled kernels and plain Python see the same bytes."""

from __future__ import annotations

import math
import pickle
import random

import pytest

from shm.compiled import kernel
from shm.fields import Field, Record
from shm.memory import (
    copy_bytes,
    count_leading_zeros,
    count_trailing_zeros,
    load_f64,
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
    population_count,
    shift_left,
    shift_right,
    store_f64,
    store_i32,
    store_i64,
    store_u8,
    zero_bytes,
)
from shm.views import ViewType, address_of, view_of

SEED = 20_260_101
RANGES = {
    "i8": (-(1 << 7), (1 << 7) - 1),
    "u8": (0, (1 << 8) - 1),
    "i16": (-(1 << 15), (1 << 15) - 1),
    "u16": (0, (1 << 16) - 1),
    "i32": (-(1 << 31), (1 << 31) - 1),
    "u32": (0, (1 << 32) - 1),
    "i64": (-(1 << 63), (1 << 63) - 1),
}
MIXED = Record(
    "mixed",
    "Every type once, and arrays.",
    [Field(kind, kind, "-", "-", "-") for kind in (*RANGES, "f32", "f64")]
    + [
        Field("words", "i64", "-", "-", "-", 4),
        Field("bytes", "u8", "-", "-", "-", 5),
        Field("signed", "i16", "-", "-", "-", 3),
        Field("floats", "f32", "-", "-", "-", 3),
    ],
)
mixed_at = view_of(MIXED)


@kernel
def copy_fields(source: int, target: int) -> int:
    one, two = mixed_at(source), mixed_at(target)
    two.i8, two.u8, two.i16, two.u16 = one.i8, one.u8, one.i16, one.u16
    two.i32, two.u32, two.i64 = one.i32, one.u32, one.i64
    two.f32, two.f64 = one.f32, one.f64
    for k in range(4):
        two.words[k] = one.words[k]
    for k in range(5):
        two.bytes[k] = one.bytes[k]
    for k in range(3):
        two.signed[k] = one.signed[k]
        two.floats[k] = one.floats[k]
    return address_of(two) - target


@kernel
def sum_fields(source: int) -> int:
    one = mixed_at(source)
    return one.i8 + one.u8 + one.i16 + one.u16 + one.i32 + one.u32


@kernel
def augment(target: int) -> int:
    view = mixed_at(target)
    view.u8 += 1
    view.i64 -= 3
    view.f64 *= 0.5
    view.words[2] += 10
    return address_of(view.words) - target


def filled(view, rng: random.Random) -> None:
    for kind, (low, high) in RANGES.items():
        setattr(view, kind, rng.choice((low, high, rng.randint(low, high))))
    view.f32, view.f64 = rng.uniform(-9, 9), rng.uniform(-1e300, 1e300)
    for k in range(4):
        view.words[k] = rng.randint(*RANGES["i64"])
    for k in range(5):
        view.bytes[k] = rng.randint(0, 255)
    for k in range(3):
        view.signed[k] = rng.randint(*RANGES["i16"])
        view.floats[k] = rng.uniform(-9, 9)


def test_kernel_reads_and_writes_fields_as_ctypes_does(region):
    print("seed", SEED)
    rng = random.Random(SEED)
    source, target = region(4096), region(4096)
    for _ in range(50):
        one, two = MIXED.at(source), MIXED.at(target)
        filled(one, rng)
        assert copy_fields(source, target) == 0
        for field in MIXED:
            first, second = getattr(one, field.name), getattr(two, field.name)
            if field.count > 1:
                first, second = list(first), list(second)
            assert first == second, field.name
        numbers = (one.i8, one.u8, one.i16, one.u16, one.i32, one.u32)
        assert sum_fields(source) == sum(numbers)


def test_padding_is_left_alone(region):
    address = region(4096)
    for k in range(MIXED.size + 8):
        store_u8(address + k, 0xAA)
    copy_fields(region(4096), address)
    covered = set()
    for field in MIXED:
        start = MIXED.offset(field.name)
        covered |= set(range(start, start + field.size))
    for k in range(MIXED.size + 8):
        assert load_u8(address + k) == (0 if k in covered else 0xAA), k


def test_augmented_assignment_and_narrowing(region):
    address = region(4096)
    view = MIXED.at(address)
    view.u8, view.i64, view.f64 = 255, 0, 3.0
    view.words[2] = -1
    assert augment(address) == MIXED.offset("words")
    assert (view.u8, view.i64, view.f64, view.words[2]) == (0, -3, 1.5, 9)


def test_same_record_gives_the_same_view():
    assert view_of(MIXED) is mixed_at


def test_the_type_of_a_view_survives_a_pickle():
    kind = ViewType(MIXED)
    assert pickle.loads(pickle.dumps(kind)) == kind


def test_view_outside_kernels_is_the_ctypes_structure(region):
    address = region(4096)
    mixed_at(address).i32 = -7
    assert MIXED.at(address).i32 == -7
    assert address_of(mixed_at(address)) == address


@kernel
def narrow(address: int, value: int) -> int:
    store_u8(address, value)
    store_i32(address + 8, value)
    store_i64(address + 16, value)
    return (
        load_u8(address) ^ load_u16(address + 8) ^ load_u32(address + 8) ^ load_i32(address + 8)
    ) + load_i64(address + 16)


@kernel
def halve(address: int) -> float:
    store_f64(address + 8, load_f64(address) / 2)
    return load_f64(address + 8)


def wrapped(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@pytest.mark.parametrize("value", [0, 1, -1, 255, 256, 1 << 31, -(1 << 31), (1 << 40) + 3])
def test_loads_widen_and_stores_narrow(region, value: int):
    address = region(4096)
    got = narrow(address, value)
    word = value & 0xFFFFFFFF
    parts = (value & 0xFF) ^ (word & 0xFFFF) ^ word ^ wrapped(word, 32)
    assert wrapped(got) == wrapped(parts + value)


def test_floats_pass_through(region):
    address = region(4096)
    for value in (0.0, -1.5, 1e308, math.inf):
        store_f64(address, value)
        assert halve(address) == value / 2


@kernel
def unaligned(address: int) -> int:
    store_i64(address + 3, 0x0102030405060708)
    return load_u16(address + 4)


def test_unaligned_loads_are_whole(region):
    assert unaligned(region(4096)) == 0x0607


@kernel
def move(target: int, source: int, size: int) -> int:
    copy_bytes(target, source, size)
    zero_bytes(source, size)
    return 0


@pytest.mark.parametrize("size", [0, 1, 7, 8, 63, 64, 200])
def test_copy_and_zero_touch_exactly_size_bytes(region, size: int):
    source, target = region(4096), region(4096)
    for k in range(256):
        store_u8(source + k, k)
        store_u8(target + k, 0xEE)
    move(target, source, size)
    for k in range(256):
        assert load_u8(target + k) == (k if k < size else 0xEE)
        assert load_u8(source + k) == (0 if k < size else k)


@kernel
def bits_of(value: int) -> int:
    zeros = count_trailing_zeros(value) * 128 + count_leading_zeros(value)
    return zeros * 128 + population_count(value)


@kernel
def shifted(value: int, bits: int, left: int) -> int:
    return shift_left(value, bits) if left == 1 else shift_right(value, bits)


@pytest.mark.parametrize("value", [0, 1, 2, 3, 1 << 62, -1, -(1 << 63), 0x00F0_0000_0000_0100])
def test_bit_functions_count_64_bits(value: int):
    text = format(value & 0xFFFF_FFFF_FFFF_FFFF, "064b")
    trailing = len(text) - len(text.rstrip("0"))
    leading = len(text) - len(text.lstrip("0"))
    assert bits_of(value) == (trailing * 128 + leading) * 128 + text.count("1")
    for bits in (0, 1, 8, 33, 63):
        assert shifted(value, bits, 1) == wrapped(int((text + "0" * bits)[-64:], 2))
        assert shifted(value, bits, 0) == wrapped(int(("0" * bits + text)[:64], 2))
