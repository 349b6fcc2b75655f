"""The venue's refusals as one table: code, HTTP status and message (Binance reference, section 9).

A rule of the exchange that says no raises `Rejection`; the REST door turns it into
`{"code": .., "msg": ..}` with the status of the table.  `%s` in a message takes the detail.
"""

from typing import NamedTuple


class _Row(NamedTuple):
    status: int
    message: str


ERRORS: dict[int, _Row] = {
    # --- request
    -1000: _Row(400, "An unknown error occurred while processing the request."),
    -1001: _Row(503, "Internal error; unable to process your request. Please try again."),
    -1002: _Row(401, "You are not authorized to execute this request."),
    -1003: _Row(429, "Too many requests; current limit of IP is 2400 requests per minute."),
    -1006: _Row(
        503,
        "An unexpected response was received from the message bus. Execution status unknown.",
    ),
    -1007: _Row(
        408,
        "Timeout waiting for response from backend server."
        " Send status unknown; execution status unknown.",
    ),
    -1008: _Row(
        503,
        "Request throttled by system-level protection. Reduce-only/close-position orders are"
        " exempt. Please try again.",
    ),
    -1015: _Row(429, "Too many new orders; current limit is %s."),
    -1016: _Row(503, "This service is no longer available."),
    -1021: _Row(400, "%s"),
    -1022: _Row(400, "Signature for this request is not valid."),
    -1099: _Row(401, "Not found, unauthenticated, or unauthorized."),
    -1100: _Row(400, "Illegal characters found in parameter '%s'."),
    -1101: _Row(400, "Duplicate values for a parameter detected."),
    -1102: _Row(400, "Mandatory parameter '%s' was not sent, was empty/null, or malformed."),
    -1103: _Row(400, "An unknown parameter was sent."),
    -1104: _Row(400, "Not all sent parameters were read."),
    -1106: _Row(400, "Parameter '%s' sent when not required."),
    -1111: _Row(400, "Precision is over the maximum defined for this asset."),
    -1114: _Row(400, "TimeInForce parameter sent when not required."),
    -1115: _Row(400, "Invalid timeInForce."),
    -1116: _Row(400, "Invalid orderType."),
    -1117: _Row(400, "Invalid side."),
    -1120: _Row(400, "Invalid interval."),
    -1121: _Row(400, "Invalid symbol."),
    -1122: _Row(400, "Invalid symbol status."),
    -1125: _Row(400, "This listenKey does not exist."),
    -1127: _Row(400, "Lookup interval is too big."),
    -1128: _Row(400, "Combination of optional parameters invalid."),
    -1130: _Row(400, "Data sent for parameter '%s' is not valid."),
    -1136: _Row(400, "Invalid newOrderRespType."),
    # --- orders and account
    -2007: _Row(400, "Invalid callBack rate."),
    -2010: _Row(400, "New order rejected."),
    -2011: _Row(400, "Unknown order sent."),
    -2013: _Row(400, "Order does not exist."),
    -2014: _Row(401, "API-key format invalid."),
    -2015: _Row(401, "Invalid API-key, IP, or permissions for action."),
    -2017: _Row(401, "API keys are locked on this account."),
    -2018: _Row(400, "Balance is insufficient."),
    -2019: _Row(400, "Margin is insufficient."),
    -2020: _Row(400, "Unable to fill."),
    -2021: _Row(400, "Order would immediately trigger."),
    -2022: _Row(400, "ReduceOnly Order is rejected."),
    -2023: _Row(400, "User in liquidation mode now."),
    -2024: _Row(400, "Position is not sufficient."),
    -2025: _Row(400, "Reach max open order limit."),
    -2026: _Row(400, "This order type is not supported when reduceOnly."),
    -2027: _Row(400, "Exceeded the maximum allowable position at current leverage."),
    -2028: _Row(400, "Leverage is smaller than permitted: insufficient margin balance."),
    -4001: _Row(400, "Price less than 0."),
    -4002: _Row(400, "Price greater than max price."),
    -4003: _Row(400, "Quantity less than or equal to zero."),
    -4004: _Row(400, "Quantity less than min quantity."),
    -4005: _Row(400, "Quantity greater than max quantity."),
    -4006: _Row(400, "Stop price less than zero."),
    -4007: _Row(400, "Stop price greater than max price."),
    -4013: _Row(400, "Price less than min price."),
    -4014: _Row(400, "Price not increased by tick size."),
    -4015: _Row(400, "Client order id is not valid."),
    -4016: _Row(400, "Limit price can't be higher than %s."),
    -4021: _Row(400, "%s is not valid depth limit"),
    -4023: _Row(400, "Quantity not increased by step size."),
    -4024: _Row(400, "Limit price can't be lower than %s."),
    -4028: _Row(400, "Leverage %s is not valid"),
    -4045: _Row(400, "Reach max stop order limit."),
    -4046: _Row(400, "No need to change margin type."),
    -4047: _Row(400, "Margin type cannot be changed if there exists open orders."),
    -4048: _Row(400, "Margin type cannot be changed if there exists position."),
    -4049: _Row(400, "Add margin only support for isolated position."),
    -4050: _Row(400, "Cross balance insufficient."),
    -4051: _Row(400, "Isolated balance insufficient."),
    -4054: _Row(400, "Cannot add position margin: position is 0."),
    -4055: _Row(400, "Amount must be positive."),
    -4056: _Row(400, "Invalid api key type."),
    -4059: _Row(400, "No need to change position side."),
    -4060: _Row(400, "Invalid position side."),
    -4061: _Row(400, "Order's position side does not match user's setting."),
    -4062: _Row(400, "Invalid or improper reduceOnly value."),
    -4067: _Row(400, "Position side cannot be changed if there exists open orders."),
    -4068: _Row(400, "Position side cannot be changed if there exists position."),
    -4082: _Row(400, "Invalid number of batch place orders."),
    -4083: _Row(400, "Batch orders failed."),
    -4084: _Row(400, "Method is not allowed currently. Upcoming soon."),
    -4087: _Row(400, "This account may place reduce-only orders only."),
    -4088: _Row(400, "This account may not place orders currently."),
    -4105: _Row(
        400,
        "The account is restricted from trading this symbol; reduce-only orders only.",
    ),
    -4106: _Row(400, "The account is restricted from trading."),
    -4107: _Row(400, "The account is restricted to closing positions on this symbol."),
    -4109: _Row(400, "This account is inactive. Please activate it before trading."),
    -4116: _Row(400, "ClientOrderId is duplicated."),
    -4117: _Row(400, "Stop order is triggering; please try again later."),
    -4118: _Row(
        400,
        "Reduce-only order failed its margin check. Please check your existing positions and"
        " open orders.",
    ),
    -4120: _Row(
        400,
        "Order type not supported for this endpoint. Please use the Algo Order API endpoints"
        " instead.",
    ),
    -4130: _Row(
        400,
        "An open stop or take profit order with GTE and closePosition in the direction is"
        " existing.",
    ),
    -4131: _Row(400, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."),
    -4135: _Row(400, "Invalid activation price"),
    -4136: _Row(400, "Target strategy invalid for orderType %s,closePosition true."),
    -4137: _Row(400, "Quantity must be zero with closePosition equals true."),
    -4138: _Row(400, "Reduce only must be true with closePosition equals true."),
    -4140: _Row(400, "Invalid symbol status for opening position."),
    -4141: _Row(400, "Symbol is closed."),
    -4142: _Row(400, "Order would immediately trigger: take profit or stop loss is already met."),
    -4161: _Row(
        400,
        "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    ),
    -4164: _Row(
        400,
        "Order's notional must be no smaller than %s (unless you choose reduce only).",
    ),
    -4165: _Row(400, "Maximum time interval is %s days"),
    -4167: _Row(
        400,
        "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under"
        " isolated-margin mode.",
    ),
    -4168: _Row(400, "Unable to adjust to isolated-margin mode under the Multi-Assets mode."),
    -4170: _Row(
        400, "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures Account."
    ),
    -4171: _Row(400, "No need to change Multi-Assets mode."),
    -4183: _Row(400, "Limit price can't be higher than %s."),
    -4184: _Row(400, "Limit price can't be lower than %s."),
    -4189: _Row(400, "Trading on this symbol is limited to reduce-only orders."),
    -4192: _Row(400, "Trade forbidden during the cooling-off period."),
    -4210: _Row(400, "Stop price is higher than the limit of the price multiplier."),
    -4211: _Row(400, "Stop price is lower than the limit of the price multiplier."),
    -4400: _Row(
        400,
        "Futures trading quantitative rules violated; only reduce-only orders are allowed for now.",
    ),
    -4401: _Row(
        400,
        "Futures trading is restricted by compliance rules; only reduce-only orders are allowed.",
    ),
    -4509: _Row(
        400,
        "Time in Force (TIF) GTE can only be used with open positions."
        " Please ensure that positions are available.",
    ),
    -5024: _Row(400, "Symbol is not in trading status. Order amendment is not permitted."),
    -5025: _Row(400, "Only limit order is supported."),
    -5026: _Row(400, "Exceed maximum modify order limit."),
    -5027: _Row(400, "No need to modify the order."),
    -5029: _Row(400, "Order's notional must be no smaller than %s."),
    -5037: _Row(400, "Invalid price match"),
    -5038: _Row(400, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT"),
    -5041: _Row(400, "No depth matches this BBO order"),
    -5040: _Row(
        400,
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds and"
        " smaller than 253402300799000.",
    ),
    -5043: _Row(400, "A pending modification already exists for this order."),
    -5021: _Row(
        400,
        "Due to the order could not be filled immediately, the FOK order has been rejected."
        " The order will not be recorded in the order history.",
    ),
    -5022: _Row(
        400,
        "Due to the order could not be executed as maker, the Post Only order will be rejected."
        " The order will not be recorded in the order history.",
    ),
}


# What `%s` becomes when a fault raises a refusal without saying of what: sample values.
SAMPLES: dict[int, str] = {
    -1015: "300 orders per 10 SECONDS",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1100: "symbol",
    -1102: "timestamp",
    -1106: "reduceOnly",
    -1130: "symbol",
    -4016: "105000.00",
    -4021: "7",
    -4024: "95000.00",
    -4028: "126",
    -4136: "LIMIT",
    -4164: "5",
    -4165: "7",
    -4183: "105000.00",
    -4184: "95000.00",
    -5029: "5",
}


class Rejection(Exception):  # noqa: N818 - the trade's word for a refused request
    """A request the exchange refuses; nothing has changed."""

    def __init__(self, code: int, detail: object = "") -> None:
        row = ERRORS[code]
        self.code = code
        self.status = row.status
        self.message = row.message % detail if "%s" in row.message else row.message
        super().__init__(f"{code}: {self.message}")

    @classmethod
    def saying(cls, code: int, message: str = "", status: int = 0) -> "Rejection":
        """Return a refusal in given words, of any code; the table's where they are not given."""
        known = ERRORS.get(code)
        refusal = cls(code, SAMPLES.get(code, "")) if known is not None else cls(-1000)
        refusal.code = code
        refusal.status = status or refusal.status
        refusal.message = message or refusal.message
        return refusal

    def body(self) -> dict[str, object]:
        """Return the JSON body of the refusal."""
        return {"code": self.code, "msg": self.message}
