"""Name the venue's error codes: one table, and the exception that carries a row of it."""

from __future__ import annotations

# Venue: "Error codes", USDⓈ-M futures. code -> (HTTP status, message).
ERRORS: dict[int, tuple[int, str]] = {
    -1003: (429, "Too many requests; current limit is {limit} requests per minute."),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1100: (400, "Illegal characters found in parameter '{name}'."),
    -1102: (
        400,
        "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    ),
    -1106: (400, "Parameter '{name}' sent when not required."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1115: (400, "Invalid timeInForce."),
    -1116: (400, "Invalid orderType."),
    -1117: (400, "Invalid side."),
    -1121: (400, "Invalid symbol."),
    -1125: (400, "This listenKey does not exist."),
    -1130: (400, "Data sent for parameter '{name}' is not valid."),
    -2011: (400, "Unknown order sent."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2019: (400, "Margin is insufficient."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4005: (400, "Quantity greater than max quantity."),
    -4014: (400, "Price not increased by tick size."),
    -4015: (400, "Client order id is not valid."),
    -4016: (400, "Limit price can't be higher than {price}."),
    -4023: (400, "Quantity not increased by step size."),
    -4024: (400, "Limit price can't be lower than {price}."),
    -4028: (400, "Leverage {value} is not valid"),
    -4061: (400, "Order's position side does not match user's setting."),
    -4116: (400, "ClientOrderId is duplicated."),
    -4120: (
        400,
        "Order type not supported for this endpoint. "
        "Please use the Algo Order API endpoints instead.",
    ),
    -4164: (
        400,
        "Order's notional must be no smaller than {notional} (unless you choose reduce only).",
    ),
    -5000: (404, "Path {path}, Method {method} is invalid"),
    -5022: (
        400,
        "Due to the order could not be executed as maker, the Post Only order will be rejected."
        " The order will not be recorded in the order history",
    ),
    -2025: (400, "Reach max open order limit."),
}


class VenueError(Exception):
    """Carry a refusal to the client: the venue's code, message and HTTP status."""

    def __init__(self, code: int, **values: object) -> None:
        status, template = ERRORS[code]
        self.code = code
        self.http_status = status
        self.message = template.format(**values)
        super().__init__(f"{code}: {self.message}")

    def as_json(self) -> dict[str, object]:
        """Return the body that the venue answers with."""
        return {"code": self.code, "msg": self.message}


class StartError(Exception):
    """Tell why the exchange cannot start: one line for the operator, exit code 2."""
