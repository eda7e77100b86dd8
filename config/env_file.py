"""Parser of `.env` files: KEY=VALUE lines, quotes, comments, an optional `export`.

Errors name the line and never what stands in it, because it may be a secret.
"""

import re
from pathlib import Path

from config.errors import ConfigError
from config.yaml_reader import read_text

FILE_BYTES_MAX = 64 * 1024
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.ASCII)
_SINGLE_QUOTED = re.compile(r"'([^']*)'\s*(?:#.*)?")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t"}
# As in a shell, # starts a comment only at the start of a word.
_COMMENT = re.compile(r"(?:^|\s)#.*")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the assignments of a file; raise ConfigError at the first line that is malformed."""
    return parse_env(read_text(path, FILE_BYTES_MAX), path.name)


def parse_env(text: str, source: str) -> dict[str, str]:
    r"""Return the assignments of a text; `source` names it in errors.

    Single quotes keep their text as it is; double quotes know the escapes \n, \t, \" and \\.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(stripped)
        value = _unquoted(match[2]) if match else None
        if match is None or value is None:
            raise ConfigError(source, f"line {number} is malformed: expected KEY=VALUE")
        if match[1] in found:
            raise ConfigError(source, f"line {number} sets a variable a second time")
        found[match[1]] = value
    return found


def _unquoted(text: str) -> str | None:
    """Return the value of the right side of an assignment, or None when it is malformed."""
    if "\x00" in text:
        return None
    if text.startswith("'"):
        match = _SINGLE_QUOTED.fullmatch(text)
        return match[1] if match else None
    if text.startswith('"'):
        match = _DOUBLE_QUOTED.fullmatch(text)
        return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), match[1]) if match else None
    value = _COMMENT.sub("", text).strip()
    # A quote in the middle is an opening quote that was lost: the rest of the value would be too.
    return None if value[-1:] in ("'", '"') else value
