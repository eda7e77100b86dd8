"""A text that does not show itself."""

from typing import NoReturn

MASK = "***"


class Secret:
    """Hold a secret so that printing, formatting, logging and pickling never show it.

    Two secrets compare by identity, so that no comparison leaks how much of them is alike.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; call it only where the text leaves for the venue."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # Also what copy uses: a secret that is passed on is the same object, not a second copy.
        raise TypeError("a secret is neither pickled nor copied")


class Credentials:
    """The key and the secret that sign requests to one venue."""

    __slots__ = ("api_key", "api_secret")

    def __init__(self, api_key: Secret, api_secret: Secret) -> None:
        self.api_key = api_key
        self.api_secret = api_secret

    def __repr__(self) -> str:
        return f"Credentials({MASK})"
