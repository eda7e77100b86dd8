"""Loading of the settings from files, environment and command line.

Later sources win: defaults of the table, YAML files, `.env`, environment, command line.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from config import by_symbol
from config.environment import (
    ENV_FILE,
    overrides_of,
    read_environment,
    refuse_live_under_testnet,
)
from config.errors import ConfigError
from config.knob import FILES, Knob, Value, file_name
from config.knobs import BY_PATH, KNOBS, SECTIONS
from config.rules import check_rules
from config.schema import check, unknown_key
from config.settings import Settings
from config.yaml_reader import parse_value, read_file

DIRECTORY = Path(__file__).resolve().parent


def load(
    directory: Path | str = DIRECTORY,
    env_file: Path | str | None = ENV_FILE,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings, or raise ConfigError with the key at fault.

    `directory` holds the three YAML files. `env_file` None reads no `.env`; the default one may be
    missing. `overrides` are "path=value" texts from the command line, the last one of a path wins.
    `environ` None means the environment of this process. Nothing of the result is a secret.
    """
    flat: dict[str, Value] = {knob.path: knob.default for knob in KNOBS}
    for file in FILES:
        flat.update(_values_of_file(Path(directory) / file_name(file), file))
    environment = read_environment(env_file, environ)
    flat.update(overrides_of(environment))
    flat.update(_values_of_overrides(overrides))
    by_symbol.gather(flat)
    check_rules(flat)
    _check_strategies(settings_of(flat))
    refuse_live_under_testnet(str(flat["venue.mode"]), environment)
    return settings_of(flat)


def settings_of(flat: Mapping[str, Value]) -> Settings:
    """Return settings with every knob taken from `flat` (path to value, complete and checked)."""
    return _nested(Settings, "", flat)


def _check_strategies(settings: Settings) -> None:
    if settings.signals.user_strategies:
        # Imported here: the built-in ones need no check, and this package stays small to import.
        from config.strategies import read_rows

        read_rows(settings.signals.user_strategies)


def _values_of_file(path: Path, file: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    sections = {section for section in SECTIONS if _file_of_section(section) == file}
    for entry in read_file(path):
        source = f"{path.name} line {entry.line}"
        knob = BY_PATH.get(entry.path)
        if knob is not None and knob.file == file:
            values[entry.path] = check(knob, entry.value, source)
        elif by_symbol.is_entry(entry.path) and file == by_symbol.KNOB.file:
            if entry.value != {}:
                values[entry.path] = by_symbol.check_entry(entry.path, entry.value, source)
        elif entry.path not in sections:
            raise unknown_key(entry.path, source, file)
        elif entry.value not in (None, {}):
            raise ConfigError(entry.path, f"must hold keys, not a value, in {source}")
    return values


def _file_of_section(section: str) -> str:
    return next(knob.file for knob in KNOBS if knob.section == section)


def _values_of_overrides(overrides: Iterable[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals:
            raise ConfigError("command line", f"expected path=value: {path[:64]!r}")
        if by_symbol.is_entry(path):
            value = parse_value(text.strip(), path)
            values[path] = by_symbol.check_entry(path, value, "the command line")
            continue
        knob = BY_PATH.get(path)
        if knob is None:
            raise unknown_key(path, "the command line")
        values[path] = check(knob, _override_value(knob, text.strip()), "the command line")
    return values


def _override_value(knob: Knob, text: str) -> object:
    if knob.type == "str":
        # The shell has taken the quotes off: what is left is the text.
        return text
    if knob.type.startswith("list") and not text.startswith("["):
        text = f"[{text}]"
    return parse_value(text, knob.path)


def _nested(cls: type[Any], prefix: str, flat: Mapping[str, Value]) -> Any:
    """Return an instance of a generated class; its fields are sections or knobs."""
    fields: dict[str, Any] = {}
    for name, type_ in cls.__annotations__.items():
        is_section = isinstance(type_, type) and hasattr(type_, "_fields")
        path = f"{prefix}{name}"
        fields[name] = _nested(type_, f"{path}.", flat) if is_section else flat[path]
    return cls(**fields)
