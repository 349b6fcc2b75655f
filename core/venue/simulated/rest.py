"""The REST door: one table of endpoints, and what every request goes through before its handler.

Path and method, weight, key, signature, time stamp, handler; a `Rejection` anywhere becomes its
documented answer.  Handlers see the exchange and decoded parameters only, so that the same requests
can be performed again from a journal (`perform`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

from core.venue.simulated import rest_account as account
from core.venue.simulated import rest_market as market
from core.venue.simulated import rest_trade as trade
from core.venue.simulated.clock import AffineClock, stamp_is_acceptable
from core.venue.simulated.errors import Rejection
from core.venue.simulated.exchange import Exchange
from core.venue.simulated.limits import Limits, Verdict
from core.venue.simulated.listen_keys import ListenKeys
from core.venue.simulated.params import Params
from core.venue.simulated.signing import is_signed_by

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MAX_MS = 60_000

Handler = Callable[[Exchange, Params], Any]
Weight = int | Callable[[Params], int]


class Security(Enum):
    """What a caller must prove."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table."""

    handler: Handler
    security: Security = Security.NONE
    weight: Weight = 1
    orders: int = 0


def _per_symbol(with_symbol: int, without: int) -> Callable[[Params], int]:
    return lambda params: with_symbol if "symbol" in params else without


def _by_limit(default: int, *steps: tuple[int, int]) -> Callable[[Params], int]:
    def weight(params: Params) -> int:
        text = params.maybe("limit", str(default))
        limit = int(text) if text.isdecimal() and len(text) < 9 else default
        return next((cost for most, cost in steps if limit <= most), steps[-1][1])

    return weight


_KLINES = _by_limit(500, (99, 1), (499, 2), (1000, 5), (10**9, 10))
_DEPTH = _by_limit(500, (50, 2), (100, 5), (500, 10), (1000, 20))
_SIGNED = Security.SIGNED


