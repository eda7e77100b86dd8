"""Read a REST request's parameters as strictly as the venue does."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from exchange.errors import VenueError

FIELDS_MAX = 100
BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
FORM = "application/x-www-form-urlencoded"
ILLEGAL_TEXT = "Illegal characters found in a parameter."


def read_params(query: str, body: str, content_type: str) -> dict[str, str]:
    """Return the parameters of query and form body.

    Raises -1100 for what is no percent-encoded UTF-8, -1101 for a name that is given twice in one
    of the two or for too many names, and -1130 for a body that is no form.

    # Venue: "If a parameter is sent in both the query string and request body, the query string
    parameter will be used."
    """
    if body and content_type and content_type.partition(";")[0].strip().lower() != FORM:
        raise VenueError.saying(-1130, f"The request body must be {FORM}.")
    return {**_fields(body), **_fields(query)}


def _fields(text: str) -> dict[str, str]:
    if not text:
        return {}
    if BAD_PERCENT.search(text):
        raise VenueError.saying(-1100, ILLEGAL_TEXT)
    try:
        text.encode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeError:
        raise VenueError.saying(-1100, ILLEGAL_TEXT) from None
    except ValueError:
        raise VenueError.saying(-1101, "Too many parameters sent for this endpoint.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise VenueError(-1101, name=name)
        fields[name] = value
    if "signature" in fields:
        # Base64 has plus signs, which some clients send as they are.
        fields["signature"] = fields["signature"].replace(" ", "+")
    return fields
