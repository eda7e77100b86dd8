"""Reading of one YAML file into flat keys, from parser events.

The subset is smaller than YAML: one document of mappings, lists of scalars, and scalars. Anchors,
aliases, tags and duplicate keys are refused before anything is built, so that a small file cannot
grow into a large structure. Plain scalars resolve as in YAML 1.2: `yes`, `1:30`, `010` are text.
"""

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from config.errors import ConfigError

FILE_BYTES_MAX = 256 * 1024
DEPTH_MAX = 8
# A symbol may begin with a digit, as 1000PEPEUSDT does.
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}|[0-9][A-Z0-9]{4,19}")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Longer digits exceed every bound by far; refusing them here keeps the conversion cheap.
_NUMBER_CHARS_MAX = 40


class Entry(NamedTuple):
    """One key of a file: its dotted path, its value (a scalar or a list) and its line."""

    path: str
    value: object
    line: int


def read_file(path: Path) -> list[Entry]:
    """Return the entries of a YAML file, in the order they are written.

    Raise ConfigError when the file is missing, no regular file, too large, not UTF-8, not YAML, or
    uses more of YAML than the subset above.
    """
    return parse(read_text(path, FILE_BYTES_MAX), path.name)


def read_text(path: Path, n_byte_max: int) -> str:
    """Return the text of a regular UTF-8 file of at most `n_byte_max` bytes."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(str(path), "is not a regular file")
        with path.open("rb") as file:
            data = file.read(n_byte_max + 1)
    except FileNotFoundError:
        raise ConfigError(str(path), "file is missing") from None
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}") from None
    if len(data) > n_byte_max:
        raise ConfigError(str(path), f"file is larger than {n_byte_max} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = error.start
    # Raised outside the handler: the original error holds the file's bytes, which may be a secret.
    raise ConfigError(str(path), f"is not UTF-8 at byte {position}")


def parse(text: str, source: str) -> list[Entry]:
    """Return the entries of a YAML text; `source` names it in errors."""
    return list(_entries(_events(text, source), source))


def parse_value(text: str, key: str) -> object:
    """Return one scalar or one list, written as in a file; for command line and environment."""
    events = _events(text, "the value")
    try:
        first = next(events, None)
        value = None if first is None else _value(first, events, key, "the value")
        _exhaust(events)
    except ConfigError as error:
        raise ConfigError(key, error.message) from None
    return value


def resolve(text: str) -> object:
    """Return the value of a plain scalar."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if len(text) <= _NUMBER_CHARS_MAX and _INTEGER.fullmatch(text):
        return int(text)
    # A leading zero would be octal to some readers and decimal to others: it stays text.
    if len(text) <= _NUMBER_CHARS_MAX and _NUMBER.fullmatch(text) and not text.isdigit():
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _events(text: str, source: str) -> Iterator[yaml.Event]:
    """Yield the events of the one document, or raise ConfigError at the first that is refused."""
    depth = 0
    n_document = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = _line(event)
            n_document += isinstance(event, yaml.DocumentStartEvent)
            if n_document > 1:
                raise ConfigError(source, f"line {line}: more than one document")
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise ConfigError(source, f"line {line}: anchors and aliases are not allowed")
            if getattr(event, "tag", None) is not None:
                raise ConfigError(source, f"line {line}: tags are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_MAX:
                raise ConfigError(source, f"line {line}: nested deeper than {DEPTH_MAX}")
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(source, f"{where}not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        reason = getattr(error, "reason", "unreadable")
        raise ConfigError(source, f"not YAML: {reason}") from None


def _entries(events: Iterator[yaml.Event], source: str) -> Iterator[Entry]:
    first = next(events, None)
    if first is None or (isinstance(first, yaml.ScalarEvent) and _scalar(first) is None):
        return
    if not isinstance(first, yaml.MappingStartEvent):
        raise ConfigError(source, "must be a mapping of sections")
    yield from _mapping(events, "", source)
    _exhaust(events)


def _exhaust(events: Iterator[yaml.Event]) -> None:
    """Read to the end, so that what follows the first value is refused rather than left unread."""
    for event in events:
        raise AssertionError(f"an event after the document: {event}")


def _mapping(events: Iterator[yaml.Event], prefix: str, source: str) -> Iterator[Entry]:
    """Yield the entries of a mapping whose start was read. Depth is bounded by DEPTH_MAX."""
    seen: set[str] = set()
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            if not seen and prefix:
                yield Entry(prefix[:-1], {}, _line(event))
            return
        line = _line(event)
        name = event.value if isinstance(event, yaml.ScalarEvent) else "a list or mapping"
        if not isinstance(event, yaml.ScalarEvent) or not _KEY.fullmatch(name):
            raise ConfigError(f"{prefix}{name[:64]}", f"malformed key in {source} line {line}")
        path = f"{prefix}{name}"
        if name in seen:
            raise ConfigError(path, f"duplicate key in {source} line {line}")
        seen.add(name)
        value = next(events)
        if isinstance(value, yaml.MappingStartEvent):
            yield from _mapping(events, f"{path}.", source)
        else:
            yield Entry(path, _value(value, events, path, source), line)


def _value(event: yaml.Event, events: Iterator[yaml.Event], path: str, source: str) -> object:
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    line = _line(event)
    if not isinstance(event, yaml.SequenceStartEvent):
        raise ConfigError(path, f"must be a value or a list in {source} line {line}")
    items = []
    for item in events:
        if isinstance(item, yaml.SequenceEndEvent):
            break
        if not isinstance(item, yaml.ScalarEvent):
            raise ConfigError(path, f"list holds a list or mapping in {source} line {line}")
        items.append(_scalar(item))
    return items


def _line(event: yaml.Event) -> int:
    """Return the line of an event, from 1; events of this parser always carry their mark."""
    assert event.start_mark is not None
    return event.start_mark.line + 1


def _scalar(event: yaml.ScalarEvent) -> object:
    # implicit[0] is true for plain scalars only: what stands in quotes is text.
    return resolve(event.value) if event.implicit[0] else event.value
