"""The shape of one knob."""

from typing import NamedTuple

# One entry of a mapping by symbol: the symbol, the key it overrides there, the value.
SymbolValue = tuple[str, str, float]
Value = int | float | bool | str | tuple[int, ...] | tuple[str, ...] | tuple[SymbolValue, ...]

FILES = ("trading", "risk", "system")
TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "true or false",
    "str": "text",
    "list[int]": "list of integers",
    "list[str]": "list of texts",
    "by symbol": "mapping by symbol",
}


class Knob(NamedTuple):
    """One row: what may be set, where, within which bounds, and what it does.

    `minimum`, `maximum`, `choices` and `pattern` bound the value; in a list they bound each item,
    and `n_item_min`, `n_item_max` the number of items. `applies` is "restart" or "live".
    """

    file: str
    path: str
    type: str
    unit: str
    default: Value
    minimum: float | None = None
    maximum: float | None = None
    meaning: str = ""
    choices: tuple[int | str, ...] = ()
    pattern: str = ""
    pattern_meaning: str = ""
    n_item_min: int = 0
    n_item_max: int = 64
    unique: bool = False
    applies: str = "restart"
    keys: tuple[str, ...] = ()  # of a mapping by symbol: the paths that it overrides

    @property
    def section(self) -> str:
        """Return the path without its last word."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Return the last word of the path."""
        return self.path.rpartition(".")[2]


def file_name(file: str) -> str:
    """Return the name of the YAML file that holds the knobs of `file`."""
    return f"{file}_config.yaml"


def format_value(value: object) -> str:
    """Return a value as it is written in YAML, which is also how documents and errors print it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, str):
        # Quotes keep a text such as "1" a text when the file is read again.
        return value if value[:1].isalpha() and value.isalnum() else f'"{value}"'
    if isinstance(value, float):
        return format_float(value)
    return str(value)


def default_text(knob: Knob) -> str:
    """Return a knob's default as it is written in YAML."""
    return "{}" if knob.type == "by symbol" else format_value(knob.default)


def format_float(value: float) -> str:
    """Return a float without an exponent, as people write prices and fractions."""
    text = f"{value:.10f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def allowed(knob: Knob) -> str:
    """Return the allowed values in words, the same in errors, files and documents."""
    if knob.type == "bool":
        return "true or false"
    if knob.choices:
        bound = "one of " + ", ".join(str(choice) for choice in knob.choices)
    elif knob.type == "by symbol":
        names = ", ".join(path.rpartition(".")[2] for path in knob.keys)
        bound = f"for each symbol any of {names}, bounded as for all"
    elif knob.pattern:
        bound = knob.pattern_meaning
    elif knob.type in ("float", "int", "list[int]"):
        form = format_float if knob.type == "float" else (lambda bound: str(int(bound)))
        assert knob.minimum is not None and knob.maximum is not None, knob.path
        bound = f"{form(knob.minimum)} to {form(knob.maximum)}"
    else:
        bound = "any text"
    if not knob.type.startswith("list"):
        return bound
    distinct = "distinct items" if knob.unique else "items"
    return f"{knob.n_item_min} to {knob.n_item_max} {distinct}, each {bound}"
