"""One table of fields per record, and everything that is generated from it.

A `Record` yields the byte offsets (for kernels), a `ctypes` structure (for plain Python), a numpy
dtype (for research and tests), a layout hash (compared when a segment is attached) and the rows of
docs/LAYOUT.md. Nothing else in the project states an offset.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

CACHE_LINE = 64
# Adjacent-line prefetch pulls lines in pairs: words of different writers stand two lines apart.
CACHE_LINE_PAIR = 2 * CACHE_LINE

SCALAR_CTYPES: dict[str, Any] = {
    "i8": ctypes.c_int8,
    "u8": ctypes.c_uint8,
    "i16": ctypes.c_int16,
    "u16": ctypes.c_uint16,
    "i32": ctypes.c_int32,
    "u32": ctypes.c_uint32,
    "i64": ctypes.c_int64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
}


@dataclass(frozen=True)
class Field:
    """One field of a record.

    `type` is a key of `SCALAR_CTYPES`; there is no u64, because mixing it with i64 turns into a
    float in numba. `count` > 1 makes an array. `overlay` names an earlier field whose bytes this
    one shares (same type and count): the record's kind decides which of the two names is meant.
    `align` starts the field on a multiple of that many bytes. `closing` puts the field at the very
    end of the record's last cache line: the sequence of a ring's slot.
    """

    name: str
    type: str
    unit: str
    writer: str
    meaning: str
    count: int = 1
    overlay: str = ""
    align: int = 0
    closing: bool = False

    @property
    def item_size(self) -> int:
        """Return the bytes of one item."""
        return ctypes.sizeof(SCALAR_CTYPES[self.type])

    @property
    def size(self) -> int:
        """Return the bytes of the whole field."""
        return self.item_size * self.count


class LayoutError(ValueError):
    """A field table that cannot be laid out as stated."""


class Record:
    """A fixed layout made of fields; the size is rounded up to whole cache lines or pairs.

    Args:
        name: what the record is called in documents and errors.
        meaning: one sentence for docs/LAYOUT.md.
        fields: the field table, in order.
        size: bytes the record must have, checked; 0 takes what the fields need.
        align: the size is a multiple of this; rows of different writers need 128.

    Raises:
        LayoutError: an unknown type, a duplicate name, a misaligned field, a wrong size.
    """

    def __init__(
        self,
        name: str,
        meaning: str,
        fields: Iterable[Field],
        size: int = 0,
        align: int = CACHE_LINE,
    ) -> None:
        self.name = name
        self.meaning = meaning
        self.fields = tuple(fields)
        self.offsets: dict[str, int] = {}
        end = 0
        for field in self.fields:
            self._check(field)
            offset = self.offsets[field.overlay] if field.overlay else _start(end, field)
            self.offsets[field.name] = offset
            end = max(end, offset + field.size)
        self.size = _round_up(end, align)
        if size and self.size != size:
            raise LayoutError(f"record size differs: record={name} is={self.size} stated={size}")
        self.by_name = {field.name: field for field in self.fields}

    def _check(self, field: Field) -> None:
        if field.type not in SCALAR_CTYPES:
            raise LayoutError(f"unknown field type: {self.name}.{field.name} type={field.type}")
        if field.name in self.offsets:
            raise LayoutError(f"duplicate field: {self.name}.{field.name}")
        if field.count < 1:
            raise LayoutError(f"count must be at least 1: {self.name}.{field.name} {field.count}")
        if field.overlay and field.overlay not in self.offsets:
            raise LayoutError(f"overlay of an unknown field: {self.name}.{field.overlay}")
        if field.overlay:
            under = next(f for f in self.fields if f.name == field.overlay)
            if (under.type, under.count) != (field.type, field.count):
                raise LayoutError(
                    f"overlay differs from its field: {self.name}.{field.name} "
                    f"{field.type}[{field.count}] over {under.name} {under.type}[{under.count}]"
                )
        if any(f.closing and f.name in self.offsets for f in self.fields):
            raise LayoutError(f"field after the closing one: {self.name}.{field.name}")
        if field.align & (field.align - 1):
            raise LayoutError(f"alignment must be a power of two: {field.name} {field.align}")

    def __repr__(self) -> str:
        return f"Record({self.name}, {self.size} bytes, hash {self.layout_hash:016x})"

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def offset(self, name: str) -> int:
        """Return the byte offset of a field."""
        return self.offsets[name]

    @cached_property
    def layout_hash(self) -> int:
        """Return 63 bits over name, type, count and offset of every field, and the size."""
        rows = [f"{f.name}:{f.type}:{f.count}:{self.offsets[f.name]}" for f in self.fields]
        text = f"{self.name}|{self.size}|" + "|".join(rows)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1

    @cached_property
    def structure(self) -> Any:
        """Return the ctypes structure: `record.structure.from_address(address).field`."""
        members: list[tuple[str, Any]] = []
        end = 0
        for field in self.fields:
            if field.overlay:
                continue
            offset = self.offsets[field.name]
            if offset > end:
                members.append((f"_pad_{end}", ctypes.c_uint8 * (offset - end)))
            kind = SCALAR_CTYPES[field.type]
            members.append((field.name, kind * field.count if field.count > 1 else kind))
            end = offset + field.size
        if self.size > end:
            members.append((f"_pad_{end}", ctypes.c_uint8 * (self.size - end)))
        namespace: dict[str, Any] = {"_pack_": 1, "_layout_": "ms", "_fields_": members}
        for field in self.fields:
            if field.overlay:
                namespace[field.name] = _alias(field.overlay)
        made = type(self.name, (ctypes.Structure,), namespace)
        assert ctypes.sizeof(made) == self.size, f"ctypes size differs: {self.name}"
        return made

    @cached_property
    def dtype(self) -> np.dtype:
        """Return the numpy dtype with the same offsets; overlays appear under both names."""
        import numpy as np

        kinds = {"i8": "i1", "u8": "u1", "i16": "<i2", "u16": "<u2", "i32": "<i4", "u32": "<u4"}
        kinds |= {"i64": "<i8", "f32": "<f4", "f64": "<f8"}
        formats: list[Any] = [
            (kinds[f.type], (f.count,)) if f.count > 1 else kinds[f.type] for f in self.fields
        ]
        spec: Any = {
            "names": [f.name for f in self.fields],
            "formats": formats,
            "offsets": [self.offsets[f.name] for f in self.fields],
            "itemsize": self.size,
        }
        return np.dtype(spec)

    def at(self, address: int) -> Any:
        """Return the ctypes structure over the memory at `address`; nothing is copied."""
        return self.structure.from_address(address)

    def new(self) -> Any:
        """Return a zeroed ctypes structure of its own memory (tests, one-off messages)."""
        return self.structure()


def _start(end: int, field: Field) -> int:
    if field.closing:
        return _round_up(end + field.size, CACHE_LINE) - field.size
    return _round_up(end, field.align or field.item_size)


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _alias(target: str) -> property:
    return property(
        lambda self: getattr(self, target), lambda self, value: setattr(self, target, value)
    )


def combined_hash(records: Iterable[Record]) -> int:
    """Return 63 bits over the layout hashes of several records, in order."""
    text = "|".join(f"{record.layout_hash:016x}" for record in records)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
