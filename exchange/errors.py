"""Name the venue's error codes: one table, and the exception that carries a row of it."""

from __future__ import annotations

# Venue: "Error codes", USDⓈ-M futures. code -> (HTTP status, message).
ERRORS: dict[int, tuple[int, str]] = {
    -1000: (500, "An unknown error occurred while processing the request."),
    -1003: (
        429,
        "Too many requests; current limit of IP({ip}) is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API.",
    ),
    -1006: (
        500,
        "An unexpected response was received from the message bus. Execution status unknown.",
    ),
    -1007: (
        408,
        "Timeout waiting for response from backend server. "
        "Send status unknown; execution status unknown.",
    ),
    -1008: (
        503,
        "Request throttled by system-level protection. "
        "Reduce-only/close-position orders are exempt. Please try again.",
    ),
    -1015: (429, "Too many new orders; current limit is {limit} orders per {interval}."),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1023: (400, "Start time is greater than end time."),
    -1100: (400, "Illegal characters found in parameter '{name}'."),
    -1101: (400, "Duplicate values for parameter '{name}' detected."),
    -1102: (
        400,
        "Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    ),
    -1106: (400, "Parameter '{name}' sent when not required."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1115: (400, "Invalid timeInForce."),
    -1116: (400, "Invalid orderType."),
    -1117: (400, "Invalid side."),
    -1120: (400, "Invalid interval."),
    -1121: (400, "Invalid symbol."),
    -1125: (400, "This listenKey does not exist."),
    -1127: (400, "More than {hours} hours between startTime and endTime."),
    -1128: (400, "Combination of optional parameters invalid."),
    -1130: (400, "Data sent for parameter '{name}' is not valid."),
    -1136: (400, "Invalid newOrderRespType."),
    -2007: (400, "Invalid callBack rate."),
    -2011: (400, "Unknown order sent."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2019: (400, "Margin is insufficient."),
    -2021: (400, "Order would immediately trigger."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -2025: (400, "Reach max open order limit."),
    -2027: (400, "Exceeded the maximum allowable position at current leverage."),
    -2028: (400, "Leverage is smaller than permitted: insufficient margin balance."),
    -4001: (400, "Price less than 0."),
    -4002: (400, "Price greater than max price."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4004: (400, "Quantity less than min quantity."),
    -4005: (400, "Quantity greater than max quantity."),
    -4006: (400, "Stop price less than zero."),
    -4007: (400, "Stop price greater than max price."),
    -4013: (400, "Price less than min price."),
    -4014: (400, "Price not increased by tick size."),
    -4015: (400, "Client order id is not valid."),
    -4016: (400, "Limit price can't be higher than {price}."),
    -4023: (400, "Quantity not increased by step size."),
    -4024: (400, "Limit price can't be lower than {price}."),
    -4028: (400, "Leverage {value} is not valid"),
    -4031: (400, "Invalid parameter working type."),
    -4032: (400, "Exceed maximum cancel order size."),
    -4045: (400, "Reach max stop order limit."),
    -4046: (400, "No need to change margin type."),
    -4047: (400, "Margin type cannot be changed if there exists open orders."),
    -4048: (400, "Margin type cannot be changed if there exists position."),
    -4056: (400, "{kind} API key is not supported."),
    -4059: (400, "No need to change position side."),
    -4060: (400, "Invalid position side."),
    -4061: (400, "Order's position side does not match user's setting."),
    -4067: (400, "Position side cannot be changed if there exists open orders."),
    -4068: (400, "Position side cannot be changed if there exists position."),
    -4082: (400, "Invalid number of batch place orders: {count}."),
    -4084: (400, "Method is not allowed currently. Coming soon."),
    -4116: (400, "ClientOrderId is duplicated."),
    -4120: (
        400,
        "Order type not supported for this endpoint. "
        "Please use the Algo Order API endpoints instead.",
    ),
    -4130: (
        400,
        "An open stop or take profit order with GTE and closePosition in the direction is "
        "existing.",
    ),
    -4131: (
        400,
        "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    ),
    -4136: (400, "Target strategy invalid for orderType {kind},closePosition {flag}"),
    -4137: (400, "Quantity must be zero with closePosition equals true."),
    -4164: (
        400,
        "Order's notional must be no smaller than {notional} (unless you choose reduce only).",
    ),
    -4165: (400, "Maximum time interval is {days} days."),
    -4171: (
        400,
        "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.",
    ),
    -4509: (
        400,
        "Time in Force (TIF) GTE can only be used with open positions. "
        "Please ensure that positions are available.",
    ),
    -5000: (404, "Path {path}, Method {method} is invalid"),
    -5021: (
        400,
        "Due to the order could not be filled immediately, the FOK order has been rejected."
        " The order will not be recorded in the order history",
    ),
    -5022: (
        400,
        "Due to the order could not be executed as maker, the Post Only order will be rejected."
        " The order will not be recorded in the order history",
    ),
    -5025: (400, "Only limit order is supported."),
    -5026: (400, "Exceed maximum modify order limit."),
    -5027: (400, "No need to modify the order."),
    -5029: (400, "Order's notional must be no smaller than {notional}."),
    -5037: (400, "Invalid price match."),
    -5038: (400, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT."),
    -5039: (400, "Invalid self trade prevention mode."),
    -5040: (
        400,
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds and "
        "smaller than 253402300799000 (UTC 9999-12-31 23:59:59).",
    ),
    -5041: (400, "No depth matches this BBO order."),
    -5047: (400, "The original order is not a reduce-only order."),
}


class VenueError(Exception):
    """Carry a refusal to the client: the venue's code, message and HTTP status."""

    def __init__(self, code: int, **values: object) -> None:
        status, template = ERRORS[code]
        self.code = code
        self.http_status = status
        self.message = template.format(**values)
        self.retry_at_ms = 0  # when it is worth to come back; 0: not told
        super().__init__(f"{code}: {self.message}")

    @classmethod
    def saying(cls, code: int, text: str, http_status: int | None = None) -> VenueError:
        """Return a refusal whose words are not the table's."""
        error = cls.__new__(cls)
        Exception.__init__(error, f"{code}: {text}")
        error.code = code
        error.http_status = ERRORS[code][0] if http_status is None else http_status
        error.message = text
        error.retry_at_ms = 0
        return error

    def as_json(self) -> dict[str, object]:
        """Return the body that the venue answers with."""
        return {"code": self.code, "msg": self.message}


class StartError(Exception):
    """Tell why the exchange cannot start: one line for the operator, exit code 2."""
