"""Texts that come from the tables: YAML files, typed settings, `.env.example`, the document."""

from pathlib import Path

from config.environment import VARIABLES
from config.knob import FILES, TYPES, Knob, allowed, default_text, file_name
from config.knobs import SECTIONS, of_file
from config.rules import RULES
from config.venues import MARKET_VENUE, ORDER_VENUE, VENUES

COLUMNS = 100
ROOT = Path(__file__).resolve().parent.parent
_INTRODUCTION = """\
# Configuration

This document is generated from the tables in `config/`: `python -m config --write` renews it.
`python -m config --check` validates the files and prints one line; its exit code is 2 when they are
refused. `--set path=value` overrides one key, as in `--set trading.leverage=5`.

A value is taken from the last of these that sets it:

1. the default in the tables below,
2. the YAML files in `config/`,
3. `.env`,
4. the environment of the process,
5. the command line.

Unknown keys, duplicate keys, wrong types and values out of bounds are refused; the message names
the key, the value, where it stands and what is allowed. The files are YAML without anchors, aliases
and tags, at most 256 KiB each. Plain words are read as in YAML 1.2: only `true` and `false` are
switches. A key that a file leaves out has its default; a file that is missing is an error.

A change applies after a restart where the table says `restart`, at once where it says `live`.
"""


def yaml_text(file: str) -> str:
    """Return a YAML file: every knob with its default, bounds and meaning."""
    lines = [
        "# Change values here; the tables in config/ hold their defaults, bounds and meanings, and",
        "# `python -m config --write` writes this file anew from them, defaults included.",
    ]
    for knob in of_file(file):
        lines += _section_lines(knob, file)
        indent = "  " * (knob.section.count(".") + 1)
        lines += _comment(f"{knob.meaning}.", indent)
        lines += _comment(f"{_allowed_with_unit(knob)}; {knob.applies}", indent)
        lines.append(f"{indent}{knob.name}: {default_text(knob)}")
    return "\n".join(lines) + "\n"


def settings_text() -> str:
    """Return the module with one class per section, so that type checkers know every setting."""
    inner = [section for section in SECTIONS if "." in section]
    outer = [section for section in SECTIONS if "." not in section]
    lines = [
        '"""The settings as types. Generated from `config.knobs` by `python -m config --write`."""',
        "",
        "from typing import NamedTuple",
    ]
    for section in inner + outer:
        lines += ["", "", f"class {_class_name(section)}(NamedTuple):"]
        lines += [f'    """Section `{section}`."""', ""]
        lines += [f"    {k.name}: {_python_type(k)}" for k in _of_section(section)]
        nested = [s for s in inner if s.rpartition(".")[0] == section]
        lines += [f"    {s.rpartition('.')[2]}: {_class_name(s)}" for s in nested]
    lines += ["", "", "class Settings(NamedTuple):", '    """All settings."""', ""]
    lines += [f"    {section}: {_class_name(section)}" for section in outer]
    lines += [
        "",
        "    def flat(self) -> dict[str, object]:",
        '        """Return the settings as one dictionary of dotted path to value."""',
        '        return dict(_walk(self, ""))',
        "",
        "",
        "def _walk(section: object, prefix: str) -> list[tuple[str, object]]:",
        "    pairs: list[tuple[str, object]] = []",
        '    for name in getattr(section, "_fields", ()):',
        "        value = getattr(section, name)",
        '        nested = hasattr(value, "_fields")',
        '        path = f"{prefix}{name}"',
        '        pairs += _walk(value, f"{path}.") if nested else [(path, value)]',
        "    return pairs",
    ]
    return "\n".join(lines) + "\n"


def env_example_text() -> str:
    """Return `.env.example`: every variable with its meaning, and no secret."""
    lines = ["# Copy to .env and fill in what is needed; .env stays out of version control."]
    for variable in VARIABLES:
        meaning = variable.meaning
        if variable.overrides:
            meaning += f"; empty: {variable.overrides} of the YAML files"
        lines += ["", *_comment(f"{meaning}.", ""), f"{variable.name}={variable.example}"]
    return "\n".join(lines) + "\n"


