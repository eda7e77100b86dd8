"""Compare an answer with examples of it: key by key, and type by type.

A shape maps a path ("assets[].walletBalance") to the kinds seen there. Elements of an array are
merged, filters of exchangeInfo are told apart by their type, rows of a kline or of a book by
their position.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

DECIMAL = re.compile(r"-?\d+(\.\d+)?\Z")
Shape = dict[str, set[str]]
# What a conditional order has and the answer to its cancellation has not.
WHOLE_ALGO_KEYS = (
    *("algoType", "orderType", "symbol", "side", "positionSide", "timeInForce", "quantity"),
    *("algoStatus", "triggerPrice", "price", "icebergQuantity", "selfTradePreventionMode"),
    *("workingType", "priceMatch", "closePosition", "priceProtect", "reduceOnly"),
    *("createTime", "updateTime", "triggerTime", "goodTillDate"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """Explain a difference: which cases and paths (patterns), which problem, and why."""

    case: str
    path: str
    problem: str  # missing, extra, type, null, empty, or refused, where path is the refusal
    reason: str

    def __post_init__(self) -> None:
        # A pattern would excuse keys that nobody thought of, so keys are listed one by one.
        is_listed = self.problem == "refused" or not set("*?") & set(self.path)
        assert is_listed, f"excuses any key: {self.case} {self.path}"

    def covers(self, case: str, difference: Difference) -> bool:
        return (
            self.problem == difference.problem
            and fnmatchcase(case, self.case)
            and fnmatchcase(difference.path, escaped(self.path))
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """Be one disagreement between an answer and the examples."""

    path: str
    problem: str
    detail: str

    def __str__(self) -> str:
        return f"{self.problem} {self.path or '(whole)'}: {self.detail}"


def escaped(pattern: str) -> str:
    """Let `[` and `]` of paths stand for themselves in a pattern; only * and ? are special."""
    return pattern.replace("[", "\0").replace("]", "[]]").replace("\0", "[[]")


def kind_of(value: object) -> str:
    """Return the JSON type; strings that hold a decimal number are told apart."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "fraction"
    if isinstance(value, str):
        return "decimal string" if DECIMAL.match(value) else "string"
    return "array" if isinstance(value, list) else "object"


def shape_of(value: object) -> Shape:
    """Return the kinds by path."""
    shape: Shape = {}
    _walk(value, "", shape)
    return shape


def _walk(value: object, path: str, shape: Shape) -> None:
    shape.setdefault(path, set()).add(kind_of(value))
    if isinstance(value, dict):
        for key, item in value.items():
            _walk(item, f"{path}.{key}" if path else key, shape)
    elif isinstance(value, list):
        rows = all(isinstance(item, list) for item in value)
        for item in value:
            name = item.get("filterType") if isinstance(item, dict) else None
            place = f"{path}[{name}]" if name else f"{path}[]"
            if rows and isinstance(item, list):
                shape.setdefault(place, set()).add("array")
                for position, cell in enumerate(item):
                    _walk(cell, f"{place}[{position}]", shape)
            else:
                _walk(item, place, shape)


def fits(have: str, wanted: set[str]) -> bool:
    """Tell whether a kind is one of the wanted: text may look like a number, not the reverse."""
    if have in wanted:
        return True
    if have == "decimal string":
        return "string" in wanted
    return have == "integer" and "fraction" in wanted


def compare(answer: object, examples: Sequence[tuple[str, object]]) -> list[Difference]:
    """Return where an answer differs from its examples, each given with the name of its source.

    A key is missing when some example has it, extra when none has it; a type is wrong when no
    example has that type there. A null in an example is told as well, whatever the answer has:
    that a value may be absent has to be explained.
    """
    have = shape_of(answer)
    wanted: Shape = {}
    sources: dict[str, list[str]] = {}
    for source, example in examples:
        for path, kinds in shape_of(example).items():
            wanted.setdefault(path, set()).update(kinds)
            sources.setdefault(path, []).append(source)
    differences = [
        *_lacking(have, wanted, sources),
        *_surplus(have, wanted),
    ]
    for path in sorted(have.keys() & wanted.keys()):
        if "null" in wanted[path]:
            text = f"in {', '.join(sources[path])}; here {' and '.join(sorted(have[path]))}"
            differences.append(Difference(path, "null", text))
        wrong = sorted(kind for kind in have[path] if not fits(kind, wanted[path]))
        if wrong:
            text = f"{' and '.join(wrong)}, wanted {' or '.join(sorted(wanted[path]))}"
            differences.append(Difference(path, "type", text))
    return differences


def _lacking(have: Shape, wanted: Shape, sources: dict[str, list[str]]) -> Iterable[Difference]:
    for path in sorted(wanted.keys() - have.keys()):
        parent = parent_of(path)
        if parent in have:
            is_element = path.startswith(f"{parent}[")
            problem = "empty" if is_element and path.endswith("[]") else "missing"
            yield Difference(path, problem, f"in {', '.join(sources[path])}")


def _surplus(have: Shape, wanted: Shape) -> Iterable[Difference]:
    for path in sorted(have.keys() - wanted.keys()):
        if parent_of(path) in wanted:
            yield Difference(path, "extra", f"{' and '.join(sorted(have[path]))}, in no example")


def parent_of(path: str) -> str:
    """Return the path of what holds this one; the root's is no path at all."""
    if not path:
        return "(none)"
    cut = max(path.rfind("."), path.rfind("["))
    return path[:cut] if cut > 0 else ""
