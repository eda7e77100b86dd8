"""The engine's C++ twin: compiled in the same run, with records generated from the field tables."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import ring_twin
from engine.state import PARAMETERS, THRESHOLDS
from shm.fields import Record
from shm.records import MARKET_EVENT, SIGNAL, EventFlag, EventKind, ExitRule

SOURCE = Path(__file__).resolve().parent / "twins" / "engine.cpp"
# Without fused operations, so that sums have the same bits as ours.
FLAGS = (*ring_twin.FLAGS, "-ffp-contract=off")
TYPES = {"f32": "float", "f64": "double"}
CONSTANTS: dict[str, int] = {
    "KIND_TRADE": EventKind.TRADE,
    "KIND_BEST": EventKind.BEST,
    "KIND_LEVEL": EventKind.LEVEL,
    "KIND_BEGIN": EventKind.SNAPSHOT_BEGIN,
    "KIND_END": EventKind.SNAPSHOT_END,
    "KIND_INVALID": EventKind.INVALID,
    "KIND_MARK": EventKind.MARK,
    "KIND_DROPPED": EventKind.DROPPED,
    "FLAG_ASK": EventFlag.SIDE_ASK,
    "FLAG_LAST": EventFlag.LAST,
    "FLAG_DELAYED": EventFlag.DELAYED,
    "RETURN_TO_MEAN": ExitRule.RETURN_TO_MEAN,
}
ARGUMENTS = {
    "twin_new": 3,
    "twin_delete": 1,
    "twin_process_many": 5,
    "twin_evaluations": 1,
    "twin_book_new": 0,
    "twin_book_delete": 1,
    "twin_book_steps": 4,
}
Function = Callable[..., int]


def struct_of(name: str, record: Record) -> str:
    """Return a record as a C++ struct; the compiler checks that its layout is the same."""
    rows, checks = [], [f"static_assert(sizeof({name}) == {record.size});"]
    end = 0
    for field in record:
        if field.overlay:
            continue
        offset = record.offset(field.name)
        if offset > end:
            rows.append(f"    char gap_{end}[{offset - end}];")
        width = {"i": "int", "u": "uint"}.get(field.type[0], "") + field.type[1:] + "_t"
        many = f"[{field.count}]" if field.count > 1 else ""
        rows.append(f"    {TYPES.get(field.type, width)} {field.name}{many};")
        checks.append(f"static_assert(offsetof({name}, {field.name}) == {offset});")
        end = offset + field.size
    alignment = min(64, record.size & -record.size)
    return "\n".join((f"struct alignas({alignment}) {name} {{", *rows, "};", *checks))


def build(folder: Path) -> Callable[[str], Function] | None:
    """Compile the twin; return a look-up of its functions by name, None without a compiler.

    Raises:
        subprocess.CalledProcessError: the compiler refused our source.
    """
    name = ring_twin.compiler()
    if not name:
        return None
    structs = (
        struct_of("market_event", MARKET_EVENT),
        struct_of("signal_record", SIGNAL),
        struct_of("parameters", PARAMETERS),
        struct_of("thresholds", THRESHOLDS),
    )
    header = "#include <cstddef>\n#include <cstdint>\n" + "\n".join(structs) + "\n"
    (folder / "engine_records.hpp").write_text(header)
    library = folder / "engine_twin.so"
    macros = [f"-D{key}={int(value)}" for key, value in CONSTANTS.items()]
    command = [name, *FLAGS, *macros, f"-I{folder}", str(SOURCE), "-o", str(library)]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))

    def function(symbol: str) -> Function:
        found = getattr(loaded, symbol)
        found.argtypes = [ctypes.c_int64] * ARGUMENTS[symbol]
        found.restype = ctypes.c_int64
        return found

    return function
