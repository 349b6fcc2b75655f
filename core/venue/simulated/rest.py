"""The REST door: one table of endpoints, and what every request goes through before its handler.

Path and method, weight, key, signature, time stamp, handler; a `Rejection` anywhere becomes its
documented answer.  Handlers see the exchange and decoded parameters only, so that the same requests
can be performed again from a journal (`perform`).
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from core.venue.simulated.clock import AffineClock, stamp_is_acceptable
from core.venue.simulated.endpoints import ENDPOINTS, Handler, Security
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.limits import Limits, Verdict
from core.venue.simulated.listen_keys import ListenKeys
from core.venue.simulated.params import Params
from core.venue.simulated.query_lag import positions_of, without_young
from core.venue.simulated.signing import is_signed_by

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MAX_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request as it came off the wire."""

    method: str
    path: str
    query: str
    body: str
    api_key: str | None
    address: str
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request that may have changed the exchange: what a journal must hold to repeat it."""

    at_ms: int
    method: str
    path: str
    params: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Status, JSON body and headers; `entry` is to be journaled before the answer leaves."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    entry: Entry | None = None


LISTEN_KEY_PATH = "/fapi/v1/listenKey"


class Door:
    """Takes requests for one exchange and one key pair."""

    def __init__(
        self,
        exchange: Exchange,
        clock: AffineClock,
        *,
        api_key: str,
        api_secret: str,
        enforce_limits: bool = False,
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self.listen_keys = ListenKeys(api_key)
        self._api_key = api_key
        self._api_secret = api_secret
        self.limits = Limits(enforced=enforce_limits)

    def tick(self, wall_ms: int) -> None:
        """Bring the exchange up to the present."""
        self.exchange.advance(self.clock.venue_ms(wall_ms))

    def perform(self, method: str, path: str, params: dict[str, str]) -> Any:
        """Run a handler at the exchange's present, past every gate.  Raises Rejection."""
        return ENDPOINTS[method, path].handler(self.exchange, Params(params))

    def handle(self, request: Request, lag_ms: int = 0) -> Response:
        """Answer a request; never raises for anything a client may send.

        `lag_ms` is how far (venue ms) a query sees into the past, a fault.
        """
        self.tick(request.wall_ms)
        listen = request.path == LISTEN_KEY_PATH and request.method != "GET"
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None and not listen:
            text = f"Path {request.path}, Method {request.method} is invalid"
            headers = self.limits.headers(request.address, request.wall_ms, orders=False)
            return Response(status=404, body={"code": -5000, "msg": text}, headers=headers)
        fields, repeated = parameters(request)
        params = Params(fields)
        weight = 1 if endpoint is None else endpoint.weight
        cost = weight if isinstance(weight, int) else weight(params)
        count = endpoint.orders if endpoint else (0, 0)
        verdict = self.limits.charge_weight(
            request.address, request.wall_ms, cost, pooled=bool(endpoint and endpoint.pooled)
        )
        entry = None
        try:
            if verdict is None:
                _refuse_repeated(repeated=repeated)
                self._admit(request, endpoint.security if endpoint else Security.KEY, params)
                if any(count):
                    verdict = self.limits.charge_orders(request.wall_ms, *count)
            if verdict is not None:
                return self._turned_away(request, verdict)
            if endpoint is None:
                body = self._listen_key(request)
            else:
                if endpoint.security is Security.SIGNED and request.method != "GET":
                    entry = self._entry(request, fields)
                body = self._performed(endpoint.handler, request, params, lag_ms)
        except Rejection as refusal:
            headers = self.limits.headers(request.address, request.wall_ms, orders=False)
            status, said = refusal.status, refusal.body()
            return Response(status=status, body=said, headers=headers, entry=entry)
        headers = self.limits.headers(request.address, request.wall_ms, orders=any(count))
        return Response(status=200, body=body, headers=headers, entry=entry)

    def _performed(self, handler: Handler, request: Request, params: Params, lag_ms: int) -> Any:
        if not lag_ms or request.method != "GET":
            return handler(self.exchange, params)
        since_ms = self.exchange.now_ms - lag_ms
        with self.exchange.account.showing(positions_of(self.exchange.ledger, since_ms)):
            body = handler(self.exchange, params)
        return without_young(request.path, body, since_ms)

    def _admit(self, request: Request, security: Security, params: Params) -> None:
        """Check key, signature and stamp.  Raises Rejection -2014, -2015, -1102, -1022, -1021."""
        if security is Security.NONE:
            return
        if not request.api_key:
            raise Rejection(-2014)
        if request.api_key != self._api_key:
            raise Rejection(-2015)
        if security is Security.KEY:
            return
        signature = params.text("signature")
        stamp = params.integer("timestamp")
        window = params.maybe_integer("recvWindow")
        window = RECV_WINDOW_MS if window is None else window
        if not 0 < window <= RECV_WINDOW_MAX_MS:
            raise Rejection(-1130, "recvWindow")
        if not is_signed_by(self._api_secret, request.query, request.body, signature):
            raise Rejection(-1022)
        wall, venue = request.wall_ms, self.exchange.now_ms
        reason = stamp_is_acceptable(stamp, window, wall, venue)
        if reason is not None:
            raise Rejection(-1021, reason)

    def _entry(self, request: Request, fields: dict[str, str]) -> Entry:
        protocol = {"signature", "timestamp", "recvWindow", "apiKey"}
        params = {name: value for name, value in fields.items() if name not in protocol}
        return Entry(
            at_ms=self.exchange.now_ms, method=request.method, path=request.path, params=params
        )

    def _listen_key(self, request: Request) -> dict[str, str]:
        if request.method == "POST":
            return {"listenKey": self.listen_keys.issue(request.wall_ms)}
        if request.method == "PUT":
            return {"listenKey": self.listen_keys.extend(request.wall_ms)}
        self.listen_keys.close()
        return {}

    def greet(self, request: Request, weight: int) -> Response | None:
        """Charge for a WS-API handshake; return what it is turned away with, if it is."""
        verdict = self.limits.charge_weight(request.address, request.wall_ms, weight)
        return None if verdict is None else self._turned_away(request, verdict)

    def _turned_away(self, request: Request, verdict: Verdict) -> Response:
        headers = self.limits.headers(request.address, request.wall_ms, orders=False)
        headers["Retry-After"] = str(verdict.retry_after_s)
        body = {"code": verdict.code, "msg": verdict.message}
        return Response(status=verdict.status, body=body, headers=headers)


def parameters(request: Request) -> tuple[dict[str, str], bool]:
    """Return the parameters, and whether query or body names one twice.

    Where both name one, the query wins.
    """
    query = parse_qsl(request.query, keep_blank_values=True)
    body = parse_qsl(request.body, keep_blank_values=True)
    repeated = len(dict(query)) < len(query) or len(dict(body)) < len(body)
    return dict(body) | dict(query), repeated


def _refuse_repeated(*, repeated: bool) -> None:
    if repeated:
        raise Rejection(-1101)
