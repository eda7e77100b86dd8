"""Read what somebody wants to arm; every mistake becomes one clear line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

from exchange.faults.rows import ALWAYS, FILLABLE_PATHS, KINDS, SELECTORS, Parameter, Row, Value
from exchange.faults.table import ROWS

# What selects a connection, by the moment at which it is broken, and the kinds that know it.
_WINDOW = (*ALWAYS, "count", "probability", "until_ms")
AT_TAKES = {
    "now": ALWAYS,
    "connect": _WINDOW,
    "request": (*_WINDOW, "symbol", "path", "method"),
    "answer": (*_WINDOW, "symbol", "path", "method"),
}
AT_KINDS = {
    "now": KINDS,
    "connect": ("market", "private", "ws_api", "all"),
    "request": ("rest", "ws_api", "all"),
    "answer": ("rest", "ws_api", "all"),
}


class FaultError(ValueError):
    """Tell what is wrong with a request to arm a fault: one line."""


def parse_fault(text: str) -> tuple[Row, dict[str, Value]]:
    """Return row and values of `name:key=value,key=value`."""
    name, _, rest = text.partition(":")
    given: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in rest.split(","))):
        key, sign, value = part.partition("=")
        if not sign:
            raise FaultError(f"a fault's parameter is key=value: fault={name} part={part}")
        if key.strip() in given:
            raise FaultError(f"parameter given twice: fault={name} parameter={key.strip()}")
        given[key.strip()] = value.strip()
    return read_fault(name.strip(), given)


def read_fault(name: str, given: Mapping[str, object]) -> tuple[Row, dict[str, Value]]:
    """Return the row and all its values, those not given at their defaults."""
    row = ROWS.get(name)
    if row is None:
        raise FaultError(f"unknown fault: fault={name}{_nearest(name, ROWS)}")
    known = {p.name: p for p in (*row.parameters, *SELECTORS)}
    for key in given:
        if key not in known:
            near = _nearest(key, known)
            raise FaultError(f"unknown parameter: fault={name} parameter={key}{near}")
    values = {
        key: _read(name, parameter, given[key]) if key in given else parameter.default
        for key, parameter in known.items()
    }
    if "count" not in given:
        values["count"] = row.count
    if "stream" not in given:
        values["stream"] = row.stream
    until_ms = values["until_ms"]
    if until_ms and float(until_ms) <= float(values["from_ms"]):
        raise FaultError(f"until_ms must be above from_ms: fault={name} until_ms={until_ms}")
    values["symbol"] = str(values["symbol"]).upper()
    values["method"] = str(values["method"]).upper()
    _check_selectors(row, values, given)
    return row, values


def _check_selectors(row: Row, values: Mapping[str, Value], given: Mapping[str, object]) -> None:
    """Raise FaultError for what could never strike."""
    takes: Collection[str] = (*ALWAYS, *row.takes)
    where = f"fault={row.name}"
    if "at" in values:
        kind, at = values["kind"], values["at"]
        where = f"{where} at={at}"
        takes = [name for name in takes if name in AT_TAKES[str(at)]]
        if kind not in AT_KINDS[str(at)]:
            raise FaultError(f"no such occasion: {where} kind={kind}")
    for selector in SELECTORS:
        if selector.name in given and selector.name not in takes:
            names = ",".join(takes)
            raise FaultError(f"does not go by: {where} parameter={selector.name} takes={names}")
    path, stream = str(values["path"]), str(values["stream"])
    paths = FILLABLE_PATHS if values.get("outcome") == "filled" else row.paths
    if path and paths and path not in paths:
        raise FaultError(f"must be one of {','.join(paths)}: {where} parameter=path value={path}")
    if stream and row.streams and not re.fullmatch(row.streams, stream):
        raise FaultError(f"no stream that it strikes: {where} parameter=stream value={stream[:60]}")


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f" nearest={near[0]}" if near else ""


def _read(fault: str, parameter: Parameter, value: object) -> Value:
    """Return a value of the parameter's type within its bounds."""
    text = str(value).strip()
    where = f"fault={fault} parameter={parameter.name} value={text[:60]}"
    if isinstance(parameter.default, str):
        if parameter.choices and text not in parameter.choices:
            raise FaultError(f"must be one of {','.join(parameter.choices)}: {where}")
        return text
    number: int | float
    try:
        number = int(text) if isinstance(parameter.default, int) else float(text)
    except ValueError:
        kind = "a whole number" if isinstance(parameter.default, int) else "a number"
        raise FaultError(f"must be {kind}: {where}") from None
    # Neither nan nor a number beyond what a float can hold passes this.
    if not parameter.minimum <= number <= parameter.maximum:
        raise FaultError(f"must be {parameter.minimum:g} to {parameter.maximum:g}: {where}")
    return number
