"""The WS-API (`/ws-fapi/v1`): requests as JSON frames through the door that answers REST.

Pure: a frame becomes a `Request` of the matching endpoint, its `Response` becomes a frame; so
ledger, errors, signatures and limits are those of REST.  A WS-API signature covers all parameters
but itself, sorted by name and joined as `k=v&…`; that text is the request's query string.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import orjson

from core.venue.simulated.errors import Rejection
from core.venue.simulated.limits import ORDERS_MINUTE_MAX, ORDERS_TEN_SECONDS_MAX, WEIGHT_MAX
from core.venue.simulated.rest import LISTEN_KEY_PATH, Request, Response

Json = dict[str, Any]

HANDSHAKE_WEIGHT = 5
ID_LENGTH_MAX = 64

METHODS: Mapping[str, tuple[str, str]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "userDataStream.start": ("POST", LISTEN_KEY_PATH),
    "userDataStream.ping": ("PUT", LISTEN_KEY_PATH),
    "userDataStream.stop": ("DELETE", LISTEN_KEY_PATH),
}
SESSION_METHODS = ("session.logon", "session.status", "session.logout")

# header, kind, interval, how many of it, limit
_COUNTERS = (
    ("X-MBX-USED-WEIGHT-1M", "REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_MAX),
    ("X-MBX-ORDER-COUNT-10S", "ORDERS", "SECOND", 10, ORDERS_TEN_SECONDS_MAX),
    ("X-MBX-ORDER-COUNT-1M", "ORDERS", "MINUTE", 1, ORDERS_MINUTE_MAX),
)


class Caller(NamedTuple):
    """Who asks, and when (wall ms): for limits and stamps; `shows_limits` chose it connecting."""

    address: str
    connected_ms: int
    shows_limits: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A frame that was understood: what to ask the door for, and how its answer is labelled."""

    number: object
    request: Request
    shows_limits: bool


def read_call(text: str, caller: Caller, wall_ms: int, venue_ms: int) -> Call | Json:
    """Read a frame: a call for the door, or the answer to one that needs no door; never raises."""
    number: object = None
    try:
        frame = _frame(text)
        number = _id(frame)
        method, params = _method(frame), _params(frame)
        shows = _flag(params, caller.shows_limits)
        fields = {name: _text(name, value) for name, value in params.items()}
    except Rejection as refusal:
        return {"id": number, "status": refusal.status, "error": refusal.body()}
    if method in SESSION_METHODS:
        return _session(number, method, caller, venue_ms)
    verb, path = METHODS[method]
    request = Request(
        method=verb,
        path=path,
        query=_query(fields),
        body="",
        api_key=fields.get("apiKey"),
        address=caller.address,
        wall_ms=wall_ms,
    )
    return Call(number, request, shows)


def answer(call: Call, response: Response) -> Json:
    """Return the frame that answers a call."""
    told: Json = {"id": call.number, "status": response.status}
    if response.status == 200:
        told["result"] = response.body
    else:
        told["error"] = _error(response)
    if call.shows_limits:
        told["rateLimits"] = rate_limits(response.headers)
    return told


def rate_limits(headers: Mapping[str, str]) -> list[Json]:
    """Return the counters of an answer's headers as WS-API rows."""
    return [
        {
            "rateLimitType": kind,
            "interval": interval,
            "intervalNum": count,
            "limit": limit,
            "count": int(headers[header]),
        }
        for header, kind, interval, count, limit in _COUNTERS
        if header in headers
    ]


def _error(response: Response) -> Json:
    body = response.body
    known = isinstance(body, dict) and "code" in body and "msg" in body
    error: Json = dict(body) if known else {"code": -1000, "msg": str(body)}
    if "Retry-After" in response.headers:
        wait_ms = int(response.headers["Retry-After"]) * 1000
        error["data"] = {"retryAfter": wait_ms}
    return error


def _frame(text: str) -> Json:
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Rejection(-1130, "request") from None
    if not isinstance(frame, dict):
        raise Rejection(-1130, "request")
    return frame


def _id(frame: Json) -> object:
    number = frame.get("id")
    whole = isinstance(number, int) and not isinstance(number, bool) and abs(number) < 1 << 63
    if number is None or whole or (isinstance(number, str) and len(number) <= ID_LENGTH_MAX):
        return number
    raise Rejection(-1130, "id")


def _method(frame: Json) -> str:
    method = frame.get("method")
    if not isinstance(method, str) or not method:
        raise Rejection(-1102, "method")
    if method not in METHODS and method not in SESSION_METHODS:
        raise Rejection(-1130, "method")
    return method


def _params(frame: Json) -> Json:
    params = frame.get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise Rejection(-1102, "params")
    return params


def _flag(params: Json, default: bool) -> bool:
    value = params.get("returnRateLimits", default)
    if not isinstance(value, bool):
        raise Rejection(-1130, "returnRateLimits")
    return value


def _text(name: str, value: object) -> str:
    """Return a parameter as REST spells it: numbers as digits, booleans in small letters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise Rejection(-1102, name)


def _query(fields: Mapping[str, str]) -> str:
    """Join parameters as they are signed, the signature last."""
    names = sorted(name for name in fields if name != "signature")
    if "signature" in fields:
        names.append("signature")
    return "&".join(f"{quote_plus(name)}={quote_plus(fields[name])}" for name in names)


def _session(number: object, method: str, caller: Caller, venue_ms: int) -> Json:
    """Answer a session method: only Ed25519 keys can log on, and this account's is not one."""
    if method == "session.logon":
        refusal = Rejection(-4056)
        return {"id": number, "status": refusal.status, "error": refusal.body()}
    state = {
        "apiKey": None,
        "authorizedSince": None,
        "connectedSince": caller.connected_ms,
        "returnRateLimits": caller.shows_limits,
        "serverTime": venue_ms,
    }
    return {"id": number, "status": 200, "result": state}