def _signed(handler: Handler, weight: Weight = 1, orders: int = 0) -> Endpoint:
    return Endpoint(handler, _SIGNED, weight, orders)


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    # --- market data
    ("GET", "/fapi/v1/ping"): Endpoint(market.ping),
    ("GET", "/fapi/v1/time"): Endpoint(market.time),
    ("GET", "/api/v3/ping"): Endpoint(market.ping),
    ("GET", "/api/v3/time"): Endpoint(market.time),
    ("GET", "/fapi/v1/exchangeInfo"): Endpoint(market.exchange_info),
    ("GET", "/fapi/v1/klines"): Endpoint(market.klines, weight=_KLINES),
    ("GET", "/fapi/v1/continuousKlines"): Endpoint(market.continuous_klines, weight=_KLINES),
    ("GET", "/fapi/v1/premiumIndex"): Endpoint(market.premium_index, weight=_per_symbol(1, 10)),
    ("GET", "/fapi/v1/fundingRate"): Endpoint(market.funding_rate, weight=0),
    ("GET", "/fapi/v1/fundingInfo"): Endpoint(market.funding_info, weight=0),
    ("GET", "/fapi/v1/ticker/price"): Endpoint(market.ticker_price, weight=_per_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): Endpoint(market.ticker_price, weight=_per_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/bookTicker"): Endpoint(market.book_ticker, weight=_per_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): Endpoint(market.ticker_24hr, weight=_per_symbol(1, 40)),
    ("GET", "/fapi/v1/depth"): Endpoint(market.depth, weight=_DEPTH),
    ("GET", "/fapi/v1/aggTrades"): Endpoint(market.agg_trades, weight=20),
    ("GET", "/fapi/v1/trades"): Endpoint(market.trades, weight=5),
    ("GET", "/fapi/v1/openInterest"): Endpoint(market.open_interest),
    # --- account
    ("GET", "/fapi/v2/account"): _signed(account.account_v2, 5),
    ("GET", "/fapi/v3/account"): _signed(account.account_v3, 5),
    ("GET", "/fapi/v2/balance"): _signed(account.balance, 5),
    ("GET", "/fapi/v3/balance"): _signed(account.balance, 5),
    ("GET", "/fapi/v2/positionRisk"): _signed(account.position_risk_v2, 5),
    ("GET", "/fapi/v3/positionRisk"): _signed(account.position_risk_v3, 5),
    ("GET", "/fapi/v1/accountConfig"): _signed(account.account_config, 5),
    ("GET", "/fapi/v1/symbolConfig"): _signed(account.symbol_config, 5),
    ("GET", "/fapi/v1/leverageBracket"): _signed(account.leverage_bracket),
    ("GET", "/fapi/v1/commissionRate"): _signed(account.commission_rate, 20),
    ("GET", "/fapi/v1/positionSide/dual"): _signed(account.position_mode, 30),
    ("POST", "/fapi/v1/positionSide/dual"): _signed(account.set_position_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): _signed(account.multi_assets, 30),
    ("POST", "/fapi/v1/multiAssetsMargin"): _signed(account.set_multi_assets),
    ("POST", "/fapi/v1/leverage"): _signed(account.set_leverage),
    ("POST", "/fapi/v1/marginType"): _signed(account.set_margin_type),
    ("POST", "/fapi/v1/positionMargin"): _signed(account.set_position_margin),
    ("GET", "/fapi/v1/income"): _signed(account.income, 30),
    ("GET", "/fapi/v1/userTrades"): _signed(account.user_trades, 5),
    ("GET", "/fapi/v1/feeBurn"): _signed(account.fee_burn, 30),
    ("GET", "/fapi/v1/rateLimit/order"): _signed(account.order_limits),
    ("GET", "/sapi/v1/account/apiRestrictions"): _signed(account.api_restrictions),
    # --- orders
    ("POST", "/fapi/v1/order"): _signed(trade.place_order, 0, 1),
    ("POST", "/fapi/v1/order/test"): _signed(trade.check_order, 0),
    ("GET", "/fapi/v1/order"): _signed(trade.get_order),
    ("DELETE", "/fapi/v1/order"): _signed(trade.cancel_order),
    ("GET", "/fapi/v1/openOrder"): _signed(trade.open_order),
    ("GET", "/fapi/v1/openOrders"): _signed(trade.open_orders, _per_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): _signed(trade.all_orders, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): _signed(trade.cancel_all),
    ("PUT", "/fapi/v1/order"): _signed(trade.not_offered, 0, 1),
    ("POST", "/fapi/v1/batchOrders"): _signed(trade.not_offered, 5),
    ("DELETE", "/fapi/v1/batchOrders"): _signed(trade.not_offered),
    ("POST", "/fapi/v1/countdownCancelAll"): _signed(trade.not_offered, 10),
    # --- conditional orders
    ("POST", "/fapi/v1/algoOrder"): _signed(trade.place_algo, 0, 1),
    ("GET", "/fapi/v1/algoOrder"): _signed(trade.get_algo),
    ("DELETE", "/fapi/v1/algoOrder"): _signed(trade.cancel_algo),
    ("GET", "/fapi/v1/openAlgoOrders"): _signed(trade.open_algos, _per_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): _signed(trade.all_algos, 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): _signed(trade.cancel_all_algos),
}

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
        self._limits = Limits(enforced=enforce_limits)

    def tick(self, wall_ms: int) -> None:
        """Bring the exchange up to the present."""
        self.exchange.advance(self.clock.venue_ms(wall_ms))

    def perform(self, method: str, path: str, params: dict[str, str]) -> Any:
        """Run a handler at the exchange's present, past every gate.  Raises Rejection."""
        return ENDPOINTS[method, path].handler(self.exchange, Params(params))

    def handle(self, request: Request) -> Response:
        """Answer a request; never raises for anything a client may send."""
        self.tick(request.wall_ms)
        listen = request.path == LISTEN_KEY_PATH and request.method != "GET"
        endpoint = ENDPOINTS.get((request.method, request.path))
        if endpoint is None and not listen:
            text = f"Path {request.path}, Method {request.method} is invalid"
            return Response(status=404, body={"code": -5000, "msg": text})
        fields = dict(parse_qsl(request.body, keep_blank_values=True))
        fields |= dict(parse_qsl(request.query, keep_blank_values=True))
        params = Params(fields)
        weight = 1 if endpoint is None else endpoint.weight
        cost = weight if isinstance(weight, int) else weight(params)
        count = endpoint.orders if endpoint else 0
        verdict = self._limits.charge_weight(request.address, request.wall_ms, cost)
        entry = None
        try:
            if verdict is None:
                self._admit(request, endpoint.security if endpoint else Security.KEY, params)
                verdict = self._limits.charge_orders(request.wall_ms, count) if count else None
            if verdict is not None:
                return self._turned_away(request, verdict)
            if endpoint is None:
                body = self._listen_key(request)
            else:
                if endpoint.security is Security.SIGNED and request.method != "GET":
                    entry = self._entry(request, fields)
                body = endpoint.handler(self.exchange, params)
        except Rejection as refusal:
            headers = self._limits.headers(request.address, request.wall_ms, orders=False)
            status, said = refusal.status, refusal.body()
            return Response(status=status, body=said, headers=headers, entry=entry)
        headers = self._limits.headers(request.address, request.wall_ms, orders=bool(count))
        return Response(status=200, body=body, headers=headers, entry=entry)

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
        protocol = {"signature", "timestamp", "recvWindow"}
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

    def _turned_away(self, request: Request, verdict: Verdict) -> Response:
        headers = self._limits.headers(request.address, request.wall_ms, orders=False)
        headers["Retry-After"] = str(verdict.retry_after_s)
        body = {"code": verdict.code, "msg": verdict.message}
        return Response(status=verdict.status, body=body, headers=headers)
