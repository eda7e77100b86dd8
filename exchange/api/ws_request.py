"""Read WS-API requests: JSON whose numbers keep the text that the client signed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from exchange.errors import VenueError

REQUEST_ID = re.compile(r"[a-zA-Z0-9_-]{1,36}")  # Venue: "legal range" of the parameter id
ID_MIN, ID_MAX = -(1 << 63), (1 << 64) - 1  # what JSON encoders can send back
ID_DIGITS_MAX = len(str(ID_MAX))


class NumberText(str):
    """Be a JSON number as it was written: 0.10 stays 0.10."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Be one request that is well-formed as far as every method asks for."""

    request_id: int | str | None
    method: str
    params: dict[str, str]


class MalformedError(Exception):
    """Carry the refusal of a request, and its id as far as it could be read."""

    def __init__(self, request_id: int | str | None, error: VenueError) -> None:
        self.request_id = request_id
        self.error = error
        super().__init__(str(error))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not in JSON: {name}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise VenueError.saying(-1101, "Duplicate values for a parameter detected.")
    return found


_decode = json.JSONDecoder(
    parse_int=NumberText,
    parse_float=NumberText,
    parse_constant=_no_constant,
    object_pairs_hook=_unique,
).decode


def read_request(text: str) -> Request:
    """Return the request of a message; raise MalformedError for anything else."""
    try:
        message = _decode(text)
        text.encode()
    except VenueError as error:
        raise MalformedError(None, error) from None
    except (ValueError, RecursionError):
        raise MalformedError(None, _malformed("Malformed JSON request.")) from None
    if not isinstance(message, dict):
        raise MalformedError(None, _malformed("A request is a JSON object."))
    try:
        request_id = _request_id(message.get("id"))
    except VenueError as error:
        raise MalformedError(None, error) from None
    try:
        method = message.get("method")
        if not isinstance(method, str) or isinstance(method, NumberText) or not method:
            raise VenueError(-1102, name="method")
        params = message.get("params")
        if params is not None and not isinstance(params, dict):
            raise VenueError(-1130, name="params")
        # Names come first: a refusal of a value repeats the name, and must be possible to send.
        for word in (method, *(params or {})):
            word.encode()
        texts = {k: as_text(k, v) for k, v in (params or {}).items() if v is not None}
        for word in texts.values():
            word.encode()
    except VenueError as error:
        raise MalformedError(request_id, error) from None
    except UnicodeEncodeError:
        refusal = _malformed("Illegal characters found in a parameter.")
        raise MalformedError(request_id, refusal) from None
    return Request(request_id, method, texts)


def as_text(name: str, value: object) -> str:
    """Return a JSON value as the text that its sender signed; raise -1130 for nested ones."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    raise VenueError(-1130, name=name)


def _request_id(value: object) -> int | str | None:
    """Return an id to be sent back: a string, a whole number or null; else raise -1100."""
    if value is None:
        return None
    if isinstance(value, NumberText):
        digits = value.removeprefix("-")
        is_whole = digits.isascii() and digits.isdigit() and len(digits) <= ID_DIGITS_MAX
        if is_whole and ID_MIN <= int(value) <= ID_MAX:
            return int(value)
    elif isinstance(value, str) and REQUEST_ID.fullmatch(value):
        return value
    raise VenueError.saying(
        -1100,
        "Illegal characters found in parameter 'id'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
    )


def _malformed(text: str) -> VenueError:
    return VenueError.saying(-1100, text)
