"""Read the examples of requests and answers in ../shared/protocol, written by other projects."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from exchange_process import SHARED

PROTOCOL = SHARED / "protocol"
RECORDING = SHARED / "data" / "capture" / "usdm_btcusdt_20240718.gz"
TYPED: dict[str, object] = {
    "string": "text",
    "integer": 1,
    "number": 0.5,
    "boolean": True,
    "object": {},
    "array": [],
}


def reference(name: str) -> tuple[str, object]:
    """Return short name and example of `net:<file>`, `sdk:<file>::<test>`, `api:<schema>`, `rec:`.

    `api:` means the AsyncAPI specification of the streams, whose schemas carry examples; `rec:` the
    first message of a stream in a recording of the venue.
    """
    kind, _, place = name.partition(":")
    if kind == "net":
        return f"binance-net {Path(place).stem}", net_example(place)
    if kind == "sdk":
        group, _, test = place.partition("::")
        rows = sdk_payloads()[group]
        return "official-sdk", rows[f"test_{test}_success"]["expected_response"]
    if kind == "rec":
        return "recording", recorded(place)
    return f"openxapi {place}", schema_example({"$ref": f"#/components/schemas/{place}"}, 0)


def net_example(place: str) -> Any:
    """Return the body of an example file: three lines of head, or a dialogue that ends in `=`."""
    text = (PROTOCOL / "binance-net" / f"{place}.txt").read_text(encoding="utf-8-sig")
    if place.startswith("Endpoints/"):
        body = text.split("\n", 3)[3]
    else:
        body = re.split(r"^=\s*$", text, flags=re.MULTILINE)[1]
    # The files hold placeholders, comments and trailing commas that JSON does not know.
    body = body.replace('"|1|"', '"1"').replace("|1|", "1")
    body = re.sub(r"//[^\n\"]*$", "", body, flags=re.MULTILINE)
    body = re.sub(r",(\s*[}\]])", r"\1", body)
    value, _ = json.JSONDecoder().raw_decode(body.strip())
    if place.startswith("Subscriptions/") and isinstance(value, dict) and "stream" in value:
        return value["data"]
    return value


@cache
def recorded(stream: str) -> Any:
    with gzip.open(RECORDING, "rt") as lines:
        for line in lines:
            message = json.loads(line.partition(" ")[2])
            if message.get("stream") == stream:
                return message["data"]
    raise LookupError(f"not recorded: stream={stream}")


@cache
def sdk_payloads() -> dict[str, Any]:
    payloads: dict[str, Any] = json.loads((PROTOCOL / "official-sdk" / "payloads.json").read_text())
    return payloads


@cache
def specification() -> dict[str, Any]:
    text = (PROTOCOL / "openxapi" / "umfutures-streams.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def schema_example(schema: dict[str, Any], depth: int) -> object:
    """Build an example from a schema's own examples; recursion ends at 10 levels."""
    assert depth < 10, f"a schema that refers to itself: {schema}"
    target = schema.get("$ref")
    if target:
        return schema_example(
            specification()["components"]["schemas"][target.split("/")[-1]], depth
        )
    if "properties" in schema:
        rows = schema["properties"].items()
        return {name: schema_example(row, depth + 1) for name, row in rows}
    if schema.get("type") == "array":
        return [schema_example(schema.get("items", {}), depth + 1)]
    for key in ("example", "const"):
        if key in schema:
            return schema[key]
    return TYPED.get(str(schema.get("type")))
