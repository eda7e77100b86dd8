"""Check of one value against its knob, and the search for a mistyped key."""

import math
import re

from config.errors import ConfigError, shown
from config.knob import Knob, Value, allowed, file_name
from config.knobs import BY_PATH, KNOBS, SECTIONS

_TYPE_WORDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "text"}
# A key longer than this is no typing mistake, and comparing it would cost time for nothing.
_COMPARED_CHARS_MAX = 120


def check(knob: Knob, value: object, source: str) -> Value:
    """Return the value in the knob's type, or raise ConfigError.

    `source` names where the value was written, for the error text. Integers are taken for numbers,
    true and false never are. Lists become tuples.
    """
    if knob.type == "by symbol":
        # What it holds has paths of its own, see by_symbol.py; here stands only that it is empty.
        if value not in ({}, ()):
            raise _refused(knob, f"must be a mapping of symbols: {shown(value)}", source)
        return ()
    if not knob.type.startswith("list"):
        return _check_scalar(knob, knob.type, value, source)
    if not isinstance(value, list | tuple):
        raise _refused(knob, f"must be a list: {shown(value)}", source)
    if not knob.n_item_min <= len(value) <= knob.n_item_max:
        raise _refused(knob, f"has {len(value)} items", source)
    item_type = knob.type.removeprefix("list[").removesuffix("]")
    items = tuple(_check_scalar(knob, item_type, item, source) for item in value)
    if knob.unique and len(set(items)) != len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise _refused(knob, f"holds {shown(twice)} more than once", source)
    return items  # type: ignore[return-value]  # all items are of one type, checked above


def unknown_key(path: str, source: str, file: str | None = None) -> ConfigError:
    """Return the error for a key that no knob has, with the nearest one that exists."""
    # Imported here: only a refused configuration needs it, and the supervisor's memory counts.
    import difflib

    if file is not None and path in BY_PATH:
        home = file_name(BY_PATH[path].file)
        return ConfigError(path, f"unknown key in {source}: it belongs to {home}")
    names = [knob.path for knob in KNOBS if file in (None, knob.file)]
    names += [section for section in SECTIONS if section not in names]
    short = path[:_COMPARED_CHARS_MAX]
    near = difflib.get_close_matches(short, names, n=1, cutoff=0.6)
    if not near:
        last = short.rpartition(".")[2]
        near = [name for name in names if name.rpartition(".")[2] == last][:1]
    if not near:
        near = difflib.get_close_matches(short, names, n=1, cutoff=0.0)
    return ConfigError(short, f"unknown key in {source}; nearest known key: {near[0]}")


def _check_scalar(knob: Knob, type_: str, value: object, source: str) -> int | float | bool | str:
    if type_ == "float" and type(value) is int:
        value = float(value)
    expected = {"int": int, "float": float, "bool": bool, "str": str}[type_]
    if type(value) is not expected:
        raise _refused(knob, f"must be {_TYPE_WORDS[type_]}: {shown(value)}", source)
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(knob, f"must be finite: {shown(value)}", source)
    assert isinstance(value, int | float | str)
    if knob.choices and value not in knob.choices:
        raise _refused(knob, f"unknown value {shown(value)}", source)
    if knob.pattern and not re.fullmatch(knob.pattern, str(value), re.ASCII):
        raise _refused(knob, f"malformed value {shown(value)}", source)
    if knob.minimum is not None and not isinstance(value, str) and value < knob.minimum:
        raise _refused(knob, f"below the minimum: {shown(value)}", source)
    if knob.maximum is not None and not isinstance(value, str) and value > knob.maximum:
        raise _refused(knob, f"above the maximum: {shown(value)}", source)
    return value


def _refused(knob: Knob, what: str, source: str) -> ConfigError:
    unit = f" {knob.unit}" if knob.unit else ""
    return ConfigError(knob.path, f"{what} in {source}; allowed: {allowed(knob)}{unit}")
