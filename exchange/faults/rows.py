"""Describe what a fault switch is: its parameters, what selects its occasions, its row."""

from __future__ import annotations

from dataclasses import dataclass

Value = int | float | str

KINDS = ("market", "private", "ws_api", "rest", "all")
# Where a fault is injected; `Switches` has one flag for each that says whether any is armed.
POINTS = ("requests", "connections", "streams", "snapshots", "desk", "clock")
NUMBER_MAX = 1e12  # of a parameter without a bound of its own


@dataclass(frozen=True, slots=True)
class Parameter:
    """Be one parameter of a fault; its type is that of its default."""

    name: str
    unit: str
    default: Value
    meaning: str
    minimum: float = 0
    maximum: float = NUMBER_MAX
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Be one fault: what it is called, where it is injected, what it takes, what it does."""

    name: str
    point: str
    meaning: str
    parameters: tuple[Parameter, ...] = ()
    serves: tuple[int, ...] = ()  # numbers in the fault catalogue
    takes: tuple[str, ...] = ()  # the selectors that it honours besides ALWAYS; others are refused
    count: int = 1  # the default of the parameter of that name
    is_action: bool = False  # done once when it is armed instead of waiting for an occasion
    lasts: bool = False  # an action that is undone when it is disarmed or its window ends
    is_for_orders: bool = False  # strikes new orders only, unless path or method say otherwise
    paths: tuple[str, ...] = ()  # the only values of `path` with which it can strike; empty: any
    streams: str = ""  # regular expression of the values of `stream` with which it can strike
    stream: str = ""  # the default of the parameter of that name

    def as_json(self) -> dict[str, object]:
        """Return the row as `/local/faults` shows it."""
        return {
            "name": self.name,
            "point": self.point,
            "meaning": self.meaning,
            "serves": list(self.serves),
            "count": self.count,
            "selectors": [*ALWAYS, *self.takes],
            "parameters": {
                p.name: {"unit": p.unit, "default": p.default, "meaning": p.meaning}
                for p in self.parameters
            },
        }


# What faults take besides their own. An occasion is a request, a message or a connection.
SELECTORS = (
    Parameter("count", "times", 1, "occasions that it strikes; 0: every one"),
    Parameter("probability", "share", 1.0, "chance that an occasion is struck", maximum=1.0),
    Parameter("seed", "", 0, "of the draws for probability and jitter"),
    Parameter("symbol", "", "", "only occasions of this symbol"),
    Parameter("path", "", "", "only requests to this REST path or WS-API method"),
    Parameter("method", "", "", "only requests by this HTTP method; WS: the WS-API"),
    Parameter("stream", "", "", "only messages of this stream"),
    Parameter("from_ms", "ms", 0, "begin so long after it was armed"),
    Parameter("until_ms", "ms", 0, "end so long after it was armed; 0: never"),
)

ALWAYS = ("seed", "from_ms")
# Requests whose orders can be made to fill, those that make new ones at all, and cancellations.
FILLABLE_PATHS = ("/fapi/v1/order", "/fapi/v1/batchOrders", "order.place")
PLACING_PATHS = (*FILLABLE_PATHS, "/fapi/v1/algoOrder", "algoOrder.place")
CANCEL_PATHS = ("/fapi/v1/order", "order.cancel")
DEPTH_PATHS = ("/fapi/v1/depth", "depth")
