"""Write docs/LAYOUT.md from the field tables; with --check, exit with 1 when it is stale."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum, IntFlag
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script, only docs/ is on the path
    sys.path.insert(0, str(ROOT))

from shm.counters import COUNTERS, OFFSETS, OWNERS, block_offset  # noqa: E402
from shm.fields import Record  # noqa: E402
from shm.histogram_layout import HISTOGRAMS  # noqa: E402
from shm.topology import CONTROL_AREAS, RINGS  # noqa: E402

TARGET = ROOT / "docs" / "LAYOUT.md"
MODULES = (
    "shm.records",
    "shm.tables",
    "shm.ring_layout",
    "shm.pool_layout",
    "shm.window_layout",
    "shm.histogram_layout",
    "runtime.wait_layout",
)
# A stage's own state: all layout modules of its package are looked through, state.py first.
STAGES = ("feed", "engine", "risk", "executor")

_INTRODUCTION = """\
# Layout

This document is generated from the field tables: `python docs/generate.py` renews it. Offsets,
sizes and counts are bytes and items; the hash covers name, type, count and offset of every field
and the size, and is compared when a segment is attached. Types are little-endian: `i`, `u` and `f`
with their bits. A field that stands over another's bytes names it.
"""


def layout_modules() -> list[ModuleType]:
    """Return the modules that hold field tables; a stage without a state.py has none."""
    modules = [importlib.import_module(name) for name in MODULES]
    for stage in STAGES:
        name = f"{stage}.state"
        if (ROOT / stage / "state.py").exists():
            modules.append(importlib.import_module(name))
    return modules


def records_of(module: ModuleType, seen: set[int]) -> list[Record]:
    """Return the records at a module's top level that are not in `seen`, and add them to it."""
    found = {id(v): v for k, v in vars(module).items() if isinstance(v, Record) and k[0] != "_"}
    fresh = [record for key, record in found.items() if key not in seen]
    seen.update(found)
    return fresh


def enums_of(module: ModuleType) -> list[type[IntEnum] | type[IntFlag]]:
    """Return the code enums that a module defines itself."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, (IntEnum, IntFlag))
        and value.__module__ == module.__name__
    ]


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(titles) + " |", "| " + " | ".join("---" for _ in titles) + " |"]
    lines += ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def record_text(record: Record) -> str:
    """Return heading, size, hash and field table of a record."""
    head = f"### `{record.name}`\n\n{record.meaning} {record.size} bytes, "
    head += f"hash `{record.layout_hash:016x}`.\n"
    rows: list[tuple[str, ...]] = []
    for field in record:
        meaning = field.meaning
        if field.overlay:
            meaning += f" (over `{field.overlay}`)"
        offset, count = str(record.offset(field.name)), str(field.count)
        name = f"`{field.name}`"
        rows.append((offset, name, field.type, count, field.unit, field.writer, meaning))
    titles = ("offset", "field", "type", "count", "unit", "writer", "meaning")
    return head + "\n" + _table(titles, rows)


def enum_text(enum: type[IntEnum] | type[IntFlag]) -> str:
    """Return heading and values of a code enum."""
    first = (enum.__doc__ or "").strip().splitlines()[0]
    rows = [(str(int(member)), f"`{member.name}`") for member in enum]
    return f"### `{enum.__name__}`\n\n{first}\n\n" + _table(("value", "name"), rows)


def _rings() -> str:
    rows: list[tuple[str, ...]] = []
    for ring in RINGS:
        kind = "gated" if ring.gating else "broadcast"
        gating, observers = (", ".join(names) or "-" for names in (ring.gating, ring.observers))
        name, record = f"`{ring.name}`", f"`{ring.record.name}`"
        rows.append((name, kind, record, ring.producer, gating, observers))
    titles = ("ring", "kind", "record", "producer", "gating consumers", "observers")
    return "## Rings\n\n" + _table(titles, rows)


def _areas() -> str:
    rows = [(str(offset), f"`{name}`") for name, offset in CONTROL_AREAS.items()]
    head = "## Control segment\n\nOffsets from the end of the segment's header page.\n\n"
    return head + _table(("offset", "area"), rows)


def _counters() -> str:
    rows: list[tuple[str, ...]] = []
    for owner in OWNERS:
        for counter in (c for c in COUNTERS if c.owner == owner):
            key = f"{owner}.{counter.label}"
            place = str(block_offset(owner) + OFFSETS[key])
            rows.append((place, f"`{key}`", counter.meaning))
    return "## Counters\n\n" + _table(("offset", "counter", "one count means"), rows)


def _histograms() -> str:
    rows = [(f"`{name}`", owner, meaning) for name, (owner, meaning) in HISTOGRAMS.items()]
    return "## Latency histograms\n\n" + _table(("histogram", "owner", "from → to"), rows)


def parts() -> Iterator[str]:
    """Yield the document's sections."""
    yield _INTRODUCTION
    yield _rings()
    yield _areas()
    # A module that imports a record from another's table does not own it; the first in order does.
    seen: set[int] = set()
    for module in layout_modules():
        records, enums = records_of(module, seen), enums_of(module)
        if not records and not enums:
            continue
        yield f"## `{module.__name__}`\n\n{(module.__doc__ or '').strip().splitlines()[0]}\n"
        yield from map(record_text, records)
        yield from map(enum_text, enums)
    yield _counters()
    yield _histograms()


def document() -> str:
    """Return docs/LAYOUT.md."""
    return "\n".join(parts())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python docs/generate.py")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    options = parser.parse_args(arguments)
    text = document()
    if not options.check:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"stale: {TARGET.relative_to(ROOT)}; run: python docs/generate.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