def document_text() -> str:
    """Return docs/CONFIGURATION.md."""
    parts = [_INTRODUCTION]
    for file in FILES:
        parts.append(f"## {file_name(file)}\n")
        for section in dict.fromkeys(knob.section for knob in of_file(file)):
            parts.append(f"### `{section}`\n")
            parts.append(_table(section))
    parts.append("## Checks across keys\n")
    parts.append("\n".join(f"- `{rule.key}`: {rule.text}" for rule in RULES) + "\n")
    parts += [_modes(), _variables()]
    return "\n".join(parts)


def texts() -> dict[Path, str]:
    """Return every generated file, by its path."""
    generated = {ROOT / "config" / file_name(file): yaml_text(file) for file in FILES}
    generated[ROOT / "config" / "settings.py"] = settings_text()
    generated[ROOT / ".env.example"] = env_example_text()
    generated[ROOT / "docs" / "CONFIGURATION.md"] = document_text()
    return generated


def _of_section(section: str) -> list[Knob]:
    return [knob for file in FILES for knob in of_file(file) if knob.section == section]


def _section_lines(knob: Knob, file: str) -> list[str]:
    """Return the headings that open the knob's section, when the knob is the first in it."""
    if next(k for k in of_file(file) if k.section == knob.section) is not knob:
        return []
    depth = knob.section.count(".")
    return [*([] if depth else [""]), f"{'  ' * depth}{knob.section.rpartition('.')[2]}:"]


def _comment(text: str, indent: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(f"{indent}# {lines[-1]} {word}") > COLUMNS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [f"{indent}# {line}" for line in lines]


def _allowed_with_unit(knob: Knob) -> str:
    return f"{allowed(knob)} {knob.unit}".strip()


def _class_name(section: str) -> str:
    return "".join(part.capitalize() for part in section.replace(".", "_").split("_"))


def _python_type(knob: Knob) -> str:
    named = {
        "list[int]": "tuple[int, ...]",
        "list[str]": "tuple[str, ...]",
        "by symbol": "tuple[tuple[str, str, float], ...]",
    }
    return named.get(knob.type, knob.type)


def _table(section: str) -> str:
    lines = ["| key | type | unit | default | allowed | applies | meaning |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for knob in _of_section(section):
        cells = (
            f"`{knob.name}`",
            TYPES[knob.type],
            knob.unit,
            f"`{default_text(knob)}`",
            allowed(knob),
            knob.applies,
            knob.meaning,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _modes() -> str:
    lines = ["## Modes and hosts\n", "| mode | prices from | orders to |", "| --- | --- | --- |"]
    lines += [f"| {mode} | {MARKET_VENUE[mode]} | {ORDER_VENUE[mode]} |" for mode in MARKET_VENUE]
    lines += ["", "| venue | REST | market streams | user data | WebSocket API |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, urls in VENUES.items():
        streams = f"{urls.stream_url} + {urls.public_path} or {urls.market_path}"
        cells = (name, urls.rest_url, streams, urls.private_stream_url, urls.ws_api_url)
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "A URL in the section `venue` stands in for the mode's own; orders of paper mode go to the",
        "embedded exchange whatever it says. In testnet and live mode a URL must be encrypted",
        "unless it is on this machine, and must not be a host of the other of the two. Live mode",
        "is refused while USE_TESTNET is true, which is its default.",
    ]
    return "\n".join(lines) + "\n"


def _variables() -> str:
    lines = ["## Environment\n", "| variable | secret | overrides | meaning |"]
    lines.append("| --- | --- | --- | --- |")
    for variable in VARIABLES:
        overrides = f"`{variable.overrides}`" if variable.overrides else ""
        secret = "yes" if variable.secret else "no"
        lines.append(f"| `{variable.name}` | {secret} | {overrides} | {variable.meaning} |")
    lines += [
        "",
        "They are read from the environment and from `.env` (`.env.example` is its pattern), where",
        "the environment stands over the file and an empty value counts as absent. Lines of `.env`",
        "are KEY=VALUE with optional `export`, quotes and comments. Secrets never become settings,",
        "and no error text and no printed object of this package shows them.",
    ]
    return "\n".join(lines) + "\n"
