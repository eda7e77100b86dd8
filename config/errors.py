"""The one exception of this package."""

# Longer values say nothing more and would break the promise of one readable line.
SHOWN_CHARS_MAX = 80


class ConfigError(Exception):
    """A configuration that is refused; programs map it to exit code 2 and one line.

    `key` is the dotted path, variable or file at fault, `message` says what is wrong with it.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key = key
        self.message = message

    def __str__(self) -> str:
        return f"configuration: {_one_line(self.key)}: {_one_line(self.message)}"


def shown(value: object) -> str:
    """Return a value for an error text: one line, control characters escaped, bounded length."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
